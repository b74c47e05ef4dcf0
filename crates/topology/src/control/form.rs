//! The first shape of a cluster.

use super::{
    Decision, Next, Situation, join, lost,
    situation::{Placed, Standing},
};
use crate::{
    Data, Slot, SlotSet,
    create::{self, NewNode, Shards},
    findings::count,
    plan::{Action, Step},
};
use std::ops::ControlFlow;

pub(super) fn decide(situation: &Situation<'_>, decision: &mut Decision) -> Next {
    if situation.has_cluster() && !is_half_made(situation) {
        return ControlFlow::Continue(());
    }
    if let Some(placed) = situation.members.iter().find(|placed| !situation.has_cluster() && may_come_back(placed)) {
        lost::await_member(placed, decision);
        return ControlFlow::Break(());
    }
    // Nobody can be proved to go before there is a cluster: of members that never start there are not to be more and more.
    if situation.members.len().saturating_add(situation.missing()) <= situation.desired.members().saturating_mul(2) {
        start_missing(situation, decision);
    }
    let mut nodes = Vec::new();
    for placed in &situation.members {
        let said = match placed.standing {
            Standing::Outside(said) => Some(said),
            Standing::In => placed.node.as_ref().and_then(|node| situation.view.node(node.id)?.view()),
            Standing::Silent { .. } => None,
        };
        if let (Some(said), Some(address)) = (said, &placed.member.address) {
            let zone = placed.member.zone.clone();
            nodes.push(NewNode { address: address.clone(), zone, view: said.clone() });
        }
    }
    // Those that are late are waited for, so that nothing is made twice, but not for ever.
    if nodes.len() < situation.desired.members().max(situation.counted()) {
        let wanted = situation.desired.members();
        decision.wait("the cluster", format!("{} of {wanted} servers answer", nodes.len()));
        join::await_silent(situation, decision);
        return ControlFlow::Break(());
    }
    if situation.desired.formed && !situation.has_cluster() {
        lost::decide_all(situation, decision);
        return ControlFlow::Break(());
    }
    match create::plan(&nodes, situation.desired.replicas, Shards::Exactly(situation.desired.shards)) {
        Ok(plan) => decision.steps.extend(first_stage(plan.steps)),
        // Some have become what that plan would not have made of them: the rest is found from there.
        Err(_) if situation.has_cluster() => return cover(situation, decision),
        Err(refusal) => decision.wait("the cluster", refusal.to_string()),
    }
    ControlFlow::Break(())
}

/// Whether a member that does not answer has what a server left there: it may be of a cluster that was made before.
fn may_come_back(placed: &Placed<'_>) -> bool {
    matches!(placed.standing, Standing::Silent { .. }) && placed.member.data == Data::Kept
}

/// Gives the slots that nobody has ever owned to the primary that has fewest.
fn cover(situation: &Situation<'_>, decision: &mut Decision) -> Next {
    let owned = situation.view.answering().flat_map(|(_, said)| said.entries().map(|entry| &entry.slots));
    let slots = owned.collect::<SlotSet>().complement();
    let shards = situation.view.shards();
    let fewest = shards.iter().filter(|shard| shard.primary.answers()).min_by_key(|shard| shard.slots().len());
    if let Some(shard) = fewest.filter(|_| !slots.is_empty()) {
        let node = shard.primary.reference();
        decision.step(Action::AddSlots { node, slots }, "no node owns them");
    }
    ControlFlow::Continue(())
}

/// Whether it was begun and holds nothing yet: then it is made to its end as it was begun.
fn is_half_made(situation: &Situation<'_>) -> bool {
    let served = situation.view.answering().fold(0, |sum, (_, said)| sum + said.myself.slots.len());
    let empty = situation.view.answering().all(|(_, said)| said.server.keys() == 0);
    empty && served < usize::from(Slot::COUNT) && situation.view.silent().next().is_none()
}

/// Has the platform run the members that the shape takes and that are not there.
pub(super) fn start_missing(situation: &Situation<'_>, decision: &mut Decision) {
    let missing = situation.missing();
    if missing > 0 {
        let (shards, replicas) = (situation.desired.shards, situation.desired.replicas);
        let members = count(situation.desired.members(), "member");
        let mut reason = format!("{} with {} each take {members}", count(shards, "shard"), count(replicas, "replica"));
        if situation.surge > 0 {
            reason =
                format!("primaries without a replica are to be restarted, and others to serve meanwhile: {members}");
        }
        decision.step(Action::AddMembers { count: missing }, reason);
    }
}

fn first_stage(steps: Vec<Step>) -> Vec<(Action, String)> {
    let first = steps.iter().map(|step| step.stage).min();
    steps.into_iter().filter(|step| Some(step.stage) == first).map(|step| (step.action, step.reason)).collect()
}
