//! What the loop remembers between two looks. Losing it costs time and nothing else.

use crate::{NodeId, ServerInfo, plan::Action};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What is known of the time before this look.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// For how long there has been nothing to do.
    pub calm: Duration,
    /// For how long nodes have not answered.
    pub silent: BTreeMap<NodeId, Duration>,
    /// For how long members have not answered under any id, by name.
    pub absent: BTreeMap<String, Duration>,
    /// For how long slots have been open, unserved or disagreed about, without a move of ours.
    pub unsettled: Duration,
    /// The history that each primary's replication stream belonged to when it last answered (`master_replid`).
    pub histories: BTreeMap<NodeId, String>,
    /// How many keys each primary held when it last answered.
    pub keys: BTreeMap<NodeId, u64>,
    /// Nodes that have been made ready to take slots.
    pub prepared: BTreeSet<NodeId>,
    /// For how long some node of the cluster has not known a node that others know.
    pub estranged: BTreeMap<NodeId, Duration>,
    /// For how long primaries have held keys of slots that are not theirs: those without slots, and others as far as that was counted.
    pub littered: BTreeMap<NodeId, Duration>,
    /// What is being done now.
    pub under_way: Vec<Action>,
}

impl Memory {
    /// For how long a node has not answered; no time at all when it has just answered or was never asked before.
    pub fn silent_for(&self, id: NodeId) -> Duration {
        self.silent.get(&id).copied().unwrap_or_default()
    }

    /// Whether a replica has the data that its primary had, but for what that wrote last; none where the primary was never heard.
    pub fn has_copied(&self, replica: &ServerInfo, primary: NodeId) -> Option<bool> {
        let history = self.histories.get(&primary)?;
        Some(replica.replication_id.as_ref() == Some(history))
    }

    /// For how long a member has not answered.
    pub fn absent_for(&self, name: &str) -> Duration {
        self.absent.get(name).copied().unwrap_or_default()
    }
}
