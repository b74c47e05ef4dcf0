//! Who is to own each slot, and what becomes of its keys.

use super::{
    Found, Held, Remedy, Repair, RepairRefusal, Wanted,
    cover::spread,
    found::{doubtful, primaries, unreachable_primaries},
    refusal::Unreachable,
};
use crate::{
    ClusterView, Member, NodeId, ObservedNode, SlotSet,
    copies::has_had_copy,
    findings::entry_point,
    plan::{FailoverKind, NodeRef},
};

/// Decides what is done about each slot that is not as it should be. `held` has the keys of all [`doubtful`] slots; it may have
/// those of further slots, which are then looked at, too.
///
/// Where replicas are to take the place of silent primaries, nothing is decided before they have: what they hold and own shows only
/// then, also of slots that were on their way to or from these primaries.
///
/// # Errors
/// When a primary does not answer that owns slots or may hold keys of open ones, unless that is wanted.
pub fn decide(view: &ClusterView, held: &Held, wanted: Wanted) -> Result<Vec<Repair>, RepairRefusal> {
    if primaries(view).next().is_none() {
        return Err(RepairRefusal::NoPrimary);
    }
    if !wanted.with_unreachable
        && let Some(node) = missing(view)
    {
        return Err(unreachable(view, node));
    }
    if has_takeovers(view) {
        return Ok(Vec::new());
    }
    let asked: SlotSet = held.values().flat_map(|slots| slots.keys().copied()).collect();
    let (mut repairs, mut bare) = (Vec::new(), Vec::new());
    for slot in doubtful(view).union(&asked).iter() {
        let found = Found::of(slot, view, held);
        if found.is_well() {
            continue;
        }
        match remedy(view, &found) {
            Some(remedy) => repairs.push(Repair { slot, found, remedy }),
            None => bare.push((slot, found)),
        }
    }
    let slots: SlotSet = bare.iter().map(|(slot, _)| *slot).collect();
    let mut owners = spread(view, &slots);
    for (slot, found) in bare {
        if let Some(owner) = owners.remove(&slot) {
            let remedy = given(&found, owner, "nobody claims it or holds keys of it: it goes where fewest slots are");
            repairs.push(Repair { slot, found, remedy });
        }
    }
    repairs.sort_by_key(|repair| repair.slot);
    Ok(repairs)
}

/// A silent primary without which nothing can be decided.
fn missing(view: &ClusterView) -> Option<&ObservedNode> {
    unreachable_primaries(view).into_iter().find(|node| {
        let owns = owned_alone(view, node) > 0;
        owns || primaries(view).any(|(_, said)| {
            let ends = said.myself.migrating.values().chain(said.myself.importing.values());
            ends.into_iter().any(|end| Some(*end) == node.id)
        })
    })
}

/// How many slots a silent node owns for others that nobody who answers claims: it has lost the rest to them, whoever has not heard of that.
fn owned_alone(view: &ClusterView, node: &ObservedNode) -> usize {
    view.account(node).map_or(0, |account| view.unclaimed(&account.slots).len())
}

fn unreachable(view: &ClusterView, node: &ObservedNode) -> RepairRefusal {
    let takeovers = takeovers(view);
    let takeover = takeovers.iter().find(|takeover| Some(takeover.primary.id) == node.id);
    RepairRefusal::Unreachable(Box::new(Unreachable {
        address: node.address.clone(),
        slots: owned_alone(view, node),
        reason: node.said.as_ref().err().map_or_else(String::new, |silence| silence.reason.clone()),
        successor: takeover.map(|takeover| takeover.replica.address.clone()),
        majority: takeover.is_none_or(|takeover| takeover.kind == FailoverKind::Forced),
        entry_point: entry_point(view),
    }))
}

/// Whether replicas are to take the place of silent primaries before anything else is repaired.
pub fn has_takeovers(view: &ClusterView) -> bool {
    !takeovers(view).is_empty()
}

/// A replica that can take the place of a primary that does not answer.
pub(super) struct Takeover {
    pub(super) replica: NodeRef,
    pub(super) primary: NodeRef,
    pub(super) kind: FailoverKind,
}

/// The silent primaries with slots that have a replica which answers and has had a copy of their data: the one that has read most of what
/// they wrote.
pub(super) fn takeovers(view: &ClusterView) -> Vec<Takeover> {
    let shards = view.shards();
    let owners = || shards.iter().filter(|shard| !shard.slots().is_empty());
    let majority = owners().filter(|shard| shard.primary.answers()).count() * 2 > owners().count();
    let kind = if majority { FailoverKind::Forced } else { FailoverKind::Takeover };
    let takeover = |shard: &crate::Shard<'_>| {
        let read = |member: &&Member<'_>| member.node.view().and_then(|view| view.server.replication_offset);
        let has_copy = |member: &&Member<'_>| member.node.view().is_some_and(|said| has_had_copy(view, said));
        let replica = shard.replicas.iter().filter(has_copy).max_by_key(read)?;
        let (replica, primary) = (replica.reference(), shard.primary.reference());
        Some(Takeover { replica, primary, kind })
    };
    owners().filter(|shard| !shard.primary.answers()).filter_map(takeover).collect()
}

