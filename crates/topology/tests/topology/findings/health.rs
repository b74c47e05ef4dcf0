//! Nodes: reachable, in the eyes of the others too, serving, linked.

use super::{nodes, of, one, texts};
use crate::hand::{CLOCK_SECONDS, entry, flag, id, said, silence, six};
use topology::{ClusterView, ObservedNode, Silence, findings::FindingCode};

pub(super) fn a_silent_replica() -> ClusterView {
    let mut view = six();
    silence(&mut view, 4);
    view
}

pub(super) fn a_primary_that_others_do_not_reach() -> ClusterView {
    let mut view = six();
    flag(&mut view, 1, "master,fail", &[2]);
    view
}

pub(super) fn one_node_does_not_serve() -> ClusterView {
    let mut view = six();
    said(&mut view, 5).cluster.state_ok = false;
    view
}

pub(super) fn a_replica_without_link() -> ClusterView {
    let mut view = six();
    let server = &mut said(&mut view, 4).server;
    (server.primary_link_up, server.primary_link_down_seconds) = (Some(false), Some(12));
    view
}

pub(super) fn a_replica_of_a_stranger() -> ClusterView {
    let mut view = six();
    said(&mut view, 4).myself.primary = Some(id(8));
    view
}

#[test]
fn a_silent_node_is_told_with_the_reason_and_what_others_say_of_it() {
    let mut view = a_silent_replica();
    for witness in [0, 1, 2, 3, 5] {
        entry(&mut view, witness, 4).pong_received = (CLOCK_SECONDS - 30) * 1000;
    }
    entry(&mut view, 2, 4).pong_received = (CLOCK_SECONDS - 4) * 1000;
    let finding = one(FindingCode::NodeUnreachable, &view);
    let (what, why, remedy) = texts(&finding);
    assert_eq!(what, "10.0.0.5:7000 refuses connections: nothing listens on this port");
    assert_eq!(why, "none of 5 nodes calls it failed; last heard of 4 s ago");
    assert_eq!(remedy, "see whether the server runs and listens there, and look at its log");
    assert_eq!(nodes(&finding), ["10.0.0.5:7000"]);

    flag(&mut view, 4, "slave,fail?", &[0, 1]);
    let why = one(FindingCode::NodeUnreachable, &view).why.unwrap();
    assert_eq!(why, "3 of 5 nodes suspect it; last heard of 4 s ago");
    flag(&mut view, 4, "slave,fail", &[0, 1, 2]);
    let why = one(FindingCode::NodeUnreachable, &view).why.unwrap();
    assert_eq!(why, "2 of 5 nodes call it failed; last heard of 4 s ago");
}

#[test]
fn nothing_is_said_of_when_a_node_was_heard_of_that_never_was() {
    let mut view = a_silent_replica();
    for witness in [0, 1, 2, 3, 5] {
        entry(&mut view, witness, 4).pong_received = 0;
    }
    assert_eq!(one(FindingCode::NodeUnreachable, &view).why.unwrap(), "none of 5 nodes calls it failed");
}

#[test]
fn a_clock_that_goes_backwards_makes_no_large_number() {
    let mut view = a_silent_replica();
    for witness in [0, 1, 2, 3, 5] {
        entry(&mut view, witness, 4).pong_received = (CLOCK_SECONDS + 9) * 1000;
    }
    let why = one(FindingCode::NodeUnreachable, &view).why.unwrap();
    assert_eq!(why, "none of 5 nodes calls it failed; last heard of 0 s ago");
}

#[test]
fn an_address_that_nobody_knows_is_told_without_guesses() {
    let mut view = six();
    let said = Err(Silence {
        reason: "has a host name that does not resolve: later".into(),
        advice: None,
        answers: false,
        progress: None,
    });
    view.nodes.push(ObservedNode { address: "db.example:7000".parse().unwrap(), id: None, said });
    let finding = one(FindingCode::NodeUnreachable, &view);
    assert_eq!(finding.what, "db.example:7000 has a host name that does not resolve: later");
    assert_eq!((finding.why, finding.remedy), (None, None));
}

