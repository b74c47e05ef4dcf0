//! One server: what it is, what it believes of others, what it holds.

mod cron;
mod election;
mod gossip;
mod known;
mod nodes;
mod receive;
mod replicas;
mod restart;
mod sending;
mod slots;
mod state;
mod text;

pub(crate) use known::{Known, Link};
pub(crate) use nodes::Nodes;
pub(crate) use receive::ASKED;

use crate::{
    bus::{Address, At, Bus, Millis},
    data::Data,
    migration::Job,
    profile::Profile,
    replication::Upstream,
    settings::Settings,
    stream::Stream,
};
use std::collections::BTreeMap;
use topology::{NodeId, Slot, SlotSet};

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    Down,
    Up,
    /// It takes connections and never answers.
    Paused,
    /// It reads its data.
    Loading,
}

/// An election that a replica holds for itself.
#[derive(Debug, Default)]
pub(crate) struct Election {
    /// When it begins.
    pub(crate) time: Millis,
    pub(crate) is_sent: bool,
    pub(crate) votes: usize,
    pub(crate) rank: u64,
    pub(crate) epoch: u64,
}

/// A failover that somebody has asked for.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// When it is given up; 0 for none.
    pub(crate) until: Millis,
    pub(crate) may_start: bool,
    /// What the primary had written when it stopped.
    pub(crate) primary_offset: Option<u64>,
    /// On the primary: who takes its place.
    pub(crate) replica: Option<NodeId>,
}

/// What is put off until a server has done what it does.
#[derive(Debug, Default)]
pub(crate) struct Later {
    pub(crate) state: bool,
    pub(crate) failover: bool,
}

/// What a server has counted since it started.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) commands: u64,
    pub(crate) published_received: u64,
    pub(crate) meets_received: u64,
}

/// A server with its volume: the volume is what [`Server::restart`](restart) keeps.
pub(crate) struct Server {
    pub(crate) at: At,
    pub(crate) name: String,
    pub(crate) zone: Option<String>,
    pub(crate) profile: &'static Profile,
    pub(crate) process: Process,
    pub(crate) incarnation: u32,
    pub(crate) started: Millis,
    pub(crate) address: Address,
    /// Whether it has heard its own address from another node.
    pub(crate) knows_address: bool,
    pub(crate) me: NodeId,
    /// All nodes that it knows, itself among them.
    pub(crate) nodes: Nodes,
    pub(crate) current_epoch: u64,
    pub(crate) last_vote_epoch: u64,
    pub(crate) migrating: BTreeMap<Slot, NodeId>,
    pub(crate) importing: BTreeMap<Slot, NodeId>,
    /// Slots that their owner did not name the last time (`owner_not_claiming_slot`).
    pub(crate) unclaimed: SlotSet,
    /// Nodes that are not taken back before this time.
    pub(crate) banned: BTreeMap<NodeId, Millis>,
    pub(crate) state_ok: bool,
    /// When it looked at its state for the first time since it started.
    pub(crate) first_look: Option<Millis>,
    /// When it was last among a minority.
    pub(crate) minority: Millis,
    /// Primaries with slots.
    pub(crate) size: usize,
    pub(crate) later: Later,
    pub(crate) election: Election,
    pub(crate) asked: Asked,
    /// Until when writers wait for a failover.
    pub(crate) holds_writers: Millis,
    /// Slots whose writers wait for a migration by the servers.
    pub(crate) held_slots: SlotSet,
    pub(crate) turns: u32,
    pub(crate) stream: Stream,
    /// Of a replica: how it gets its data.
    pub(crate) upstream: Option<Upstream>,
    pub(crate) data: Data,
    pub(crate) settings: Settings,
    pub(crate) counts: Counts,
    /// Libraries of functions.
    pub(crate) functions: Vec<String>,
    /// Migrations by the servers: jobs of Valkey, tasks of Redis.
    pub(crate) jobs: Vec<Job>,
    /// What has come while it was paused or loading.
    pub(crate) waiting: Vec<crate::message::Message>,
}

impl Server {
    pub(crate) fn myself(&self) -> Option<&Known> {
        self.nodes.get(&self.me)
    }

    pub(crate) fn change_myself(&mut self, change: impl FnOnce(&mut Known)) {
        let me = self.me;
        if let Some(myself) = self.nodes.get_mut(&me) {
            change(myself);
        }
    }

    pub(crate) fn is_primary(&self) -> bool {
        self.myself().is_some_and(|myself| !myself.is_replica)
    }

    /// The primary that it follows.
    pub(crate) fn primary(&self) -> Option<NodeId> {
        self.myself().and_then(|myself| if myself.is_replica { myself.primary } else { None })
    }

    /// Its own slots.
    pub(crate) fn slots(&self) -> SlotSet {
        self.myself().map(|myself| myself.slots.clone()).unwrap_or_default()
    }

    pub(crate) fn config_epoch(&self) -> u64 {
        self.myself().map_or(0, |myself| myself.epoch)
    }

    /// Whether its event loop runs.
    pub(crate) const fn runs(&self) -> bool {
        matches!(self.process, Process::Up)
    }

    pub(crate) fn owner(&self, slot: Slot) -> Option<NodeId> {
        self.nodes.values().find(|known| known.slots.contains(slot)).map(|known| known.id)
    }

    /// Whether writers wait now.
    pub(crate) const fn is_held(&self, now: Millis) -> bool {
        self.holds_writers > now
    }

    pub(crate) fn note(&self, bus: &mut Bus, what: std::fmt::Arguments<'_>) {
        bus.note(format_args!("{} {what}", self.name));
    }
}
