//! Slots: served, by one owner, none between two.

use super::{nodes, of, one, texts};
use crate::hand::{entry, flag, id, own, said, silence, six};
use std::collections::BTreeMap;
use topology::{
    ClusterView, Slot, SlotSet,
    findings::{FindingCode, StrayKeys, check, keys_outside_their_owner},
};

pub(super) fn one_slot_uncovered() -> ClusterView {
    let mut view = six();
    own(&mut view, 2, "10923-16382");
    view
}

pub(super) fn two_owners() -> ClusterView {
    let mut view = six();
    entry(&mut view, 1, 1).slots = "0 100 5461-10922".parse().unwrap();
    view
}

pub(super) fn two_slots_on_the_move() -> ClusterView {
    let mut view = six();
    for slot in [0, 1] {
        entry(&mut view, 0, 0).migrating.insert(Slot::new(slot).unwrap(), id(1));
        entry(&mut view, 1, 1).importing.insert(Slot::new(slot).unwrap(), id(0));
    }
    view
}

#[test]
fn a_slot_without_owner_is_named() {
    let finding = one(FindingCode::SlotsUncovered, &one_slot_uncovered());
    assert_eq!(finding.what, "1 slot of 16384 not served: slot 16383");
    assert_eq!(finding.slots.to_string(), "16383");
    assert_eq!(finding.remedy.as_deref(), Some("tribune fix 10.0.0.1:7000"));
}

#[test]
fn a_long_list_of_slots_is_cut_in_the_text_and_whole_in_the_data() {
    let mut view = six();
    let even = (5462..=10922).step_by(2).map(|slot| Slot::new(slot).unwrap()).collect::<SlotSet>();
    own(&mut view, 1, &even.to_string());
    let finding = one(FindingCode::SlotsUncovered, &view);
    let shown = "5461 5463 5465 5467 5469 5471 5473 5475";
    assert_eq!(finding.what, format!("2731 slots of 16384 not served: slots {shown} and 2723 more"));
    assert_eq!(finding.slots.len(), 2731);
}

#[test]
fn slots_of_a_silent_primary_are_known_to_be_its() {
    let mut view = six();
    silence(&mut view, 1);
    assert_eq!(of(FindingCode::SlotsUncovered, &view), []);
    assert_eq!(view.served(), SlotSet::all());
}

#[test]
fn slots_are_uncovered_when_the_owner_does_not_claim_them_whatever_the_others_think() {
    let mut view = six();
    entry(&mut view, 0, 0).slots = "1-5460".parse().unwrap();
    assert_eq!(one(FindingCode::SlotsUncovered, &view).slots.to_string(), "0");
}

#[test]
fn a_cluster_that_is_yet_to_be_made_is_not_a_list_of_16384_slots() {
    let mut view = six();
    (0..3).for_each(|primary| own(&mut view, primary, ""));
    assert_eq!(one(FindingCode::SlotsUncovered, &view).what, "no slot is served: the nodes hold no cluster yet");
}

#[test]
fn two_claims_to_slots_are_one_finding_with_both_claimants() {
    let finding = one(FindingCode::SlotsWithSeveralOwners, &two_owners());
    assert_eq!(finding.what, "slots 0 100 claimed by 2 nodes: 10.0.0.1:7000, 10.0.0.2:7000");
    assert_eq!(nodes(&finding), ["10.0.0.1:7000", "10.0.0.2:7000"]);
    assert_eq!(finding.slots.to_string(), "0 100");
    let remedy = "if it lasts: tribune fix 10.0.0.1:7000";
    assert_eq!(finding.remedy.as_deref(), Some(remedy));
}

#[test]
fn other_claimants_are_another_finding() {
    let mut view = two_owners();
    entry(&mut view, 2, 2).slots = "100 10923-16383".parse().unwrap();
    let findings = of(FindingCode::SlotsWithSeveralOwners, &view);
    let whats: Vec<_> = findings.iter().map(|finding| finding.what.as_str()).collect();
    assert_eq!(
        whats,
        [
            "slot 0 claimed by 2 nodes: 10.0.0.1:7000, 10.0.0.2:7000",
            "slot 100 claimed by 3 nodes: 10.0.0.1:7000, 10.0.0.2:7000, 10.0.0.3:7000"
        ]
    );
}

#[test]
fn what_others_believe_is_no_claim() {
    let mut view = six();
    entry(&mut view, 3, 1).slots = "0 5461-10922".parse().unwrap();
    assert_eq!(of(FindingCode::SlotsWithSeveralOwners, &view), []);
}

