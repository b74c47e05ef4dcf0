//! Nodes go: those that are lost for good, and members that are too many.

use super::{
    Decision, Next, Situation,
    move_slots::give_back,
    situation::{Placed, Standing},
};
use crate::{
    Data, NodeView, ObservedNode, Process,
    findings::count,
    membership::owns_nothing,
    plan::{Action, NodeRef},
};
use std::ops::ControlFlow;

/// Lets the cluster forget nodes that are no members, do not answer and own nothing.
pub(super) fn forget_lost(situation: &Situation<'_>, decision: &mut Decision) -> Next {
    for (node, silence) in situation.view.silent() {
        let Some(id) = node.id.filter(|id| situation.member_of(*id).is_none()) else { continue };
        if owns_nothing(&situation.view, id).is_ok() {
            let node = NodeRef { id, address: node.address.clone() };
            let reason = format!("no member is this node: it {}", silence.reason);
            forget(situation, decision, node, &reason);
        }
    }
    ControlFlow::Continue(())
}

/// Removes the members that are too many, those first that are missed least; and those that were given up, once others do their
/// work.
pub(super) fn decide(situation: &Situation<'_>, decision: &mut Decision) -> Next {
    let over = situation.members.len().saturating_sub(situation.desired.members());
    if over > 0 {
        let what = format!("the end of {}", count(over, "member"));
        decision
            .wait(what, "they leave when they own nothing, nobody needs what they have, and all have forgotten them");
    }
    let shape = situation.shape();
    let is_whole = shape.lacking.is_empty() && shape.primaries_missing == 0 && situation.missing() == 0;
    let served = situation.view.served().complement().is_empty();
    if !served {
        return ControlFlow::Continue(());
    }
    let mut surplus = situation.surplus();
    // Of these no other node knows anything that would be lost.
    for placed in situation.members.iter().filter(|placed| is_outside(placed)) {
        let (goes, reason) = match (placed.is_given_up, situation.has_left(placed)) {
            // One that never came in is not what others wait for, and there are not to be more and more of them.
            (true, _) => (is_whole || is_unknown(placed), "another one does its work"),
            (false, true) => (true, "it has left the cluster"),
            (false, false) => (surplus > 0, "it is one too many"),
        };
        if goes && situation.unfit(placed).is_none() {
            let is_counted = !placed.is_given_up && !situation.has_left(placed);
            surplus = surplus.saturating_sub(usize::from(is_counted));
            remove(decision, placed, reason);
        }
    }
    let given_up = situation.members.iter().filter(|placed| placed.is_given_up && !is_outside(placed));
    for node in given_up.filter(|_| is_whole).filter_map(|placed| placed.node.clone()) {
        if owns_nothing(&situation.view, node.id).is_ok() {
            forget(situation, decision, node, "it has been silent for long, and another one does its work");
        }
    }
    let left =
        situation.members.iter().filter(|placed| matches!(placed.standing, Standing::In) && situation.has_left(placed));
    for node in left.filter_map(|placed| placed.node.clone()) {
        if owns_nothing(&situation.view, node.id).is_ok() {
            forget(situation, decision, node, "some nodes have forgotten it, and do not take it back for a minute");
        }
    }
    // A replica whose primary is silent and owns slots may have what nobody else has.
    let is_copied = |node: &&NodeRef| {
        let primary = situation.view.node(node.id).and_then(|node| node.view()?.myself.primary);
        let primary = primary.and_then(|primary| situation.view.node(primary));
        let owns = |node: &ObservedNode| situation.view.account(node).is_some_and(|account| !account.slots.is_empty());
        primary.is_none_or(|primary| primary.said.is_ok() || !owns(primary))
    };
    for node in shape.spare.iter().filter(is_copied).take(surplus) {
        if owns_nothing(&situation.view, node.id).is_ok() {
            forget(situation, decision, node.clone(), "it is one too many, and owns nothing");
        }
    }
    ControlFlow::Continue(())
}

/// Whether no node of the cluster knows a member: it has left, or was never in it.
fn is_outside(placed: &Placed<'_>) -> bool {
    match placed.standing {
        Standing::Outside(_) => true,
        Standing::In => false,
        // What ran there before may hold what nobody else has, until it has been waited for and all slots are served.
        Standing::Silent { known } => {
            let may_hold = placed.member.data != Data::Nothing && placed.member.process != Process::Stopped;
            !known && (!may_hold || placed.is_given_up)
        }
    }
}

const fn is_unknown(placed: &Placed<'_>) -> bool {
    matches!(placed.standing, Standing::Silent { known: false })
}

fn remove(decision: &mut Decision, placed: &Placed<'_>, reason: &str) {
    let action = Action::RemoveMember { member: placed.member.name.clone(), node: placed.node.clone() };
    decision.step(action, reason);
}

fn forget(situation: &Situation<'_>, decision: &mut Decision, node: NodeRef, reason: &str) {
    // Those that have left go first: they are not of the cluster, and follow it still.
    let follows = |placed: &Placed<'_>| matches!(placed.standing, Standing::Outside(said) if said.myself.primary == Some(node.id));
    if situation.members.iter().any(follows) {
        return;
    }
    // Keys of a primary without slots are those of others: whoever has left gives them to nobody any more.
    let of_others = |said: &NodeView| said.myself.is_primary() && said.server.keys() > 0;
    if situation.view.node(node.id).and_then(ObservedNode::view).is_some_and(of_others) {
        let littered = situation.memory.littered.get(&node.id).copied().unwrap_or_default();
        return give_back(situation, decision, &node.address, littered);
    }
    let knows = |by: &NodeRef| situation.view.node(by.id).and_then(|by| by.view()?.entry(node.id)).is_some();
    let by: Vec<NodeRef> = situation.view.references().filter(|by| by.id != node.id && knows(by)).collect();
    if !by.is_empty() {
        decision.step(Action::Forget { node, by }, reason);
    }
}
