//! What findings say can be read aloud, found again and pasted.

use super::{coverage, examples};
use crate::{
    hand::{Node, id, said, six, view},
    recorded,
};
use std::collections::{BTreeMap, BTreeSet};
use topology::{
    ClusterView, SlotSet,
    findings::{
        DoctorReport, Explanation, Finding, FindingCode, StrayKeys, check, explain, keys_outside_their_owner,
        node_timeouts,
    },
};

/// Every finding of every view in these tests.
fn every_finding() -> Vec<Finding> {
    let stray = BTreeMap::from([
        (id(0), StrayKeys { slots: SlotSet::all(), elsewhere: 0 }),
        (id(1), StrayKeys { slots: SlotSet::new(), elsewhere: 1 }),
    ]);
    let made = examples().into_iter().map(|(_, view)| view);
    let views: Vec<ClusterView> = made.chain(recorded::all().iter().map(recorded::Recorded::view)).collect();
    let timeouts = BTreeMap::from([(id(0), 5000), (id(1), 15_000), (id(2), 15_000), (id(3), 15_000)]);
    let asked = keys_outside_their_owner(&six(), &stray).into_iter().chain(node_timeouts(&six(), &timeouts));
    views.iter().flat_map(check).chain(asked).collect()
}

#[test]
fn each_has_a_reason_and_a_way_out() {
    for finding in every_finding() {
        for text in [Some(&finding.what), finding.why.as_ref(), finding.remedy.as_ref()] {
            let text = text.unwrap_or_else(|| panic!("something is missing: {finding:?}"));
            assert!(!text.is_empty() && text.trim() == text && !text.ends_with('.'), "{text:?}");
            assert!(!text.contains("  ") && !text.contains('\n'), "one line: {text:?}");
            for artefact in ["Some(", "None", "NodeAddr", "Ok(", "Err(", "\"", "{", "}"] {
                assert!(!text.contains(artefact), "{artefact} in {text:?}");
            }
            let told = [Some(&finding.what), finding.why.as_ref()].contains(&Some(text));
            assert!(!told || !["master", "slave"].iter().any(|old| text.contains(old)), "{text:?}");
        }
    }
}

#[test]
fn each_names_the_nodes_it_is_about_or_how_many_they_are() {
    for finding in every_finding() {
        let text = format!("{} {}", finding.what, finding.why.as_deref().unwrap_or_default());
        let named = finding.nodes.iter().all(|node| text.contains(&node.to_string()));
        let counted = text.contains(&format!(" {} nodes", finding.nodes.len()));
        let members = text.contains("all members of the shard of");
        assert!(named || counted || members, "{finding:?}");
    }
}

#[test]
fn each_that_is_about_slots_names_them_or_how_many_they_are() {
    for finding in every_finding().iter().filter(|finding| !finding.slots.is_empty()) {
        let first = finding.slots.ranges().next().unwrap().start().to_string();
        let none = finding.what.starts_with("no slot is served");
        assert!(
            none || finding.what.contains(&format!("slots {first}")) || finding.what.contains(&format!("slot {first}")),
            "{finding:?}"
        );
    }
}

/// The commands in remedies: from the program's name to the end.
fn commands(findings: &[Finding]) -> Vec<String> {
    let remedies = findings.iter().filter_map(|finding| finding.remedy.as_deref());
    let command = |remedy: &str| {
        let at = ["tribune ", "redis-cli ", "valkey-cli "].iter().find_map(|program| remedy.find(program))?;
        Some(remedy[at..].to_owned())
    };
    remedies.filter_map(command).collect()
}

#[test]
fn commands_are_of_this_program_and_name_addresses_as_it_takes_them() {
    let commands = commands(&every_finding());
    assert!(commands.len() > 20);
    for command in commands {
        let words: Vec<_> = command.split(' ').collect();
        let address = match words[..] {
            ["tribune", "fix" | "resume" | "failover" | "scale" | "set-timeout", address, ..]
            | ["tribune", "add-node", "NEW", address, ..]
            | ["tribune", "create", address, "…"] => address,
            // No command of the program makes a replica follow another primary.
            [_, "-h", host, "-p", port, "CLUSTER", "REPLICATE", ..] => &format!("{host}:{port}"),
            _ => panic!("{command}"),
        };
        assert!(address.parse::<topology::NodeAddr>().is_ok(), "{command}");
        assert!(!command.contains([',', ';', '(', ')', '@', '[', ']', '<', '>', '|']), "{command}");
    }
}

#[test]
fn ipv6_addresses_are_pasted_without_brackets_and_bus_ports() {
    let mut spoilt = view(&[
        Node::primary("[fd00::1]:7000@7100", "0-16382"),
        Node::replica("[fd00::2]:7000@7100", 0),
        Node::primary("[fd00::3]:7000@7100", "0"),
    ]);
    said(&mut spoilt, 1).myself.primary = Some(id(8));
    let findings = check(&spoilt);
    let mut commands = commands(&findings);
    commands.sort();
    commands.dedup();
    let add = "tribune add-node NEW fd00::1:7000 --replica-of";
    let follow = "redis-cli -h fd00::2 -p 7000 CLUSTER REPLICATE ID-OF-A-PRIMARY".to_owned();
    assert!(commands.contains(&"tribune fix fd00::1:7000".to_owned()), "{commands:?}");
    assert!(commands.contains(&format!("{add} {}", id(0).short())), "{commands:?}");
    assert!(commands.contains(&follow), "{commands:?}");
}

#[test]
fn every_kind_is_explained_in_sentences() {
    let schema = serde_json::to_value(schemars::schema_for!(FindingCode)).unwrap();
    let kinds = schema["oneOf"].as_array().unwrap().iter().map(|kind| kind["const"].clone());
    let codes: Vec<FindingCode> = kinds.map(|kind| serde_json::from_value(kind).unwrap()).collect();
    assert!(codes.len() > 15);
    let mut seen = BTreeSet::new();
    for code in codes {
        let Explanation { meaning, otherwise, mending } = explain(code);
        for text in [meaning, otherwise, mending] {
            assert!(text.ends_with('.') && text.len() > 30 && !text.contains("  "), "{code:?}: {text}");
            assert!(!["master ", "slave"].iter().any(|old| text.contains(old)), "{code:?}: {text}");
            assert!(seen.insert(text.clone()) || code == FindingCode::ShardInOneZone, "{code:?} repeats: {text}");
        }
    }
}

#[test]
fn a_diagnosis_is_the_finding_with_what_it_means() {
    let report = DoctorReport::new(&coverage::one_slot_uncovered(), Vec::new());
    assert!(!report.healthy);
    let first = &report.findings[0];
    assert_eq!((first.finding.code, &first.explanation), (FindingCode::SlotsUncovered, &explain(first.finding.code)));
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<DoctorReport>(&text).unwrap(), report);
}

#[test]
fn a_finding_is_written_as_its_three_lines_and_what_it_is_about() {
    let finding = check(&coverage::one_slot_uncovered()).remove(0);
    insta::assert_json_snapshot!("finding", finding);
    let text = serde_json::to_string(&finding).unwrap();
    assert_eq!(serde_json::from_str::<Finding>(&text).unwrap(), finding);
}
