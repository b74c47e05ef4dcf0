//! What is found in recorded clusters whose nodes are all there: what the state demands, and nothing else.

use crate::recorded::{self, Recorded};
use topology::{
    findings::{Finding, FindingCode, Severity, check},
    report::CheckReport,
};

/// A finding without its words: code, severity, ports of the nodes, slots.
pub(crate) type Found = (FindingCode, Severity, Vec<u16>, String);

pub(crate) fn found(findings: &[Finding]) -> Vec<Found> {
    let ports = |finding: &Finding| finding.nodes.iter().map(|node| node.port).collect();
    findings.iter().map(|finding| (finding.code, finding.severity, ports(finding), finding.slots.to_string())).collect()
}

pub(crate) fn problem(code: FindingCode, nodes: impl Into<Vec<u16>>, slots: &str) -> Found {
    (code, Severity::Problem, nodes.into(), slots.to_owned())
}

#[test]
fn nothing_is_wrong_with_a_healthy_cluster_whatever_its_names_databases_and_handshakes() {
    let handshake = recorded::each_engine("handshake");
    let healthy_ones = recorded::each_engine("healthy").chain(recorded::each_engine("named")).chain(handshake);
    for recorded in healthy_ones.chain([Recorded::read("valkey-9.1", "databases")]) {
        assert_eq!(check(&recorded.view()), [], "{}", recorded.name);
        let report = CheckReport::new(&recorded.view(), Vec::new());
        assert!(report.healthy && report.nodes == 6 && report.nodes_answering == 6 && report.slots_served == 16384);
    }
}

#[test]
fn a_fresh_server_serves_nothing() {
    for recorded in recorded::each_engine("fresh") {
        let findings = check(&recorded.view_of_one(7001));
        let expected =
            [problem(FindingCode::SlotsUncovered, [], "0-16383"), problem(FindingCode::ClusterStateDown, [7001], "")];
        assert_eq!(found(&findings), expected, "{}", recorded.name);
        assert_eq!(findings[0].what, "no slot is served: the nodes hold no cluster yet");
    }
}

#[test]
fn open_slots_are_found_once_though_replicas_repeat_them() {
    for recorded in recorded::each_engine("open-slots") {
        let findings = check(&recorded.view());
        let whats: Vec<&str> = findings.iter().map(|finding| finding.what.as_str()).collect();
        let migrating = "migrating from 127.0.0.1:7001 to 127.0.0.1:7002";
        assert_eq!(
            whats,
            [
                format!("slot 0 is open: {migrating}, importing on 127.0.0.1:7002"),
                format!("slot 1 is open: {migrating}")
            ],
            "{}",
            recorded.name
        );
    }
}

#[test]
fn slots_that_their_owner_gave_up_are_uncovered_and_disagreed_about() {
    for recorded in recorded::each_engine("disagreement") {
        let findings = check(&recorded.view());
        let expected = [
            problem(FindingCode::SlotsUncovered, [], "100-102"),
            problem(FindingCode::SlotMapsDiffer, [7001], "100-102"),
            problem(FindingCode::ClusterStateDown, [7001], ""),
        ];
        assert_eq!(found(&findings), expected, "{}", recorded.name);
        assert_eq!(findings[1].what, "127.0.0.1:7001 disagrees with 5 nodes about slots 100-102");
        let why = "slot 100 is nobody's for them, 127.0.0.1:7001's for the others";
        assert_eq!(findings[1].why.as_deref(), Some(why));
    }
}

#[test]
fn slots_that_nobody_owns_stop_all_nodes() {
    for recorded in recorded::each_engine("uncovered") {
        let findings = check(&recorded.view());
        let expected = [
            problem(FindingCode::SlotsUncovered, [], "100-102"),
            problem(FindingCode::ClusterStateDown, [7001, 7002, 7003, 7004, 7005, 7006], ""),
        ];
        assert_eq!(found(&findings), expected, "{}", recorded.name);
        assert_eq!(findings[0].what, "3 slots of 16384 not served: slots 100-102");
        assert_eq!(findings[0].remedy.as_deref(), Some("tribune fix 127.0.0.1:7001"));
    }
}
