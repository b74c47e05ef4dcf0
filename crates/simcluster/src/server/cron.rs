//! The cluster clock of a server: `clusterCron`, ten times a second.

use super::{Known, Link, Server};
use crate::{
    bus::{Bus, Connection, Event, Millis},
    message::Kind,
};
use topology::NodeId;

/// Time between two turns.
pub(crate) const TURN: Millis = 100;

impl Server {
    /// One turn.
    pub(crate) fn turn(&mut self, bus: &mut Bus) {
        bus.after(TURN, Event::Turn(self.at, self.incarnation));
        self.turns += 1;
        self.connect(bus);
        if self.turns.is_multiple_of(10) {
            self.ping_one(bus);
        }
        self.look_for_silence(bus);
        if self.asked.until > 0 && self.asked.until < bus.now {
            self.note(bus, format_args!("gives the failover up"));
            self.end_asked();
        }
        self.hold_elections(bus);
        if self.later.state || !self.state_ok {
            self.look_at_state(bus);
        }
    }

    /// What was put off: `clusterBeforeSleep`.
    pub(crate) fn finish(&mut self, bus: &mut Bus) {
        if std::mem::take(&mut self.later.failover) {
            self.hold_elections(bus);
        }
        if self.later.state {
            self.look_at_state(bus);
        }
    }

    fn hold_elections(&mut self, bus: &mut Bus) {
        if !self.is_primary() {
            self.look_at_asked();
            self.elect(bus);
        }
    }

    /// Opens links to nodes that have none.
    fn connect(&mut self, bus: &mut Bus) {
        let without: Vec<NodeId> = self
            .nodes
            .values()
            .filter(|known| {
                known.id != self.me
                    && (known.link.is_none_or(|link| link.is_tried_again(bus.now)) || known.in_handshake)
            })
            .map(|known| known.id)
            .collect();
        let patience = self.settings.node_timeout.max(1000);
        let host = bus.doors.get(self.at).map_or(0, |door| door.host);
        for node in without {
            let Some(known) = self.nodes.get_mut(&node) else { continue };
            if known.in_handshake && bus.now - known.created > patience {
                self.nodes.remove(&node);
                continue;
            }
            let Some(address) = known.address.filter(|_| known.link.is_none_or(|link| link.is_tried_again(bus.now)))
            else {
                continue;
            };
            let to = match bus.connect(host, address.ip, address.port) {
                Connection::Refused => {
                    // Otherwise nobody would ever suspect it.
                    if known.ping_sent == 0 {
                        known.ping_sent = bus.now;
                    }
                    continue;
                }
                Connection::Silent => None,
                Connection::To(at, incarnation) => Some((at, incarnation)),
            };
            known.link = Some(Link { number: bus.new_link(), to, since: bus.now });
            if to.is_none() {
                continue;
            }
            let (sent_before, meets) = (known.ping_sent, std::mem::take(&mut known.to_meet));
            let gossip = self.gossip(bus);
            self.tell(bus, node, if meets { Kind::Meet(gossip) } else { Kind::Ping(gossip) });
            if let Some(known) = self.nodes.get_mut(&node) {
                known.ping_sent = if sent_before > 0 {
                    sent_before
                } else if meets {
                    0
                } else {
                    bus.now
                };
            }
        }
    }

    /// Once a second: the one of five that was not heard for longest.
    fn ping_one(&mut self, bus: &mut Bus) {
        let others: Vec<&Known> = self.nodes.values().collect();
        let drawn = (0..5).filter_map(|_| others.get(bus.random.usize(0..others.len().max(1))));
        let may_ask = |known: &&&&Known| {
            known.link.is_some() && known.ping_sent == 0 && known.id != self.me && !known.in_handshake
        };
        let oldest = drawn.filter(|known| may_ask(&known)).min_by_key(|known| known.pong_received);
        if let Some(id) = oldest.map(|known| known.id) {
            self.ping(bus, id);
        }
    }

    /// Pings whom it has not heard for long, and suspects those that do not answer.
    fn look_for_silence(&mut self, bus: &mut Bus) {
        let (now, timeout) = (bus.now, self.settings.node_timeout);
        let taker = self.asked.replica.filter(|_| self.asked.until > 0 && self.is_primary());
        let mut to_ping = Vec::new();
        let mut suspected = Vec::new();
        let me = self.me;
        for known in self.nodes.values_mut() {
            if known.id == me || known.in_handshake || known.address.is_none() {
                continue;
            }
            let (ping_delay, data_delay) = (now - known.ping_sent.min(now), now.saturating_sub(known.data_received));
            let is_late = known.ping_sent > 0 && ping_delay > timeout / 2 && data_delay > timeout / 2;
            if is_late && known.link.is_some_and(|link| now - link.since > timeout) {
                known.link = None;
            }
            if known.link.is_some() && known.ping_sent == 0 && now.saturating_sub(known.pong_received) > timeout / 2 {
                to_ping.push(known.id);
                continue;
            }
            if Some(known.id) == taker && known.link.is_some() {
                to_ping.push(known.id);
                continue;
            }
            if known.ping_sent > 0 && ping_delay.min(data_delay) > timeout && !known.is_down() {
                known.is_suspected = true;
                suspected.push(known.id);
            }
        }
        for node in to_ping {
            self.ping(bus, node);
        }
        for node in suspected {
            self.note(bus, format_args!("suspects {}", node.short()));
            self.later.state = true;
            self.mark_failed_if_agreed(bus, node);
        }
        // The servers do so in each turn; they wait for 5 s then, so that half a second more or less matters little.
        if self.turns.is_multiple_of(5) {
            self.look_for_orphans(bus);
        }
    }
}
