//! Whether the cluster can stand the next loss.

use super::{nodes, of, one, texts};
use crate::hand::{Node, id, own, said, silence, six, six_nodes, view};
use topology::{
    ClusterView,
    findings::{FindingCode, Severity, check, healthy},
};

pub(super) fn a_shard_without_replica() -> ClusterView {
    view(&six_nodes()[..5])
}

pub(super) fn a_shard_on_one_host() -> ClusterView {
    let mut nodes = six_nodes();
    nodes[3].address = "10.0.0.1:7001".to_owned();
    view(&nodes)
}

pub(super) fn a_shard_in_one_zone() -> ClusterView {
    zoned(["a", "b", "c", "a", "c", "a"])
}

pub(super) fn two_primaries() -> ClusterView {
    view(&[
        Node::primary("10.0.0.1:7000", "0-8191"),
        Node::primary("10.0.0.2:7000", "8192-16383"),
        Node::replica("10.0.0.3:7000", 0),
        Node::replica("10.0.0.4:7000", 1),
    ])
}

fn zoned(zones: [&str; 6]) -> ClusterView {
    view(&six_nodes().into_iter().zip(zones).map(|(node, zone)| node.in_zone(zone)).collect::<Vec<_>>())
}

fn on_hosts(hosts: [&str; 6]) -> ClusterView {
    let mut nodes = six_nodes();
    for (at, (node, host)) in nodes.iter_mut().zip(hosts).enumerate() {
        node.address = format!("{host}:{}", 7000 + at);
    }
    view(&nodes)
}

#[test]
fn a_shard_without_replica_is_told_with_the_command_that_adds_one() {
    let finding = one(FindingCode::ShardWithoutReplica, &a_shard_without_replica());
    let (what, why, remedy) = texts(&finding);
    let shard = "the shard of 10.0.0.3:7000 (slots 10923-16383)";
    assert_eq!(what, format!("{shard} has no replica: losing 10.0.0.3:7000 loses its data"));
    assert_eq!(why, "no node follows it");
    assert_eq!(remedy, format!("tribune add-node NEW 10.0.0.1:7000 --replica-of {}", id(2).short()));
    assert_eq!(finding.severity, Severity::Problem);
    assert_eq!((nodes(&finding), finding.slots.to_string()), (vec!["10.0.0.3:7000".into()], "10923-16383".into()));
}

#[test]
fn a_replica_that_does_not_answer_or_has_no_link_is_none() {
    let mut silent = six();
    silence(&mut silent, 5);
    let mut unlinked = six();
    said(&mut unlinked, 5).server.primary_link_up = Some(false);
    let another = format!("tribune add-node NEW 10.0.0.1:7000 --replica-of {}", id(2).short());
    for (view, remedy) in [(silent, "start 10.0.0.6:7000 again"), (unlinked, "mend 10.0.0.6:7000 first")] {
        let finding = one(FindingCode::ShardWithoutReplica, &view);
        let (_, why, told) = texts(&finding);
        assert_eq!(why, "10.0.0.6:7000 follows it, but is not in service");
        assert_eq!(told, format!("{remedy}, or: {another}"));
    }
}

#[test]
fn one_of_two_replicas_is_enough() {
    let mut nodes = six_nodes().to_vec();
    nodes.push(Node::replica("10.0.0.7:7000", 2));
    let mut view = view(&nodes);
    silence(&mut view, 5);
    assert_eq!(of(FindingCode::ShardWithoutReplica, &view), []);
}

#[test]
fn a_shard_whose_primary_is_down_has_worse_to_tell_than_its_replicas() {
    let mut view = six();
    silence(&mut view, 0);
    said(&mut view, 3).server.primary_link_up = Some(false);
    assert!(check(&view).iter().all(|finding| finding.code != FindingCode::ShardWithoutReplica));
}

#[test]
fn a_cluster_made_without_replicas_is_warned_about_and_healthy() {
    let findings = check(&view(&six_nodes()[..3]));
    assert_eq!(findings.len(), 3, "one for each shard: {findings:?}");
    assert!(findings.iter().all(|finding| finding.code == FindingCode::ShardWithoutReplica));
    assert!(findings.iter().all(|finding| finding.severity == Severity::Warning));
    assert!(healthy(&findings));
}

#[test]
fn a_primary_without_slots_needs_no_replica() {
    let mut nodes = six_nodes().to_vec();
    nodes.push(Node::primary("10.0.0.7:7000", ""));
    assert_eq!(check(&view(&nodes)), []);
}

