//! `CLUSTER NODES` of every engine: who is well, who owns what.

use crate::{
    node_lines::flagged,
    recorded::{self, Recorded},
};
use std::collections::BTreeSet;
use topology::Flag;

#[test]
fn a_paused_node_is_suspected_before_it_is_called_failed() {
    for recorded in recorded::each_engine("suspected") {
        let suspects: Vec<_> = recorded.answers().flat_map(|(_, said)| flagged(said, &Flag::PossiblyFailing)).collect();
        assert!(!suspects.is_empty(), "{}", recorded.name);
        assert!(suspects.iter().all(|entry| entry.endpoint.port == 7001 && entry.is_primary()), "{}", recorded.name);
        assert!(recorded.answers().all(|(_, said)| flagged(said, &Flag::Failing).is_empty()), "{}", recorded.name);
    }
}

#[test]
fn without_a_majority_nodes_stay_suspected() {
    for recorded in recorded::each_engine("minority") {
        assert_eq!(recorded.answers().count(), 4);
        for (_, said) in recorded.answers() {
            let ports: BTreeSet<_> =
                flagged(said, &Flag::PossiblyFailing).iter().map(|entry| entry.endpoint.port).collect();
            assert_eq!(ports, [7001, 7002].into(), "{}", recorded.name);
        }
    }
}

#[test]
fn a_killed_primary_is_called_failed_by_all_and_its_replica_has_its_slots() {
    for recorded in recorded::each_engine("failed-over") {
        for (_, said) in recorded.answers() {
            let [failed] = &flagged(said, &Flag::Failing)[..] else { panic!("{}", recorded.name) };
            assert_eq!(failed.endpoint.port, 7001);
            assert!(failed.is_primary() && failed.slots.is_empty() && !failed.connected);
            let owners = said.entries().into_iter().filter(|entry| entry.slots.to_string() == "0-5460");
            let [successor] = &owners.collect::<Vec<_>>()[..] else { panic!("{}", recorded.name) };
            assert!(successor.is_primary() && successor.config_epoch > failed.config_epoch);
        }
    }
}

#[test]
fn a_port_without_a_server_stays_in_handshake() {
    for recorded in recorded::each_engine("handshake") {
        for (port, said) in recorded.answers() {
            let met: Vec<_> = flagged(said, &Flag::Handshake).iter().map(|entry| entry.endpoint.port).collect();
            assert_eq!(met, if port == 7001 { vec![7007] } else { vec![] }, "{}", recorded.name);
        }
    }
}

#[test]
fn a_node_whose_address_was_lost_has_none() {
    for recorded in recorded::each_engine("noaddr") {
        for (port, said) in recorded.answers().filter(|(port, _)| *port != 7001) {
            let [lost] = &flagged(said, &Flag::NoAddress)[..] else { panic!("{} {port}", recorded.name) };
            assert_eq!((&lost.endpoint.host, lost.endpoint.port, lost.endpoint.bus_port), (&None, 0, None));
            assert!(lost.is_replica() && !lost.connected);
        }
    }
}

#[test]
fn slots_without_owner_are_with_nobody() {
    for recorded in recorded::each_engine("uncovered") {
        for (_, said) in recorded.answers() {
            let map = said.view().slot_map();
            let owned = map.values().fold(topology::SlotSet::new(), |all, slots| all.union(slots));
            assert_eq!(owned.complement().to_string(), "100-102", "{}", recorded.name);
        }
    }
}

#[test]
fn a_healthy_cluster_has_three_primaries_and_three_replicas_in_all_eyes() {
    for Recorded { name, servers, .. } in recorded::each_engine("healthy") {
        for said in servers.values().flatten() {
            let entries = said.entries();
            assert_eq!((entries.len(), entries.iter().filter(|entry| entry.is_replica()).count()), (6, 3), "{name}");
            let slots: BTreeSet<_> = said.view().slot_map().values().map(ToString::to_string).collect();
            assert_eq!(slots, ["0-5460", "10923-16383", "5461-10922"].map(String::from).into(), "{name}");
        }
    }
}
