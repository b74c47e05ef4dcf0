//! The model keeps its promises: what operations do on real servers they do on it.
#![cfg(test)]

mod chaos;
mod create;
mod failures;
mod moves;
mod support;
mod times;
