//! What an interrupted run of a plan has left to do.

use crate::{
    ClusterView, NodeId, Slot,
    plan::{Action, Plan},
};
use std::collections::BTreeMap;

/// The plan without the moves that are done; none when the cluster is not between how it was and how the plan leaves it: then
/// somebody has changed it since.
pub fn remaining(plan: &Plan, view: &ClusterView) -> Option<Plan> {
    let mut owners: BTreeMap<Slot, NodeId> = BTreeMap::new();
    for (_, said) in view.answering() {
        owners.extend(said.myself.slots.iter().map(|slot| (slot, said.myself.id)));
    }
    let mut moving: BTreeMap<Slot, NodeId> = BTreeMap::new();
    let mut left = plan.clone();
    for step in &mut left.steps {
        if let Action::MoveSlots { slots, from, .. } = &mut step.action {
            // Where a slot moves twice, its first owner counts.
            for slot in slots.iter() {
                moving.entry(slot).or_insert(from.id);
            }
            *slots = slots.iter().filter(|slot| owners.get(slot) == Some(&from.id)).collect();
        }
    }
    let between = plan.expected_after.iter().all(|shard| {
        shard.slots.iter().all(|slot| {
            let owner = owners.get(&slot);
            owner == Some(&shard.primary.id) || owner.is_some() && owner == moving.get(&slot)
        })
    });
    left.steps.retain(|step| !matches!(&step.action, Action::MoveSlots { slots, .. } if slots.is_empty()));
    between.then_some(left)
}
