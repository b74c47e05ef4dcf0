//! What a server says, as text.

use super::{Known, Process, Server};
use crate::bus::Millis;
use std::fmt::Write;
use topology::{Engine, Reply, SlotSet};

impl Known {
    /// Its id and address, with the space behind them.
    fn label(&mut self) -> &str {
        let (of, at, text) = &mut self.label;
        if *of != Some(self.id) || *at != self.address {
            (*of, *at) = (Some(self.id), self.address);
            *text = self.address.map_or_else(
                || format!("{} :0@0 ", self.id),
                |at| format!("{} {}:{}@{} ", self.id, at.ip, at.port, at.bus_port),
            );
        }
        text
    }

    fn write_flags(&self, text: &mut String) {
        text.push_str(match (self.in_handshake, self.is_replica) {
            (true, _) => "",
            (false, true) => "slave,",
            (false, false) => "master,",
        });
        for (is_set, word) in [
            (self.is_suspected, "fail?,"),
            (self.has_failed, "fail,"),
            (self.in_handshake, "handshake,"),
            (self.address.is_none(), "noaddr,"),
        ] {
            text.push_str(if is_set { word } else { "" });
        }
        text.pop();
    }
}

impl Server {
    /// `CLUSTER NODES`
    pub(crate) fn nodes_text(&mut self) -> String {
        let mut text = String::with_capacity(self.nodes.len() * 160);
        let (me, address, knows) = (self.me, self.address, self.knows_address);
        let epochs: Vec<_> = self.nodes.values().map(|known| (known.id, known.epoch)).collect();
        let epoch_of = |known: &Known| {
            let teller = known.primary.filter(|_| known.is_replica).unwrap_or(known.id);
            epochs.iter().find(|(id, _)| *id == teller).map_or(0, |(_, epoch)| *epoch)
        };
        if let Some(myself) = self.nodes.get_mut(&me) {
            myself.address = Some(address);
        }
        for known in self.nodes.values_mut() {
            let is_me = known.id == me;
            if is_me {
                if knows {
                    text.push_str(known.label());
                } else {
                    let _ = write!(text, "{me} :{}@{} ", address.port, address.bus_port);
                }
                text.push_str("myself,");
            } else {
                text.push_str(known.label());
            }
            known.write_flags(&mut text);
            text.push_str(if is_me && self.settings.no_failover { ",nofailover" } else { "" });
            text.push(' ');
            match known.primary.filter(|_| known.is_replica) {
                Some(primary) => drop(write!(text, "{primary}")),
                None => text.push('-'),
            }
            let is_connected = is_me || known.link.is_some_and(|link| link.to.is_some());
            let state = if is_connected { "connected" } else { "disconnected" };
            let (sent, received) = (known.ping_sent, known.pong_received);
            let _ = write!(text, " {sent} {received} {} {state}", epoch_of(known));
            if known.owns_slots() && !known.is_replica {
                let _ = write!(text, " {}", known.slots);
            }
            if is_me {
                for (slot, to) in &self.migrating {
                    let _ = write!(text, " [{slot}->-{to}]");
                }
                for (slot, from) in &self.importing {
                    let _ = write!(text, " [{slot}-<-{from}]");
                }
            }
            text.push('\n');
        }
        text
    }

    /// `CLUSTER INFO`
    pub(crate) fn cluster_text(&self) -> String {
        let (mut assigned, mut suspected, mut failed) = (0, 0, 0);
        for known in self.nodes.values().filter(|known| known.owns_slots()) {
            let slots = known.slots.len();
            assigned += slots;
            suspected += if known.is_suspected { slots } else { 0 };
            failed += if known.has_failed { slots } else { 0 };
        }
        let state = if self.state_ok { "ok" } else { "fail" };
        // A replica tells the epoch of its primary.
        let teller = self.primary().unwrap_or(self.me);
        let epoch = self.nodes.get(&teller).map_or(0, |known| known.epoch);
        let mut text = format!(
            "cluster_state:{state}\r\ncluster_slots_assigned:{assigned}\r\ncluster_slots_ok:{}\r\n\
             cluster_slots_pfail:{suspected}\r\ncluster_slots_fail:{failed}\r\ncluster_known_nodes:{}\r\n\
             cluster_size:{}\r\ncluster_current_epoch:{}\r\ncluster_my_epoch:{epoch}\r\n",
            assigned - suspected - failed,
            self.nodes.len(),
            self.size,
            self.current_epoch,
        );
        for (name, count) in [("publish", self.counts.published_received), ("meet", self.counts.meets_received)] {
            if count > 0 {
                let _ = write!(text, "cluster_stats_messages_{name}_received:{count}\r\n");
            }
        }
        text
    }

