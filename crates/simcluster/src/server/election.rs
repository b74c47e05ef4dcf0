//! How a replica becomes the primary: elections, and failovers that somebody has asked for.

use super::{Election, Server};
use crate::{
    bus::{Bus, Event, Millis},
    message::{Kind, Message},
    replication::Upstream,
};
use topology::NodeId;

/// `cluster-replica-validity-factor`, `repl-ping-replica-period` in milliseconds.
const VALIDITY: u64 = 10;
const PING_PERIOD: Millis = 10_000;

impl Server {
    /// `clusterHandleSlaveFailover`
    pub(super) fn elect(&mut self, bus: &mut Bus) {
        let (now, timeout) = (bus.now, self.settings.node_timeout);
        // One that is to come has no age.
        let age = now.saturating_sub(self.election.time);
        let is_asked = self.asked.until > 0 && self.asked.may_start;
        let patience = (timeout * 2).max(2000);
        let Some(primary) = self.primary().and_then(|id| self.nodes.get(&id)) else { return };
        if !primary.has_failed && !is_asked || !primary.owns_slots() {
            return;
        }
        if !is_asked && (self.settings.no_failover || !self.is_fresh(now)) {
            return;
        }
        if age > patience * 2 {
            let rank = if self.asked.until > 0 { 0 } else { self.rank() };
            let wait = if self.asked.until > 0 { 0 } else { 500 + bus.random.u64(0..500) + rank * 1000 };
            self.election = Election { time: now + wait, rank, ..Election::default() };
            self.note(bus, format_args!("holds an election in {wait} ms, rank {rank}"));
            self.announce(bus, true);
            if wait == 0 {
                bus.after(0, Event::Soon(self.at, self.incarnation));
            }
            return;
        }
        if !self.election.is_sent && self.asked.until == 0 {
            let rank = self.rank();
            if rank > self.election.rank {
                self.election.time += (rank - self.election.rank) * 1000;
                self.election.rank = rank;
            }
        }
        if now < self.election.time || age > patience {
            return;
        }
        if !self.election.is_sent {
            self.current_epoch += 1;
            (self.election.epoch, self.election.is_sent) = (self.current_epoch, true);
            self.note(bus, format_args!("asks for votes in epoch {}", self.current_epoch));
            self.tell_all(bus, &Kind::VoteRequest { force: self.asked.until > 0 });
            return;
        }
        if self.election.votes > self.size / 2 {
            let epoch = self.election.epoch;
            self.change_myself(|myself| myself.epoch = myself.epoch.max(epoch));
            self.take_place(bus);
        }
    }

    /// Whether its data is not too old to be elected with.
    fn is_fresh(&self, now: Millis) -> bool {
        let timeout = self.settings.node_timeout;
        let age = match &self.upstream {
            Some(Upstream { down_since: Some(since), .. }) => now.saturating_sub(*since),
            // `repl_down_since` is 0 until there was a link: as old as can be.
            Some(Upstream { is_linked: false, .. }) => return false,
            _ => 0,
        };
        let age = if age > timeout { age - timeout } else { age };
        age <= PING_PERIOD + timeout * VALIDITY
    }

    /// How many replicas of the same primary have more of its data.
    fn rank(&self) -> u64 {
        let primary = self.primary();
        let ahead = |known: &&super::Known| {
            known.id != self.me && known.is_replica && known.primary == primary && known.offset > self.stream.offset
        };
        self.nodes.values().filter(ahead).count() as u64
    }

    /// `clusterFailoverReplaceYourMaster`
    pub(crate) fn take_place(&mut self, bus: &mut Bus) {
        let Some(old) = self.primary() else { return };
        let slots = self.nodes.get(&old).map(|known| known.slots.clone()).unwrap_or_default();
        let me = self.me;
        bus.takeovers += 1;
        self.make_primary(bus, me);
        self.upstream = None;
        let id = bus.new_name();
        self.stream.begin_anew(id);
        self.assign(bus, &slots, Some(me));
        self.note(bus, format_args!("takes the place of {} with epoch {}", old.short(), self.config_epoch()));
        self.look_at_state(bus);
        self.announce(bus, false);
        self.end_asked();
        if self.profile.resets_elections {
            self.election = Election::default();
        }
    }

    /// `clusterSendFailoverAuthIfNeeded`
    pub(super) fn vote(&mut self, bus: &mut Bus, request: &Message, force: bool) {
        if !self.is_primary() || !self.myself().is_some_and(super::Known::owns_slots) {
            return;
        }
        if request.current_epoch < self.current_epoch || self.last_vote_epoch == self.current_epoch {
            return;
        }
        let Some(primary) = self.nodes.get(&request.sender).and_then(|sender| sender.primary) else { return };
        let Some(known) = self.nodes.get(&primary) else { return };
        if !known.has_failed && !force {
            return;
        }
        let is_slow = if force { self.profile.votes_slowly_when_asked } else { self.profile.votes_slowly };
        if is_slow && bus.now.saturating_sub(known.voted_at) < self.settings.node_timeout * 2 {
            return;
        }
        let is_outdone = |known: &super::Known| {
            known.epoch > request.config_epoch && !known.slots.intersection(&request.slots).is_empty()
        };
        if self.nodes.values().any(is_outdone) {
            return;
        }
        self.last_vote_epoch = self.current_epoch;
        let now = bus.now;
        if let Some(known) = self.nodes.get_mut(&primary) {
            known.voted_at = now;
        }
        self.note(bus, format_args!("votes for {} in epoch {}", request.sender.short(), self.current_epoch));
        self.tell(bus, request.sender, Kind::Vote);
    }

    pub(super) fn hear_vote(&mut self, message: &Message) {
        let votes = self.nodes.get(&message.sender).is_some_and(|known| !known.is_replica && known.owns_slots());
        if votes && message.current_epoch >= self.election.epoch && self.election.is_sent {
            self.election.votes += 1;
            self.later.failover = true;
        }
    }

    /// `clusterHandleManualFailover`: whether it has all that its primary had written when that stopped.
    pub(super) fn look_at_asked(&mut self) {
        if self.asked.until == 0 || self.asked.may_start {
            return;
        }
        if self.asked.primary_offset.is_some_and(|offset| offset == self.stream.offset) {
            self.asked.may_start = true;
        }
    }

    /// `resetManualFailover`
    pub(crate) fn end_asked(&mut self) {
        if self.asked.replica.is_some() {
            self.holds_writers = 0;
        }
        self.asked = super::Asked::default();
    }

    /// Becomes a replica of this node: `clusterSetMaster`.
    pub(crate) fn follow(&mut self, bus: &mut Bus, primary: NodeId) {
        if primary == self.me {
            return;
        }
        let (was_primary, shard) = (self.is_primary(), self.nodes.get(&primary).map(|known| known.shard));
        // Valkey keeps the marks of a shard whose primary has changed.
        let stays = self.profile.knows_shards && self.myself().map(|myself| myself.shard) == shard;
        if !stays {
            self.migrating.clear();
            self.importing.clear();
        }
        self.change_myself(|myself| {
            (myself.is_replica, myself.primary, myself.had_replicas) = (true, Some(primary), false);
            myself.shard = shard.unwrap_or(myself.shard);
        });
        if let Some(known) = self.nodes.get_mut(&primary) {
            known.had_replicas = true;
        }
        self.note(bus, format_args!("is a replica of {}{}", primary.short(), if was_primary { " now" } else { "" }));
        self.end_asked();
        self.connect_upstream(bus);
        self.later.state = true;
        bus.changed();
    }
}