/// What mends a slot; none for one that nobody claims, imports, or holds keys of, and whose owner nobody names.
fn remedy(view: &ClusterView, found: &Found) -> Option<Remedy> {
    match &found.owners[..] {
        [] => unclaimed(found),
        [(owner, _)] => Some(owned(view, found, owner)),
        several => {
            // The first of several that have the same.
            let best = several.iter().rev().max_by_key(|(node, epoch)| (found.keys_of(node.id), *epoch))?;
            Some(given(found, best.0.clone(), "several claim it: it stays where most of its keys are"))
        }
    }
}

/// A slot that one node claims.
fn owned(view: &ClusterView, found: &Found, owner: &NodeRef) -> Remedy {
    if let Some(target) = destination(view, found, owner) {
        let reason = "an interrupted move of it is finished";
        let Remedy { mut gathers, mut closes, .. } = given(found, target.clone(), reason);
        gathers.retain(|node| node != owner);
        // Another one that imports it takes it for its own when it hears that the owner does not claim it any more (Valkey 8.0), with an epoch
        // above the destination's.
        closes.extend(found.importing.iter().map(|(node, _)| node).filter(|node| gathers.contains(node)).cloned());
        closes.retain(|node| node != owner && *node != target);
        let from = Some(owner.clone());
        return Remedy { owner: target, from, settle: false, yields: Vec::new(), gathers, closes, reason };
    }
    let reason = match (found.is_open(), found.keys.iter().any(|(node, _)| node != owner), found.disputed) {
        (_, true, _) => "its owner gets the keys that others hold",
        (true, false, _) => "it is open without a move that could go on: it stays with its owner",
        _ => "not all nodes know its owner",
    };
    let mut remedy = given(found, owner.clone(), reason);
    remedy.settle = found.disputed;
    remedy
}

/// Where an interrupted move of an owner was going, if that can go on: the destination, or who took its place, waits for the
/// slot or holds keys of it.
fn destination(view: &ClusterView, found: &Found, owner: &NodeRef) -> Option<NodeRef> {
    let (_, to) = found.migrating.iter().find(|(node, _)| node == owner)?;
    let target = now_primary(view, *to)?;
    let waits = found.importing.iter().any(|(node, _)| *node == target);
    (target != *owner && (waits || found.keys_of(target.id) > 0)).then_some(target)
}

/// The node, or the primary that it follows now.
fn now_primary(view: &ClusterView, id: NodeId) -> Option<NodeRef> {
    let account = view.account(view.node(id)?)?;
    let now = if account.is_replica() { account.primary? } else { id };
    primaries(view).map(|(node, _)| node).find(|node| node.id == now)
}

/// A slot that nobody claims goes to whom it is known to belong to most clearly.
fn unclaimed(found: &Found) -> Option<Remedy> {
    let importer = || {
        // Its source has given the slot up and says so: only the destination has not heard of it.
        let named = found.importing.iter().map(|(node, _)| node).find(|node| Some(*node) == found.named.as_ref());
        named.or_else(|| found.importing.first().map(|(node, _)| node))
    };
    let most =
        found.keys.iter().rev().max_by_key(|(node, keys)| (*keys, Some(node) == importer())).map(|(node, _)| node);
    let (owner, reason) = match (most, &found.keys[..]) {
        (Some(most), [_]) => (most, "nobody claims it: it goes to the only node that holds keys of it"),
        (Some(most), _) => (most, "nobody claims it: it goes where most of its keys are"),
        (None, _) => match (importer(), &found.named) {
            (Some(importer), _) => (importer, "nobody claims it: it goes to the node that waits for it"),
            (None, Some(named)) => (named, "nobody claims it: it goes back to the node that others take for its owner"),
            (None, None) => return None,
        },
    };
    Some(given(found, owner.clone(), reason))
}

/// The slot is this node's, with all its keys, and closed everywhere.
fn given(found: &Found, owner: NodeRef, reason: &'static str) -> Remedy {
    let others =
        |nodes: Vec<&NodeRef>| -> Vec<NodeRef> { nodes.into_iter().filter(|node| **node != owner).cloned().collect() };
    let gathers = others(found.keys.iter().map(|(node, _)| node).collect());
    let mut closes: Vec<NodeRef> = Vec::new();
    for (node, _) in found.migrating.iter().chain(&found.importing) {
        if !gathers.contains(node) && !closes.contains(node) {
            closes.push(node.clone());
        }
    }
    let yields = others(found.owners.iter().map(|(node, _)| node).collect());
    Remedy { owner, from: None, settle: true, yields, gathers, closes, reason }
}
