//! Whether the nodes say the same.

use super::{Finding, FindingCode, Severity, count, slot_list};
use crate::{ClusterView, Flag, NodeId, ObservedNode, SlotMap, SlotSet};
use std::collections::{BTreeMap, BTreeSet};

const GOSSIP: &str =
    "nodes tell each other within seconds; if it lasts, they do not reach each other's cluster bus port";

/// More groups of nodes than this that do not know each other are told in one line.
const MOST_GROUPS: usize = 3;

/// Nodes that hold another slot map than most.
pub(super) fn slot_maps(view: &ClusterView) -> Vec<Finding> {
    let mut maps = view.slot_maps().into_iter();
    let Some((most, majority)) = maps.next() else { return Vec::new() };
    let finding = |(map, holders): (SlotMap, Vec<&ObservedNode>)| {
        let names: Vec<_> = holders.iter().map(|node| node.address.to_string()).collect();
        let (differing, detail) = difference(view, &map, &most);
        let verb = if names.len() == 1 { "disagrees" } else { "disagree" };
        let what = format!(
            "{} {verb} with {} about {}",
            names.join(", "),
            count(majority.len(), "node"),
            slot_list(&differing)
        );
        Finding::problem(FindingCode::SlotMapsDiffer, what)
            .because(detail)
            .remedy(format!("{GOSSIP}; if they do: tribune fix {}", super::entry_point(view)))
            .about(holders.iter().map(|node| &node.address))
            .slots(differing)
    };
    maps.map(finding).collect()
}

/// The slots whose owner differs, and the first difference in words.
pub(crate) fn difference(view: &ClusterView, here: &SlotMap, most: &SlotMap) -> (SlotSet, String) {
    let none = SlotSet::new();
    let ids: BTreeSet<&NodeId> = here.keys().chain(most.keys()).collect();
    let mut differing = SlotSet::new();
    for id in ids {
        let (ours, theirs) = (here.get(id).unwrap_or(&none), most.get(id).unwrap_or(&none));
        differing = differing.union(&ours.difference(theirs)).union(&theirs.difference(ours));
    }
    let owner = |map: &SlotMap| {
        let first = differing.iter().next()?;
        map.iter().find(|(_, slots)| slots.contains(first)).map(|(id, _)| view.name(*id))
    };
    let name = |owner: Option<String>| owner.unwrap_or_else(|| "nobody".to_owned());
    let first = differing.iter().next().map_or_else(String::new, |slot| slot.to_string());
    let detail = format!("slot {first} is {}'s for them, {}'s for the others", name(owner(here)), name(owner(most)));
    (differing, detail)
}

/// Nodes that do not know each other, or are still shaking hands.
pub(super) fn membership(view: &ClusterView) -> Vec<Finding> {
    let present: BTreeSet<NodeId> = view.answering().map(|(_, own)| own.myself.id).collect();
    // By those that are unknown: one stranger among many is one line, not one for each of the many.
    let mut witnesses: BTreeMap<BTreeSet<NodeId>, BTreeSet<NodeId>> = BTreeMap::new();
    for (_, own) in view.answering() {
        let known = own.entries().filter(|entry| !entry.flags.has(&Flag::Handshake));
        let known: BTreeSet<NodeId> = known.map(|entry| entry.id).collect();
        let unknown: BTreeSet<NodeId> = present.difference(&known).copied().collect();
        if !unknown.is_empty() {
            witnesses.entry(unknown).or_default().insert(own.myself.id);
        }
    }
    let names = |ids: &BTreeSet<NodeId>| ids.iter().map(|id| view.name(*id)).collect::<Vec<_>>();
    let finding = |what: String, about: &BTreeSet<NodeId>| {
        Finding::problem(FindingCode::NodesUnknownToOthers, what)
            .because("they are missing in each other's CLUSTER NODES, or still in handshake")
            .remedy(GOSSIP)
            .about(about.iter().filter_map(|id| Some(&view.node(*id)?.address)))
    };
    if witnesses.len() > MOST_GROUPS {
        let all: BTreeSet<NodeId> = witnesses.values().flatten().copied().collect();
        let what = format!(
            "{} of {} do not know all others: {}",
            all.len(),
            count(present.len(), "node"),
            names(&all).join(", ")
        );
        return vec![finding(what, &all)];
    }
    let mut findings = Vec::new();
    for (unknown, these) in &witnesses {
        match witnesses.get(these) == Some(unknown) {
            // Told with the other side.
            true if unknown > these => {}
            true => {
                let (few, many) = if unknown.len() < these.len() { (unknown, these) } else { (these, unknown) };
                let what = format!("{} and {} do not know each other", names(few).join(", "), names(many).join(", "));
                findings.push(finding(what, few));
            }
            false => findings
                .push(finding(format!("{} not know {}", doers(&names(these)), names(unknown).join(", ")), these)),
        }
    }
    findings
}

