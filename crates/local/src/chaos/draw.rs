//! Which event comes next, from a seed.

use super::{
    event::{Event, Kind},
    sight::Sight,
};
use crate::Settings;
use fastrand::Rng;
use std::{collections::BTreeSet, time::Duration};

/// No more members are cut off together.
const GROUP: usize = 2;

/// Draws events.
pub(super) struct Draw {
    random: Rng,
    kinds: Vec<Kind>,
    /// The shape that the cluster had, and the one that it was asked for last.
    first: (usize, usize),
    wanted: (usize, usize),
}

impl Draw {
    /// Draws these kinds, or all when none is named.
    pub(super) fn new(seed: u64, kinds: &BTreeSet<Kind>, settings: &Settings) -> Self {
        let kinds = if kinds.is_empty() { Kind::ALL.to_vec() } else { kinds.iter().copied().collect() };
        let shape = (settings.shards, settings.replicas);
        Self { random: Rng::with_seed(seed), kinds, first: shape, wanted: shape }
    }

    /// How long until the next event: often several begin at once.
    pub(super) fn pause(&mut self) -> Duration {
        if self.random.u8(..4) == 0 { Duration::from_millis(50) } else { self.between(1_000, 6_000) }
    }

    /// The next event, if what was drawn may happen now. A shape or a roll is only drawn while neither is on its way.
    pub(super) fn event(&mut self, sight: &Sight, disturbed: &BTreeSet<u16>, is_settled: bool) -> Option<Event> {
        let kind = *self.kinds.get(self.random.usize(..self.kinds.len().max(1)))?;
        match kind {
            Kind::KillSupervisor => Some(Event::Supervisor { absent: self.between(0, 3_000) }),
            Kind::ScaleShards | Kind::ScaleReplicas | Kind::Roll if !is_settled => None,
            Kind::Roll => Some(Event::Roll),
            Kind::ScaleShards => {
                let shards = if self.wanted.0 == self.first.0 { self.first.0 + 1 } else { self.first.0 };
                Some(self.shape(kind, shards, self.wanted.1))
            }
            Kind::ScaleReplicas => {
                let replicas = if self.wanted.1 == self.first.1 { self.first.1 + 1 } else { self.first.1 };
                Some(self.shape(kind, self.wanted.0, replicas))
            }
            _ => self.members(kind, sight, disturbed),
        }
    }

    fn members(&mut self, kind: Kind, sight: &Sight, disturbed: &BTreeSet<u16>) -> Option<Event> {
        let mut able = sight.steady(disturbed);
        able.retain(|port| kind != Kind::Wipe || sight.is_replica(*port));
        self.random.shuffle(&mut able);
        let wanted = if kind == Kind::Partition { self.random.usize(1..=GROUP) } else { 1 };
        let lasts = match kind {
            // Shorter than the servers' patience, and longer.
            Kind::Pause | Kind::Partition => self.between(500, 12_000),
            _ => Duration::ZERO,
        };
        let mut ports = BTreeSet::new();
        for port in able {
            let mut more = ports.clone();
            more.insert(port);
            if ports.len() < wanted && sight.outlives(&more, disturbed) {
                ports = more;
            }
        }
        (!ports.is_empty()).then_some(Event::Members { kind, ports, lasts })
    }

    const fn shape(&mut self, kind: Kind, shards: usize, replicas: usize) -> Event {
        self.wanted = (shards, replicas);
        Event::Shape { kind, shards, replicas }
    }

    fn between(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.random.u64(least..=most))
    }
}
