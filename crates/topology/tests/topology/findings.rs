//! Every kind of finding: it comes when it should, stays away when not, and says what a person needs.

mod agreement;
mod coverage;
mod health;
mod redundancy;
mod wording;

use crate::hand::six;
use topology::{
    ClusterView,
    findings::{Finding, FindingCode, check, healthy},
};

/// The findings of this kind.
fn of(code: FindingCode, view: &ClusterView) -> Vec<Finding> {
    check(view).into_iter().filter(|finding| finding.code == code).collect()
}

/// The one finding of this kind.
fn one(code: FindingCode, view: &ClusterView) -> Finding {
    let [finding] = &of(code, view)[..] else { panic!("not one {code:?}: {:?}", check(view)) };
    finding.clone()
}

fn texts(finding: &Finding) -> (&str, &str, &str) {
    (&finding.what, finding.why.as_deref().unwrap_or_default(), finding.remedy.as_deref().unwrap_or_default())
}

fn nodes(finding: &Finding) -> Vec<String> {
    finding.nodes.iter().map(ToString::to_string).collect()
}

/// A view for each kind of finding that `check` makes, in which it is found.
fn examples() -> Vec<(FindingCode, ClusterView)> {
    vec![
        (FindingCode::SlotsUncovered, coverage::one_slot_uncovered()),
        (FindingCode::SlotsWithSeveralOwners, coverage::two_owners()),
        (FindingCode::SlotsOpen, coverage::two_slots_on_the_move()),
        (FindingCode::SlotMapsDiffer, agreement::one_node_behind()),
        (FindingCode::NodesUnknownToOthers, agreement::one_node_does_not_know_another()),
        (FindingCode::RolesDiffer, agreement::a_replica_taken_for_anothers()),
        (FindingCode::EpochCollision, agreement::two_primaries_of_one_epoch()),
        (FindingCode::NodeUnreachable, health::a_silent_replica()),
        (FindingCode::NodeFailing, health::a_primary_that_others_do_not_reach()),
        (FindingCode::ClusterStateDown, health::one_node_does_not_serve()),
        (FindingCode::ReplicaLinkDown, health::a_replica_without_link()),
        (FindingCode::ReplicaOfUnknownPrimary, health::a_replica_of_a_stranger()),
        (FindingCode::ShardWithoutReplica, redundancy::a_shard_without_replica()),
        (FindingCode::ShardOnOneHost, redundancy::a_shard_on_one_host()),
        (FindingCode::ShardInOneZone, redundancy::a_shard_in_one_zone()),
        (FindingCode::TooFewPrimaries, redundancy::two_primaries()),
    ]
}

#[test]
fn there_is_an_example_of_every_kind_and_it_is_found() {
    let schema = serde_json::to_value(schemars::schema_for!(FindingCode)).unwrap();
    let mut untried: Vec<&str> =
        schema["oneOf"].as_array().unwrap().iter().map(|kind| kind["const"].as_str().unwrap()).collect();
    for (code, view) in examples() {
        assert!(!of(code, &view).is_empty(), "{code:?}");
        let name = serde_json::to_value(code).unwrap();
        untried.retain(|untried| name != *untried);
    }
    let asked_for = ["keys-outside-their-owner", "node-timeouts-differ"];
    assert_eq!(untried, asked_for, "found by asking nodes for more than a view");
}

#[test]
fn nothing_is_found_in_a_healthy_cluster() {
    assert_eq!(check(&six()), []);
}

#[test]
fn nothing_is_found_where_nothing_was_looked_at() {
    assert_eq!(check(&ClusterView::default()), []);
}

#[test]
fn problems_come_first_and_only_they_make_a_cluster_unhealthy() {
    for (code, view) in examples() {
        let findings = check(&view);
        assert!(findings.is_sorted_by_key(|finding| finding.severity), "{code:?}");
        let is_warning =
            matches!(code, FindingCode::ShardOnOneHost | FindingCode::ShardInOneZone | FindingCode::TooFewPrimaries);
        assert_eq!(healthy(&findings), is_warning, "{code:?}: {findings:?}");
    }
}
