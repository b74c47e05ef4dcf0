//! `--cluster rebalance`

use super::{Session, Stop, Terminal, blocks::Loaded, check, load, moving, terminal::Tone};
use crate::failure::ExitStatus;
use std::collections::BTreeMap;
use topology::{
    NodeId, SlotSet,
    plan::{Action, NodeRef, Plan},
    rebalance::{self, Balance, Rebalance, RebalanceRefusal},
};

pub(crate) async fn run(session: &Session, terminal: &mut Terminal<'_>) -> Result<ExitStatus, Stop> {
    let options = moving::options(session).map_err(|misuse| misuse.stop(terminal))?;
    let threshold =
        session.number::<f64>("--cluster-threshold").map_err(|misuse| misuse.stop(terminal))?.unwrap_or(2.0);
    let observation = session.load(terminal).await?;
    let nodes = load::loaded(&observation, terminal);
    let wanted = Rebalance {
        weights: weights(session, &nodes, terminal)?,
        use_empty: session.invocation.has("--cluster-use-empty-masters"),
        threshold_percent: threshold,
    };
    let healthy = check::check(&nodes, false, terminal);
    // Slots that a move has left open do no harm: they are finished first.
    if !healthy && !topology::plan::may_move(&observation.view) {
        terminal.say(Tone::Bad, "*** Please fix your cluster problems before rebalancing\n");
        return Err(Stop::Said(ExitStatus::NotDone));
    }
    let outcome = match rebalance::plan(&observation.view, &wanted) {
        Ok(outcome) => outcome,
        Err(RebalanceRefusal::NotYet(reason)) => {
            terminal.say(Tone::Bad, "*** Please fix your cluster problems before rebalancing\n");
            terminal.complain(&format!("{reason}\n"));
            return Err(Stop::Said(ExitStatus::NotDone));
        }
        Err(refusal) => {
            terminal.say(Tone::Bad, &format!("*** {refusal}.\n"));
            return Err(Stop::Said(ExitStatus::NotDone));
        }
    };
    if !crate::moving::moves_slots(&outcome.plan) {
        let line = format!("*** No rebalancing needed! All nodes are within the {threshold:.2}% threshold.\n");
        terminal.say(Tone::Warning, &line);
        return Ok(ExitStatus::Done);
    }
    announce(&outcome.balances, session.invocation.has("--verbose"), terminal);
    if session.invocation.has("--cluster-simulate") {
        for (from, to, slots) in pairs(&outcome.plan) {
            terminal.plain(&pair(&from, &to, slots));
        }
        return Ok(ExitStatus::Done);
    }
    let request = format!("rebalance {:?} {} {threshold}", wanted.weights, wanted.use_empty);
    let mut arriving: BTreeMap<(NodeId, NodeId), usize> =
        pairs(&outcome.plan).map(|(from, to, slots)| ((from.id, to.id), slots)).collect();
    let all = arriving.clone();
    let say = move |terminal: &mut Terminal<'_>, from: &NodeRef, to: &NodeRef, slots: &SlotSet| {
        let ends = (from.id, to.id);
        let Some(left) = arriving.get_mut(&ends) else { return };
        *left = left.saturating_sub(slots.len());
        if *left == 0 {
            terminal.plain(&pair(from, to, all.get(&ends).copied().unwrap_or_default()));
        }
    };
    drop(nodes);
    moving::carry_out(&request, outcome.plan, observation, &session.connector()?, &options, terminal, say).await
}

/// The weights by the beginnings of ids.
fn weights(
    session: &Session,
    nodes: &[Loaded<'_>],
    terminal: &mut Terminal<'_>,
) -> Result<BTreeMap<NodeId, f64>, Stop> {
    let mut weights = BTreeMap::new();
    for typed in session.invocation.values("--cluster-weight") {
        let (name, weight) = typed.split_once('=').unwrap_or((typed, ""));
        let Ok(weight) = weight.parse::<f64>() else {
            terminal.say(Tone::Bad, &format!("*** invalid input {typed}\n"));
            return Err(Stop::Said(ExitStatus::NotDone));
        };
        let is_meant = |node: &&Loaded<'_>| !node.entry().is_replica() && node.entry().id.to_string().starts_with(name);
        let Some(node) = nodes.iter().find(is_meant) else {
            terminal.say(Tone::Bad, &format!("*** No such {} node {name}\n", terminal.wording.primary()));
            return Err(Stop::Said(ExitStatus::NotDone));
        };
        weights.insert(node.entry().id, weight);
    }
    Ok(weights)
}

/// What is about to happen, in the reference's lines.
fn announce(balances: &[Balance], verbose: bool, terminal: &mut Terminal<'_>) {
    let involved = || balances.iter().filter(|balance| balance.weight > 0.0 || balance.slots > 0);
    let total: f64 = involved().map(|balance| balance.weight).sum();
    let line = format!(">>> Rebalancing across {} nodes. Total weight = {total:.2}\n", involved().count());
    terminal.say(Tone::Info, &line);
    if verbose {
        #[expect(clippy::cast_possible_wrap, reason = "no more than 16384")]
        let surplus = |balance: &Balance| balance.slots as i64 - balance.share as i64;
        let mut sorted: Vec<&Balance> = involved().collect();
        sorted.sort_by_key(|balance| surplus(balance));
        for balance in sorted {
            terminal.plain(&format!("{} balance is {} slots\n", balance.node.address.bare(), surplus(balance)));
        }
    }
}

/// The pairs of nodes between which slots move, with how many.
fn pairs(plan: &Plan) -> impl Iterator<Item = (NodeRef, NodeRef, usize)> {
    plan.steps.iter().filter_map(|step| match &step.action {
        Action::MoveSlots { slots, from, to, .. } => Some((from.clone(), to.clone(), slots.len())),
        _ => None,
    })
}

fn pair(from: &NodeRef, to: &NodeRef, slots: usize) -> String {
    format!("Moving {slots} slots from {} to {}\n{}\n", from.address.bare(), to.address.bare(), "#".repeat(slots))
}
