//! The crate by its public doors: with what real servers said, with views made by hand, and with whatever may come.
#![cfg(test)]

mod control;
mod findings;
mod golden_plans;
mod hand;
mod leaving;
mod loads;
mod losses;
mod membership;
mod model;
mod node_flags;
mod node_lines;
mod plans;
mod properties;
mod recorded;
mod reports;
mod server_words;
mod shard_replies;
mod states;
mod survival;
