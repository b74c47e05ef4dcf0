//! Why nodes cannot become a cluster.

use crate::{NodeAddr, findings::count};

/// Why nodes cannot become a cluster; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CreateRefusal {
    /// An address stands twice in the list.
    #[error("{address} is given twice")]
    SameAddressTwice {
        /// The address.
        address: NodeAddr,
    },
    /// Two addresses lead to the same server.
    #[error("{first} and {second} are the same node")]
    SameNodeTwice {
        /// The address given first.
        first: NodeAddr,
        /// The other.
        second: NodeAddr,
    },
    /// Not enough nodes for the shards and replicas wanted.
    #[error(
        "{} not enough for {} with {} each: {needed} are needed",
        if *nodes == 1 { "1 node is".to_owned() } else { format!("{nodes} nodes are") },
        if *shards == 1 { "1 primary".to_owned() } else { format!("{shards} primaries") },
        count(*replicas, "replica")
    )]
    TooFewNodes {
        /// How many were given.
        nodes: usize,
        /// Replicas for each primary.
        replicas: usize,
        /// The shards wanted, or the fewest that are sensible.
        shards: usize,
        /// How many nodes that takes.
        needed: usize,
    },
    /// More shards than slots.
    #[error("{shards} shards are too many: there are 16384 slots")]
    TooManyShards {
        /// The shards wanted.
        shards: usize,
    },
    /// A server without cluster mode.
    #[error("{address} is not a cluster node: it runs without cluster-enabled yes")]
    NotACluster {
        /// The server.
        address: NodeAddr,
    },
    /// A node that holds keys.
    #[error("{address} holds {} in database {database}", count(*keys, "key"))]
    HoldsKeys {
        /// The node.
        address: NodeAddr,
        /// A database with keys.
        database: u32,
        /// How many.
        keys: u64,
    },
    /// A node that knows nodes outside the list.
    #[error("{address} already belongs to a cluster: it knows {} that the list does not have", count(*strangers, "node"))]
    InAnotherCluster {
        /// The node.
        address: NodeAddr,
        /// How many others it knows.
        strangers: usize,
    },
    /// A node that an earlier attempt gave another part than it would have now.
    #[error("{address} already has another part in a half-made cluster than it would have now")]
    HalfMadeOtherwise {
        /// The node.
        address: NodeAddr,
        /// All nodes of the list.
        all: Vec<NodeAddr>,
    },
}

impl CreateRefusal {
    /// Why that matters, where it does not speak for itself.
    pub const fn why(&self) -> Option<&'static str> {
        Some(match self {
            Self::HoldsKeys { .. } => "a new member must be empty; its keys could hide or replace the cluster's",
            Self::TooFewNodes { shards: 3, .. } => {
                "with fewer than 3 primaries no majority is left to elect a successor when one is lost"
            }
            Self::HalfMadeOtherwise { .. } => {
                "an earlier create was stopped, and the list or its options have changed since"
            }
            _ => return None,
        })
    }

    /// What the user can do about it.
    pub fn advice(&self) -> Option<String> {
        Some(match self {
            Self::SameAddressTwice { .. } | Self::SameNodeTwice { .. } => "give each node once".to_owned(),
            Self::TooFewNodes { .. } => {
                "give more nodes, or fewer --replicas, or say --shards N if you mean it".to_owned()
            }
            Self::NotACluster { .. } => "set cluster-enabled yes in its configuration and restart it".to_owned(),
            Self::HoldsKeys { address, database, .. } => format!(
                "look at them: redis-cli -h {} -p {} -n {database} --scan      another node, or empty it yourself if they may go",
                address.host, address.port
            ),
            Self::InAnotherCluster { address, .. } => {
                format!(
                    "look at it: tribune check {address}      another node, or take this one out of its cluster first"
                )
            }
            Self::HalfMadeOtherwise { all, .. } => {
                let all: Vec<_> = all.iter().map(ToString::to_string).collect();
                format!(
                    "repeat the same command as before, or make them as new: tribune create --undo {}",
                    all.join(" ")
                )
            }
            Self::TooManyShards { .. } => return None,
        })
    }
}