#[test]
fn both_ends_of_a_move_are_told_with_their_slots_together() {
    let finding = one(FindingCode::SlotsOpen, &two_slots_on_the_move());
    let what = "slots 0-1 are open: migrating from 10.0.0.1:7000 to 10.0.0.2:7000, importing on 10.0.0.2:7000";
    assert_eq!(finding.what, what);
    assert_eq!(nodes(&finding), ["10.0.0.1:7000", "10.0.0.2:7000"]);
    assert_eq!(finding.slots.to_string(), "0-1");
    let (_, why, remedy) = texts(&finding);
    assert!(why.contains("nothing is lost"));
    assert!(remedy.ends_with("tribune resume 10.0.0.1:7000"), "the move can go on: {remedy}");
}

#[test]
fn slots_that_no_move_can_close_are_for_fix() {
    let mut view = two_slots_on_the_move();
    silence(&mut view, 1);
    let finding = one(FindingCode::SlotsOpen, &view);
    let (what, why, remedy) = texts(&finding);
    assert_eq!(what, "slots 0-1 are open: migrating from 10.0.0.1:7000 to 10.0.0.2:7000");
    assert!(why.contains("but 10.0.0.2:7000 does not answer"), "{why}");
    let repair = "tribune fix 10.0.0.1:7000 --fix-with-unreachable-primaries";
    assert_eq!(remedy, format!("start 10.0.0.2:7000 again      or, where it is lost for good: {repair}"));
}

#[test]
fn a_slot_that_goes_to_a_stranger_is_told_with_the_strangers_id() {
    let mut view = six();
    entry(&mut view, 0, 0).migrating.insert(Slot::FIRST, id(8));
    let finding = one(FindingCode::SlotsOpen, &view);
    assert_eq!(finding.what, "slot 0 is open: migrating from 10.0.0.1:7000 to 00000000");
    assert_eq!(nodes(&finding), ["10.0.0.1:7000"]);
}

#[test]
fn a_replica_that_repeats_its_primarys_open_slots_adds_nothing() {
    let mut view = two_slots_on_the_move();
    let migrating = entry(&mut view, 0, 0).migrating.clone();
    let before = check(&view);
    said(&mut view, 3).myself.migrating = migrating;
    assert_eq!(check(&view), before);
}

#[test]
fn stray_keys_are_told_by_holder() {
    let keys = |slots: &str, elsewhere| StrayKeys { slots: slots.parse().unwrap(), elsewhere };
    let stray = BTreeMap::from([(id(0), keys("9000-9001", 0)), (id(1), keys("", 7)), (id(8), keys("5", 0))]);
    let findings = keys_outside_their_owner(&six(), &stray);
    let whats: Vec<_> = findings.iter().map(|finding| finding.what.as_str()).collect();
    assert_eq!(
        whats,
        [
            "10.0.0.1:7000 holds keys of 2 slots that it does not own: slots 9000-9001",
            "10.0.0.2:7000 holds 7 keys outside of its slots",
            "00000000 holds keys of 1 slot that it does not own: slot 5"
        ]
    );
    assert!(findings.iter().all(|finding| finding.code == FindingCode::KeysOutsideTheirOwner));
    assert_eq!((nodes(&findings[0]), findings[0].slots.len()), (vec!["10.0.0.1:7000".to_owned()], 2));
    assert_eq!(keys_outside_their_owner(&six(), &BTreeMap::new()), []);
}

#[test]
fn slots_of_a_lost_primary_without_successor_are_not_served() {
    let mut view = six();
    silence(&mut view, 1);
    assert_eq!(view.served().len(), 16384, "silent to us alone");
    flag(&mut view, 1, "master,fail", &[1]);
    assert_eq!(view.served().len(), 16384 - 5462);
    let finding = one(FindingCode::SlotsUncovered, &view);
    assert_eq!(
        texts(&finding),
        (
            "5462 slots of 16384 not served: slots 5461-10922",
            "their primary 10.0.0.2:7000 is lost, and no replica has taken over",
            "start 10.0.0.2:7000 again, or let its replica take over: tribune failover 10.0.0.5:7000 --force",
        )
    );
    assert_eq!(nodes(&finding), ["10.0.0.2:7000"]);
}

#[test]
fn nodes_without_any_slot_are_told_to_become_a_cluster_and_not_to_be_fixed() {
    let mut view = six();
    for at in 0..3 {
        own(&mut view, at, "");
    }
    let finding = one(FindingCode::SlotsUncovered, &view);
    assert_eq!(finding.what, "no slot is served: the nodes hold no cluster yet");
    assert!(finding.remedy.unwrap().contains("tribune create 10.0.0.1:7000"));
}
