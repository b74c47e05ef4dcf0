//! What findings say can be read aloud, found again and pasted.

use super::{coverage, examples};
use crate::{
    hand::{Node, id, said, six, view},
    recorded,
};
use std::collections::BTreeMap;
use topology::{
    ClusterView, Engine, SlotSet,
    findings::{Finding, StrayKeys, check, keys_outside_their_owner},
};

/// Every finding of every view in these tests.
fn every_finding() -> Vec<Finding> {
    let stray = BTreeMap::from([
        (id(0), StrayKeys { slots: SlotSet::all(), elsewhere: 0 }),
        (id(1), StrayKeys { slots: SlotSet::new(), elsewhere: 1 }),
    ]);
    let made = examples().into_iter().map(|(_, view)| view);
    let views: Vec<ClusterView> = made.chain(recorded::all().iter().map(recorded::Recorded::view)).collect();
    views.iter().flat_map(check).chain(keys_outside_their_owner(&six(), &stray)).collect()
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

/// The commands in remedies: from the tool's name to the end.
fn commands(findings: &[Finding]) -> Vec<String> {
    let remedies = findings.iter().filter_map(|finding| finding.remedy.as_deref());
    let command = |remedy: &str| {
        let at = ["redis-cli", "valkey-cli"].iter().find_map(|tool| remedy.find(tool))?;
        Some(remedy[at..].to_owned())
    };
    remedies.filter_map(command).collect()
}

#[test]
fn commands_name_addresses_as_the_tools_take_them() {
    let findings = every_finding();
    let commands = commands(&findings);
    assert!(commands.len() > 20);
    for command in commands {
        let words: Vec<_> = command.split(' ').collect();
        match words[1] {
            "--cluster" => {
                let address = words[if words[2] == "add-node" { 4 } else { 3 }];
                assert!(address.parse::<topology::NodeAddr>().is_ok(), "{command}");
            }
            "-h" => assert_eq!(words[3], "-p", "{command}"),
            _ => panic!("{command}"),
        }
        assert!(!command.contains([',', ';', '(', ')', '@', '[', ']', '<', '>', '|']), "{command}");
    }
}

#[test]
fn ipv6_addresses_and_bus_ports_are_pasted_as_the_tools_take_them() {
    // redis-cli and valkey-cli look up "[fd00::1]" as a name.
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
    let add = "redis-cli --cluster add-node NEW fd00::1:7000 --cluster-slave --cluster-master-id";
    assert_eq!(
        commands,
        [
            format!("{add} {}", id(0)),
            format!("{add} {}", id(2)),
            "redis-cli --cluster fix fd00::1:7000".to_owned(),
            "redis-cli --cluster fix fd00::1:7000 --cluster-search-multiple-owners".to_owned(),
            "redis-cli -h fd00::2 -p 7000 CLUSTER REPLICATE ID-OF-A-PRIMARY".to_owned(),
        ]
    );
}

#[test]
fn the_tool_is_the_engines_own() {
    for (_, mut view) in examples() {
        for at in 0..view.nodes.len() {
            if let Ok(said) = &mut view.nodes[at].said {
                said.server.engine = Engine::Valkey;
            }
        }
        let findings = check(&view);
        assert!(commands(&findings).iter().all(|command| command.starts_with("valkey-cli ")), "{findings:?}");
    }
}

#[test]
fn a_finding_is_written_as_its_three_lines_and_what_it_is_about() {
    let finding = check(&coverage::one_slot_uncovered()).remove(0);
    insta::assert_json_snapshot!("finding", finding);
    let text = serde_json::to_string(&finding).unwrap();
    assert_eq!(serde_json::from_str::<Finding>(&text).unwrap(), finding);
}
