//! Questions that change nothing.

use super::{error, integer};
use crate::{bus::At, world::World};
use operations::port::{Command, Rehearsal};
use topology::Reply;

impl World {
    pub(super) fn ask(&mut self, at: At, command: &Command) -> Option<Reply> {
        let replicas = if matches!(command, Command::Info | Command::Standing) { self.count_replicas(at) } else { 0 };
        let now = self.bus.now;
        let server = self.servers.get_mut(at)?;
        Some(match command {
            Command::Ping => Reply::text("PONG"),
            Command::ClusterNodes => Reply::text(server.nodes_text()),
            Command::ClusterInfo => Reply::text(server.cluster_text()),
            // Of what it tells, only this is read of a part, too.
            Command::Info | Command::Standing => {
                let primary = server.primary().and_then(|id| server.nodes.get(&id)).and_then(|known| known.address);
                let primary = primary.map(|address| format!("{}\r\nmaster_port:{}", address.ip, address.port));
                Reply::text(server.info_text(now, replicas, primary.as_deref()))
            }
            Command::Keyspace => Reply::text(format!("# Keyspace\r\n{}", server.keyspace_text())),
            Command::KeySizes if server.profile.key_sizes => {
                let keys = server.data.len();
                let line = format!("db0_distrib_strings_sizes:64={keys}\r\n");
                Reply::text(format!("# Keysizes\r\n{}", if keys > 0 { line.as_str() } else { "" }))
            }
            Command::KeySizes => Reply::text(""),
            Command::ClusterShards => server.shards(),
            Command::WhoAmI => Reply::text("default"),
            Command::CommandInfo(name) => {
                let is_there = match *name {
                    "cluster|migrateslots" => server.profile.migrates_slots,
                    "cluster|migration" => server.profile.imports_slots,
                    _ => true,
                };
                let entry = Reply::List(vec![Reply::text(*name)]);
                Reply::List(vec![if is_there { entry } else { Reply::Nil }])
            }
            Command::SlotStats(metric, most) => self.slot_stats(at, metric, *most as usize)?,
            Command::FunctionList => {
                let library = |name: &String| Reply::List(vec![Reply::text("library_name"), Reply::text(name)]);
                Reply::List(server.functions.iter().map(library).collect())
            }
            Command::FunctionDump => Reply::text(server.functions.join("\n")),
            Command::Rehearse(Rehearsal::IdleTime | Rehearsal::Dump) => return None,
            Command::Rehearse(rehearsal) => rehearse(*rehearsal),
            Command::Publish => {
                server.tell_all(&mut self.bus, &crate::message::Kind::Publish);
                Reply::Integer(0)
            }
            _ => return None,
        })
    }

    /// `CLUSTER SLOT-STATS ORDERBY … DESC`
    fn slot_stats(&self, at: At, metric: &str, most: usize) -> Option<Reply> {
        let server = self.servers.get(at)?;
        if !server.profile.slot_stats {
            return Some(unknown_subcommand("SLOT-STATS"));
        }
        if metric != "key-count" {
            // `cluster-slot-stats-enabled` is off, as it is by default.
            return Some(error(format!("ERR unrecognized sort metric {metric} for ORDERBY.")));
        }
        let owner = server.primary().unwrap_or(server.me);
        let owned = server.nodes.get(&owner).map(|known| known.slots.clone()).unwrap_or_default();
        let mut counts: Vec<(usize, topology::Slot)> =
            owned.iter().map(|slot| (server.data.count(slot), slot)).collect();
        counts.sort_by_key(|(keys, slot)| (std::cmp::Reverse(*keys), *slot));
        let entry = |(keys, slot): &(usize, topology::Slot)| {
            let keys = Reply::List(vec![Reply::text("key-count"), integer(*keys as u64)]);
            Reply::List(vec![Reply::Integer(slot.number().into()), keys])
        };
        Some(Reply::List(counts.iter().take(most).map(entry).collect()))
    }
}

/// What a server says that does not have this subcommand of `CLUSTER`.
pub(super) fn unknown_subcommand(name: &str) -> Reply {
    error(format!("ERR unknown subcommand '{name}'. Try CLUSTER HELP."))
}

/// Everything is allowed; what is refused are the words.
fn rehearse(rehearsal: Rehearsal) -> Reply {
    match rehearsal {
        Rehearsal::SetSlot => error("ERR Invalid or out of range slot"),
        Rehearsal::Asking => Reply::text("OK"),
        _ => error("ERR value is not an integer or out of range"),
    }
}
