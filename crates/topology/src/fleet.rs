//! What a platform says of the servers that it runs for a cluster.

use crate::{NodeAddr, NodeId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A member: a node that a platform runs, whether its server is up or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FleetMember {
    /// The platform's name for it, which stays when its server comes back with another address.
    pub name: String,
    /// Where its server listens, or will; none while the platform has not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<NodeAddr>,
    /// What falls with it: the machine that it runs on.
    pub host: String,
    /// The zone of that machine, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What its server's process is at.
    pub process: Process,
    /// The node id that its data belongs to, where the platform can read it without the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<NodeId>,
    /// What it keeps of earlier runs.
    pub data: Data,
    /// How far it is with what it is to run with.
    #[serde(default)]
    pub update: Update,
    /// Why its server does not run or end well, in the platform's words, if so: a clause without its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// How what a member's server runs with, program and settings, stands to what it is to run with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Update {
    /// It is the same; of a server that does not run, what it is started with next.
    #[default]
    Current,
    /// Something else is wanted, which its server may take at run time.
    Outdated,
    /// Something else is wanted, which only a restart gives it. Until that is asked for, it would start with what it had.
    NeedsRestart,
    /// Its server refuses what is wanted, in these words.
    Refused(String),
}

/// What a member's server process is at, by the word of the platform, which is its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Process {
    /// There is one.
    Runs,
    /// There is none yet, or none until the platform starts it again, which it will.
    Starts,
    /// There is none, and it will not be started until something changes.
    Stopped,
    /// The platform does not know, because it does not reach the machine.
    Unknown,
}

/// What a member keeps of earlier runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Data {
    /// Nothing: no server has ever run there, or what it had is gone for good.
    Nothing,
    /// What its server had when it ended, or what it has.
    Kept,
    /// The platform does not know.
    Unknown,
}

impl FleetMember {
    /// Whether it is, or was, the node with this id at this address.
    pub fn may_be(&self, id: NodeId, address: &NodeAddr) -> bool {
        let is_there = self.address.as_ref().is_some_and(|own| own.same_endpoint(address));
        self.id.map_or(is_there, |own| own == id)
    }

    /// Whether no server can be running there: only then is a member that does not answer known to serve nobody.
    pub const fn is_fenced(&self) -> bool {
        matches!(self.process, Process::Starts | Process::Stopped)
    }
}
