//! Decisions as a plan.

use super::{Remedy, Repair, decide::takeovers};
use crate::{
    ClusterView, Member, NodeId, SlotSet,
    findings::slot_list,
    plan::{Action, Cost, Dialect, FORMAT, NodeRef, Plan, PlannedShard},
    stages::Stages,
};
use std::collections::BTreeMap;

/// One plan of these decisions.
///
/// Slots get their owner first, since a cluster that does not serve takes no keys; then keys move, between many nodes at once. Where
/// replicas are to take the place of silent primaries, the plan does only that: see [`decide()`](super::decide()).
pub fn plan(view: &ClusterView, repairs: &[Repair]) -> Plan {
    let nodes: Vec<NodeRef> = view.references().collect();
    let mut stages = Stages::default();
    let takeovers = takeovers(view);
    let first_of_two = !takeovers.is_empty();
    stages.add(takeovers.into_iter().map(|takeover| {
        let reason = format!("{} does not answer, and its replica has what it wrote", takeover.primary.address);
        (Action::Failover { replica: takeover.replica, primary: takeover.primary, kind: takeover.kind }, reason)
    }));
    stages.add(yields(repairs));
    stages.add(settles(repairs).into_iter().chain(closes(repairs)));
    let keys: Vec<_> = moves(repairs).into_iter().chain(gathers(repairs, false)).collect();
    let late = gathers(repairs, true);
    let agreement = || Action::AwaitAgreement { nodes: nodes.clone() };
    if stages.last() > 0 && !(keys.is_empty() && late.is_empty()) {
        stages.add([(agreement(), "keys go to an owner that all know".to_owned())]);
    }
    for keys in [keys, late] {
        stages.add_in_rounds(keys);
    }
    // After a takeover there may be slots about which nodes do not agree before they are repaired.
    if stages.last() > 0 && !first_of_two {
        stages.add([(agreement(), "clients may ask any node".to_owned())]);
    }
    let slots: SlotSet = repairs.iter().map(|repair| repair.slot).collect();
    let goal = match slots.len() {
        0 if stages.last() > 0 => "replicas take the place of primaries that do not answer".to_owned(),
        0 => "nothing to repair: every slot is served, closed, and has its keys in one place".to_owned(),
        1 => format!("{} is repaired", slot_list(&slots)),
        _ => format!("{} are repaired", slot_list(&slots)),
    };
    Plan {
        format: FORMAT,
        based_on: nodes,
        reasons: match stages.last() {
            0 => vec![goal.clone()],
            _ if first_of_two => vec!["what else is to be repaired shows when they have taken over".to_owned()],
            _ => reasons(repairs),
        },
        goal,
        steps: stages.into_steps(),
        expected_after: expected(view, repairs),
        placement: None,
        cost: Cost::default(),
    }
}

