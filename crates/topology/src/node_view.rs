//! What one server says: of itself, of its cluster, of the other nodes.

use crate::{ClusterInfo, Flag, NodeEntry, NodeId, NotANodeEntry, ServerInfo, SlotSet};
use std::{collections::BTreeMap, sync::Arc};

/// Everything that one server said when it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Its own line of `CLUSTER NODES`.
    pub myself: NodeEntry,
    /// The other lines, in the server's order; copies of a view share them.
    pub peers: Arc<Vec<NodeEntry>>,
    /// Its `CLUSTER INFO`.
    pub cluster: ClusterInfo,
    /// Its `INFO`.
    pub server: ServerInfo,
}

/// A reply of `CLUSTER NODES` that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAView {
    /// One of its lines cannot be read.
    #[error(transparent)]
    Entry(#[from] NotANodeEntry),
    /// No line is flagged `myself`.
    #[error("its CLUSTER NODES has no line for itself")]
    NoMyself,
}

/// Which slots belong to whom, as one server sees it; nodes without slots left out.
pub type SlotMap = BTreeMap<NodeId, SlotSet>;

impl NodeView {
    /// Reads the replies of `CLUSTER NODES`, `CLUSTER INFO` and `INFO`.
    pub fn parse(nodes: &str, cluster: &str, server: &str) -> Result<Self, NotAView> {
        let (mut own, peers): (Vec<_>, Vec<_>) =
            NodeEntry::parse_all(nodes)?.into_iter().partition(|entry| entry.flags.has(&Flag::Myself));
        let myself = own.pop().ok_or(NotAView::NoMyself)?;
        Ok(Self {
            myself,
            peers: Arc::new(peers),
            cluster: ClusterInfo::parse(cluster),
            server: ServerInfo::parse(server),
        })
    }

    /// Whether a server that says this now in few words most likely says all the rest as it did: shown are its role, its epoch and the
    /// cluster's, how many nodes and slots it knows and doubts, and its replication; not shown are open slots, and where other nodes
    /// listen.
    pub fn is_still(&self, cluster: &ClusterInfo, server: &ServerInfo) -> bool {
        self.cluster.essence() == cluster.essence() && self.server.essence() == server.essence()
    }

    /// What it says of all nodes, itself first.
    pub fn entries(&self) -> impl Iterator<Item = &NodeEntry> {
        std::iter::once(&self.myself).chain(self.peers.iter())
    }

    /// What it says of this node.
    pub fn entry(&self, id: NodeId) -> Option<&NodeEntry> {
        self.entries().find(|entry| entry.id == id)
    }

    /// Which slots belong to whom.
    pub fn slot_map(&self) -> SlotMap {
        let owners = self.entries().filter(|entry| !entry.slots.is_empty());
        owners.map(|entry| (entry.id, entry.slots.clone())).collect()
    }
}
