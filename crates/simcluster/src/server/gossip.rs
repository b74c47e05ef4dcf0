//! What a server learns of third nodes, and when it takes one for failed.

use super::{Known, Server};
use crate::{
    bus::Bus,
    message::{Gossip, Kind, Message},
};
use topology::NodeId;

/// A pong that is told to be later than now by more than this is not believed.
const SKEW: u64 = 500;

impl Server {
    /// `clusterProcessGossipSection`
    pub(crate) fn hear_gossip(&mut self, bus: &mut Bus, message: &Message, gossip: &[Gossip]) {
        let sender = self.nodes.get(&message.sender).filter(|known| !known.in_handshake);
        // Only the word of those who may vote counts.
        let Some(votes) = sender.map(|known| !known.is_replica && known.owns_slots()) else { return };
        for told in gossip {
            if self.nodes.contains_key(&told.id) {
                self.hear_of(bus, message.sender, votes, told);
            } else if let Some(address) = told.address
                && self.banned.get(&told.id).is_none_or(|until| *until <= bus.now)
            {
                let known =
                    Known { address: Some(address), is_replica: told.is_replica, ..Known::new(told.id, bus.now) };
                self.nodes.insert(known);
            }
        }
    }

    fn hear_of(&mut self, bus: &mut Bus, sender: NodeId, votes: bool, told: &Gossip) {
        let (now, timeout, me) = (bus.now, self.settings.node_timeout, self.me);
        let Some(known) = self.nodes.get_mut(&told.id) else { return };
        let mut is_agreed = false;
        if votes && known.id != me {
            if told.is_failing {
                known.report(sender, now);
                is_agreed = known.is_suspected;
            } else if !known.reports.is_empty() {
                known.reports.retain(|(by, _)| *by != sender);
            }
        }
        if !told.is_failing
            && known.ping_sent == 0
            && known.count_reports(now, timeout) == 0
            // It is told in seconds.
            && let pong = told.pong_received / 1000 * 1000
            && pong <= now + SKEW
            && pong > known.pong_received
        {
            known.pong_received = pong;
        }
        if known.is_down() && !told.is_failing && told.address.is_some() && told.address != known.address {
            (known.address, known.link) = (told.address, None);
        }
        if is_agreed {
            self.mark_failed_if_agreed(bus, told.id);
        }
    }

    /// `markNodeAsFailingIfNeeded`
    pub(crate) fn mark_failed_if_agreed(&mut self, bus: &mut Bus, node: NodeId) {
        let votes = self.myself().is_some_and(|myself| !myself.is_replica && myself.owns_slots());
        let (now, timeout, quorum) = (bus.now, self.settings.node_timeout, self.size / 2 + 1);
        let Some(known) = self.nodes.get_mut(&node) else { return };
        if !known.is_suspected || known.has_failed {
            return;
        }
        if known.count_reports(now, timeout) + usize::from(votes) < quorum {
            return;
        }
        (known.is_suspected, known.has_failed, known.failed_at) = (false, true, now);
        self.note(bus, format_args!("takes {} for failed", node.short()));
        bus.changed();
        self.tell_all(bus, &Kind::Fail(node));
        self.later.state = true;
        self.later.failover = true;
    }

    /// Another node says that a majority has agreed.
    pub(crate) fn hear_failed(&mut self, bus: &mut Bus, node: NodeId) {
        let (now, me) = (bus.now, self.me);
        let Some(known) = self.nodes.get_mut(&node).filter(|known| !known.has_failed && known.id != me) else { return };
        (known.is_suspected, known.has_failed, known.failed_at) = (false, true, now);
        bus.changed();
        self.later.state = true;
        self.later.failover = true;
    }

    /// `clearNodeFailureIfNeeded`: it answers again.
    pub(crate) fn clear_failed(&mut self, bus: &mut Bus, node: NodeId) {
        let (now, timeout) = (bus.now, self.settings.node_timeout);
        let Some(known) = self.nodes.get_mut(&node) else { return };
        let is_unneeded = known.is_replica || !known.owns_slots();
        // Apparently nobody takes over its slots.
        let is_old = now - known.failed_at.min(now) > timeout * 2;
        if is_unneeded || is_old {
            known.has_failed = false;
            self.later.state = true;
            self.note(bus, format_args!("hears {} again", node.short()));
            bus.changed();
        }
    }
}
