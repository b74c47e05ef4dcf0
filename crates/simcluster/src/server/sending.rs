//! Messages that a server sends.

use super::{Known, Server};
use crate::{
    bus::Bus,
    message::{Gossip, Kind, Message},
};
use topology::NodeId;

impl Server {
    fn message(&self, kind: Kind, link: u64, is_answer: bool, now: u64) -> Message {
        let myself = self.myself();
        // A replica tells what its primary owns, and with which epoch.
        let teller = match self.primary() {
            Some(primary) => self.nodes.get(&primary),
            None => myself,
        };
        Message {
            from: self.at,
            from_incarnation: self.incarnation,
            link,
            is_answer,
            sender: self.me,
            address: self.address,
            primary: self.primary(),
            is_replica: myself.is_some_and(|myself| myself.is_replica),
            shard: myself.map_or(self.me, |myself| myself.shard),
            config_epoch: teller.map_or(0, |teller| teller.epoch),
            current_epoch: self.current_epoch,
            offset: self.stream.offset,
            slots: teller.map(|teller| teller.slots.clone()).unwrap_or_default(),
            is_paused: self.is_held(now) && self.asked.until > 0,
            forgotten: self.forgotten(now),
            kind,
        }
    }

    /// What it was told to forget and tells others to forget, too.
    fn forgotten(&self, now: u64) -> Vec<(NodeId, u64)> {
        let is_told = |(_, until): &(&NodeId, &u64)| self.profile.forget_spreads && **until > now;
        self.banned.iter().filter(is_told).map(|(node, until)| (*node, *until)).collect()
    }

    /// Sends a message to a node, if there is a link to it.
    pub(crate) fn tell(&self, bus: &mut Bus, node: NodeId, kind: Kind) {
        let link = self.nodes.get(&node).and_then(|known| known.link);
        if let Some(link) = link
            && let Some((to, incarnation)) = link.to
        {
            let message = self.message(kind, link.number, false, bus.now);
            bus.send(to, incarnation, message);
        }
    }

    /// Answers over the link of whoever has sent this.
    pub(crate) fn answer(&self, bus: &mut Bus, question: &Message) {
        let kind = Kind::Pong(self.gossip(bus));
        let message = self.message(kind, question.link, true, bus.now);
        bus.send(question.from, question.from_incarnation, message);
    }

    pub(crate) fn ping(&mut self, bus: &mut Bus, node: NodeId) {
        let kind = Kind::Ping(self.gossip(bus));
        self.tell(bus, node, kind);
        if let Some(known) = self.nodes.get_mut(&node) {
            known.ping_sent = bus.now;
        }
    }

    /// Tells everybody, or only the other replicas of its primary, what it is now.
    pub(crate) fn announce(&self, bus: &mut Bus, only_replicas: bool) {
        let primary = if self.is_primary() { Some(self.me) } else { self.primary() };
        let concerned = |known: &&Known| {
            let is_meant = !only_replicas || known.is_replica && known.primary == primary;
            is_meant && known.id != self.me && !known.in_handshake
        };
        let nodes: Vec<NodeId> = self.nodes.values().filter(concerned).map(|known| known.id).collect();
        for node in nodes {
            let kind = Kind::Pong(self.gossip(bus));
            self.tell(bus, node, kind);
        }
    }

    /// Tells all nodes that have a link.
    pub(crate) fn tell_all(&self, bus: &mut Bus, kind: &Kind) {
        let others: Vec<NodeId> = self.nodes.values().map(|known| known.id).filter(|id| *id != self.me).collect();
        for node in others {
            self.tell(bus, node, kind.clone());
        }
    }

    /// What it tells of some other nodes: at least three, a tenth of all, and all that it suspects.
    pub(crate) fn gossip(&self, bus: &mut Bus) -> Vec<Gossip> {
        let eligible = |known: &&Known| {
            known.id != self.me
                && !known.in_handshake
                && known.address.is_some()
                && (known.link.is_some() || known.owns_slots())
        };
        let gossip = |known: &Known| Gossip {
            id: known.id,
            address: known.address,
            is_failing: known.is_down(),
            is_replica: known.is_replica,
            pong_received: known.pong_received,
        };
        let fresh = || self.nodes.values().filter(eligible).filter(|known| !known.is_suspected);
        let count = fresh().count();
        let wanted = (self.nodes.len() / 10).max(3).min(count);
        // Neighbours in the order of their ids, from one that is drawn: as even as drawing each, and much cheaper.
        let first = if count > wanted { bus.random.usize(0..count) } else { 0 };
        let mut told = Vec::with_capacity(wanted + 1);
        let is_drawn = |at: usize| (at + count - first) % count < wanted;
        told.extend(fresh().enumerate().filter(|(at, _)| is_drawn(*at)).map(|(_, known)| gossip(known)));
        told.extend(self.nodes.values().filter(eligible).filter(|known| known.is_suspected).map(gossip));
        told
    }
}