#[test]
fn a_node_that_only_others_do_not_reach_is_failing_and_not_unreachable() {
    let view = a_primary_that_others_do_not_reach();
    let finding = one(FindingCode::NodeFailing, &view);
    let (what, why, remedy) = texts(&finding);
    assert_eq!(what, "10.0.0.2:7000 answers here, but 4 of 5 nodes do not reach it");
    assert_eq!(why, "4 of 5 nodes call it failed; last heard of 0 s ago");
    assert!(remedy.contains("its cluster bus (port 17000)"), "{remedy}");
    assert_eq!(nodes(&finding), ["10.0.0.2:7000"]);
    assert_eq!(of(FindingCode::NodeUnreachable, &view), []);
}

#[test]
fn suspicion_and_certainty_count_together_and_silence_only_once() {
    let mut view = six();
    flag(&mut view, 1, "master,fail?", &[2, 3]);
    entry(&mut view, 3, 1).flags = "master,fail".parse().unwrap();
    let what = "10.0.0.2:7000 answers here, but 4 of 5 nodes do not reach it";
    assert_eq!(one(FindingCode::NodeFailing, &view).what, what);
    silence(&mut view, 1);
    assert_eq!(of(FindingCode::NodeFailing, &view), []);
}

#[test]
fn nodes_that_do_not_serve_are_counted_and_named() {
    let mut view = one_node_does_not_serve();
    let finding = one(FindingCode::ClusterStateDown, &view);
    assert_eq!(finding.what, "10.0.0.6:7000 does not serve: its cluster_state is fail");
    assert_eq!(nodes(&finding), ["10.0.0.6:7000"]);

    said(&mut view, 0).cluster.state_ok = false;
    let what = "2 of 6 nodes do not serve, their cluster_state is fail: 10.0.0.1:7000, 10.0.0.6:7000";
    assert_eq!(one(FindingCode::ClusterStateDown, &view).what, what);

    (0..6).for_each(|at| said(&mut view, at).cluster.state_ok = false);
    let finding = one(FindingCode::ClusterStateDown, &view);
    assert_eq!(finding.what, "none of 6 nodes serves: their cluster_state is fail");
    assert_eq!(nodes(&finding).len(), 6);
}

#[test]
fn a_replica_without_link_is_told_with_its_primary_and_since_when() {
    let mut view = a_replica_without_link();
    let finding = one(FindingCode::ReplicaLinkDown, &view);
    let (what, why, remedy) = texts(&finding);
    assert_eq!(what, "10.0.0.5:7000 has no link to its primary 10.0.0.2:7000");
    assert_eq!(why, "the link has been down for 12 s");
    assert!(remedy.contains("masterauth"));
    assert_eq!(nodes(&finding), ["10.0.0.5:7000", "10.0.0.2:7000"]);

    said(&mut view, 4).server.sync_in_progress = true;
    assert_eq!(one(FindingCode::ReplicaLinkDown, &view).why.unwrap(), "it is reading the primary's data now");
    let server = &mut said(&mut view, 4).server;
    (server.sync_in_progress, server.primary_link_down_seconds) = (false, None);
    assert_eq!(one(FindingCode::ReplicaLinkDown, &view).why.unwrap(), "the link was never up");
}

#[test]
fn a_replica_that_does_not_tell_of_its_link_is_believed() {
    let mut view = six();
    said(&mut view, 4).server.primary_link_up = None;
    assert_eq!(of(FindingCode::ReplicaLinkDown, &view), []);
}

#[test]
fn a_replica_of_a_node_outside_the_cluster_is_told_with_that_nodes_id() {
    let finding = one(FindingCode::ReplicaOfUnknownPrimary, &a_replica_of_a_stranger());
    let (what, why, remedy) = texts(&finding);
    assert_eq!(what, "10.0.0.5:7000 follows a node that is not of this cluster");
    assert_eq!(why, format!("its primary is {}", id(8)));
    assert_eq!(remedy, "redis-cli -h 10.0.0.5 -p 7000 CLUSTER REPLICATE ID-OF-A-PRIMARY");
    assert_eq!(nodes(&finding), ["10.0.0.5:7000"]);
    assert_eq!(of(FindingCode::ReplicaLinkDown, &a_replica_of_a_stranger()), []);
}

#[test]
fn a_replica_of_a_silent_primary_follows_a_known_one() {
    let mut view = six();
    silence(&mut view, 1);
    assert_eq!(of(FindingCode::ReplicaOfUnknownPrimary, &view), []);
}
