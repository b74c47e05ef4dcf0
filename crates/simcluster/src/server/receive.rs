//! What a server makes of a message: `clusterProcessPacket`.

use super::{Known, Server};
use crate::{
    bus::{Address, Bus, Millis},
    message::{Kind, Message},
};
use topology::NodeId;

/// How long a planned failover may take (`cluster-manual-failover-timeout`), and how long writers wait for it at most.
pub(crate) const ASKED: Millis = 5000;

impl Server {
    pub(crate) fn receive(&mut self, bus: &mut Bus, message: &Message) {
        // The node to which the link leads that an answer came over; none for what others begin.
        let of_link = if message.is_answer {
            let at_link = |known: &&Known| known.link.is_some_and(|link| link.number == message.link);
            match self.nodes.values().find(at_link) {
                Some(known) => Some(known.id),
                None => return,
            }
        } else {
            None
        };
        let is_known = self.note_sender(bus, message);
        match &message.kind {
            Kind::Ping(_) | Kind::Meet(_) => {
                self.hear_question(bus, message, is_known);
                self.hear_configuration(bus, message, is_known);
            }
            Kind::Pong(_) => {
                if let Some(node) = of_link
                    && !self.hear_answer(bus, message, node, is_known)
                {
                    return;
                }
                self.hear_configuration(bus, message, is_known);
            }
            _ if !is_known => {}
            Kind::Fail(node) => self.hear_failed(bus, *node),
            Kind::Update(node, epoch, slots) => self.hear_update(bus, *node, *epoch, slots),
            Kind::VoteRequest { force } => self.vote(bus, message, *force),
            Kind::Vote => self.hear_vote(message),
            Kind::FailoverStart => self.hear_failover_start(bus, message.sender),
            Kind::Publish => self.counts.published_received += 1,
        }
        self.finish(bus);
    }

    /// Takes in what every header tells; gives whether the sender is known.
    fn note_sender(&mut self, bus: &Bus, message: &Message) -> bool {
        let Some(sender) = self.nodes.get_mut(&message.sender).filter(|known| !known.in_handshake) else {
            return false;
        };
        sender.data_received = bus.now;
        sender.offset = message.offset;
        sender.shard = message.shard;
        sender.epoch = sender.epoch.max(message.config_epoch);
        self.current_epoch = self.current_epoch.max(message.current_epoch);
        let is_outdone = self.election.is_sent && message.config_epoch >= self.election.epoch && !message.is_replica;
        if self.profile.resets_elections && is_outdone {
            self.election = super::Election::default();
        }
        let follows = self.primary() == Some(message.sender);
        if self.asked.until > 0 && follows && message.is_paused && self.asked.primary_offset.is_none() {
            self.asked.primary_offset = Some(message.offset);
            self.later.failover = true;
        }
        true
    }

    fn hear_question(&mut self, bus: &mut Bus, message: &Message, is_known: bool) {
        self.knows_address = true;
        if matches!(message.kind, Kind::Meet(_)) {
            self.counts.meets_received += 1;
            if !is_known {
                self.meet(bus, message.address, false);
            }
        }
        self.answer(bus, message);
        // Only a PING tells a new address: whoever introduces itself may be somebody else's guess.
        if is_known && matches!(message.kind, Kind::Ping(_)) {
            self.update_address(bus, message);
        }
    }

    /// Takes the address from which a node talks for its own.
    fn update_address(&mut self, bus: &mut Bus, message: &Message) {
        let Some(known) = self.nodes.get_mut(&message.sender) else { return };
        if known.address == Some(message.address) {
            return;
        }
        (known.address, known.link) = (Some(message.address), None);
        self.note(bus, format_args!("finds {} at {}", message.sender.short(), message.address.ip));
        if self.primary() == Some(message.sender) {
            self.connect_upstream(bus);
        }
    }

