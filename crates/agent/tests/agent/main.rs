//! The agent with real processes: shell scripts take the servers' part, the example `agent` holds the agent.
//!
//! `cargo test` builds the example; `cargo test --test agent` alone does not.
#![cfg(test)]

mod api;
mod life;
mod locks;
mod logs;
mod stop;
mod support;
