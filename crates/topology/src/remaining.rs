//! What an interrupted run of a plan has left to do.

use crate::{
    ClusterView, NodeId, Slot, SlotSet,
    plan::{Action, NodeRef, Plan},
};
use std::collections::BTreeMap;

/// The plan without the steps that are done; none when the cluster is not between how it was and how the plan leaves it: then
/// somebody has changed it since.
pub fn remaining(plan: &Plan, view: &ClusterView) -> Option<Plan> {
    let mut owners: BTreeMap<Slot, NodeId> = BTreeMap::new();
    for (_, said) in view.answering() {
        owners.extend(said.myself.slots.iter().map(|slot| (slot, said.myself.id)));
    }
    let mut moving: BTreeMap<Slot, NodeId> = BTreeMap::new();
    let mut left = plan.clone();
    let mut given: SlotSet = SlotSet::new();
    for step in &mut left.steps {
        if let Action::AddSlots { slots, .. } = &step.action {
            given = given.union(slots);
        }
        match &mut step.action {
            // One that was lost meanwhile is not waited for.
            Action::AwaitAgreement { nodes } | Action::AwaitService { nodes } | Action::AwaitReplicas { nodes } => {
                nodes.retain(|node| view.node(node.id).is_some_and(|node| node.view().is_some()));
            }
            _ => {}
        }
        if let Action::MoveSlots { slots, from, .. } = &mut step.action {
            // Where a slot moves twice, its first owner counts.
            for slot in slots.iter() {
                moving.entry(slot).or_insert(from.id);
            }
            // What has arrived, but is still open on its old owner, is closed there.
            let source = view.node(from.id).and_then(|node| node.view());
            let open = |slot: &Slot| source.is_some_and(|said| said.myself.migrating.contains_key(slot));
            *slots = slots.iter().filter(|slot| owners.get(slot) == Some(&from.id) || open(slot)).collect();
        }
    }
    let between = plan.expected_after.iter().all(|shard| {
        shard.slots.iter().all(|slot| {
            let owner = owners.get(&slot);
            match owner {
                Some(owner) => *owner == shard.primary.id || moving.get(&slot) == Some(owner),
                None => given.contains(slot),
            }
        })
    });
    left.steps.retain(|step| !is_done(&step.action, view));
    between.then_some(left)
}

fn is_done(action: &Action, view: &ClusterView) -> bool {
    let own = |id: NodeId| view.node(id).and_then(|node| node.view());
    let primary_of = |id: NodeId| own(id).map(|said| said.myself.primary.filter(|_| said.myself.is_replica()));
    match action {
        Action::MoveSlots { slots, .. } => slots.is_empty(),
        Action::AddSlots { node, slots } => {
            own(node.id).is_some_and(|said| slots.difference(&said.myself.slots).is_empty())
        }
        // Once a node has met others its epoch cannot be set any more, nor need it be.
        Action::SetEpoch { node, epoch } => {
            own(node.id).is_some_and(|said| said.myself.config_epoch == *epoch || !said.peers.is_empty())
        }
        Action::Meet { nodes } => {
            let knows = |one: &NodeRef, other: &NodeRef| own(one.id).is_some_and(|said| said.entry(other.id).is_some());
            nodes.iter().all(|one| nodes.iter().all(|other| knows(one, other)))
        }
        Action::Detach { node, .. } => primary_of(node.id) == Some(None),
        Action::Replicate { replica, primary } => primary_of(replica.id) == Some(Some(primary.id)),
        Action::Failover { replica, primary, .. } => primary_of(primary.id) == Some(Some(replica.id)),
        _ => false,
    }
}