/// Slots by what is done with them, and the first reason for it.
fn grouped<K: Ord>(repairs: &[Repair], keys: impl Fn(&Remedy) -> Vec<K>) -> BTreeMap<K, (SlotSet, &'static str)> {
    let mut groups: BTreeMap<K, (Vec<crate::Slot>, &'static str)> = BTreeMap::new();
    for repair in repairs {
        for key in keys(&repair.remedy) {
            groups.entry(key).or_insert((Vec::new(), repair.remedy.reason)).0.push(repair.slot);
        }
    }
    groups.into_iter().map(|(key, (slots, reason))| (key, (slots.into_iter().collect(), reason))).collect()
}

fn yields(repairs: &[Repair]) -> Vec<(Action, String)> {
    let claims =
        |remedy: &Remedy| remedy.yields.iter().map(|node| (node.clone(), remedy.owner.clone())).collect::<Vec<_>>();
    let step = |((node, owner), (slots, reason)): ((NodeRef, NodeRef), (SlotSet, &'static str))| {
        (Action::YieldSlots { node, owner, slots }, reason.to_owned())
    };
    grouped(repairs, claims).into_iter().map(step).collect()
}

fn settles(repairs: &[Repair]) -> Vec<(Action, String)> {
    let mut above: BTreeMap<NodeId, u64> = BTreeMap::new();
    for Repair { found, remedy, .. } in repairs.iter().filter(|repair| repair.remedy.settle) {
        let epoch = above.entry(remedy.owner.id).or_default();
        *epoch = found.rivals(remedy.owner.id).max(*epoch);
    }
    let owner = |remedy: &Remedy| remedy.settle.then(|| remedy.owner.clone()).into_iter().collect::<Vec<_>>();
    let step = |(node, (slots, reason)): (NodeRef, (SlotSet, &'static str))| {
        let above = above.get(&node.id).copied().unwrap_or_default();
        (Action::SettleSlots { node, slots, above }, reason.to_owned())
    };
    grouped(repairs, owner).into_iter().map(step).collect()
}

fn closes(repairs: &[Repair]) -> Vec<(Action, String)> {
    // Settling closes at the owner.
    let others = |remedy: &Remedy| {
        let open = |node: &&NodeRef| !(remedy.settle && **node == remedy.owner);
        remedy.closes.iter().filter(open).cloned().collect::<Vec<_>>()
    };
    let step = |(node, (slots, reason)): (NodeRef, (SlotSet, &'static str))| {
        (Action::CloseSlots { node, slots }, reason.to_owned())
    };
    grouped(repairs, others).into_iter().map(step).collect()
}

fn moves(repairs: &[Repair]) -> Vec<(Action, String)> {
    let ends =
        |remedy: &Remedy| remedy.from.iter().map(|from| (from.clone(), remedy.owner.clone())).collect::<Vec<_>>();
    let step = |((from, to), (slots, reason)): ((NodeRef, NodeRef), (SlotSet, &'static str))| {
        (Action::MoveSlots { slots, from, to, dialect: Dialect::Migrate, keys: 0, bytes: 0 }, reason.to_owned())
    };
    grouped(repairs, ends).into_iter().map(step).collect()
}

/// Keys that go to the owner; of slots that are moved only after that (`late`), of others at the same time.
fn gathers(repairs: &[Repair], late: bool) -> Vec<(Action, String)> {
    let mut groups: BTreeMap<(NodeRef, NodeRef, bool), (Vec<crate::Slot>, u64)> = BTreeMap::new();
    for Repair { slot, found, remedy } in repairs.iter().filter(|repair| repair.remedy.from.is_some() == late) {
        for from in &remedy.gathers {
            let served = found.owners.is_empty() || found.owners.iter().any(|(node, _)| node == from);
            let group = groups.entry((from.clone(), remedy.owner.clone(), served)).or_default();
            group.0.push(*slot);
            group.1 += found.keys_of(from.id);
        }
    }
    let step = |((from, to, served), (slots, keys)): ((NodeRef, NodeRef, bool), (Vec<crate::Slot>, u64))| {
        let reason = "the owner gets the keys that others hold; of a key that both hold, the owner's stays";
        (Action::GatherKeys { slots: slots.into_iter().collect(), from, to, served, keys }, reason.to_owned())
    };
    groups.into_iter().map(step).collect()
}

/// Why slots are mended as they are: one line for each way.
fn reasons(repairs: &[Repair]) -> Vec<String> {
    let ways = grouped(repairs, |remedy| vec![(remedy.reason, remedy.owner.address.clone())]);
    ways.into_iter().map(|((reason, owner), (slots, _))| format!("{} > {owner}: {reason}", slot_list(&slots))).collect()
}

/// The shards when all is done.
fn expected(view: &ClusterView, repairs: &[Repair]) -> Vec<PlannedShard> {
    let mut given: BTreeMap<NodeId, SlotSet> = BTreeMap::new();
    for (id, (slots, _)) in grouped(repairs, |remedy| vec![remedy.owner.id]) {
        given.insert(id, slots);
    }
    let all: SlotSet = repairs.iter().map(|repair| repair.slot).collect();
    let takeovers = takeovers(view);
    let mut shards: Vec<PlannedShard> = Vec::new();
    for shard in view.shards() {
        let mut members: Vec<NodeRef> = shard.members().map(Member::reference).collect();
        let takeover = takeovers.iter().find(|takeover| takeover.primary.id == shard.primary.account.id);
        if let Some(at) = takeover.and_then(|takeover| members.iter().position(|node| *node == takeover.replica)) {
            members.swap(0, at);
        } else if !shard.primary.answers() {
            continue;
        }
        let mut members = members.into_iter();
        let Some(primary) = members.next() else { continue };
        let slots = shard.slots().difference(&all);
        let slots = slots.union(&given.remove(&primary.id).unwrap_or_default());
        shards.push(PlannedShard { slots, primary, replicas: members.collect() });
    }
    shards.sort_by_key(|shard| shard.slots.ranges().next().map_or(u16::MAX, |range| range.start().number()));
    shards
}