    /// An answer came over the link to this node; gives whether the rest of it counts.
    fn hear_answer(&mut self, bus: &mut Bus, message: &Message, node: NodeId, is_known: bool) -> bool {
        let Some(known) = self.nodes.get(&node) else { return false };
        if known.in_handshake {
            if is_known {
                self.update_address(bus, message);
                self.nodes.remove(&node);
                return false;
            }
            if let Some(mut known) = self.nodes.remove(&node) {
                (known.id, known.in_handshake, known.is_replica) = (message.sender, false, message.is_replica);
                known.shard = message.shard;
                self.nodes.insert(known);
                self.note(bus, format_args!("gets to know {}", message.sender.short()));
            }
        } else if node != message.sender {
            self.note(bus, format_args!("finds somebody else at the address of {}", node.short()));
            if let Some(known) = self.nodes.get_mut(&node) {
                (known.address, known.link) = (None, None);
            }
            return false;
        }
        if let Some(known) = self.nodes.get_mut(&message.sender) {
            (known.pong_received, known.ping_sent, known.data_received) = (bus.now, 0, bus.now);
            if known.is_suspected {
                known.is_suspected = false;
                self.later.state = true;
            } else if known.has_failed {
                self.clear_failed(bus, message.sender);
            }
        }
        true
    }

    /// What a node is, what it owns, and what it tells of others.
    fn hear_configuration(&mut self, bus: &mut Bus, message: &Message, is_known: bool) {
        if !is_known {
            return;
        }
        self.hear_role(bus, message);
        self.hear_slots(bus, message);
        if self.is_primary() && !message.is_replica && message.config_epoch == self.config_epoch() {
            self.resolve_collision(bus, message.sender);
        }
        if let Some(gossip) = message.kind.gossip() {
            self.hear_gossip(bus, message, gossip);
            for (node, until) in &message.forgotten {
                let is_there = self.nodes.contains_key(node) && *node != self.me && self.primary() != Some(*node);
                if is_there {
                    self.note(bus, format_args!("forgets {}, as {} was told", node.short(), message.sender.short()));
                    self.forget(*node, *until);
                    self.later.state = true;
                }
            }
        }
    }

    fn hear_role(&mut self, bus: &mut Bus, message: &Message) {
        if !message.is_replica {
            self.make_primary(bus, message.sender);
            return;
        }
        let primary = message.primary.filter(|primary| self.nodes.contains_key(primary));
        let Some(sender) = self.nodes.get_mut(&message.sender) else { return };
        if !sender.is_replica {
            (sender.is_replica, sender.had_replicas) = (true, false);
            sender.slots = topology::SlotSet::new();
            self.later.state = true;
            bus.changed();
        }
        if primary.is_some() && sender.primary != primary {
            sender.primary = primary;
            self.later.state = true;
            if let Some(primary) = primary.and_then(|primary| self.nodes.get_mut(&primary)) {
                primary.had_replicas = true;
            }
            bus.changed();
        }
    }

    /// `clusterSetNodeAsMaster`, of another node or of itself.
    pub(crate) fn make_primary(&mut self, bus: &mut Bus, node: NodeId) {
        let me = self.me;
        let Some(known) = self.nodes.get_mut(&node).filter(|known| known.is_replica) else { return };
        known.had_replicas |= known.primary.is_some() && node != me;
        (known.is_replica, known.primary) = (false, None);
        self.later.state = true;
        bus.changed();
    }

    /// `clusterHandleConfigEpochCollision`: the one with the smaller id takes another epoch.
    fn resolve_collision(&mut self, bus: &mut Bus, other: NodeId) {
        if other <= self.me {
            return;
        }
        self.current_epoch += 1;
        let epoch = self.current_epoch;
        self.change_myself(|myself| myself.epoch = epoch);
        self.note(bus, format_args!("has the epoch of {} and takes {epoch}", other.short()));
        bus.changed();
    }

    fn hear_failover_start(&mut self, bus: &mut Bus, replica: NodeId) {
        let is_mine = self.nodes.get(&replica).is_some_and(|known| known.is_replica && known.primary == Some(self.me));
        if !self.is_primary() || !is_mine {
            return;
        }
        self.end_asked();
        self.asked.until = bus.now + ASKED;
        self.asked.replica = Some(replica);
        self.holds_writers = bus.now + ASKED * 2;
        self.note(bus, format_args!("holds writers for {}", replica.short()));
        self.ping(bus, replica);
    }

    /// Begins to introduce itself to whoever is at an address: `clusterStartHandshake`.
    pub(crate) fn meet(&mut self, bus: &mut Bus, address: Address, introduces: bool) {
        let is_met = |known: &Known| known.in_handshake && known.address == Some(address);
        if introduces && self.nodes.values().any(is_met) {
            return;
        }
        let id = bus.new_id();
        let handshake =
            Known { address: Some(address), in_handshake: true, to_meet: introduces, ..Known::new(id, bus.now) };
        self.nodes.insert(handshake);
    }
}
