//! Members come in.

use super::{
    Decision, Next, Situation,
    form::start_missing,
    situation::{Placed, Standing},
};
use crate::{
    Flag, NodeId, NodeView,
    findings::count,
    plan::{Action, NodeRef},
};
use std::{collections::BTreeSet, ops::ControlFlow};

pub(super) fn decide(situation: &Situation<'_>, decision: &mut Decision) -> Next {
    start_missing(situation, decision);
    let mut nodes = situation.answering();
    nodes.retain(|node| !situation.is_passing(node.id));
    // Those that are too many are not let in to be put out again.
    let is_newcomer =
        |placed: &&Placed<'_>| matches!(placed.standing, Standing::Outside(_)) && !situation.has_left(placed);
    let mut room = situation.members.iter().filter(is_newcomer).count();
    room = room.saturating_sub(situation.surplus());
    let mut newcomers = Vec::new();
    for placed in situation.members.iter().filter(is_newcomer) {
        let Some(node) = placed.node.clone().filter(|_| room > 0) else { continue };
        if let Some(why) = situation.unfit(placed) {
            decision.wait(format!("{} in the cluster", node.address), why);
        } else {
            room -= 1;
            newcomers.push(node);
        }
    }
    let reason = match newcomers.as_slice() {
        [] => strangers(situation).map(|(one, other)| format!("{} does not know {}", one.address, other.address)),
        [one] => Some(format!("{} is to be known by all", one.address)),
        more => Some(format!("{} are to be known by all", count(more.len(), "new node"))),
    };
    nodes.extend(newcomers);
    if let Some(reason) = reason {
        decision.step(Action::Meet { nodes }, reason);
        return ControlFlow::Continue(());
    }
    await_silent(situation, decision);
    ControlFlow::Continue(())
}

/// Tells of the members that do not answer.
pub(super) fn await_silent(situation: &Situation<'_>, decision: &mut Decision) {
    let silent = situation.members.iter().filter(|placed| matches!(placed.standing, Standing::Silent { .. }));
    for placed in silent {
        let absent = situation.memory.absent_for(&placed.member.name);
        let mut why = format!("it has not answered for {} s", absent.as_secs());
        if let Some(trouble) = &placed.member.trouble {
            why = format!("{why}: {trouble}");
        }
        if placed.is_given_up {
            why = format!("{why}; another one does its work");
        }
        let silence = placed.node.as_ref().and_then(|node| situation.view.node(node.id)?.said.as_ref().err());
        let progress = silence.and_then(|silence| silence.progress.clone());
        decision.wait_as_far(format!("member {}", placed.member.name), why, progress);
    }
}

/// Two nodes of the cluster that answer, of which one does not know the other, which owns slots. Of others they hear by gossip, unless they were told to
/// forget them.
fn strangers(situation: &Situation<'_>) -> Option<(NodeRef, NodeRef)> {
    let knows = |said: &NodeView, other: &NodeView| {
        said.entry(other.myself.id).is_some_and(|entry| !entry.flags.has(&Flag::Handshake))
    };
    let all = || situation.view.references().zip(situation.view.answering().map(|(_, said)| said));
    let owners = situation.view.answering().filter(|(_, said)| !said.myself.slots.is_empty());
    let owners: BTreeSet<NodeId> = owners.map(|(_, said)| said.myself.id).collect();
    // Counting is quick; which one it is has to be found only where there is one.
    let knows_all = |said: &NodeView| {
        let known = said.entries().filter(|entry| !entry.flags.has(&Flag::Handshake) && owners.contains(&entry.id));
        known.count() >= owners.len()
    };
    all().filter(|(_, said)| !knows_all(said)).find_map(|(node, said)| {
        let mut owners = all().filter(|(_, other)| !other.myself.slots.is_empty());
        owners.find(|(_, other)| !knows(said, other)).map(|(other, _)| (node, other))
    })
}
