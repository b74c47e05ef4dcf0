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
    /// Whether it has been made before: where nothing is left of it then, it is lost, and not to be made for the first time.
    #[serde(default)]
    pub formed: bool,
    /// What becomes of a shard of whose data no copy is left anywhere.
    #[serde(default)]
    pub when_shard_lost: WhenShardLost,
    /// Whether replicas may take over without a vote where no majority is left.
    #[serde(default)]
    pub takeover: Takeover,
}

/// What becomes of a shard of whose data no copy is left anywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhenShardLost {
    /// Its slots are not served before somebody asks for that.
    #[default]
    Wait,
    /// Its slots are given to another primary, empty, and the loss is told.
    Recreate,
}

impl Desired {
    /// How many members that takes.
    pub const fn members(&self) -> usize {
        self.shards.saturating_mul(self.replicas.saturating_add(1)).saturating_add(self.extra)
    }
}

/// Whether a replica may take the place of its primary without a vote, where no majority of primaries is left to elect it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Takeover {
    /// When the platform proves that the primary does not run, and keeps it from being started meanwhile.
    #[default]
    WhenFenced,
    /// Never: somebody has to do it.
    Never,
}
