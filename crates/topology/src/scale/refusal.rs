//! Why a cluster cannot be given another number of shards.

use crate::{
    NodeAddr, NodeId,
    basis::NotYet,
    findings::{count, primaries},
};

/// Why a cluster cannot be given another number of shards; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScaleRefusal {
    /// No slot may be moved yet.
    #[error(transparent)]
    NotYet(#[from] NotYet),
    /// No shard is wanted.
    #[error("0 shards cannot hold the slots: 1 is the fewest")]
    NoShards,
    /// More shards than slots.
    #[error("{shards} shards are too many: there are 16384 slots")]
    TooManyShards {
        /// The shards wanted.
        shards: usize,
    },
    /// Fewer nodes than primaries and replicas.
    #[error(
        "{} not enough for {} with {} each: {needed} are needed",
        if *nodes == 1 { "1 node is".to_owned() } else { format!("{nodes} nodes are") },
        primaries(*shards),
        count(*replicas, "replica")
    )]
    NotEnoughNodes {
        /// How many nodes the cluster has.
        nodes: usize,
        /// The shards wanted.
        shards: usize,
        /// Replicas for each primary.
        replicas: usize,
        /// How many nodes that takes.
        needed: usize,
    },
    /// A node that does not answer cannot be given its part.
    #[error("{address} {reason}")]
    Silent {
        /// The node.
        address: NodeAddr,
        /// Its id.
        id: NodeId,
        /// Why it said nothing.
        reason: String,
        /// A node of the cluster that answers, for the remedy.
        entry_point: String,
    },
    /// A replica of a node that is no primary of this cluster.
    #[error("{address} follows a node that is no primary of this cluster")]
    Orphan {
        /// The replica.
        address: NodeAddr,
    },
}

impl ScaleRefusal {
    /// Why that matters, where it does not speak for itself.
    pub const fn why(&self) -> Option<&'static str> {
        if let Self::Silent { .. } = self { Some("every node gets a part, and must be there to take it") } else { None }
    }

    /// What the user can do about it, where it does not speak for itself.
    pub fn advice(&self) -> Option<String> {
        Some(match self {
            Self::NotYet(not_yet) => not_yet.advice(),
            Self::NotEnoughNodes { nodes, needed, .. } => {
                format!("add {} first, or ask for less", count(needed.saturating_sub(*nodes), "node"))
            }
            Self::Silent { address, id, entry_point, .. } => {
                format!("start {address} again, or let the others forget it: tribune del-node {entry_point} {id}")
            }
            Self::Orphan { .. } => "wait a few seconds, or make it follow one".to_owned(),
            Self::NoShards | Self::TooManyShards { .. } => return None,
        })
    }
}
