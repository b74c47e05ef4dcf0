//! Which replicas follow which primary.

use super::Parts;
use crate::placement::PlacedShard;
use std::{cmp::Reverse, collections::BTreeMap};

/// What is to be small, most important first: nodes that follow another primary than before and must copy all data, replicas
/// in their primary's zone, replicas on its host, pairs of replicas in one zone, pairs on one host.
type Cost = [i64; 5];

/// All nodes that are no primaries as replicas of these, evenly.
///
/// As many as possible stay with their primary; the others go where they are away from it, and are exchanged until no
/// exchange of two improves anything.
pub(super) fn replicas(parts: &Parts, primaries: &[usize]) -> Vec<PlacedShard> {
    let followers: Vec<usize> = (0..parts.list.len()).filter(|at| !primaries.contains(at)).collect();
    let mut at_home: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut free = Vec::new();
    for follower in followers.iter().copied() {
        match parts.primary(follower).filter(|primary| primaries.contains(primary)) {
            Some(primary) => at_home.entry(primary).or_default().push(follower),
            None => free.push(follower),
        }
    }
    let mut open = Vec::new();
    let mut shards = Vec::new();
    for (primary, room) in rooms(primaries, &at_home, followers.len()) {
        let mut stay = at_home.remove(&primary).unwrap_or_default();
        // Those beside their primary leave first.
        stay.sort_by_key(|replica| (beside(parts, primary, *replica), *replica));
        free.extend(stay.split_off(stay.len().min(room)));
        open.push(room - stay.len());
        shards.push(PlacedShard { primary, replicas: stay });
    }
    free.sort_unstable();
    for replica in free {
        let roomy = shards.iter_mut().zip(&mut open).filter(|(_, open)| **open > 0);
        let best = roomy.min_by_key(|(shard, _)| (beside(parts, shard.primary, replica), shard.replicas.len()));
        if let Some((shard, open)) = best {
            shard.replicas.push(replica);
            *open -= 1;
        }
    }
    exchange(parts, &mut shards);
    for shard in &mut shards {
        shard.replicas.sort_unstable();
    }
    shards
}

/// How many replicas each primary gets: as even as possible, one more for those that have most.
fn rooms(primaries: &[usize], at_home: &BTreeMap<usize, Vec<usize>>, followers: usize) -> Vec<(usize, usize)> {
    let shards = primaries.len().max(1);
    let mut order = primaries.to_vec();
    order.sort_by_key(|primary| Reverse(at_home.get(primary).map_or(0, Vec::len)));
    let mut rooms: Vec<_> = order
        .into_iter()
        .enumerate()
        .map(|(turn, primary)| (primary, followers / shards + usize::from(turn < followers % shards)))
        .collect();
    rooms.sort_unstable();
    rooms
}

/// Whether a replica would be in its primary's zone, and on its host.
fn beside(parts: &Parts, primary: usize, replica: usize) -> (bool, bool) {
    let places = &parts.places;
    (places.zone(primary) == places.zone(replica), places.host(primary) == places.host(replica))
}

/// What a replica costs in a shard, if another one leaves that shard.
fn cost(parts: &Parts, shard: &PlacedShard, replica: usize, leaves: usize) -> Cost {
    let (zone, host) = beside(parts, shard.primary, replica);
    let mut cost = [parts.primary(replica) != Some(shard.primary), zone, host, false, false].map(i64::from);
    let others = shard.replicas.iter().filter(|other| **other != replica && **other != leaves);
    for (zone, host) in others.map(|other| beside(parts, *other, replica)) {
        cost = sum(cost, [false, false, false, zone, host].map(i64::from));
    }
    cost
}

fn sum(mut one: Cost, other: Cost) -> Cost {
    one.iter_mut().zip(other).for_each(|(sum, more)| *sum += more);
    one
}

/// Exchanges two replicas of different shards as long as that makes the whole better.
fn exchange(parts: &Parts, shards: &mut [PlacedShard]) {
    let mut better = true;
    while better {
        better = false;
        for split in 1..shards.len() {
            let (before, from) = shards.split_at_mut(split);
            let Some(one) = from.first_mut() else { continue };
            for other in before {
                better |= exchange_two(parts, one, other);
            }
        }
    }
}

/// Makes the best exchange between two shards, if it is an improvement.
fn exchange_two(parts: &Parts, one: &mut PlacedShard, other: &mut PlacedShard) -> bool {
    let mut best = (Cost::default(), None);
    for (here, &mine) in one.replicas.iter().enumerate() {
        for (there, &theirs) in other.replicas.iter().enumerate() {
            let now = sum(cost(parts, one, mine, mine), cost(parts, other, theirs, theirs));
            let then = sum(cost(parts, one, theirs, mine), cost(parts, other, mine, theirs));
            let gain = sum(then, now.map(|part| -part));
            if gain < best.0 {
                best = (gain, Some((here, mine, there, theirs)));
            }
        }
    }
    let Some((here, mine, there, theirs)) = best.1 else { return false };
    one.replicas.splice(here..=here, [theirs]);
    other.replicas.splice(there..=there, [mine]);
    true
}
