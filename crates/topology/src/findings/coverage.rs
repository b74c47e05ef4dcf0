//! Slots: all served, by one owner each, none half-way between two.

use super::{Finding, FindingCode, count, entry_point, reference_tool, slot_list};
use crate::{ClusterView, NodeAddr, NodeId, Slot, SlotSet};
use std::collections::BTreeMap;

/// Slots that no node serves.
pub(super) fn uncovered(view: &ClusterView) -> Vec<Finding> {
    let mut missing = view.served().complement();
    if missing.is_empty() || view.nodes.is_empty() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for member in view.members().filter(|member| view.is_lost(member.node)) {
        let lost = member.account.slots.intersection(&missing);
        if lost.is_empty() {
            continue;
        }
        missing = missing.difference(&lost);
        let address = &member.node.address;
        let what = format!("{} of 16384 not served: {}", count(lost.len(), "slot"), slot_list(&lost));
        findings.push(
            Finding::problem(FindingCode::SlotsUncovered, what)
                .because(format!("their primary {address} is lost, and no replica has taken over"))
                .remedy(format!("start {address} again: its slots come back with it"))
                .about([address])
                .slots(lost),
        );
    }
    if missing.len() == usize::from(Slot::COUNT) {
        findings.push(
            Finding::problem(
                FindingCode::SlotsUncovered,
                "no slot is served: the nodes hold no cluster yet".to_owned(),
            )
            .because("no node that answered claims a slot")
            .remedy(format!("make a cluster of all its nodes: tribune create {} …", entry_point(view)))
            .slots(missing),
        );
    } else if !missing.is_empty() {
        let what = format!("{} of 16384 not served: {}", count(missing.len(), "slot"), slot_list(&missing));
        findings.push(
            Finding::problem(FindingCode::SlotsUncovered, what)
                .because("no node that answered claims them, and none that is silent was known to own them")
                .remedy(format!("{} --cluster fix {}", reference_tool(view), entry_point(view)))
                .slots(missing),
        );
    }
    findings
}

/// Slots that several nodes claim as their own.
pub(super) fn several_owners(view: &ClusterView) -> Vec<Finding> {
    let mut owners: BTreeMap<Vec<NodeId>, SlotSet> = BTreeMap::new();
    let claims: Vec<_> = view.answering().map(|(_, view)| (view.myself.id, &view.myself.slots)).collect();
    let mut once = SlotSet::new();
    let mut twice = SlotSet::new();
    for (_, slots) in &claims {
        twice = twice.union(&once.intersection(slots));
        once = once.union(slots);
    }
    for slot in twice.iter() {
        let claimants = claims.iter().filter(|(_, slots)| slots.contains(slot)).map(|(id, _)| *id).collect();
        owners.entry(claimants).or_default().insert(slot);
    }
    let finding = |(claimants, slots): (Vec<NodeId>, SlotSet)| {
        let names: Vec<_> = claimants.iter().map(|id| view.name(*id)).collect();
        let what = format!("{} claimed by {} nodes: {}", slot_list(&slots), names.len(), names.join(", "));
        let nodes = claimants.iter().filter_map(|id| Some(&view.node(*id)?.address));
        Finding::problem(FindingCode::SlotsWithSeveralOwners, what)
            .because("each of them says so itself")
            .remedy(format!(
                "if it lasts: {} --cluster fix {} --cluster-search-multiple-owners",
                reference_tool(view),
                entry_point(view)
            ))
            .about(nodes)
            .slots(slots)
    };
    owners.into_iter().map(finding).collect()
}

/// Keys on one node that does not own their slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StrayKeys {
    /// The slots, as far as the server tells them.
    pub slots: SlotSet,
    /// How many keys are in slots that the server does not tell: Redis 8.4 and later count only keys of their own slots.
    pub elsewhere: u64,
}

/// Keys on nodes that do not own their slot, by the node that holds them.
pub fn keys_outside_their_owner(view: &ClusterView, stray: &BTreeMap<NodeId, StrayKeys>) -> Vec<Finding> {
    let finding = |(holder, stray): (&NodeId, &StrayKeys)| {
        let holder_name = view.name(*holder);
        let what = if stray.slots.is_empty() {
            format!("{holder_name} holds {} outside of its slots", count(stray.elsewhere, "key"))
        } else {
            let slots = count(stray.slots.len(), "slot");
            let more = match stray.elsewhere {
                0 => String::new(),
                keys => format!(", and {} in slots that it does not tell", count(keys, "key")),
            };
            format!("{holder_name} holds keys of {slots} that it does not own: {}{more}", slot_list(&stray.slots))
        };
        Finding::problem(FindingCode::KeysOutsideTheirOwner, what)
            .because("clients never see these keys; a move that runs or stopped half-way, or a fix by hand, leaves such behind")
            .remedy(format!(
                "if no move is running: {} --cluster fix {} --cluster-search-multiple-owners",
                reference_tool(view),
                entry_point(view)
            ))
            .about(view.node(*holder).map(|node| &node.address))
            .slots(stray.slots.clone())
    };
    stray.iter().map(finding).collect()
}

/// Slots that are importing or migrating.
pub(super) fn open(view: &ClusterView) -> Vec<Finding> {
    let mut moves: BTreeMap<String, (SlotSet, [Option<&NodeAddr>; 2])> = BTreeMap::new();
    let address = |id: NodeId| view.node(id).map(|node| &node.address);
    let mut moving =
        |state: String, slot: Slot, ends| moves.entry(state).or_insert((SlotSet::new(), ends)).0.insert(slot);
    // A replica of Valkey 8 and later repeats its primary's open slots.
    for (node, own) in view.answering().filter(|(_, own)| own.myself.is_primary()) {
        for (slot, to) in &own.myself.migrating {
            let state = format!("migrating from {} to {}", node.address, view.name(*to));
            moving(state, *slot, [Some(&node.address), address(*to)]);
        }
        for (slot, from) in &own.myself.importing {
            let state = format!("importing on {} from {}", node.address, view.name(*from));
            moving(state, *slot, [Some(&node.address), address(*from)]);
        }
    }
    let finding = |(state, (slots, ends)): (String, (SlotSet, [Option<&NodeAddr>; 2]))| {
        let verb = if slots.len() == 1 { "is" } else { "are" };
        Finding::problem(FindingCode::SlotsOpen, format!("{} {verb} open: {state}", slot_list(&slots)))
            .because("a move is running or stopped half-way; clients are redirected, nothing is lost")
            .remedy(format!("if no move is running: {} --cluster fix {}", reference_tool(view), entry_point(view)))
            .about(ends.into_iter().flatten())
            .slots(slots)
    };
    moves.into_iter().map(finding).collect()
}
