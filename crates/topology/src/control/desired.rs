//! What a cluster is to be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The shape that a cluster is kept in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Desired {
    /// How many shards, from 1.
    pub shards: usize,
    /// How many replicas each shard has.
    pub replicas: usize,
    /// How many replicas there are beyond these, where there are fewest.
    #[serde(default)]
    pub extra: usize,
}

impl Desired {
    /// How many members that takes.
    pub const fn members(&self) -> usize {
        self.shards.saturating_mul(self.replicas.saturating_add(1)).saturating_add(self.extra)
    }
}