/// Nodes that others take for what they are not.
pub(super) fn roles(view: &ClusterView) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (node, own) in view.answering() {
        let mistaken: Vec<String> = view
            .sightings(own.myself.id)
            .filter(|(_, entry)| !entry.flags.has(&Flag::Handshake))
            .filter(|(_, entry)| (entry.is_primary(), entry.primary) != (own.myself.is_primary(), own.myself.primary))
            .map(|(witness, _)| witness.address.to_string())
            .collect();
        if mistaken.is_empty() {
            continue;
        }
        let role = match own.myself.primary {
            Some(primary) => format!("a replica of {}", view.name(primary)),
            None => "a primary".to_owned(),
        };
        findings.push(
            Finding::problem(
                FindingCode::RolesDiffer,
                format!("{} is {role}, which {} not know yet", node.address, doers(&mistaken)),
            )
            .because("they show it in another role in their CLUSTER NODES")
            .remedy(GOSSIP)
            .about([&node.address]),
        );
    }
    findings
}

fn doers(names: &[String]) -> String {
    match names {
        [one] => format!("{one} does"),
        many => format!("{} do", many.join(", ")),
    }
}

/// Primaries with the same config epoch: which of them is right about a slot would be undecided.
pub(super) fn epochs(view: &ClusterView) -> Vec<Finding> {
    let mut holders: BTreeMap<u64, Vec<&ObservedNode>> = BTreeMap::new();
    for (node, own) in view.answering().filter(|(_, own)| own.myself.is_primary()) {
        holders.entry(own.myself.config_epoch).or_default().push(node);
    }
    let finding = |(epoch, nodes): (u64, Vec<&ObservedNode>)| {
        let names: Vec<_> = nodes.iter().map(|node| node.address.to_string()).collect();
        Finding::problem(
            FindingCode::EpochCollision,
            format!("{} primaries have the same config epoch {epoch}: {}", names.len(), names.join(", ")),
        )
        .because("each primary needs an epoch of its own, so that the newest claim to a slot can be told")
        .remedy("the servers mend this themselves as soon as they exchange messages; wait a few seconds")
        .about(nodes.iter().map(|node| &node.address))
    };
    holders.into_iter().filter(|(_, nodes)| nodes.len() > 1).map(finding).collect()
}

/// Nodes whose node timeout is not that of most; told of each answering node in milliseconds.
pub fn node_timeouts(view: &ClusterView, told: &BTreeMap<NodeId, u64>) -> Vec<Finding> {
    let mut nodes: BTreeMap<u64, Vec<NodeId>> = BTreeMap::new();
    for (node, timeout) in told {
        nodes.entry(*timeout).or_default().push(*node);
    }
    // Of two that are as frequent the longer one makes fewer mistakes.
    let Some(usual) = nodes.iter().max_by_key(|(timeout, nodes)| (nodes.len(), **timeout)).map(|(usual, _)| *usual)
    else {
        return Vec::new();
    };
    let finding = |(timeout, nodes): (&u64, &Vec<NodeId>)| {
        let addresses = || nodes.iter().filter_map(|node| view.node(*node)).map(|node| &node.address);
        let names: Vec<String> = addresses().map(ToString::to_string).collect();
        let verb = if names.len() == 1 { "takes" } else { "take" };
        let what =
            format!("{} {verb} others for lost after {timeout} ms, most nodes after {usual} ms", names.join(", "));
        Finding::new(FindingCode::NodeTimeoutsDiffer, Severity::Warning, what)
            .because("cluster-node-timeout is a setting of each node, and they do not tell each other")
            .remedy(format!("tribune set-timeout {} {usual}", super::entry_point(view)))
            .about(addresses())
    };
    nodes.iter().filter(|(timeout, _)| **timeout != usual).map(finding).collect()
}
