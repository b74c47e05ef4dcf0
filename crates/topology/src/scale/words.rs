//! What a plan for another number of shards says, and why.

use super::{Parts, Shape};
use crate::{
    draft::Draft,
    findings::{count, no_election, primaries, replicas_of_each},
    placement::PlacedShard,
    plan::NodeRef,
    rebalance::SlotMove,
};

/// From which shape to which.
pub(super) fn goal(parts: &Parts, shape: &Shape) -> String {
    let owners = parts.list.iter().filter(|part| !part.slots.is_empty()).count();
    let nodes = parts.list.len();
    let shards = shape.shards.len();
    let replicas = replicas_of_each(nodes, shards);
    let each = if shards == 1 { replicas } else { format!("{replicas} each") };
    format!("{} with {each}, from {} and {}", count(shards, "shard"), primaries(owners), others(nodes - owners))
}

fn others(nodes: usize) -> String {
    if nodes == 1 { "1 other node".to_owned() } else { format!("{nodes} other nodes") }
}

/// Why this replica is to be a primary.
pub(super) fn reason_of_detachment(parts: &Parts, shape: &Shape, at: usize) -> String {
    let primary = parts.primary(at).unwrap_or(at);
    let address = parts.reference(primary).map(|node| node.address.to_string()).unwrap_or_default();
    let replicas = parts.list.iter().filter(|part| part.primary == Some(primary)).count();
    let same = |of: &dyn Fn(usize) -> usize| {
        shape.shards.iter().any(|shard| shard.primary != at && of(shard.primary) == of(at))
    };
    let place = if !same(&|node| parts.places.zone(node)) {
        ", and no other primary is in its zone"
    } else if !same(&|node| parts.places.host(node)) {
        ", and no other primary is on its host"
    } else {
        ""
    };
    format!("one of {} of {address}{place}", count(replicas, "replica"))
}

/// Why these slots move.
pub(super) fn reason_of_move(parts: &Parts, shape: &Shape, slot_move: &SlotMove) -> String {
    let stays = |node: &NodeRef| shape.shards.iter().any(|shard| parts.reference(shard.primary) == Some(node));
    if stays(&slot_move.from) {
        format!("an even share for {}", slot_move.to.address)
    } else {
        format!("{} is to be a replica", slot_move.from.address)
    }
}

/// What the change means while it lasts and afterwards.
pub(super) fn reasons(draft: &mut Draft<'_>, parts: &Parts, shape: &Shape) {
    if draft.last_stage() == 0 {
        draft.reason("the cluster has this shape already".to_owned());
    }
    let last = draft.last_stage();
    let names = |shards: Vec<&PlacedShard>| {
        let names = shards.into_iter().filter_map(|shard| parts.reference(shard.primary));
        names.map(|node| node.address.to_string()).collect::<Vec<_>>()
    };
    // Those that follow before the moves count as well.
    let early = |at: usize| !shape.moves.is_empty() && shape.is_early(parts, at);
    let stays =
        |shard: &&PlacedShard| shard.replicas.iter().any(|at| parts.primary(*at) == Some(shard.primary) || early(*at));
    let (bare, covered): (Vec<_>, Vec<_>) = shape.shards.iter().partition(|shard| shard.replicas.is_empty());
    let waiting = names(covered.into_iter().filter(|shard| !stays(shard)).collect());
    if !waiting.is_empty() {
        let verb = if waiting.len() == 1 { "has" } else { "have" };
        draft.reason(format!("until step {last} is done {} {verb} no replica", waiting.join(", ")));
    }
    let bare = names(bare);
    match &bare[..] {
        [] => {}
        [one] => draft.reason(format!("{one} has no replica then: losing it loses its data")),
        many => draft.reason(format!("{} have no replica then: losing one loses its data", many.join(", "))),
    }
    if let Some(reason) = no_election(shape.shards.len()) {
        draft.reason(reason);
    }
}
