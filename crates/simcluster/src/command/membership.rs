//! Who belongs to the cluster, and as what.

use super::{error, ok};
use crate::{
    bus::{Address, At, Millis},
    data::Data,
    message::Kind,
    server::{Known, Nodes, Server},
    world::World,
};
use operations::port::{Command, Failover};
use topology::{NodeId, Reply, SlotSet};

/// How long a forgotten node is not taken back (`CLUSTER_BLACKLIST_TTL`).
const BAN: Millis = 60_000;

impl World {
    pub(super) fn change_membership(&mut self, at: At, command: &Command) -> Option<Reply> {
        let bus = &mut self.bus;
        let server = self.servers.get_mut(at)?;
        Some(match command {
            Command::Meet { ip, port, bus_port } => {
                server.meet(bus, Address { ip: *ip, port: *port, bus_port: *bus_port }, true);
                ok()
            }
            Command::SetConfigEpoch(_) if server.nodes.len() > 1 => {
                error("ERR The user can assign a config epoch only when the node does not know any other node.")
            }
            Command::SetConfigEpoch(_) if server.config_epoch() != 0 => {
                error("ERR Node config epoch is already non-zero")
            }
            Command::SetConfigEpoch(epoch) => {
                server.change_myself(|myself| myself.epoch = *epoch);
                server.current_epoch = server.current_epoch.max(*epoch);
                ok()
            }
            Command::BumpEpoch => match server.raise_epoch(bus) {
                Some(epoch) => Reply::text(format!("BUMPED {epoch}")),
                None => Reply::text(format!("STILL {}", server.config_epoch())),
            },
            Command::Replicate(primary) => {
                if let Some(refusal) = server.refusal_to_follow(*primary) {
                    return Some(refusal);
                }
                if server.primary() != Some(*primary) {
                    server.follow(bus, *primary);
                }
                ok()
            }
            Command::Forget(proof) => {
                if let Some(refusal) = server.refusal_to_forget(proof.id()) {
                    return Some(refusal);
                }
                server.forget(proof.id(), bus.now + BAN);
                server.note(bus, format_args!("forgets {}", proof.id().short()));
                server.later.state = true;
                ok()
            }
            Command::ResetHard(_) | Command::ResetSoft(_) => {
                if server.is_primary() && server.data.len() > 0 {
                    error("ERR CLUSTER RESET can't be called with master nodes containing keys")
                } else {
                    server.reset(bus, matches!(command, Command::ResetHard(_)));
                    ok()
                }
            }
            Command::Failover(kind) => {
                let outcome = server.begin_failover(bus, *kind);
                self.soon(at);
                outcome
            }
            _ => return None,
        })
    }
}

impl Server {
    fn refusal_to_follow(&self, primary: NodeId) -> Option<Reply> {
        let Some(known) = self.nodes.get(&primary).filter(|known| !known.in_handshake) else {
            return Some(error(format!("ERR Unknown node {primary}")));
        };
        if primary == self.me {
            return Some(error("ERR Can't replicate myself"));
        }
        if known.is_replica {
            return Some(error("ERR I can only replicate a master, not a replica."));
        }
        let holds = self.is_primary() && (self.data.len() > 0 || self.myself().is_some_and(Known::owns_slots));
        holds.then(|| error("ERR To set a master the node must be empty and without assigned slots."))
    }

    fn refusal_to_forget(&self, node: NodeId) -> Option<Reply> {
        if node == self.me {
            return Some(error("ERR I tried hard but I can't forget myself..."));
        }
        if !self.nodes.contains_key(&node) {
            return Some(error(format!("ERR Unknown node {node}")));
        }
        (self.primary() == Some(node)).then(|| error("ERR Can't forget my master!"))
    }

    /// Drops a node, and does not take it back before this time.
    pub(crate) fn forget(&mut self, node: NodeId, until: Millis) {
        self.banned.insert(node, until);
        self.nodes.remove(&node);
        self.migrating.retain(|_, other| *other != node);
        self.importing.retain(|_, other| *other != node);
        for known in self.nodes.values_mut() {
            known.reports.retain(|(by, _)| *by != node);
            if known.primary == Some(node) {
                known.primary = None;
            }
        }
    }

    /// `clusterReset`
    fn reset(&mut self, bus: &mut crate::bus::Bus, hard: bool) {
        if !self.is_primary() {
            self.upstream = None;
            let id = bus.new_name();
            self.stream.begin_anew(id);
            self.data = Data::default();
        }
        self.end_asked();
        self.migrating.clear();
        self.importing.clear();
        let epoch = if hard { 0 } else { self.config_epoch() };
        if hard {
            self.me = bus.new_id();
            (self.current_epoch, self.last_vote_epoch) = (0, 0);
        }
        self.nodes = Nodes::of(Known { epoch, ..Known::new(self.me, bus.now) });
        self.unclaimed = SlotSet::new();
        self.later.state = true;
        self.note(bus, format_args!("is reset"));
        bus.changed();
    }

    fn begin_failover(&mut self, bus: &mut crate::bus::Bus, kind: Failover) -> Reply {
        if self.is_primary() {
            return error("ERR You should send CLUSTER FAILOVER to a replica");
        }
        let Some(primary) = self.primary().and_then(|id| self.nodes.get(&id)) else {
            return error("ERR I'm a replica but my master is unknown to me");
        };
        if kind == Failover::Planned && (primary.has_failed || primary.link.is_none()) {
            return error("ERR Master is down or failed, please use CLUSTER FAILOVER FORCE");
        }
        let primary = primary.id;
        if matches!(kind, Failover::ForcedFrom(from) if from != primary) {
            return error("ERR another one is its primary");
        }
        self.end_asked();
        self.asked.until = bus.now + crate::server::ASKED;
        self.note(bus, format_args!("is asked for a failover: {kind:?}"));
        match kind {
            Failover::Takeover(_) => {
                self.raise_epoch(bus);
                self.take_place(bus);
            }
            Failover::Forced | Failover::ForcedFrom(_) => self.asked.may_start = true,
            Failover::Planned => self.tell(bus, primary, Kind::FailoverStart),
        }
        ok()
    }
}
