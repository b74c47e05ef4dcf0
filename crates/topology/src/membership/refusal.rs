//! Why nodes may not join or leave.

use crate::{NodeAddr, NodeId, findings::count};

/// Why a node cannot join or leave; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipRefusal {
    /// The new node holds keys.
    #[error("{address} holds {}: a new node must be empty", count(*keys, "key"))]
    HoldsKeys {
        /// The new node.
        address: NodeAddr,
        /// How many.
        keys: u64,
    },
    /// The new node knows nodes that are not of this cluster.
    #[error("{address} already belongs to another cluster")]
    InAnotherCluster {
        /// The new node.
        address: NodeAddr,
    },
    /// The new node owns slots, though no node of this cluster knows it.
    #[error("{address} owns {} of a cluster of its own", count(*slots, "slot"))]
    HasSlots {
        /// The new node.
        address: NodeAddr,
        /// How many.
        slots: usize,
    },
    /// The new node is a member already, and something else than it is to be.
    #[error("{address} is already a member: {what}")]
    AlreadyMember {
        /// The node.
        address: NodeAddr,
        /// What it is.
        what: String,
    },
    /// The cluster has no primary that could be followed.
    #[error("no primary {}answers", wanted.map_or_else(|| "with slots ".to_owned(), |id| format!("{} ", id.short())))]
    NoSuchPrimary {
        /// Which one was asked for; none for any.
        wanted: Option<NodeId>,
    },
    /// No node of the cluster knows this one.
    #[error("no node of the cluster knows the id {id}")]
    Unknown {
        /// The id.
        id: NodeId,
    },
    /// The node owns slots.
    #[error("{address} owns {}", count(*slots, "slot"))]
    OwnsSlots {
        /// The node.
        address: NodeAddr,
        /// How many.
        slots: usize,
        /// A replica of it that could take over.
        successor: Option<NodeAddr>,
    },
    /// The node is a primary that holds keys of slots of others.
    #[error("{address} holds {} of slots that it does not own", count(*keys, "key"))]
    HoldsKeysOfOthers {
        /// The node.
        address: NodeAddr,
        /// How many.
        keys: u64,
    },
    /// Slots are open on the node: keys of theirs may be nowhere else.
    #[error("{} on {address} {} on the way to or from it", count(*slots, "slot"), if *slots == 1 { "is" } else { "are" })]
    HasOpenSlots {
        /// The node.
        address: NodeAddr,
        /// How many.
        slots: usize,
    },
    /// Replicas follow the node.
    #[error("{replica} is a replica of {address}")]
    HasReplica {
        /// The node.
        address: NodeAddr,
        /// A replica of it.
        replica: NodeAddr,
    },
    /// The node has what may be the only copy of slots.
    #[error("{address} may have the only copy of {}: {primary} does not answer, and no other replica of it does", count(*slots, "slot"))]
    OnlyCopy {
        /// The node, a replica.
        address: NodeAddr,
        /// Its primary.
        primary: NodeAddr,
        /// How many slots that one owns.
        slots: usize,
    },
    /// Nobody would be left.
    #[error("{address} is the only node that answers")]
    OnlyNode {
        /// The node.
        address: NodeAddr,
    },
    /// Too few primaries answer to be sure.
    #[error("{answering} of {primaries} primaries answer: not enough to be sure that {address} owns nothing")]
    NoMajority {
        /// The node.
        address: NodeAddr,
        /// How many primaries answer.
        answering: usize,
        /// How many there are.
        primaries: usize,
    },
}

impl MembershipRefusal {
    /// What the user can do about it.
    pub fn advice(&self) -> Option<String> {
        Some(match self {
            Self::HoldsKeys { address, .. } => format!(
                "look at them: redis-cli -h {} -p {} --scan      another node, or empty it yourself if they may go",
                address.host, address.port
            ),
            Self::InAnotherCluster { address } | Self::HasSlots { address, .. } => {
                format!("tribune check {} tells of it", address.bare())
            }
            Self::OwnsSlots { successor: Some(successor), .. } => {
                format!("let its replica take over, then repeat: tribune failover {}", successor.bare())
            }
            Self::OwnsSlots { .. } => {
                "move its slots away first: tribune reshard, or tribune rebalance with --weight ID=0".to_owned()
            }
            Self::HoldsKeysOfOthers { address, .. } | Self::HasOpenSlots { address, .. } => {
                format!("when nothing moves slots any more: tribune fix {}", address.bare())
            }
            Self::HasReplica { replica, .. } => format!("remove its replica {replica} first"),
            Self::OnlyCopy { address, .. } => {
                format!("let it take over: tribune failover {} --force", address.bare())
            }
            Self::NoMajority { .. } => "wait until the other primaries answer".to_owned(),
            Self::Unknown { .. } => "tribune status shows the nodes with their ids".to_owned(),
            _ => return None,
        })
    }
}
