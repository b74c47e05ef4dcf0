//! A model of Redis and Valkey servers and their cluster bus, in virtual time and from a seed, behind the ports of `operations`.
//!
//! It is for tests: whatever plans and loops do with servers can be tried here thousands of times, with servers that die, networks that are
//! cut and answers that are lost at every step. One seed gives one course of events, to the byte ([`Simulation::trace`]).
//!
//! Time is that of tokio, paused, on one thread ([`run`]): it goes on when all tasks wait. Nothing else keeps the servers going: whoever
//! looks at them lets everything happen first that was due until then.
//!
//! How to try many seeds, to see one again, and what is told of one that fails: `docs/simulation.md`.
//!
//! What the servers do is written after `cluster.c` of Redis 7.0 (`cluster_legacy.c` since 7.4 and in Valkey), function by function; where
//! versions differ, [`Profile`] says how. What is not there: other databases than 0, expiry and types of keys, `cluster-announce-*`, TLS,
//! users, shard ids, memory. Gossip is drawn a little differently, all else being equal, so that it is cheap.

mod agents;
mod bus;
mod command;
mod data;
mod disturb;
mod electable;
mod faults;
mod fleet;
mod form;
mod invariants;
mod link;
mod losing;
mod message;
mod migration;
mod profile;
mod replication;
mod schedule;
mod server;
mod settings;
mod shrink;
mod simulation;
mod stream;
mod told;
mod trace;
mod world;
mod writer;

pub use faults::Faults;
pub use fleet::{Platform, SimulatedFleet};
pub use invariants::Violation;
pub use link::Timeouts;
pub use profile::Profile;
pub use schedule::{Happened, Place};
pub use shrink::shrink;
pub use simulation::{Number, ServerOptions, Simulation};
pub use writer::{Ledger, Lost, Writer, WriterOptions, lost};

/// Runs a test in virtual time, on a simulation of this seed.
///
/// # Errors
/// When no runtime can be made.
pub fn run<F: Future>(seed: u64, test: impl FnOnce(Simulation) -> F) -> std::io::Result<F::Output> {
    run_again(seed, None, test)
}

/// The same where only what is in a list goes wrong or is done ([`Simulation::happened`]), and what happens is drawn where there is none.
///
/// # Errors
/// When no runtime can be made.
pub fn run_again<F: Future>(
    seed: u64,
    given: Option<&[Happened]>,
    test: impl FnOnce(Simulation) -> F,
) -> std::io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(async { test(Simulation::again(seed, given)).await }))
}
