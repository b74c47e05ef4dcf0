//! Which nodes form a shard together: members apart by zone, then by host; primaries spread.
//!
//! Two steps, both exact.
//!
//! 1. *Dealing.* The nodes, sorted by zone and host, are dealt to the shards in turn like cards. The nodes of one zone lie side
//!    by side in that order, and those of one host within it, so each shard gets either the lower or the upper whole part of
//!    its share of every zone and of every host. No division has fewer pairs of members in one zone, or on one host. The
//!    largest zones and hosts come first: they begin with the shards that get one node more, where a second node of the same
//!    place is not all that there is.
//! 2. *Choosing primaries.* One member of each shard is chosen by a minimum cost flow: fewest replicas beside their primary in
//!    a zone, then on a host, then primaries even over zones, then over hosts, then the order in which the nodes were given.

mod flow;

use crate::NodeAddr;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{cmp::Reverse, collections::BTreeMap};

/// A node that can be given a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it listens; its host tells which nodes fall together.
    pub address: NodeAddr,
    /// The zone that it is in, if it is known. Zones hold hosts: a host is in one zone.
    pub zone: Option<String>,
}

/// A placement: which nodes form shards, as positions in the list of candidates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The shards, ordered by their primary's position.
    pub shards: Vec<PlacedShard>,
    /// How good it is.
    pub quality: Quality,
}

/// A shard of a placement, as positions in the list of candidates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedShard {
    /// The primary.
    pub primary: usize,
    /// The replicas, in the order given.
    pub replicas: Vec<usize>,
}

/// How good a placement is, and how good any could be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quality {
    /// Replicas in the same zone as their primary.
    pub replicas_in_zone_of_primary: Against,
    /// Replicas on the same host as their primary.
    pub replicas_on_host_of_primary: Against,
    /// Most primaries in one zone.
    pub primaries_in_one_zone: Against,
    /// Most primaries on one host.
    pub primaries_on_one_host: Against,
}

/// A number that should be small, and a bound that no placement can be below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Against {
    /// What this placement has.
    pub here: usize,
    /// What every placement has at least.
    pub bound: usize,
}

impl Against {
    /// Whether no placement is better in this.
    pub const fn is_best(self) -> bool {
        self.here <= self.bound
    }
}

impl Quality {
    /// Whether no placement is better in anything.
    pub const fn is_best(&self) -> bool {
        self.replicas_in_zone_of_primary.is_best()
            && self.replicas_on_host_of_primary.is_best()
            && self.primaries_in_one_zone.is_best()
            && self.primaries_on_one_host.is_best()
    }
}

/// Places the candidates in this many shards of even size. `shards` is at least 1 and at most the number of candidates.
pub fn place(candidates: &[Candidate], shards: usize) -> Placement {
    let shards = shards.clamp(1, candidates.len().max(1));
    let places = Places::of(candidates);
    let dealt = deal(&places, shards);
    let primaries = flow::choose_primaries(&dealt, &places);
    let mut placed: Vec<PlacedShard> = dealt
        .into_iter()
        .zip(primaries)
        .map(|(members, primary)| PlacedShard {
            primary,
            replicas: members.into_iter().filter(|member| *member != primary).collect(),
        })
        .collect();
    placed.sort_by_key(|shard| shard.primary);
    let quality = quality(&placed, &places);
    Placement { shards: placed, quality }
}

/// How good a placement is that was made in another way.
pub(crate) fn judge(candidates: &[Candidate], shards: &[PlacedShard]) -> Quality {
    quality(shards, &Places::of(candidates))
}

/// The zone and the host of each candidate, numbered.
pub(crate) struct Places {
    zone: Vec<usize>,
    host: Vec<usize>,
}

