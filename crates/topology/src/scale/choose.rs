//! Which nodes are to be primaries.

use super::Parts;
use std::{cmp::Reverse, collections::BTreeMap};

/// The primaries of this many shards, as places in the list.
///
/// If there are primaries with slots to spare, those with most slots stay: no other choice moves fewer. If some are missing,
/// primaries without slots come first, then replicas of the shards that have most. Among equals those are taken whose zone,
/// then whose host, has the fewest primaries so far.
pub(super) fn primaries(parts: &Parts, shards: usize) -> Vec<usize> {
    let mut crowd = Crowd { parts, chosen: Vec::new(), replicas: BTreeMap::new() };
    for part in &parts.list {
        if let Some(primary) = part.primary {
            *crowd.replicas.entry(primary).or_default() += 1;
        }
    }
    let of = |wanted: fn(&super::Part) -> bool| {
        let all = parts.list.iter().enumerate();
        all.filter(|(_, part)| wanted(part)).map(|(at, _)| at).collect::<Vec<_>>()
    };
    let owners = of(|part| !part.slots.is_empty());
    let empty = of(|part| part.slots.is_empty() && part.primary.is_none());
    let replicas = of(|part| part.primary.is_some());
    crowd.choose(owners, shards, |crowd, at| {
        (Reverse(crowd.parts.slots(at)), crowd.of_place(at), Reverse(crowd.left(at)))
    });
    crowd.choose(empty, shards, |crowd, at| (crowd.of_place(at), Reverse(crowd.left(at))));
    crowd.choose(replicas, shards, |crowd, at| {
        let left = crowd.parts.primary(at).map(|primary| crowd.left(primary));
        (Reverse(left), crowd.of_place(at))
    });
    crowd.chosen.sort_unstable();
    crowd.chosen
}

/// The primaries chosen so far, and the replicas that are left to each.
struct Crowd<'a> {
    parts: &'a Parts,
    chosen: Vec<usize>,
    replicas: BTreeMap<usize, usize>,
}

impl Crowd<'_> {
    /// Takes the best candidates one by one until there are this many primaries.
    fn choose<K: Ord>(&mut self, mut from: Vec<usize>, until: usize, key: impl Fn(&Self, usize) -> K) {
        while self.chosen.len() < until {
            let best = from.iter().enumerate().min_by_key(|(_, at)| key(self, **at)).map(|(place, _)| place);
            let Some(best) = best else { return };
            let chosen = from.remove(best);
            if let Some(left) = self.parts.primary(chosen).and_then(|primary| self.replicas.get_mut(&primary)) {
                *left -= 1;
            }
            self.chosen.push(chosen);
        }
    }

    /// How many primaries are in the zone and on the host of this node.
    fn of_place(&self, at: usize) -> (usize, usize) {
        let places = &self.parts.places;
        let beside = |same: &dyn Fn(usize) -> bool| self.chosen.iter().filter(|chosen| same(**chosen)).count();
        (
            beside(&|chosen| places.zone(chosen) == places.zone(at)),
            beside(&|chosen| places.host(chosen) == places.host(at)),
        )
    }

    /// How many replicas a primary has left.
    fn left(&self, primary: usize) -> usize {
        self.replicas.get(&primary).copied().unwrap_or_default()
    }
}
