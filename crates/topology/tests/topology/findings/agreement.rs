//! Whether the nodes say the same.

use super::{nodes, of, one, texts};
use crate::hand::{entry, flag, id, own, said, silence, six};
use std::{collections::BTreeMap, sync::Arc};
use topology::{
    ClusterView, NodeId,
    findings::{FindingCode, node_timeouts},
};

pub(super) fn one_node_behind() -> ClusterView {
    let mut view = six();
    entry(&mut view, 3, 0).slots = "0-5400".parse().unwrap();
    entry(&mut view, 3, 1).slots = "5401-10922".parse().unwrap();
    view
}

pub(super) fn one_node_does_not_know_another() -> ClusterView {
    let mut view = six();
    Arc::make_mut(&mut said(&mut view, 3).peers).retain(|entry| entry.id != id(1));
    view
}

pub(super) fn a_replica_taken_for_anothers() -> ClusterView {
    let mut view = six();
    entry(&mut view, 2, 4).primary = Some(id(0));
    view
}

pub(super) fn two_primaries_of_one_epoch() -> ClusterView {
    let mut view = six();
    entry(&mut view, 0, 0).config_epoch = 2;
    view
}

#[test]
fn the_node_with_another_slot_map_is_told_from_the_most() {
    let finding = one(FindingCode::SlotMapsDiffer, &one_node_behind());
    let (what, why, remedy) = texts(&finding);
    assert_eq!(what, "10.0.0.4:7000 disagrees with 5 nodes about slots 5401-5460");
    assert_eq!(why, "slot 5401 is 10.0.0.2:7000's for them, 10.0.0.1:7000's for the others");
    assert!(remedy.contains("cluster bus port"));
    assert_eq!((nodes(&finding), finding.slots.to_string().as_str()), (vec!["10.0.0.4:7000".into()], "5401-5460"));
}

#[test]
fn nodes_that_err_alike_are_one_finding() {
    let mut view = one_node_behind();
    entry(&mut view, 5, 0).slots = "0-5400".parse().unwrap();
    entry(&mut view, 5, 1).slots = "5401-10922".parse().unwrap();
    let what = one(FindingCode::SlotMapsDiffer, &view).what;
    assert_eq!(what, "10.0.0.4:7000, 10.0.0.6:7000 disagree with 4 nodes about slots 5401-5460");
}

#[test]
fn nodes_that_err_apart_are_findings_of_their_own() {
    let mut view = one_node_behind();
    entry(&mut view, 5, 0).slots = "1-5460".parse().unwrap();
    let findings = of(FindingCode::SlotMapsDiffer, &view);
    assert_eq!(findings.len(), 2);
    assert_eq!(findings[1].what, "10.0.0.6:7000 disagrees with 4 nodes about slot 0");
    assert_eq!(findings[1].why.as_deref(), Some("slot 0 is nobody's for them, 10.0.0.1:7000's for the others"));
}

#[test]
fn what_a_silent_node_may_believe_is_no_disagreement() {
    let mut view = one_node_behind();
    silence(&mut view, 3);
    assert_eq!(of(FindingCode::SlotMapsDiffer, &view), []);
}

#[test]
fn a_node_that_another_does_not_know_is_named() {
    let finding = one(FindingCode::NodesUnknownToOthers, &one_node_does_not_know_another());
    assert_eq!(finding.what, "10.0.0.4:7000 does not know 10.0.0.2:7000");
    assert_eq!(nodes(&finding), ["10.0.0.4:7000"]);
}

#[test]
fn a_handshake_is_no_acquaintance() {
    let mut view = six();
    entry(&mut view, 0, 4).flags = "handshake".parse().unwrap();
    entry(&mut view, 0, 5).flags = "handshake".parse().unwrap();
    let finding = one(FindingCode::NodesUnknownToOthers, &view);
    assert_eq!(finding.what, "10.0.0.1:7000 does not know 10.0.0.5:7000, 10.0.0.6:7000");
    assert_eq!(of(FindingCode::RolesDiffer, &view), [], "roles are not known in handshake");
}

#[test]
fn a_silent_node_need_not_be_known_to_all() {
    let mut view = one_node_does_not_know_another();
    silence(&mut view, 1);
    assert_eq!(of(FindingCode::NodesUnknownToOthers, &view), []);
}

#[test]
fn a_replica_that_is_taken_for_another_primarys_is_told_with_its_witness() {
    let finding = one(FindingCode::RolesDiffer, &a_replica_taken_for_anothers());
    let what = "10.0.0.5:7000 is a replica of 10.0.0.2:7000, which 10.0.0.3:7000 does not know yet";
    assert_eq!((finding.what.as_str(), nodes(&finding)), (what, vec!["10.0.0.5:7000".to_owned()]));
}

#[test]
fn a_primary_that_is_taken_for_a_replica_is_told_with_all_witnesses() {
    let mut view = six();
    for witness in [3, 5] {
        let entry = entry(&mut view, witness, 1);
        entry.flags = "slave".parse().unwrap();
        entry.primary = Some(id(0));
    }
    let finding = one(FindingCode::RolesDiffer, &view);
    assert_eq!(finding.what, "10.0.0.2:7000 is a primary, which 10.0.0.4:7000, 10.0.0.6:7000 do not know yet");
}

#[test]
fn a_role_is_the_same_with_further_flags() {
    let mut view = six();
    flag(&mut view, 4, "slave,fail?,nofailover", &[]);
    assert_eq!(of(FindingCode::RolesDiffer, &view), []);
}

#[test]
fn primaries_of_one_epoch_are_told_together() {
    let finding = one(FindingCode::EpochCollision, &two_primaries_of_one_epoch());
    assert_eq!(finding.what, "2 primaries have the same config epoch 2: 10.0.0.1:7000, 10.0.0.2:7000");
    assert_eq!(nodes(&finding), ["10.0.0.1:7000", "10.0.0.2:7000"]);
}

#[test]
fn a_replica_has_its_primarys_epoch_by_right() {
    let mut view = six();
    let epoch = entry(&mut view, 0, 0).config_epoch;
    assert_eq!(entry(&mut view, 3, 3).config_epoch, epoch);
    assert_eq!(of(FindingCode::EpochCollision, &view), []);
}

#[test]
fn a_slot_map_that_differs_only_in_what_nobody_owns_is_the_same() {
    let mut view = six();
    own(&mut view, 2, "10923-16382");
    assert_eq!(of(FindingCode::SlotMapsDiffer, &view), []);
}

#[test]
fn a_node_with_another_node_timeout_than_most_is_told_with_the_command_that_gives_it_theirs() {
    let view = six();
    let mut timeouts: BTreeMap<NodeId, u64> = (0..6).map(|at| (id(at), 15_000)).collect();
    assert_eq!(node_timeouts(&view, &timeouts), []);
    timeouts.insert(id(1), 5000);
    let [finding] = &node_timeouts(&view, &timeouts)[..] else { panic!("not one") };
    assert!(finding.what.ends_with("takes others for lost after 5000 ms, most nodes after 15000 ms"), "{finding:?}");
    assert!(finding.remedy.as_ref().unwrap().starts_with("tribune set-timeout "), "{finding:?}");
    assert_eq!(nodes(finding).len(), 1);
    // Nothing is said where nobody tells.
    assert_eq!(node_timeouts(&view, &BTreeMap::new()), []);
}
