//! What a cluster was asked to be: `cluster.json`.

use crate::Engine;
use serde::{Deserialize, Serialize};

/// What a cluster was asked to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Settings {
    /// The version of this form, 1.
    pub format: u32,
    /// The server program that its members run.
    pub engine: Engine,
    /// How many shards it was made with.
    pub shards: usize,
    /// How many replicas each shard was made with.
    pub replicas: usize,
    /// Whether it was made to the end: its members know each other and keep that in their data.
    pub formed: bool,
}

impl Settings {
    /// Settings of a cluster that is still to be made.
    pub const fn new(engine: Engine, shards: usize, replicas: usize) -> Self {
        Self { format: 1, engine, shards, replicas, formed: false }
    }
}
