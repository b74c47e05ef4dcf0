//! `INFO` and `CLUSTER INFO` of every engine in every state.

use crate::recorded::{self, Recorded};
use topology::{ClusterInfo, Engine, ServerInfo};

fn line_of(reply: &str, name: &str) -> Option<String> {
    let value = |line: &str| Some(line.trim_end().strip_prefix(name)?.strip_prefix(':')?.to_owned());
    reply.lines().find_map(value)
}

#[test]
fn engine_and_version_are_those_of_the_server_that_was_started() {
    for recorded in recorded::all() {
        for (_, said) in recorded.answers() {
            let info = ServerInfo::parse(&said.info);
            let (engine, version) = recorded.engine.split_once('-').unwrap();
            assert_eq!(info.engine, if engine == "valkey" { Engine::Valkey } else { Engine::Redis });
            assert!(info.version.starts_with(&format!("{version}.")), "{}: {}", recorded.name, info.version);
        }
    }
}

#[test]
fn every_server_tells_its_state_and_its_measures() {
    for recorded in recorded::all() {
        for (port, said) in recorded.answers() {
            let info = ServerInfo::parse(&said.info);
            assert!(info.cluster_enabled && !info.loading && !info.sync_in_progress, "{} {port}", recorded.name);
            assert!(info.used_memory.is_some_and(|bytes| bytes > 100_000));
            assert_eq!(info.max_memory, Some(0));
            assert!(info.operations_per_second.is_some() && info.uptime_seconds.is_some_and(|age| age < 600));
            assert!(info.replication_offset.is_some() && info.process_id.is_some_and(|number| number > 1));
            let clock = info.clock_microseconds.unwrap() / 1000;
            let pongs = said.entries().into_iter().map(|entry| entry.pong_received).filter(|pong| *pong > 0);
            assert!(pongs.clone().all(|pong| clock.abs_diff(pong) < 60_000), "{} {port}", recorded.name);
        }
    }
}

#[test]
fn replicas_tell_of_their_link_and_primaries_have_none() {
    for recorded in recorded::all() {
        for (port, said) in recorded.answers() {
            let view = said.view();
            let lost_its_primary = recorded.state == "killed" && {
                let killed = view.entries().find(|entry| entry.endpoint.port == 7001).map(|entry| entry.id);
                view.myself.primary == killed
            };
            let expected = view.myself.is_replica().then_some(!lost_its_primary);
            assert_eq!(view.server.primary_link_up, expected, "{} {port}", recorded.name);
            assert_eq!(view.server.primary_link_down_seconds.is_some(), lost_its_primary, "{} {port}", recorded.name);
        }
    }
}

#[test]
fn zones_are_told_by_valkey() {
    for recorded in recorded::all() {
        for (_, said) in recorded.answers() {
            let zone = ServerInfo::parse(&said.info).zone;
            let expected = recorded.state == "named" && recorded.engine.starts_with("valkey");
            assert_eq!(zone.is_some_and(|zone| zone.starts_with("zone-")), expected, "{}", recorded.name);
        }
    }
}

#[test]
fn keys_are_counted_in_every_database() {
    let keys = |recorded: &Recorded| {
        let mut databases = std::collections::BTreeMap::<u32, u64>::new();
        for (_, said) in recorded.answers().filter(|(port, _)| *port <= 7003) {
            for (database, keys) in ServerInfo::parse(&said.info).databases {
                *databases.entry(database).or_default() += keys;
            }
        }
        databases
    };
    recorded::each_engine("fresh").for_each(|recorded| assert_eq!(keys(&recorded), [].into(), "{}", recorded.name));
    recorded::each_engine("healthy").for_each(|recorded| assert_eq!(keys(&recorded), [(0, 30)].into()));
    assert_eq!(keys(&Recorded::read("valkey-9.1", "databases")), [(0, 30), (3, 20), (15, 5)].into());
    assert_eq!(ServerInfo::parse(&Recorded::read("valkey-9.1", "databases").said(7001).info).keys(), 24);
}

#[test]
fn the_cluster_is_told_as_the_node_list_shows_it() {
    for recorded in recorded::all() {
        for (port, said) in recorded.answers() {
            let (name, info) = (format!("{} {port}", recorded.name), ClusterInfo::parse(&said.cluster));
            let view = said.view();
            assert_eq!(view.cluster, info);
            assert_eq!(info.known_nodes, view.entries().count(), "{name}");
            let map = view.slot_map();
            // A server that just started alone has not counted yet: some begin with 1, some with 0.
            assert!(info.size == map.len() || (info.known_nodes == 1 && info.size <= 1), "{name}");
            assert_eq!(usize::from(info.slots_assigned), map.values().map(topology::SlotSet::len).sum::<usize>());
            assert_eq!(info.my_epoch, view.myself.config_epoch, "{name}");
            assert!(view.entries().all(|entry| entry.config_epoch <= info.current_epoch), "{name}");
            let state = line_of(&said.cluster, "cluster_state").unwrap();
            assert_eq!(info.state_ok, state == "ok", "{name}");
        }
    }
}

#[test]
fn nodes_serve_where_the_state_lets_them() {
    for recorded in recorded::all() {
        for (port, said) in recorded.answers() {
            let serves = match recorded.state {
                "fresh" | "uncovered" | "minority" => false,
                "disagreement" | "noaddr" => port != 7001,
                _ => true,
            };
            assert_eq!(ClusterInfo::parse(&said.cluster).state_ok, serves, "{} {port}", recorded.name);
        }
    }
}