impl Places {
    pub(crate) fn of(candidates: &[Candidate]) -> Self {
        let mut zones = BTreeMap::new();
        let mut hosts = BTreeMap::new();
        let (mut zone, mut host) = (Vec::new(), Vec::new());
        for candidate in candidates {
            let next = zones.len();
            let zone_number = *zones.entry(candidate.zone.clone()).or_insert(next);
            let next = hosts.len();
            // A host that claims two zones counts as two hosts, so that hosts always lie within zones.
            host.push(*hosts.entry((zone_number, candidate.address.host.clone())).or_insert(next));
            zone.push(zone_number);
        }
        Self { zone, host }
    }

    const fn len(&self) -> usize {
        self.zone.len()
    }

    pub(crate) fn zone(&self, node: usize) -> usize {
        self.zone.get(node).copied().unwrap_or_default()
    }

    pub(crate) fn host(&self, node: usize) -> usize {
        self.host.get(node).copied().unwrap_or_default()
    }
}

fn deal(places: &Places, shards: usize) -> Vec<Vec<usize>> {
    let size = |of: &[usize], place: usize| of.iter().filter(|other| **other == place).count();
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_cached_key(|&node| {
        let (zone, host) = (places.zone(node), places.host(node));
        (Reverse(size(&places.zone, zone)), zone, Reverse(size(&places.host, host)), host, node)
    });
    let mut dealt = vec![Vec::new(); shards];
    for (turn, node) in order.into_iter().enumerate() {
        if let Some(shard) = dealt.get_mut(turn % shards) {
            shard.push(node);
        }
    }
    for members in &mut dealt {
        members.sort_unstable();
    }
    dealt
}

fn quality(shards: &[PlacedShard], places: &Places) -> Quality {
    let beside = |place: &dyn Fn(usize) -> usize| {
        let beside = |shard: &PlacedShard| {
            shard.replicas.iter().filter(|replica| place(**replica) == place(shard.primary)).count()
        };
        shards.iter().map(beside).sum()
    };
    let most = |place: &dyn Fn(usize) -> usize| {
        let mut primaries: BTreeMap<usize, usize> = BTreeMap::new();
        for shard in shards {
            *primaries.entry(place(shard.primary)).or_default() += 1;
        }
        primaries.into_values().max().unwrap_or_default()
    };
    let mut sizes: Vec<usize> = shards.iter().map(|shard| shard.replicas.len()).collect();
    sizes.sort_unstable();
    let zone = |node| places.zone(node);
    let host = |node| places.host(node);
    let (zones, hosts) = (counts(&places.zone), counts(&places.host));
    Quality {
        replicas_in_zone_of_primary: Against { here: beside(&zone), bound: least_beside(&zones, &sizes) },
        replicas_on_host_of_primary: Against { here: beside(&host), bound: least_beside(&hosts, &sizes) },
        primaries_in_one_zone: Against { here: most(&zone), bound: least_most(&zones, shards.len()) },
        primaries_on_one_host: Against { here: most(&host), bound: least_most(&hosts, shards.len()) },
    }
}

fn counts(places: &[usize]) -> Vec<usize> {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for place in places {
        *counts.entry(*place).or_default() += 1;
    }
    counts.into_values().collect()
}

/// The fewest replicas that can stand beside their primary in places with these many nodes.
///
/// A shard that has a node elsewhere can take that one as its primary. So only shards made up of one place count, and of
/// those a place with `count` of all nodes has at least as many as the nodes elsewhere leave over. `replicas` is the number
/// of replicas of each shard, ascending.
fn least_beside(places: &[usize], replicas: &[usize]) -> usize {
    let nodes = replicas.len() + replicas.iter().sum::<usize>();
    let of = |count: &usize| {
        let whole_shards = replicas.len().saturating_sub(nodes - count);
        replicas.iter().take(whole_shards).sum::<usize>()
    };
    places.iter().map(of).max().unwrap_or_default()
}

/// The smallest maximum when this many primaries are spread over places with these many nodes.
fn least_most(places: &[usize], primaries: usize) -> usize {
    let room = |most: usize| places.iter().map(|count| *count.min(&most)).sum::<usize>() >= primaries;
    (0..=primaries).find(|most| room(*most)).unwrap_or(primaries)
}

#[cfg(test)]
mod tests;
