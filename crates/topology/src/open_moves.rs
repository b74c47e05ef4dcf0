//! Open slots: which of them are a move that stopped half-way and can be finished.

use crate::{
    ClusterView, NodeAddr, NodeId, NodeView, Slot, SlotSet,
    basis::{Basis, NotYet},
    draft::Draft,
    plan::{NodeRef, Plan},
    rebalance::SlotMove,
};
use std::collections::BTreeMap;

/// A slot that is open, and not by one move that could be finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclear {
    /// The slot.
    pub slot: Slot,
    /// A node on which it is open.
    pub address: NodeAddr,
    /// Why that is no move that could be finished, so that it reads well behind the slot.
    pub problem: String,
    /// The end of the move that does not answer, if that is why.
    pub silent: Option<NodeAddr>,
}

impl Unclear {
    /// What the user can do about it, with a node through which the cluster is entered.
    pub fn advice(&self, entry_point: &str) -> String {
        let fix = format!("tribune fix {entry_point}");
        self.silent.as_ref().map_or_else(
            || fix.clone(),
            |silent| {
                format!(
                    "start {silent} again      or, where it is lost for good: {fix} --fix-with-unreachable-primaries"
                )
            },
        )
    }
}

/// What nodes tell of an open slot, each move as its source and its destination.
struct Moves<'view> {
    /// A node that tells of a move of it.
    address: &'view NodeAddr,
    /// The move that it tells of.
    first: (NodeId, NodeId),
    /// Other moves that it or others tell of.
    others: Vec<(NodeId, NodeId)>,
}

/// The moves that stopped half-way: their slots are migrating on their owner, importing on one other primary, or both, and
/// both nodes answer. Slots that go the same way are one move.
pub fn interrupted(view: &ClusterView) -> Vec<SlotMove> {
    let mut slots: BTreeMap<(NodeRef, NodeRef), SlotSet> = BTreeMap::new();
    for (slot, moves) in told(view) {
        if let Ok(ends) = only_move(view, slot, &moves) {
            slots.entry(ends).or_default().insert_range(slot..=slot);
        }
    }
    slots.into_iter().map(|((from, to), slots)| SlotMove { slots, from, to }).collect()
}

/// Plans to finish the moves that stopped half-way.
///
/// # Errors
/// When the cluster does not allow it yet.
pub fn plan(view: &ClusterView) -> Result<Plan, NotYet> {
    let basis = Basis::of(view)?;
    let mut draft = Draft::after(&basis);
    if draft.last_stage() > 0 {
        draft.await_agreement();
    } else {
        draft.reason("nothing to do: no move is interrupted".to_owned());
    }
    Ok(draft.finish("interrupted moves are finished".to_owned(), basis.shards.clone()))
}

/// The slots that are open in another way.
pub fn unclear(view: &ClusterView) -> Vec<Unclear> {
    told(view).into_iter().filter_map(|(slot, moves)| only_move(view, slot, &moves).err()).collect()
}

/// What primaries tell; a replica of Valkey 8 and later only repeats its primary's open slots.
fn told(view: &ClusterView) -> BTreeMap<Slot, Moves<'_>> {
    let mut told: BTreeMap<Slot, Moves<'_>> = BTreeMap::new();
    for (node, said) in view.answering().filter(|(_, said)| said.myself.is_primary()) {
        let own = &said.myself;
        let migrating = own.migrating.iter().map(|(slot, to)| (slot, (own.id, *to)));
        let importing = own.importing.iter().map(|(slot, from)| (slot, (*from, own.id)));
        for (slot, ends) in migrating.chain(importing) {
            let fresh = || Moves { address: &node.address, first: ends, others: Vec::new() };
            let moves = told.entry(*slot).or_insert_with(fresh);
            if moves.first != ends {
                moves.others.push(ends);
            }
        }
    }
    told
}

/// Source and destination, if there is one move that can be finished.
fn only_move(view: &ClusterView, slot: Slot, moves: &Moves<'_>) -> Result<(NodeRef, NodeRef), Unclear> {
    let unclear = |problem| Unclear { slot, address: moves.address.clone(), problem, silent: None };
    if let Some((holder, _)) = std::iter::once(&moves.first).chain(&moves.others).find(|(from, to)| from == to) {
        return Err(unclear(format!(
            "is being repaired: {} is to give its owner the keys that it holds",
            view.name(*holder)
        )));
    }
    let ends = present(view, slot, moves);
    let (from, to) = ends.first().copied().unwrap_or(moves.first);
    let way = format!("is to go from {} to {}", view.name(from), view.name(to));
    if let Some((from, to)) = ends.get(1) {
        return Err(unclear(format!("{way}, and from {} to {}", view.name(*from), view.name(*to))));
    }
    let silent = |id| Unclear {
        silent: view.node(id).map(|node| node.address.clone()),
        ..unclear(format!("{way}, but {} does not answer", view.name(id)))
    };
    let (source, owner) = answering(view, from).ok_or_else(|| silent(from))?;
    let (destination, taker) = answering(view, to).ok_or_else(|| silent(to))?;
    let has_arrived = taker.myself.slots.contains(slot) && owner.myself.migrating.contains_key(&slot);
    if !owner.myself.slots.contains(slot) && !has_arrived {
        return Err(unclear(format!("{way}, but {} does not own it", source.address)));
    }
    if !taker.myself.is_primary() || from == to {
        return Err(unclear(format!("{way}, but {} cannot take it", destination.address)));
    }
    Ok((source, destination))
}

/// The moves that are told, between the primaries that are there now: one that was lost meanwhile, or follows another by now, is
/// stood in for by the primary that has taken its place.
fn present(view: &ClusterView, slot: Slot, moves: &Moves<'_>) -> Vec<(NodeId, NodeId)> {
    let leader = |id: NodeId| answering(view, id).and_then(|(_, said)| said.myself.primary);
    let is_lost = |id: NodeId| view.node(id).is_some_and(|node| node.view().is_none());
    let owner = || view.answering().find(|(_, said)| said.myself.slots.contains(slot)).map(|(_, said)| said.myself.id);
    let mut ends = Vec::new();
    for (from, to) in std::iter::once(moves.first).chain(moves.others.iter().copied()) {
        let from = if is_lost(from) { owner().unwrap_or(from) } else { leader(from).unwrap_or(from) };
        let to = leader(to).filter(|leader| *leader != from).unwrap_or(to);
        if !ends.contains(&(from, to)) {
            ends.push((from, to));
        }
    }
    // A replica of Valkey 8 and later has learnt of the move by its primary, and goes on with it in its place.
    if ends.iter().any(|(_, to)| !is_lost(*to)) {
        ends.retain(|(_, to)| !is_lost(*to));
    }
    ends
}

fn answering(view: &ClusterView, id: NodeId) -> Option<(NodeRef, &NodeView)> {
    let node = view.node(id)?;
    Some((NodeRef { id, address: node.address.clone() }, node.view()?))
}
