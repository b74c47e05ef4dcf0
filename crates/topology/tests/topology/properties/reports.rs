//! Reports: whole, and the same after they were written down.

use crate::recorded;
use topology::{
    ClusterView,
    findings::Severity,
    report::{CheckReport, ClusterReport},
};

/// Asserts that a report leaves out no node, and that a check counts what it lists.
pub(super) fn assert_whole(view: &ClusterView) {
    let report = ClusterReport::new(view);
    assert_eq!(report.nodes().count(), view.nodes.len());
    assert!(report.slots_served <= 16384);
    for shard in &report.shards {
        assert_eq!(shard.slots.len(), shard.slot_count);
    }
    let check = CheckReport::new(view, Vec::new());
    assert_eq!(check.findings, report.findings);
    assert_eq!(check.healthy, check.findings.iter().all(|finding| finding.severity != Severity::Problem));
    assert!(check.findings.is_sorted_by_key(|finding| finding.severity));
    assert!(check.nodes_answering <= check.nodes);
}

/// Asserts that both reports are the same after they were written as JSON and read again.
pub(super) fn round_trip(view: &ClusterView) {
    let report = ClusterReport::new(view);
    let text = serde_json::to_string(&report).unwrap();
    let read: ClusterReport = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
    assert_eq!(read, report);

    let check = CheckReport::new(view, Vec::new());
    let text = serde_json::to_string(&check).unwrap();
    assert_eq!(serde_json::from_str::<CheckReport>(&text).unwrap(), check);
}

#[test]
fn reports_of_recorded_clusters_are_whole_and_the_same_when_read_again() {
    for recorded in recorded::all() {
        assert_whole(&recorded.view());
        round_trip(&recorded.view());
    }
}

#[test]
fn a_report_of_a_healthy_cluster_has_the_form_that_programs_read() {
    let mut report = ClusterReport::new(&crate::hand::six());
    report.shards.truncate(1);
    insta::assert_json_snapshot!("cluster-report", report);
}

#[test]
fn a_report_of_a_cluster_in_trouble_has_the_form_that_programs_read() {
    let mut view = crate::hand::six();
    crate::hand::silence(&mut view, 5);
    insta::assert_json_snapshot!("check-report", CheckReport::new(&view, Vec::new()));
}