#[test]
fn a_shard_on_one_host_is_warned_about_where_there_are_others() {
    let finding = one(FindingCode::ShardOnOneHost, &a_shard_on_one_host());
    assert_eq!(finding.what, "all members of the shard of 10.0.0.1:7000 are on host 10.0.0.1");
    assert_eq!(nodes(&finding), ["10.0.0.1:7000", "10.0.0.1:7001"]);
    assert_eq!(check(&a_shard_on_one_host()).len(), 1);
    let another = format!("tribune add-node NEW 10.0.0.1:7000 --replica-of {}", id(0).short());
    let remedy = format!("add a replica elsewhere: {another}");
    assert_eq!(finding.remedy.as_deref(), Some(remedy.as_str()));
}

#[test]
fn six_nodes_on_one_host_are_not_warned_about() {
    assert_eq!(check(&on_hosts(["127.0.0.1"; 6])), []);
}

#[test]
fn the_name_under_which_a_host_was_dialled_makes_no_second_host() {
    let mut view = on_hosts(["127.0.0.1"; 6]);
    view.nodes[0].address = "localhost:7000".parse().unwrap();
    assert_eq!(check(&view), []);
}

#[test]
fn a_shard_on_one_host_and_so_in_one_zone_is_told_once() {
    let mut nodes = six_nodes();
    nodes[3].address = "10.0.0.1:7001".to_owned();
    let zones = ["a", "b", "c", "a", "c", "a"];
    let zoned: Vec<_> = nodes.into_iter().zip(zones).map(|(node, zone)| node.in_zone(zone)).collect();
    let codes: Vec<_> = check(&view(&zoned)).iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [FindingCode::ShardOnOneHost]);
}

#[test]
fn a_shard_in_one_zone_is_warned_about_where_there_are_others() {
    let finding = one(FindingCode::ShardInOneZone, &a_shard_in_one_zone());
    assert_eq!(finding.what, "all members of the shard of 10.0.0.1:7000 are in zone a");
    assert_eq!(nodes(&finding), ["10.0.0.1:7000", "10.0.0.4:7000"]);
    assert_eq!(check(&zoned(["a"; 6])), [], "there is no other zone");
    assert_eq!(check(&zoned(["a", "b", "c", "b", "c", "a"])), []);
}

#[test]
fn a_zone_that_is_not_known_is_not_the_same_zone() {
    let mut view = a_shard_in_one_zone();
    said(&mut view, 3).server.zone = None;
    assert_eq!(of(FindingCode::ShardInOneZone, &view), []);
}

#[test]
fn fewer_than_three_primaries_are_warned_about() {
    let finding = one(FindingCode::TooFewPrimaries, &two_primaries());
    assert_eq!(finding.what, "only 2 primaries with slots: no automatic failover");
    assert_eq!(finding.severity, Severity::Warning);
    let one_primary = view(&[Node::primary("10.0.0.1:7000", "0-16383"), Node::replica("10.0.0.2:7000", 0)]);
    let what = one(FindingCode::TooFewPrimaries, &one_primary).what;
    assert_eq!(what, "only 1 primary with slots: no automatic failover");
    let add = "add 2 more nodes, before the slots can be spread: tribune add-node NEW 10.0.0.1:7000";
    assert_eq!(finding.remedy.as_deref(), Some(add));
    let mut nodes = six_nodes();
    nodes[1].slots = "5461-16383".parse().unwrap();
    nodes[2].slots = topology::SlotSet::new();
    let finding = one(FindingCode::TooFewPrimaries, &view(&nodes));
    assert_eq!(finding.remedy.as_deref(), Some("tribune scale 10.0.0.1:7000 --shards 3"));
}

#[test]
fn a_primary_without_slots_has_no_vote() {
    let mut nodes = six_nodes().to_vec();
    nodes[2].slots = topology::SlotSet::new();
    let mut view = view(&nodes);
    own(&mut view, 1, "5461-16383");
    assert_eq!(of(FindingCode::TooFewPrimaries, &view).len(), 1);
}

#[test]
fn without_replicas_there_is_no_failover_to_miss() {
    let single = view(&[Node::primary("10.0.0.1:7000", "0-16383")]);
    assert_eq!(of(FindingCode::TooFewPrimaries, &single), []);
}
