//! The planners for a node that leaves, and what proves that it may.

use super::{MembershipRefusal, plan, shards_without, unknown};
use crate::{
    ClusterView, Member, NodeAddr, NodeId, ObservedNode, Shard,
    findings::count,
    plan::{Action, NodeRef, Plan, PlannedShard},
    stages::Stages,
};
use std::collections::BTreeSet;

/// A plan by which all nodes forget one that owns nothing; the node itself must be stopped before it runs.
///
/// # Errors
/// Unless a majority of the primaries with slots answer and all that answer say that it owns no slot, no node that
/// answers is a replica of it, no slot is open on it, and it has neither keys of slots of others nor the only copy of another's slots.
pub fn plan_leave(view: &ClusterView, id: NodeId) -> Result<Plan, MembershipRefusal> {
    refuse_unknown(view, id)?;
    owns_nothing(view, id)?;
    holds_nothing_of_others(view, id)?;
    refuse_only_copy(view, id)?;
    let node = NodeRef { id, address: address(view, id) };
    let goal = format!("{} leaves", node.address);
    let mut by: Vec<NodeRef> = view.references().collect();
    by.retain(|other| other.id != id);
    let mut stages = Stages::default();
    stages.add([forget(node, by.clone())]);
    Ok(plan(goal, by, stages.into_steps(), redundancy(view, id).into_iter().collect(), shards_without(view, id)))
}

/// A plan by which a node leaves for good: its replicas follow other primaries, all nodes forget it at once, and it forgets
/// them, if it answers.
///
/// # Errors
/// As [`plan_leave`], except that it may have replicas.
pub fn plan_delete(view: &ClusterView, id: NodeId) -> Result<Plan, MembershipRefusal> {
    refuse_unknown(view, id)?;
    owns_no_slot(view, id)?;
    majority_answers(view, id)?;
    refuse_only_copy(view, id)?;
    let node = NodeRef { id, address: address(view, id) };
    let nodes: Vec<NodeRef> = view.references().collect();
    let by: Vec<NodeRef> = nodes.iter().filter(|other| other.id != id).cloned().collect();
    if by.is_empty() {
        return Err(MembershipRefusal::OnlyNode { address: node.address });
    }
    let mut expected = shards_without(view, id);
    let mut stages = Stages::default();
    stages.add(attach_elsewhere(view, id, &mut expected)?);
    stages.add([forget(node.clone(), by)]);
    let mut reasons: Vec<String> = redundancy(view, id).into_iter().collect();
    match retire(view, &node, &nodes) {
        Ok((action, reason)) => stages.add([(action, reason.to_owned())]),
        Err(reason) => reasons.push(reason),
    }
    let silent = view.silent().filter(|(other, _)| other.id != Some(id));
    reasons.extend(silent.map(|(other, _)| {
        format!(
            "{} does not answer and will still know {}: when it is back, repeat this before 60 s have gone by, after which it \
             would tell the others",
            other.address, node.address
        )
    }));
    Ok(plan(format!("{} leaves", node.address), nodes, stages.into_steps(), reasons, expected))
}

fn forget(node: NodeRef, by: Vec<NodeRef>) -> (Action, String) {
    (Action::Forget { node, by }, "it owns no slot, and no replica follows it".to_owned())
}

/// What makes the node forget the cluster; or why that is left out: it does not answer, or what it holds may be nowhere else.
fn retire(view: &ClusterView, node: &NodeRef, answering: &[NodeRef]) -> Result<(Action, &'static str), String> {
    let address = &node.address;
    let Some(said) = view.node(node.id).and_then(|node| node.view()) else {
        return Err(format!(
            "{address} does not answer and will still know the cluster: when it runs again, CLUSTER RESET it before it is used"
        ));
    };
    let retire = |copy_of| Action::Retire { node: node.clone(), copy_of };
    match said.myself.primary {
        Some(primary) => match answering.iter().find(|other| other.id == primary) {
            Some(primary) => Ok((retire(Some(primary.clone())), "it forgets the cluster and drops its copy")),
            None => Err(format!(
                "{address} keeps its data and still knows the cluster: {}, of which it is a copy, does not answer",
                view.name(primary)
            )),
        },
        None if said.server.keys() > 0 => Err(format!(
            "{address} keeps its data and still knows the cluster: it holds {} of slots that it does not own",
            count(said.server.keys(), "key")
        )),
        None => Ok((retire(None), "it forgets the cluster, and is free for another")),
    }
}

