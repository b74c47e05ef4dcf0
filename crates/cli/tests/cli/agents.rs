//! Agents that talk to each other: deaths, stops and new addresses.

mod failovers;
mod scene;