    /// `INFO`, as far as it is read, with so many replicas connected.
    pub(crate) fn info_text(&self, now: Millis, replicas: usize, primary: Option<&str>) -> String {
        let profile = self.profile;
        let mut text = String::with_capacity(900);
        match profile.engine {
            Engine::Valkey => {
                let _ =
                    write!(text, "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:{}\r\n", profile.version);
                let zone = self.zone.as_deref().unwrap_or_default();
                let _ = write!(text, "availability_zone:{zone}\r\n");
            }
            Engine::Redis => drop(write!(text, "redis_version:{}\r\n", profile.version)),
        }
        let (keys, uptime) = (self.data.len(), now - self.started.min(now));
        let is_loading = u8::from(self.process == Process::Loading);
        let _ = write!(
            text,
            "process_id:{}\r\nserver_time_usec:{}\r\nuptime_in_seconds:{}\r\nconnected_clients:1\r\n\
             used_memory:{}\r\nused_memory_dataset:{}\r\nmaxmemory:0\r\nloading:{is_loading}\r\n\
             total_commands_processed:{}\r\n",
            1000 + self.at * 100 + self.incarnation as usize,
            now * 1000,
            uptime / 1000,
            2_000_000 + keys * 100,
            keys * 100,
            self.counts.commands,
        );
        self.write_replication(&mut text, now, replicas, primary);
        text.push_str("cluster_enabled:1\r\n# Keyspace\r\n");
        text.push_str(&self.keyspace_text());
        text
    }

    fn write_replication(&self, text: &mut String, now: Millis, replicas: usize, primary: Option<&str>) {
        if self.is_primary() {
            text.push_str("role:master\r\n");
        } else {
            let up = self.upstream.as_ref();
            let is_linked = up.is_some_and(|up| up.is_linked);
            let is_copying = u8::from(up.is_some_and(|up| up.is_copying));
            let _ = write!(
                text,
                "role:slave\r\nmaster_host:{}\r\nmaster_link_status:{}\r\nmaster_sync_in_progress:{is_copying}\r\n",
                primary.unwrap_or_default(),
                if is_linked { "up" } else { "down" },
            );
            if !is_linked {
                let since = up.and_then(|up| up.down_since).map(|since| (now - since.min(now)) / 1000);
                match since {
                    Some(since) => drop(write!(text, "master_link_down_since_seconds:{since}\r\n")),
                    None => text.push_str("master_link_down_since_seconds:-1\r\n"),
                }
            }
            let _ = write!(text, "slave_repl_offset:{}\r\n", self.stream.offset);
        }
        let stream = &self.stream;
        let none = "0000000000000000000000000000000000000000";
        let _ = write!(
            text,
            "connected_slaves:{replicas}\r\nmaster_replid:{}\r\nmaster_replid2:{}\r\nmaster_repl_offset:{}\r\n",
            stream.id,
            stream.earlier_id.as_deref().unwrap_or(none),
            stream.offset,
        );
        match stream.earlier_id {
            Some(_) => drop(write!(text, "second_repl_offset:{}\r\n", stream.earlier_end)),
            None => text.push_str("second_repl_offset:-1\r\n"),
        }
    }

    /// `INFO keyspace` without its headline.
    pub(crate) fn keyspace_text(&self) -> String {
        match self.data.len() {
            0 => String::new(),
            keys => format!("db0:keys={keys},expires=0,avg_ttl=0{}\r\n", self.profile.keyspace_end),
        }
    }

    /// `CLUSTER SHARDS`
    pub(crate) fn shards(&self) -> Reply {
        let primaries = self.nodes.values().filter(|known| !known.is_replica && !known.in_handshake);
        Reply::List(primaries.map(|primary| self.shard(primary)).collect())
    }

    fn shard(&self, primary: &Known) -> Reply {
        let number = |slot: topology::Slot| Reply::Integer(slot.number().into());
        let slots: &SlotSet = &primary.slots;
        let ranges = slots.ranges().flat_map(|range| [number(*range.start()), number(*range.end())]).collect();
        let follows = |known: &&Known| known.is_replica && known.primary == Some(primary.id);
        let replicas = self.nodes.values().filter(follows);
        let nodes = std::iter::once(primary).chain(replicas).map(|known| self.shard_node(known)).collect();
        Reply::List(vec![Reply::text("slots"), Reply::List(ranges), Reply::text("nodes"), Reply::List(nodes)])
    }

    fn shard_node(&self, known: &Known) -> Reply {
        let is_me = known.id == self.me;
        let address = if is_me { Some(self.address) } else { known.address };
        let ip = address.map(|address| address.ip.to_string()).unwrap_or_default();
        let ip = if is_me && !self.knows_address { String::new() } else { ip };
        let offset = if is_me { self.stream.offset } else { known.offset };
        let is_loading = is_me && !self.is_primary() && self.upstream.as_ref().is_some_and(|up| !up.is_linked);
        let health = if known.has_failed {
            "fail"
        } else if is_loading {
            "loading"
        } else {
            "online"
        };
        let fields = [
            ("id", Reply::text(known.id.to_string())),
            ("port", Reply::Integer(address.map_or(0, |address| address.port).into())),
            ("ip", Reply::text(ip.clone())),
            ("endpoint", Reply::text(ip)),
            ("role", Reply::text(if known.is_replica { "replica" } else { "master" })),
            ("replication-offset", Reply::Integer(i64::try_from(offset).unwrap_or(i64::MAX))),
            ("health", Reply::text(health)),
        ];
        Reply::List(fields.into_iter().flat_map(|(name, value)| [Reply::text(name), value]).collect())
    }
}
