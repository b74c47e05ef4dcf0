//! What is found in recorded clusters that have lost a node: what the loss demands, and nothing else.

use crate::{
    recorded::{self, Recorded},
    states::{Found, found, problem},
};
use topology::{
    ClusterView, SlotSet,
    findings::{FindingCode, check, healthy},
};

/// The replica of the node on this port, by the replica's own words; the node may be silent.
fn replica_of(recorded: &Recorded, primary: u16) -> u16 {
    let view = recorded.view();
    let id = view.nodes.iter().find(|node| node.address.port == primary).unwrap().id;
    let mut replicas = recorded.answers().filter(|(_, said)| said.view().myself.primary == id);
    replicas.next().unwrap().0
}

/// The node that owns slot 0 by most accounts.
fn owner_of_first(view: &ClusterView) -> u16 {
    let shards = view.shards();
    shards.first().unwrap().primary.node.address.port
}

#[test]
fn a_paused_primary_is_unreachable_and_its_slots_are_still_known() {
    for recorded in recorded::each_engine("suspected") {
        let findings = check(&recorded.view());
        assert_eq!(found(&findings), [problem(FindingCode::NodeUnreachable, [7001], "")], "{}", recorded.name);
        let why = findings[0].why.clone().unwrap();
        assert!(why.contains("of 5 nodes suspect it; last heard of "), "{}: {why}", recorded.name);
        assert_eq!(recorded.view().served(), SlotSet::all(), "{}", recorded.name);
    }
}

#[test]
fn without_a_majority_nobody_serves() {
    for recorded in recorded::each_engine("minority") {
        let findings = check(&recorded.view());
        let expected = [
            problem(FindingCode::NodeUnreachable, [7001], ""),
            problem(FindingCode::NodeUnreachable, [7002], ""),
            problem(FindingCode::ClusterStateDown, [7003, 7004, 7005, 7006], ""),
        ];
        assert_eq!(found(&findings), expected, "{}", recorded.name);
        assert_eq!(findings[2].what, "none of 4 nodes serves: their cluster_state is fail");
    }
}

#[test]
fn a_primary_that_was_just_killed_leaves_a_replica_without_link() {
    for recorded in recorded::each_engine("killed") {
        let findings = check(&recorded.view());
        let expected = [
            problem(FindingCode::NodeUnreachable, [7001], ""),
            problem(FindingCode::ReplicaLinkDown, [replica_of(&recorded, 7001), 7001], ""),
        ];
        assert_eq!(found(&findings), expected, "{}", recorded.name);
        assert_eq!(findings[1].why.as_deref(), Some("its primary does not answer"));
    }
}

#[test]
fn after_a_failover_the_shard_is_served_without_replica() {
    for recorded in recorded::each_engine("failed-over") {
        let view = recorded.view();
        let findings = check(&view);
        let expected = [
            problem(FindingCode::NodeUnreachable, [7001], ""),
            problem(FindingCode::ShardWithoutReplica, [owner_of_first(&view)], "0-5460"),
        ];
        assert_eq!(found(&findings), expected, "{}", recorded.name);
        assert!(findings[0].why.as_ref().unwrap().starts_with("5 of 5 nodes call it failed; last heard of "));
    }
}

#[test]
fn a_replica_that_lost_its_id_is_missed() {
    for recorded in recorded::each_engine("noaddr") {
        let view = recorded.view_without(7001);
        let expected = [problem(FindingCode::ShardWithoutReplica, [owner_of_first(&view)], "0-5460")];
        assert_eq!(found(&check(&view)), expected, "{}", recorded.name);
    }
}

#[test]
fn a_replica_that_lost_its_id_and_claims_the_slots_of_its_keys_is_found_out() {
    const KEYS: &str = "119 243 507 1161 1285 1409 2592 2724 2856 4182 4306 4570 5288 5412";
    for recorded in recorded::each_engine("noaddr") {
        let findings = check(&recorded.view());
        let of = |code| found(&findings).into_iter().filter(|found| found.0 == code).collect::<Vec<_>>();
        let [(_, _, mut claimants, slots)] = <[Found; 1]>::try_from(of(FindingCode::SlotsWithSeveralOwners)).unwrap();
        claimants.sort_unstable();
        assert_eq!(claimants, [7001, owner_of_first(&recorded.view_without(7001))], "{}", recorded.name);
        assert_eq!(slots, KEYS);
        assert_eq!(of(FindingCode::SlotMapsDiffer)[0].2, [7001]);
        assert_eq!(of(FindingCode::NodesUnknownToOthers).len(), 1, "it and the others: one line");
        assert_eq!(of(FindingCode::ClusterStateDown), [problem(FindingCode::ClusterStateDown, [7001], "")]);
        assert!(!healthy(&findings));
    }
}
