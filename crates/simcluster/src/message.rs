//! What servers tell each other on the cluster bus.

use crate::bus::{Address, At, Millis};
use topology::{NodeId, SlotSet};

/// A message, with what its header tells of the sender.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) from: At,
    pub(crate) from_incarnation: u32,
    /// The link of the sender that it goes over, or for an answer the link of the receiver.
    pub(crate) link: u64,
    /// Whether it is an answer, on the link of the receiver.
    pub(crate) is_answer: bool,
    pub(crate) sender: NodeId,
    /// Where it comes from, as the connection tells.
    pub(crate) address: Address,
    pub(crate) primary: Option<NodeId>,
    pub(crate) is_replica: bool,
    pub(crate) shard: NodeId,
    pub(crate) config_epoch: u64,
    pub(crate) current_epoch: u64,
    pub(crate) offset: u64,
    /// The slots of the sender, or of its primary.
    pub(crate) slots: SlotSet,
    /// Whether the sender holds its writers for a failover.
    pub(crate) is_paused: bool,
    /// Nodes that the sender was told to forget, and until when.
    pub(crate) forgotten: Vec<(NodeId, Millis)>,
    pub(crate) kind: Kind,
}

/// What a message is for.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Ping(Vec<Gossip>),
    Pong(Vec<Gossip>),
    Meet(Vec<Gossip>),
    /// This node has failed, by the word of a majority.
    Fail(NodeId),
    /// What the receiver does not know of another one: its epoch and its slots.
    Update(NodeId, u64, SlotSet),
    VoteRequest {
        /// Whether the primary need not have failed.
        force: bool,
    },
    Vote,
    FailoverStart,
    Publish,
}

impl Kind {
    pub(crate) const fn gossip(&self) -> Option<&Vec<Gossip>> {
        match self {
            Self::Ping(gossip) | Self::Pong(gossip) | Self::Meet(gossip) => Some(gossip),
            _ => None,
        }
    }
}

/// What a message tells of a third node.
#[derive(Clone, Debug)]
pub(crate) struct Gossip {
    pub(crate) id: NodeId,
    /// None where it has none.
    pub(crate) address: Option<Address>,
    /// Whether the sender takes it for failing, possibly or for sure.
    pub(crate) is_failing: bool,
    pub(crate) is_replica: bool,
    pub(crate) pong_received: Millis,
}
