//! The planner that makes a replica a primary of its own.

use crate::{
    ClusterView, NodeAddr, NodeId, Slot, SlotSet,
    basis::{Basis, NotYet, after},
    draft::Draft,
    findings::count,
    plan::{Action, NodeRef, Plan, PlannedShard},
    rebalance::{Holding, moves_around},
};
use std::collections::BinaryHeap;

/// Why a replica cannot become a primary of its own; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RepurposeRefusal {
    /// No slot may be moved yet.
    #[error(transparent)]
    NotYet(#[from] NotYet),
    /// The node is no replica that could be used.
    #[error(transparent)]
    NotAReplica(#[from] NotAReplica),
}

/// Why a node is no replica that could be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAReplica {
    /// No node of the cluster has the id.
    #[error("no node of the cluster has the id {id}")]
    Unknown {
        /// The id.
        id: NodeId,
    },
    /// It is a primary.
    #[error("{address} is no replica: it is a primary with {}", count(*slots, "slot"))]
    Primary {
        /// The node.
        address: NodeAddr,
        /// How many slots it owns.
        slots: usize,
    },
    /// It follows a node that is no primary of the cluster.
    #[error("{address} follows a node that is no primary of this cluster")]
    Orphan {
        /// The node.
        address: NodeAddr,
    },
    /// It does not answer.
    #[error("{address} {reason}")]
    Silent {
        /// The node.
        address: NodeAddr,
        /// Why it said nothing.
        reason: String,
    },
}

impl RepurposeRefusal {
    /// What the user can do about it, where it does not speak for itself.
    pub fn advice(&self) -> Option<String> {
        if let Self::NotYet(not_yet) = self { Some(not_yet.advice()) } else { None }
    }
}

/// Plans that a replica leaves its primary and becomes a primary without slots, or, if it is `fair`, one with its share of them:
/// taken from those that own most, and no slot moves between others.
///
/// # Errors
/// When the cluster does not allow it yet, or the node is no replica that answers.
pub fn plan(view: &ClusterView, replica: NodeId, fair: bool) -> Result<Plan, RepurposeRefusal> {
    let basis = Basis::of(view)?;
    let node = replica_named(view, replica)?;
    let follows = |shard: &&PlannedShard| shard.replicas.contains(&node);
    let orphan = || NotAReplica::Orphan { address: node.address.clone() };
    let shard = basis.shards.iter().find(follows).ok_or_else(orphan)?;
    let mut draft = Draft::after(&basis);
    let action = Action::Detach { node: node.clone(), from: shard.primary.clone() };
    draft.stage([(action, "it is to be a primary of its own".to_owned())]);
    draft.await_agreement();
    let action = Action::AwaitService { nodes: vec![node.clone()] };
    draft.stage([(action, "a node that does not serve takes no keys".to_owned())]);
    let mut shards = basis.shards.clone();
    for shard in &mut shards {
        shard.replicas.retain(|replica| *replica != node);
    }
    shards.push(PlannedShard { slots: SlotSet::new(), primary: node.clone(), replicas: Vec::new() });
    let mut holdings = basis.holdings();
    holdings.retain(|holding| !holding.slots.is_empty());
    let share = if fair { usize::from(Slot::COUNT) / (holdings.len() + 1) } else { 0 };
    let mut shares = after_giving(&holdings, share);
    holdings.push(Holding { node: node.clone(), slots: SlotSet::new() });
    shares.push(share);
    let moves = moves_around(&holdings, &shares, &basis.settled());
    if !moves.is_empty() {
        draft
            .moves(&moves, |_| format!("{} is the share of one of {} primaries", count(share, "slot"), holdings.len()));
        draft.await_agreement();
    }
    match shard.replicas.len() {
        1 => draft.reason(format!("{} has no replica then: losing it loses its data", shard.primary.address)),
        replicas => draft.reason(format!("{} keeps {} of {replicas} replicas", shard.primary.address, replicas - 1)),
    }
    if fair {
        draft.reason(format!("{} has no replica: losing it loses its data", node.address));
    } else {
        draft.reason(format!("{} owns no slot until some are moved to it", node.address));
    }
    let expected = after(shards, &moves);
    basis.drained(&expected).into_iter().for_each(|reason| draft.reason(reason));
    Ok(draft.finish(format!("{} becomes a primary with {}", node.address, count(share, "slot")), expected))
}

/// What is left to each when so many slots are taken, one after the other, from the one that has most.
fn after_giving(holdings: &[Holding], slots: usize) -> Vec<usize> {
    let mut shares: Vec<usize> = holdings.iter().map(|holding| holding.slots.len()).collect();
    let mut largest: BinaryHeap<(usize, usize)> = shares.iter().copied().zip(0..).collect();
    for _ in 0..slots {
        let Some((has, at)) = largest.pop() else { break };
        if let Some(share) = shares.get_mut(at) {
            *share = has.saturating_sub(1);
            largest.push((*share, at));
        }
    }
    shares
}

/// The replica with this id, if it answers.
pub(crate) fn replica_named(view: &ClusterView, id: NodeId) -> Result<NodeRef, NotAReplica> {
    let node = view.node(id).ok_or(NotAReplica::Unknown { id })?;
    let address = node.address.clone();
    let said = node.said.as_ref();
    let said =
        said.map_err(|silence| NotAReplica::Silent { address: address.clone(), reason: silence.reason.clone() })?;
    if said.myself.primary.is_none() {
        return Err(NotAReplica::Primary { address, slots: said.myself.slots.len() });
    }
    Ok(NodeRef { id, address })
}
