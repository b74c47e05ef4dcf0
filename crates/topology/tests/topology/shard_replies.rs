//! `CLUSTER SHARDS` says the same as `CLUSTER NODES`.

use crate::recorded::{self, Said};
use std::collections::{BTreeMap, BTreeSet};
use topology::{Flag, Health, NodeEntry, NodeId, ShardEntry, ShardNode, SlotSet};

/// The entries that `CLUSTER SHARDS` tells of: a node in handshake is not of the cluster yet.
fn members(said: &Said) -> BTreeMap<NodeId, NodeEntry> {
    let members = said.entries().into_iter().filter(|entry| !entry.flags.has(&Flag::Handshake));
    members.map(|entry| (entry.id, entry)).collect()
}

fn check_each(check: impl Fn(&str, &BTreeMap<NodeId, NodeEntry>, &[ShardEntry])) {
    for recorded in recorded::all() {
        for (port, said) in recorded.answers() {
            check(&format!("{} {port}", recorded.name), &members(said), &said.shards());
        }
    }
}

fn nodes(shards: &[ShardEntry]) -> impl Iterator<Item = &ShardNode> {
    shards.iter().flat_map(|shard| &shard.nodes)
}

#[test]
fn no_node_is_lost_and_none_is_there_twice() {
    check_each(|name, members, shards| {
        let listed: Vec<_> = nodes(shards).map(|node| node.id).collect();
        assert_eq!(listed.len(), members.len(), "{name}");
        assert_eq!(listed.iter().collect::<BTreeSet<_>>(), members.keys().collect(), "{name}");
    });
}

#[test]
fn roles_and_endpoints_agree() {
    check_each(|name, members, shards| {
        for node in nodes(shards) {
            let entry = &members[&node.id];
            assert_eq!(node.primary, entry.is_primary(), "{name}");
            assert_eq!(node.port, Some(entry.endpoint.port).filter(|port| *port != 0), "{name}");
            assert_eq!(node.tls_port, None, "{name}");
            let host = entry.endpoint.host.as_ref().map(ToString::to_string).unwrap_or_default();
            assert_eq!(node.ip, host, "{name}");
        }
    });
}

#[test]
fn the_slots_of_a_shard_are_those_of_its_one_primary_that_owns_any() {
    check_each(|name, members, shards| {
        for shard in shards {
            let owners: Vec<_> =
                shard.nodes.iter().map(|node| &members[&node.id]).filter(|entry| !entry.slots.is_empty()).collect();
            match owners[..] {
                [] => assert!(shard.slots.is_empty(), "{name}"),
                [owner] => {
                    assert_eq!(shard.slots, owner.slots, "{name}");
                    let replicas = shard.nodes.iter().filter(|node| !node.primary);
                    assert!(
                        replicas.clone().all(|replica| members[&replica.id].primary == Some(owner.id)),
                        "{name}: the replicas of the shard follow it"
                    );
                }
                _ => panic!("{name}: {owners:?}"),
            }
        }
        let all = shards.iter().fold(SlotSet::new(), |all, shard| all.union(&shard.slots));
        let owned = members.values().fold(SlotSet::new(), |all, entry| all.union(&entry.slots));
        assert_eq!(all, owned, "{name}");
    });
}

#[test]
fn a_failed_node_is_not_healthy_and_a_suspected_one_still_is() {
    check_each(|name, members, shards| {
        for node in nodes(shards) {
            let failed = members[&node.id].flags.has(&Flag::Failing);
            assert_eq!(node.health == Health::Failed, failed, "{name}");
            assert_ne!(node.health, Health::Unknown, "{name}");
        }
    });
}

#[test]
fn after_a_failover_a_shard_may_name_two_primaries_but_only_one_that_is_well() {
    let mut both = BTreeSet::new();
    for recorded in recorded::each_engine("failed-over") {
        for (_, said) in recorded.answers() {
            for shard in said.shards() {
                let primaries = shard.nodes.iter().filter(|node| node.primary);
                let online = primaries.clone().filter(|node| node.health == Health::Online).count();
                assert!(online <= 1, "{}", recorded.name);
                if primaries.count() == 2 {
                    both.insert(recorded.engine);
                }
            }
        }
    }
    assert_eq!(
        both,
        ["redis-8.0", "redis-8.6", "valkey-8.1", "valkey-9.1"].into(),
        "Redis 7.0 makes it a shard of its own"
    );
}

#[test]
fn valkey_9_1_tells_every_nodes_zone() {
    for recorded in recorded::each_engine("named") {
        for (_, said) in recorded.answers() {
            let shards = said.shards();
            let zones = nodes(&shards).filter(|node| node.zone.is_some()).count();
            assert_eq!(zones, if recorded.engine == "valkey-9.1" { 6 } else { 0 }, "{}", recorded.name);
            for node in nodes(&shards).filter(|node| node.zone.is_some()) {
                let own = recorded.said(node.port.unwrap()).view().server.zone;
                assert_eq!(node.zone, own, "{}", recorded.name);
            }
        }
    }
}

#[test]
fn a_server_tells_one_replication_offset() {
    for recorded in recorded::each_engine("open-slots") {
        for (_, said) in recorded.answers() {
            let view = said.view();
            let shards = said.shards();
            let own = nodes(&shards).find(|node| node.id == view.myself.id).unwrap();
            assert_eq!(Some(own.replication_offset), view.server.replication_offset, "{}", recorded.name);
        }
    }
}
