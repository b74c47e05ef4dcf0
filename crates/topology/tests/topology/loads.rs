//! What a cluster does now, from two looks at its counters.

use crate::hand::{id, said, silence, six};
use std::collections::BTreeMap;
use topology::{
    ServerMigration, Slot,
    load::{Load, Sample},
    slot_stats::SlotStats,
};

/// A look after so many seconds, in which each node has counted so much a second, times its place from 1.
fn look(seconds: u64) -> Sample {
    let mut view = six();
    for at in 0..6 {
        let factor = u64::try_from(at + 1).unwrap() * seconds;
        let server = &mut said(&mut view, at).server;
        server.clock_microseconds = Some(1_000_000 * (seconds + 1));
        server.commands_processed = Some(500 + 100 * factor);
        server.bytes_in = Some(1000 * factor);
        server.bytes_out = Some(2000 * factor);
        server.used_memory = Some(10_000_000);
        server.clients = Some(7);
        server.databases = BTreeMap::from([(0, 30), (1, 3)]);
        server.replication_offset = Some(900);
    }
    Sample { view, ..Sample::default() }
}

fn rates(load: &Load) -> Vec<Option<u64>> {
    load.nodes.iter().map(|node| node.operations_per_second).collect()
}

fn slot(number: u16) -> Slot {
    Slot::new(number).unwrap()
}

#[test]
fn rates_come_from_what_was_counted_between_two_looks_by_the_servers_clocks() {
    let load = Load::between(Some(&look(1)), &look(3));
    let places: Vec<_> = load.nodes.iter().map(|node| (node.shard, node.replica, node.address.port)).collect();
    assert_eq!(places.len(), 6);
    assert_eq!(
        places.iter().map(|place| (place.0, place.1)).collect::<Vec<_>>(),
        [(Some(0), false), (Some(0), true), (Some(1), false), (Some(1), true), (Some(2), false), (Some(2), true)]
    );
    assert_eq!(rates(&load), [100, 400, 200, 500, 300, 600].map(Some));
    let first = &load.nodes[0];
    assert_eq!((first.bytes_in_per_second, first.bytes_out_per_second), (Some(1000), Some(2000)));
    assert_eq!((first.memory_bytes, first.clients, &first.silence), (Some(10_000_000), Some(7), &None));
}

#[test]
fn sums_are_of_the_primaries_in_all_their_databases() {
    let load = Load::between(Some(&look(1)), &look(2));
    assert_eq!((load.operations_per_second, load.memory_bytes, load.keys), (600, 30_000_000, 99));
}

#[test]
fn the_first_look_has_no_rates_but_what_is_so_now() {
    let load = Load::between(None, &look(1));
    assert_eq!(rates(&load), [None; 6]);
    assert_eq!((load.operations_per_second, load.keys, load.nodes[0].clients), (0, 99, Some(7)));
}

#[test]
fn a_server_that_began_anew_or_whose_clock_stands_has_no_rate() {
    let (before, mut now) = (look(5), look(6));
    said(&mut now.view, 0).server.commands_processed = Some(3);
    said(&mut now.view, 1).server.clock_microseconds = said(&mut before.clone().view, 1).server.clock_microseconds;
    let load = Load::between(Some(&before), &now);
    assert_eq!(rates(&load), [None, Some(400), None, Some(500), Some(300), Some(600)]);
    assert_eq!(load.nodes[0].bytes_in_per_second, Some(1000), "its other counters went on");
    assert_eq!(load.nodes[2].bytes_in_per_second, None, "nothing is known without a clock");
    assert_eq!(load.operations_per_second, 300);
}

#[test]
fn a_node_that_is_silent_is_there_with_the_reason() {
    let mut now = look(2);
    silence(&mut now.view, 4);
    let load = Load::between(Some(&look(1)), &now);
    let silent = load.nodes.iter().find(|node| node.silence.is_some()).unwrap();
    assert_eq!((silent.shard, silent.replica, silent.operations_per_second), (Some(1), true, None));
    assert!(silent.silence.as_ref().unwrap().contains("refuses connections"));
    assert_eq!(load.nodes.len(), 6);
}

#[test]
fn the_lag_of_a_replica_is_what_it_has_not_applied_of_its_primarys_stream() {
    let mut now = look(2);
    said(&mut now.view, 3).server.replication_offset = Some(650);
    // Asked a moment after its primary.
    said(&mut now.view, 4).server.replication_offset = Some(950);
    said(&mut now.view, 5).server.primary_link_up = Some(false);
    let lags: Vec<_> = Load::between(None, &now).nodes.iter().map(|node| node.lag_bytes).collect();
    assert_eq!(lags, [None, Some(250), None, Some(0), None, None]);
}

#[test]
fn the_hottest_slots_of_all_nodes_are_told_and_no_more_than_five() {
    let stats = |number: u16, spent: u64| SlotStats {
        slot: slot(number),
        keys: 1,
        cpu_microseconds: Some(spent),
        network_bytes: None,
    };
    let (mut before, mut now) = (look(1), look(2));
    for (at, base) in [(0, 0_u16), (1, 6000), (2, 12_000)] {
        before.slots.insert(id(at), (0..3).map(|number| stats(base + number, 0)).collect());
        let spent = |number: u16| 100_000 * u64::from(number + 1) + u64::from(base);
        now.slots.insert(id(at), (0..3).map(|number| stats(base + number, spent(number))).collect());
    }
    let load = Load::between(Some(&before), &now);
    let told: Vec<u16> = load.hottest_slots.iter().map(|hot| hot.slot.number()).collect();
    assert_eq!(told, [12_002, 6002, 2, 12_001, 6001]);
    assert!((load.hottest_slots[2].cpu_percent.unwrap() - 30.0).abs() < 0.001, "of one core: {load:?}");
}

#[test]
fn moves_by_hand_and_by_the_servers_are_told_once_and_none_that_is_over() {
    let mut now = look(2);
    said(&mut now.view, 0).myself.migrating.insert(slot(5), id(1));
    said(&mut now.view, 1).myself.importing.insert(slot(5), id(0));
    let migration = |state: &str, is_over, cancelled_here| ServerMigration {
        name: "task".to_owned(),
        slots: "100-200".parse().unwrap(),
        from: id(0),
        to: id(2),
        state: state.to_owned(),
        is_over,
        cancelled_here,
    };
    // Both ends tell of it.
    now.migrations = vec![migration("snapshotting", false, true), migration("snapshotting", false, false)];
    now.migrations.push(migration("success", true, true));
    let moves = Load::between(None, &now).moves;
    let told: Vec<_> = moves.iter().map(|open| (open.slots.to_string(), &*open.from, &*open.to)).collect();
    let [first, second] = &told[..] else { panic!("{moves:?}") };
    assert_eq!((first.0.as_str(), second.0.as_str()), ("5", "100-200"));
    assert!(first.1.contains("10.0.0.1:7000") && first.2.contains("10.0.0.2:7000"), "{moves:?}");
    assert!(second.1.contains("10.0.0.1:7000") && second.2.contains("10.0.0.3:7000"), "{moves:?}");
    assert_eq!(moves[1].state.as_deref(), Some("snapshotting"));
}

#[test]
fn a_cluster_that_rests_has_neither_hot_slots_nor_moves() {
    let load = Load::between(Some(&look(1)), &look(2));
    assert_eq!((load.hottest_slots.len(), load.moves.len()), (0, 0));
}
