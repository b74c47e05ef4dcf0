//! A server that starts: what its volume keeps, and what it begins anew.
//!
//! The volume is the file of the cluster (ids, addresses, flags, epochs, slots, open slots), the configuration as it was written last, and
//! the data. Servers write the first at each change, and the last before they answer (`appendfsync always`): a killed server has lost
//! nothing of what it has acknowledged.

use super::{Asked, Counts, Election, Known, Later, Nodes, Process, Server};
use crate::{
    bus::{Address, At, Bus, Event, Millis},
    data::Data,
    profile::Profile,
    settings::Settings,
    stream::Stream,
};
use std::collections::BTreeMap;
use topology::{NodeId, Slot, SlotSet};

impl Server {
    /// A server with an empty volume that does not run yet.
    pub(crate) fn new(
        at: At,
        name: String,
        profile: &'static Profile,
        zone: Option<String>,
        address: Address,
        settings: Settings,
        bus: &mut Bus,
    ) -> Self {
        let mut server = Self {
            at,
            name,
            zone,
            profile,
            process: Process::Down,
            incarnation: 0,
            started: 0,
            address,
            knows_address: false,
            me: bus.new_id(),
            nodes: Nodes::default(),
            current_epoch: 0,
            last_vote_epoch: 0,
            migrating: BTreeMap::new(),
            importing: BTreeMap::new(),
            unclaimed: SlotSet::new(),
            banned: BTreeMap::new(),
            state_ok: false,
            first_look: None,
            minority: 0,
            size: 0,
            later: Later::default(),
            election: Election::default(),
            asked: Asked::default(),
            holds_writers: 0,
            held_slots: SlotSet::new(),
            turns: 0,
            stream: Stream::default(),
            upstream: None,
            data: Data::default(),
            settings,
            counts: Counts::default(),
            functions: Vec::new(),
            jobs: Vec::new(),
            waiting: Vec::new(),
        };
        server.become_new(bus);
        server
    }

    /// Forgets everything, and takes a new id: an empty volume.
    pub(crate) fn become_new(&mut self, bus: &mut Bus) {
        self.me = bus.new_id();
        self.nodes = Nodes::of(Known::new(self.me, bus.now));
        (self.current_epoch, self.last_vote_epoch, self.knows_address) = (0, 0, false);
        (self.migrating, self.importing) = (BTreeMap::new(), BTreeMap::new());
        self.data = Data::default();
        self.functions = Vec::new();
    }

    /// Begins to run, and to read its data for so long.
    pub(crate) fn start(&mut self, bus: &mut Bus, address: Address, loading: Millis) {
        bus.open(self.at, address);
        self.address = address;
        self.incarnation = bus.doors.get(self.at).map_or(0, |door| door.incarnation);
        self.restart(bus);
        self.process = if loading > 0 { Process::Loading } else { Process::Up };
        self.note(bus, format_args!("starts at {}:{} with the id {}", address.ip, address.port, self.me.short()));
        bus.after(loading, Event::Loaded(self.at, self.incarnation));
        bus.changed();
    }

    /// What only a running process has begins anew.
    fn restart(&mut self, bus: &mut Bus) {
        let now = bus.now;
        self.settings.reread();
        (self.started, self.turns) = (now, bus.random.u32(0..10));
        (self.state_ok, self.first_look, self.minority, self.size) = (false, None, 0, self.profile.first_size);
        (self.later, self.election, self.asked) = (Later::default(), Election::default(), Asked::default());
        (self.holds_writers, self.held_slots, self.unclaimed) = (0, SlotSet::new(), SlotSet::new());
        (self.banned, self.counts) = (BTreeMap::new(), Counts::default());
        (self.jobs, self.waiting) = (Vec::new(), Vec::new());
        self.nodes.retain(|known| !known.in_handshake);
        let me = self.me;
        for known in self.nodes.values_mut() {
            let old = known.clone();
            *known = Known {
                address: old.address,
                is_replica: old.is_replica,
                primary: old.primary,
                is_suspected: old.is_suspected,
                has_failed: old.has_failed,
                had_replicas: old.had_replicas,
                shard: old.shard,
                epoch: old.epoch,
                slots: old.slots,
                failed_at: now,
                // As the file tells them: whether there was one, not when.
                ping_sent: if old.ping_sent > 0 { now } else { 0 },
                pong_received: if old.pong_received > 0 && old.id != me { now } else { 0 },
                ..Known::new(old.id, now)
            };
        }
        self.stream = Stream::new(bus.new_name());
        self.upstream = None;
    }

    /// It has read its data.
    pub(crate) fn loaded(&mut self, bus: &mut Bus) {
        self.process = Process::Up;
        if self.is_primary() {
            self.claim_slots_of_keys(bus);
        } else {
            self.connect_upstream(bus);
        }
        let phase = bus.random.u64(0..super::cron::TURN);
        bus.after(phase, Event::Turn(self.at, self.incarnation));
        bus.changed();
    }

    /// `verifyClusterConfigWithData`: keys of slots that nobody owns make it the owner; those of others make the slot importing.
    fn claim_slots_of_keys(&mut self, bus: &mut Bus) {
        if self.nodes.len() == 1 {
            return;
        }
        let foreign = self.data.used_slots().difference(&self.slots());
        let owners: Vec<(Slot, Option<NodeId>)> = foreign.iter().map(|slot| (slot, self.owner(slot))).collect();
        for (slot, owner) in owners {
            if let Some(owner) = owner {
                self.importing.entry(slot).or_insert(owner);
            } else {
                self.note(bus, format_args!("claims slot {slot}, of which it has keys"));
                self.assign(bus, &SlotSet::from(slot..=slot), Some(self.me));
            }
        }
    }

    /// Its process ends.
    pub(crate) fn stop(&mut self, bus: &mut Bus) {
        bus.close(self.at);
        self.process = Process::Down;
        self.waiting.clear();
        self.note(bus, format_args!("is killed"));
        bus.changed();
    }
}
