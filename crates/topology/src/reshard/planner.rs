//! From what was asked for and what is, to a plan.

use super::moves;
use crate::{
    ClusterView, NodeAddr, NodeId,
    basis::{Basis, NotAPrimary, NotYet, after},
    draft::Draft,
    findings::{count, primaries},
    plan::{Plan, PlannedShard},
    rebalance::Holding,
};
use std::collections::BTreeSet;

/// Which primaries give slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sources {
    /// All that own slots, except the destination.
    All,
    /// These; the destination, if it is among them, is left out.
    These(Vec<NodeId>),
}

/// Why slots cannot be moved as asked; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReshardRefusal {
    /// No slot may be moved yet.
    #[error(transparent)]
    NotYet(#[from] NotYet),
    /// A source or the destination is none.
    #[error(transparent)]
    NotAPrimary(#[from] NotAPrimary),
    /// No slots are wanted.
    #[error("0 slots are wanted: there is nothing to move to {destination}")]
    Nothing {
        /// The destination.
        destination: NodeAddr,
    },
    /// No source is named.
    #[error("no source is named")]
    NoSource,
    /// The destination is the only source.
    #[error("{destination} cannot be the only source: it is the destination")]
    OnlyItself {
        /// The destination.
        destination: NodeAddr,
    },
    /// More slots than the sources own.
    #[error("{} wanted and the sources own {owned}", if *wanted == 1 { "1 slot is".to_owned() } else { format!("{wanted} slots are") })]
    TooMany {
        /// How many are wanted.
        wanted: usize,
        /// How many the sources own together.
        owned: usize,
    },
}

impl ReshardRefusal {
    /// What the user can do about it, where it does not speak for itself.
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::NotYet(not_yet) => Some(not_yet.advice()),
            Self::NoSource | Self::OnlyItself { .. } => Some("name another primary, or all".to_owned()),
            Self::TooMany { owned, .. } if *owned > 0 => Some(format!("ask for {owned} at most, or name more sources")),
            _ => None,
        }
    }
}

/// Plans the move of exactly so many slots to the destination, from each source in proportion to what it owns.
///
/// A move that was interrupted is finished first, and what it moves does not count.
///
/// # Errors
/// When the cluster does not allow it yet, a node is no primary, or the sources own fewer.
pub fn plan(view: &ClusterView, sources: &Sources, destination: NodeId, slots: usize) -> Result<Plan, ReshardRefusal> {
    let basis = Basis::of(view)?;
    let destination = basis.shard_of(view, destination)?;
    let address = || destination.primary.address.clone();
    let givers = givers(view, &basis, sources, destination)?;
    if slots == 0 {
        return Err(ReshardRefusal::Nothing { destination: address() });
    }
    let taker = Holding { node: destination.primary.clone(), slots: destination.slots.clone() };
    let moves = moves(&giving(&basis, &givers, slots), &taker, slots)?;
    let goal = format!("{} to {} from {}", count(slots, "slot"), destination.primary.address, primaries(moves.len()));
    let mut draft = Draft::after(&basis);
    draft.moves(&moves, |slot_move| {
        let owned = givers.iter().find(|giver| giver.primary == slot_move.from).map_or(0, |giver| giver.slots.len());
        format!("its part of {}: it owns {owned}", count(slots, "slot"))
    });
    draft.await_agreement();
    let expected = after(basis.shards.clone(), &moves);
    for reason in basis.drained(&expected) {
        draft.reason(reason);
    }
    Ok(draft.finish(goal, expected))
}

/// The shards that give slots.
fn givers<'a>(
    view: &ClusterView,
    basis: &'a Basis,
    sources: &Sources,
    destination: &PlannedShard,
) -> Result<Vec<&'a PlannedShard>, ReshardRefusal> {
    let givers = match sources {
        Sources::All => basis.shards.iter().filter(|shard| shard.primary != destination.primary).collect(),
        Sources::These(ids) => {
            let ids: BTreeSet<NodeId> = ids.iter().copied().collect();
            if ids.is_empty() {
                return Err(ReshardRefusal::NoSource);
            }
            if ids.iter().all(|id| *id == destination.primary.id) {
                return Err(ReshardRefusal::OnlyItself { destination: destination.primary.address.clone() });
            }
            let others = ids.into_iter().filter(|id| *id != destination.primary.id);
            others.map(|id| basis.shard_of(view, id)).collect::<Result<Vec<_>, _>>()?
        }
    };
    Ok(givers)
}

/// What they give from: not what an interrupted move has just brought, unless nothing else is left.
fn giving(basis: &Basis, givers: &[&PlannedShard], slots: usize) -> Vec<Holding> {
    let settled = basis.settled();
    let holding =
        |shard: &&PlannedShard| Holding { node: shard.primary.clone(), slots: shard.slots.difference(&settled) };
    let giving: Vec<Holding> = givers.iter().map(holding).collect();
    if giving.iter().map(|holding| holding.slots.len()).sum::<usize>() >= slots {
        return giving;
    }
    let holding = |shard: &&PlannedShard| Holding { node: shard.primary.clone(), slots: shard.slots.clone() };
    givers.iter().map(holding).collect()
}
