//! Members get what they are to run with: one first, then shards side by side, replicas before their primaries.

use super::{
    Decision, Next, Situation,
    situation::{Placed, Standing},
};
use crate::{
    Member, NodeId, Process, Shard, Update,
    findings::count,
    plan::{Action, FailoverKind},
};
use std::{ops::ControlFlow, time::Duration};

/// So many shards change at a time, once one member has shown that what they get works.
const SIDE_BY_SIDE: usize = 5;

/// A server that does not answer for so long, and is to run with something else, is not waited for.
const STUCK: Duration = Duration::from_secs(5);

/// The next step of a shard.
struct Change {
    action: Action,
    reason: String,
    turn: Turn,
}

/// When a step has its turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// A node that serves nobody, or whose server takes it while it runs.
    First,
    /// A primary whose replicas have it: one at a time, since two elections at once take each other's votes.
    Failover,
    /// A replica that was primary before: together, once several have handed over.
    Former,
}

pub(super) fn decide(situation: &Situation<'_>, decision: &mut Decision) -> Next {
    let behind = || situation.members.iter().filter(|placed| placed.is_behind());
    let is_quiet = decision.is_settled() && situation.memory.under_way.is_empty();
    if let Some(why) = why_not_all(situation) {
        let what = format!("the update of {}", count(behind().count(), "member"));
        decision.wait(what, why);
    }
    if let Some(stuck) = behind().find(|placed| is_stuck(situation, placed)) {
        decision.step(restart_of(stuck), "it does not answer, and is to run with something else");
        return ControlFlow::Continue(());
    }
    let is_refused = situation.members.iter().any(|placed| matches!(placed.member.update, Update::Refused(_)));
    if !is_quiet || is_refused {
        return ControlFlow::Continue(());
    }
    let mut changes: Vec<Change> =
        situation.view.shards().iter().filter_map(|shard| change(situation, shard)).collect();
    let mut turn = |turn: Turn| -> Vec<Change> { changes.extract_if(.., |change| change.turn == turn).collect() };
    let (mut first, failovers, formers) = (turn(Turn::First), turn(Turn::Failover), turn(Turn::Former));
    // What was begun goes on before others are told.
    first.sort_by_key(|change| matches!(change.action, Action::UpdateMember { .. }));
    first.truncate(most(situation));
    let room = SIDE_BY_SIDE.saturating_sub(first.len());
    let more: Vec<Change> = match failovers.into_iter().next() {
        Some(failover) if formers.len() < SIDE_BY_SIDE => vec![failover],
        _ => formers.into_iter().take(room).collect(),
    };
    let steps = first.into_iter().chain(more).map(|change| (change.action, change.reason));
    decision.steps.extend(steps);
    ControlFlow::Continue(())
}

/// Why members are behind still; none when none is.
fn why_not_all(situation: &Situation<'_>) -> Option<String> {
    let counted = || situation.members.iter().filter(|placed| !placed.is_given_up);
    let refused = counted().find_map(|placed| match &placed.member.update {
        Update::Refused(why) => Some(format!("member {} refuses: {why}", placed.member.name)),
        _ => None,
    });
    let (all, behind) = (counted().count(), counted().filter(|placed| placed.is_behind()).count());
    let how = || format!("{} of {all} run with what they are to run with", all.saturating_sub(behind));
    refused.or_else(|| (behind > 0).then(how))
}

/// What comes next for a shard. Its replicas come first, one at a time; its primary hands over before it is restarted.
fn change(situation: &Situation<'_>, shard: &Shard<'_>) -> Option<Change> {
    let update = |id: NodeId| situation.member_of(id).map(|placed| &placed.member.update);
    let is_at = |member: &&Member<'_>, at: &Update| update(member.account.id) == Some(at);
    // One that was told already comes before others.
    let replica = |at: &Update| shard.replicas.iter().find(|replica| is_at(replica, at));
    if let Some(replica) = replica(&Update::NeedsRestart) {
        let reason = format!("{} is to run with something else", replica.node.address);
        let is_led = update(shard.primary.account.id) != Some(&Update::Current);
        let turn = if is_led { Turn::First } else { Turn::Former };
        return with(situation, replica.account.id, turn, reason, restart_of);
    }
    if let Some(replica) = replica(&Update::Outdated) {
        let reason = format!("{} is to run with something else", replica.node.address);
        return with(situation, replica.account.id, Turn::First, reason, update_of);
    }
    let (id, primary) = (shard.primary.account.id, shard.primary.reference());
    match update(id)? {
        Update::Outdated => {
            let reason = format!("{} is to run with something else", primary.address);
            with(situation, id, Turn::First, reason, update_of)
        }
        Update::NeedsRestart if shard.slots().is_empty() => {
            let reason = format!("{} is to run with something else, and owns nothing", primary.address);
            with(situation, id, Turn::First, reason, restart_of)
        }
        Update::NeedsRestart => {
            let heir = shard.replicas.iter().find(|replica| replica.in_service())?.reference();
            let reason = format!("{} is to run with something else, and all its replicas do", primary.address);
            let action = Action::Failover { replica: heir, primary, kind: FailoverKind::Planned };
            Some(Change { action, reason, turn: Turn::Failover })
        }
        Update::Current | Update::Refused(_) => None,
    }
}

fn with(
    situation: &Situation<'_>,
    id: NodeId,
    turn: Turn,
    reason: String,
    action: impl FnOnce(&Placed<'_>) -> Action,
) -> Option<Change> {
    Some(Change { action: action(situation.member_of(id)?), reason, turn })
}

fn update_of(placed: &Placed<'_>) -> Action {
    Action::UpdateMember { member: placed.member.name.clone(), node: placed.node.clone() }
}

fn restart_of(placed: &Placed<'_>) -> Action {
    Action::RestartMember { member: placed.member.name.clone(), node: placed.node.clone() }
}

/// Whether a member that is behind serves nobody, whatever it runs with: it has nothing to lose, as after an update that was taken back.
fn is_stuck(situation: &Situation<'_>, placed: &Placed<'_>) -> bool {
    let is_silent = matches!(placed.standing, Standing::Silent { .. });
    // That it does not answer us alone says nothing: others may be served.
    let is_gone = placed.member.is_fenced() || placed.node.as_ref().is_some_and(|node| situation.is_failing(node.id));
    let is_reached = placed.member.process != Process::Unknown;
    is_silent && is_gone && is_reached && situation.memory.absent_for(&placed.member.name) >= STUCK
}

/// How many members it takes beyond the shape so that each primary that is restarted has a replica that serves meanwhile.
pub(super) fn surge(situation: &Situation<'_>) -> usize {
    if situation.desired.replicas > 0 {
        return 0;
    }
    let shards = situation.view.shards();
    let owners = shards.iter().filter(|shard| !shard.slots().is_empty());
    let in_need = owners.filter(|shard| situation.needs_restart(shard.primary.account.id)).count();
    in_need.min(most(situation)).saturating_sub(situation.desired.extra)
}

/// How many shards may change at a time.
fn most(situation: &Situation<'_>) -> usize {
    let is_proof =
        |placed: &Placed<'_>| placed.member.update == Update::Current && matches!(placed.standing, Standing::In);
    if situation.members.iter().any(is_proof) { SIDE_BY_SIDE } else { 1 }
}
