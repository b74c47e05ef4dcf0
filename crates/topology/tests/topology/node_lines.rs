//! `CLUSTER NODES` of every engine in every state is understood in full.

use crate::recorded::{self, Said};
use std::collections::BTreeSet;
use topology::{Flag, NodeEntry};

/// The line that a server would write for this entry, had it said all that we know.
fn line(entry: &NodeEntry) -> String {
    let endpoint = &entry.endpoint;
    let host = endpoint.host.as_ref().map(ToString::to_string).unwrap_or_default();
    let hostname = endpoint.hostname.as_ref().map(|name| format!(",{name}")).unwrap_or_default();
    let mut words = vec![
        entry.id.to_string(),
        format!("{host}:{}@{}{hostname}", endpoint.port, endpoint.bus_port.unwrap_or_default()),
        entry.flags.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        entry.primary.map_or_else(|| "-".to_owned(), |id| id.to_string()),
        entry.ping_sent.to_string(),
        entry.pong_received.to_string(),
        entry.config_epoch.to_string(),
        if entry.connected { "connected" } else { "disconnected" }.to_owned(),
    ];
    words.extend(entry.slots.ranges().map(|range| topology::SlotSet::from(range).to_string()));
    words.extend(entry.migrating.iter().map(|(slot, to)| format!("[{slot}->-{to}]")));
    words.extend(entry.importing.iter().map(|(slot, from)| format!("[{slot}-<-{from}]")));
    words.join(" ")
}

/// The entries with this flag.
pub(crate) fn flagged(said: &Said, flag: &Flag) -> Vec<NodeEntry> {
    said.entries().into_iter().filter(|entry| entry.flags.has(flag)).collect()
}

#[test]
fn nothing_of_any_line_is_lost() {
    for recorded in recorded::all() {
        for (port, said) in recorded.answers() {
            let understood: Vec<String> = said.entries().iter().map(line).collect();
            assert_eq!(understood, said.nodes.lines().collect::<Vec<_>>(), "{} {port}", recorded.name);
        }
    }
}

#[test]
fn every_server_is_in_its_own_list_once_and_knows_where_it_listens() {
    for recorded in recorded::all() {
        for (port, said) in recorded.answers() {
            let [myself] = &flagged(said, &Flag::Myself)[..] else { panic!("{} {port}", recorded.name) };
            assert_eq!((myself.endpoint.port, myself.endpoint.bus_port), (port, Some(port + 10000)));
            assert_eq!(myself.is_primary(), !myself.is_replica());
            assert_eq!(myself.is_replica(), myself.primary.is_some());
            let known: BTreeSet<_> = said.entries().iter().map(|entry| entry.id).collect();
            assert_eq!(known.len(), said.nodes.lines().count(), "ids are unique");
        }
    }
}

#[test]
fn a_server_that_has_met_nobody_does_not_know_its_host() {
    for recorded in recorded::each_engine("fresh") {
        for (_, said) in recorded.answers() {
            let [myself] = &said.entries()[..] else { panic!("{}", recorded.name) };
            assert_eq!(myself.endpoint.host, None);
            assert!(myself.slots.is_empty() && myself.config_epoch == 0);
        }
    }
}

#[test]
fn host_names_are_read_and_nothing_else_is_announced_there() {
    for recorded in recorded::each_engine("named") {
        for (_, said) in recorded.answers() {
            for entry in said.entries() {
                let name = format!("node-{}.example.org", entry.endpoint.port - 7000);
                assert_eq!(entry.endpoint.hostname, Some(name), "{}", recorded.name);
                assert!(entry.endpoint.auxiliary.is_empty(), "no engine tells clients node names or zones there");
            }
        }
    }
}

#[test]
fn open_slots_are_told_by_their_owner_and_in_valkey_by_its_replica() {
    for recorded in recorded::each_engine("open-slots") {
        let entries: Vec<_> = recorded.answers().flat_map(|(_, said)| said.entries()).collect();
        let tells = |port, role: &str| {
            let teller = |entry: &&NodeEntry| match role {
                "primary" => entry.endpoint.port == port,
                _ => entry.primary == entries.iter().find(|entry| entry.endpoint.port == port).map(|entry| entry.id),
            };
            let own = entries.iter().filter(|entry| entry.flags.has(&Flag::Myself));
            let [teller] = own.filter(teller).collect::<Vec<_>>()[..] else { panic!("{}", recorded.name) };
            let numbers = |slots: Vec<&topology::Slot>| slots.iter().map(|slot| slot.number()).collect::<Vec<_>>();
            (numbers(teller.migrating.keys().collect()), numbers(teller.importing.keys().collect()))
        };
        assert_eq!(tells(7001, "primary"), (vec![0, 1], vec![]), "{}", recorded.name);
        assert_eq!(tells(7002, "primary"), (vec![], vec![0]), "{}", recorded.name);
        let repeats = recorded.engine.starts_with("valkey");
        assert_eq!(tells(7001, "replica"), if repeats { (vec![0, 1], vec![]) } else { (vec![], vec![]) });
        assert_eq!(tells(7002, "replica"), if repeats { (vec![], vec![0]) } else { (vec![], vec![]) });
        let tellers = entries.iter().filter(|entry| !entry.migrating.is_empty() || !entry.importing.is_empty());
        assert!(tellers.clone().all(|entry| entry.flags.has(&Flag::Myself)), "nobody tells of others");
    }
}
