//! What must hold whatever happens.

use crate::{
    bus::{At, Millis},
    server::Server,
    world::World,
};
use std::{collections::BTreeMap, fmt};
use topology::{Slot, SlotSet};

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Two nodes claim slots with the same config epoch: nothing decides between them.
    SameEpoch {
        /// The servers' names.
        nodes: [String; 2],
        /// The epoch.
        epoch: u64,
        /// The slots.
        slots: SlotSet,
        /// Virtual Unix milliseconds.
        at: u64,
    },
    /// Two primaries have both taken writes for the same slots, for longer than it takes a lost one to find out.
    BothServe {
        /// The servers' names.
        nodes: [String; 2],
        /// The slots.
        slots: SlotSet,
        /// Virtual Unix milliseconds.
        at: u64,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SameEpoch { nodes: [one, other], epoch, slots, at } => {
                write!(f, "{at}: {one} and {other} both claim {slots} with epoch {epoch}")
            }
            Self::BothServe { nodes: [one, other], slots, at } => {
                write!(f, "{at}: {one} and {other} have both served {slots} for too long")
            }
        }
    }
}

/// Pairs of servers that both take writes for the same slots, and since when.
#[derive(Debug, Default)]
pub(crate) struct Overlaps {
    since: BTreeMap<(At, At), Millis>,
    next: Option<Millis>,
}

impl Overlaps {
    /// Whether one has lasted so long that it is to be looked at.
    pub(crate) fn are_due(&self, now: Millis) -> bool {
        self.next.is_some_and(|next| next <= now)
    }
}

impl Server {
    /// Whether it would take a write for its own slots now.
    fn takes_writes(&self, now: Millis) -> bool {
        self.runs() && self.is_primary() && self.state_ok && !self.is_held(now)
    }
}

impl World {
    pub(crate) fn check_invariants(&mut self) {
        let now = self.bus.now;
        let mut found = Vec::new();
        let mut overlaps: BTreeMap<(At, At), Millis> = BTreeMap::new();
        let patience = 2 * self.servers.iter().map(|server| server.settings.node_timeout).max().unwrap_or_default();
        let owners: Vec<&Server> = self
            .servers
            .iter()
            .filter(|server| server.runs() && server.is_primary())
            .filter(|server| server.myself().is_some_and(crate::server::Known::owns_slots))
            .collect();
        for (number, one) in owners.iter().enumerate() {
            for other in owners.iter().skip(number + 1) {
                let slots = match (one.myself(), other.myself()) {
                    (Some(here), Some(there)) => here.slots.intersection(&there.slots),
                    _ => SlotSet::new(),
                };
                if slots.is_empty() {
                    continue;
                }
                let nodes = [one.name.clone(), other.name.clone()];
                if one.config_epoch() == other.config_epoch() {
                    let epoch = one.config_epoch();
                    found.push(Violation::SameEpoch { nodes: nodes.clone(), epoch, slots: slots.clone(), at: now });
                }
                let slots = slots.difference(&one.held_slots).difference(&other.held_slots);
                if one.takes_writes(now) && other.takes_writes(now) && !slots.is_empty() {
                    let pair = (one.at, other.at);
                    let since = self.overlaps.since.get(&pair).copied().unwrap_or(now);
                    overlaps.insert(pair, since);
                    if now - since > patience {
                        found.push(Violation::BothServe { nodes, slots, at: now });
                    }
                }
            }
        }
        self.overlaps.next = overlaps.values().map(|since| since + patience + 1).filter(|next| *next > now).min();
        self.overlaps.since = overlaps;
        for violation in found {
            let is_known = self.violations.iter().any(|known| same(known, &violation));
            if !is_known {
                self.bus.note(format_args!("VIOLATION {violation}"));
                self.violations.push(violation);
            }
        }
    }

    /// Slots that no server claims, whether it runs or not.
    pub(crate) fn unowned(&self) -> SlotSet {
        let primaries = self.servers.iter().filter(|server| server.is_primary());
        primaries.fold(SlotSet::new(), |all, server| all.union(&server.slots())).complement()
    }

    /// Slots for which no running server takes writes now.
    pub(crate) fn unserved(&self) -> SlotSet {
        let serving = self.servers.iter().filter(|server| server.takes_writes(self.bus.now));
        let served = serving.fold(SlotSet::new(), |all, server| all.union(&server.slots()));
        served.complement()
    }

    /// Who has the last word on a slot: the running server that claims it with the highest epoch.
    pub(crate) fn holder(&self, slot: Slot) -> Option<&Server> {
        let claims = |server: &&Server| {
            server.runs() && server.is_primary() && server.myself().is_some_and(|myself| myself.slots.contains(slot))
        };
        self.servers.iter().filter(claims).max_by_key(|server| server.config_epoch())
    }
}

/// Whether both tell of the same, at different times.
fn same(one: &Violation, other: &Violation) -> bool {
    match (one, other) {
        (Violation::SameEpoch { nodes, epoch, .. }, Violation::SameEpoch { nodes: others, epoch: same, .. }) => {
            nodes == others && epoch == same
        }
        (Violation::BothServe { nodes, .. }, Violation::BothServe { nodes: others, .. }) => nodes == others,
        _ => false,
    }
}
