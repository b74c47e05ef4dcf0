//! What a cluster was asked to be: `cluster.json`.

use crate::Engine;
use agent::Launch;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use topology::control::{Desired, Takeover, WhenShardLost};

/// What a cluster was asked to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Settings {
    /// The version of this form, 1.
    pub format: u32,
    /// The server program that its members run.
    pub engine: Engine,
    /// How many shards it is to have.
    pub shards: usize,
    /// How many replicas each shard is to have.
    pub replicas: usize,
    /// How many replicas there are to be beyond these, wherever there are fewest.
    #[serde(default)]
    pub extra: usize,
    /// Settings of the servers beyond those of their configuration files, which they override.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// Counts the restarts of all members, one after another, that were asked for without anything else.
    #[serde(default)]
    pub round: u64,
    /// What becomes of a shard of whose data no copy is left anywhere.
    #[serde(default)]
    pub when_shard_lost: WhenShardLost,
    /// Whether replicas may take over without a vote where no majority is left.
    #[serde(default)]
    pub takeover: Takeover,
    /// Whether it was made to the end: its members know each other and keep that in their data.
    pub formed: bool,
}

impl Settings {
    /// Settings of a cluster that is still to be made.
    pub const fn new(engine: Engine, shards: usize, replicas: usize) -> Self {
        let settings = BTreeMap::new();
        Self {
            format: 1,
            engine,
            shards,
            replicas,
            extra: 0,
            settings,
            round: 0,
            when_shard_lost: WhenShardLost::Wait,
            takeover: Takeover::WhenFenced,
            formed: false,
        }
    }

    /// What each of its servers is to run with.
    pub fn launch(&self) -> Launch {
        let (program, version) = (self.engine.program.clone(), Some(self.engine.version.clone()));
        Launch { program, version, settings: self.settings.clone(), round: self.round }
    }

    /// The shape that the loop keeps it in.
    pub const fn desired(&self) -> Desired {
        Desired {
            shards: self.shards,
            replicas: self.replicas,
            extra: self.extra,
            formed: self.formed,
            when_shard_lost: self.when_shard_lost,
            takeover: self.takeover,
        }
    }
}