/// Lets the replicas of a node follow the primaries with the fewest replicas, those on another host first.
fn attach_elsewhere(
    view: &ClusterView,
    id: NodeId,
    expected: &mut [PlannedShard],
) -> Result<Vec<(Action, String)>, MembershipRefusal> {
    let mut steps = Vec::new();
    let follows = |member: &Member<'_>| member.answers() && member.account.primary == Some(id);
    for replica in view.members().filter(follows) {
        let answers = |shard: &PlannedShard| view.node(shard.primary.id).is_some_and(|node| node.said.is_ok());
        let able = expected.iter_mut().filter(|shard| !shard.slots.is_empty() && answers(shard));
        let replica = replica.reference();
        let beside = |shard: &PlannedShard| shard.primary.address.host == replica.address.host;
        let shard = able
            .min_by_key(|shard| (shard.replicas.len(), beside(shard)))
            .ok_or(MembershipRefusal::NoSuchPrimary { wanted: None })?;
        shard.replicas.push(replica.clone());
        let primary = shard.primary.clone();
        let reason = format!("{} has the fewest replicas", primary.address);
        steps.push((Action::Replicate { replica, primary }, reason));
    }
    Ok(steps)
}

/// Proves by a majority of primaries that a node owns no slot and that no live replica references it.
pub fn owns_nothing(view: &ClusterView, id: NodeId) -> Result<(), MembershipRefusal> {
    owns_no_slot(view, id)?;
    if let Some((node, _)) = view.answering().find(|(_, said)| said.myself.primary == Some(id)) {
        return Err(MembershipRefusal::HasReplica { address: address(view, id), replica: node.address.clone() });
    }
    majority_answers(view, id)
}

/// Refuses to lose keys that an interrupted move, or one that goes on, has left with a node that owns none of their slots.
fn holds_nothing_of_others(view: &ClusterView, id: NodeId) -> Result<(), MembershipRefusal> {
    let Some(said) = view.node(id).and_then(ObservedNode::view).filter(|said| said.myself.is_primary()) else {
        return Ok(());
    };
    let (keys, slots) = (said.server.keys(), said.myself.open_slots().len());
    let address = || address(view, id);
    match (slots, keys) {
        (1.., _) => Err(MembershipRefusal::HasOpenSlots { address: address(), slots }),
        (_, 1..) => Err(MembershipRefusal::HoldsKeysOfOthers { address: address(), keys }),
        _ => Ok(()),
    }
}

fn refuse_unknown(view: &ClusterView, id: NodeId) -> Result<(), MembershipRefusal> {
    let known = view.answering().any(|(_, said)| said.entry(id).is_some());
    if known { Ok(()) } else { Err(MembershipRefusal::Unknown { id }) }
}

fn owns_no_slot(view: &ClusterView, id: NodeId) -> Result<(), MembershipRefusal> {
    for (_, said) in view.answering() {
        let slots = said.entry(id).map_or(0, |entry| entry.slots.len());
        if slots > 0 {
            let shard = view.shards().into_iter().find(|shard| shard.primary.account.id == id);
            let successor = shard.and_then(|shard| {
                let able = |replica: &&Member<'_>| {
                    if shard.primary.answers() { replica.in_service() } else { replica.answers() }
                };
                shard.replicas.iter().find(able).map(|replica| replica.node.address.clone())
            });
            return Err(MembershipRefusal::OwnsSlots { address: address(view, id), slots, successor });
        }
    }
    Ok(())
}

fn majority_answers(view: &ClusterView, id: NodeId) -> Result<(), MembershipRefusal> {
    let told = view.answering().flat_map(|(_, said)| said.entries());
    let primaries: BTreeSet<NodeId> = told.filter(|entry| !entry.slots.is_empty()).map(|entry| entry.id).collect();
    let answering = view.answering().filter(|(_, said)| primaries.contains(&said.myself.id)).count();
    if answering * 2 <= primaries.len() {
        let (address, primaries) = (address(view, id), primaries.len());
        return Err(MembershipRefusal::NoMajority { address, answering, primaries });
    }
    Ok(())
}

/// Refuses to lose the last replica that answers of a primary that does not, while that one owns slots.
fn refuse_only_copy(view: &ClusterView, id: NodeId) -> Result<(), MembershipRefusal> {
    let Some(shard) = shard_of_replica(view, id) else { return Ok(()) };
    let others = shard.replicas.iter().any(|replica| replica.account.id != id && replica.answers());
    let slots = shard.slots().len();
    let is_there = shard.replicas.iter().any(|replica| replica.account.id == id && replica.answers());
    if shard.primary.answers() || others || slots == 0 || !is_there {
        return Ok(());
    }
    let primary = shard.primary.node.address.clone();
    Err(MembershipRefusal::OnlyCopy { address: address(view, id), primary, slots })
}

fn shard_of_replica(view: &ClusterView, id: NodeId) -> Option<Shard<'_>> {
    view.shards().into_iter().find(|shard| shard.replicas.iter().any(|replica| replica.account.id == id))
}

/// What it costs that a replica leaves, in words.
fn redundancy(view: &ClusterView, id: NodeId) -> Option<String> {
    let shard = shard_of_replica(view, id)?;
    let primary = &shard.primary.node.address;
    Some(match shard.replicas.len() {
        1 => format!("{primary} has no replica then: losing it loses its data"),
        replicas => format!("{primary} keeps {} of {replicas} replicas", replicas - 1),
    })
}

fn address(view: &ClusterView, id: NodeId) -> NodeAddr {
    view.node(id).map_or_else(|| unknown(id), |node| node.address.clone())
}
