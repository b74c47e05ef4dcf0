//! Agents that talk to each other: deaths, stops and new addresses.

mod answers;
mod failovers;
mod moved;
pub(crate) mod scene;
mod stops;
