//! Slots: all served, by one owner each, none half-way between two.

use super::{Finding, FindingCode, count, entry_point, slot_list};
use crate::{
    ClusterView, NodeId, ObservedNode, Slot, SlotSet,
    open_moves::{interrupted, unclear},
};
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
                .remedy(come_back(view, member.node))
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
                .remedy(format!("tribune fix {}", entry_point(view)))
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
            .remedy(format!("if it lasts: tribune fix {}", entry_point(view)))
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
            .remedy(format!("if no move is running: tribune fix {} --search-multiple-owners", entry_point(view)))
            .about(view.node(*holder).map(|node| &node.address))
            .slots(stray.slots.clone())
    };
    stray.iter().map(finding).collect()
}

/// A move of a slot as its nodes tell it: source, destination, and whether it is migrating on one and importing on the other.
type Told = (NodeId, NodeId, bool, bool);

/// Slots that are importing or migrating.
pub(super) fn open(view: &ClusterView) -> Vec<Finding> {
    let mut told: BTreeMap<Slot, Vec<Told>> = BTreeMap::new();
    let mut tell = |slot: Slot, (from, to): (NodeId, NodeId), migrating: bool| {
        let moves = told.entry(slot).or_default();
        match moves.iter_mut().find(|(source, destination, ..)| (*source, *destination) == (from, to)) {
            Some((_, _, at_source, at_destination)) => {
                *at_source |= migrating;
                *at_destination |= !migrating;
            }
            None => moves.push((from, to, migrating, !migrating)),
        }
    };
    // A replica of Valkey 8 and later repeats its primary's open slots.
    for (_, own) in view.answering().filter(|(_, own)| own.myself.is_primary()) {
        let own = &own.myself;
        own.migrating.iter().for_each(|(slot, to)| tell(*slot, (own.id, *to), true));
        own.importing.iter().for_each(|(slot, from)| tell(*slot, (*from, own.id), false));
    }
    let can_go_on = interrupted(view).iter().fold(SlotSet::new(), |all, open| all.union(&open.slots));
    let mut stories: BTreeMap<(Vec<Told>, bool), SlotSet> = BTreeMap::new();
    for (slot, mut moves) in told {
        moves.sort_unstable();
        stories.entry((moves, can_go_on.contains(slot))).or_default().insert(slot);
    }
    let mut stories: Vec<_> = stories.into_iter().collect();
    stories.sort_by_key(|(_, slots)| slots.ranges().next().map(|range| range.start().number()));
    stories.into_iter().map(|((moves, goes_on), slots)| open_slots(view, &moves, goes_on, slots)).collect()
}

/// Slots that are open in the same way.
fn open_slots(view: &ClusterView, moves: &[Told], goes_on: bool, slots: SlotSet) -> Finding {
    let state = |(from, to, migrating, importing): &Told| match (migrating, importing) {
        (true, true) => format!("migrating from {} to {1}, importing on {1}", view.name(*from), view.name(*to)),
        (true, false) => format!("migrating from {} to {}", view.name(*from), view.name(*to)),
        _ => format!("importing on {} from {}", view.name(*to), view.name(*from)),
    };
    let states: Vec<String> = moves.iter().map(state).collect();
    let verb = if slots.len() == 1 { "is" } else { "are" };
    let what = format!("{} {verb} open: {}", slot_list(&slots), states.join("; "));
    let mut ends: Vec<NodeId> = moves.iter().flat_map(|(from, to, ..)| [*from, *to]).collect();
    ends.sort_unstable();
    ends.dedup();
    let entry = entry_point(view);
    let finding = Finding::problem(FindingCode::SlotsOpen, what);
    let finding = if goes_on {
        finding.because("a move is running or stopped half-way; clients are redirected, nothing is lost").remedy(
            format!("if no move is running, the command that was interrupted again, or: tribune resume {entry}"),
        )
    } else {
        let problem = unclear(view).into_iter().find(|unclear| slots.contains(unclear.slot));
        let remedy = problem.as_ref().map_or_else(|| format!("tribune fix {entry}"), |unclear| unclear.advice(&entry));
        let problem = problem.map_or_else(String::new, |unclear| format!("it {}; ", unclear.problem));
        finding.because(format!("{problem}nothing is lost")).remedy(remedy)
    };
    finding.about(ends.iter().filter_map(|id| Some(&view.node(*id)?.address))).slots(slots)
}

/// What brings the slots of a lost primary back.
fn come_back(view: &ClusterView, primary: &ObservedNode) -> String {
    let address = &primary.address;
    let shards = view.shards();
    let shard = shards.iter().find(|shard| shard.primary.node == primary);
    let replica = shard.and_then(|shard| shard.replicas.iter().find(|replica| replica.answers()));
    replica.map_or_else(
        || format!("start {address} again: its slots come back with it"),
        |replica| {
            let replica = replica.node.address.bare();
            format!("start {address} again, or let its replica take over: tribune failover {replica} --force")
        },
    )
}
