//! Connections to real servers: what comes back over them, and what is said when nothing does.
#![cfg(test)]

mod addresses;
mod batches;
mod client_certificates;
mod links;
mod listeners;
mod options;
mod passwords;
mod protocols;
mod replication;
mod silence;
mod states;
mod support;
mod verification;
