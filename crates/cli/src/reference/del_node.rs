//! `--cluster del-node`

use super::{Session, Stop, Terminal, Wording, load, membership, moving, terminal::Tone};
use crate::failure::ExitStatus;
use topology::{
    NodeId,
    membership::{MembershipRefusal, plan_delete},
    plan::{Action, Plan},
};

pub(crate) async fn run(session: &Session, terminal: &mut Terminal<'_>) -> Result<ExitStatus, Stop> {
    let entry = session.address(0).map_err(|misuse| misuse.stop(terminal))?;
    let typed = session.arguments.get(1).map(String::as_str).unwrap_or_default();
    terminal.say(Tone::Info, &format!(">>> Removing node {typed} from cluster {}\n", entry.bare()));
    let observation = session.load_address(0, terminal).await?;
    load::loaded(&observation, terminal);
    let unknown = |terminal: &mut Terminal<'_>| {
        terminal.say(Tone::Bad, &format!("[ERR] No such node ID {typed}\n"));
        Stop::Said(ExitStatus::NotDone)
    };
    let Ok(id) = typed.to_ascii_lowercase().parse::<NodeId>() else { return Err(unknown(terminal)) };
    let plan = match plan_delete(&observation.view, id) {
        Ok(plan) => plan,
        Err(MembershipRefusal::Unknown { .. }) => return Err(unknown(terminal)),
        Err(MembershipRefusal::OwnsSlots { address, .. }) => {
            let line = format!("[ERR] Node {} is not empty! Reshard data away and try again.\n", address.bare());
            terminal.say(Tone::Bad, &line);
            return Err(Stop::Said(ExitStatus::NotDone));
        }
        Err(refusal) => {
            terminal.say(Tone::Bad, &format!("[ERR] {refusal}.\n"));
            return Err(Stop::Said(ExitStatus::NotDone));
        }
    };
    terminal.say(Tone::Info, ">>> Sending CLUSTER FORGET messages to the cluster...\n");
    for (node, _) in observation.view.silent().filter(|(node, _)| node.id != Some(id)) {
        let address = node.address.bare();
        terminal.say(
            Tone::Warning,
            &format!(
                ">>> Skipping unreachable node {address}. It may need manual reconfiguration when it comes back online.\n"
            ),
        );
    }
    let kept = not_reset(&plan, &observation.view, id);
    let lines = |action: &Action| match action {
        Action::Replicate { replica, primary } => {
            let (replica, primary) = (replica.address.bare(), primary.address.bare());
            Some((Tone::Info, format!(">>> {replica} as replica of {primary}\n")))
        }
        Action::Retire { .. } => Some((Tone::Info, ">>> Sending CLUSTER RESET SOFT to the deleted node.\n".to_owned())),
        _ => None,
    };
    let options = moving::options(session).map_err(|misuse| misuse.stop(terminal))?;
    membership::carry_out(plan, observation, &session.connector()?, &options, terminal, lines, false).await?;
    if let Some(line) = kept {
        terminal.say(Tone::Warning, &line);
    }
    if terminal.wording == Wording::Valkey {
        terminal.say(Tone::Good, &format!("[OK] Node {id} removed from the cluster.\n"));
    }
    Ok(ExitStatus::Done)
}

/// Why the node is not made to forget the cluster, where the plan does not have that.
fn not_reset(plan: &Plan, view: &topology::ClusterView, id: NodeId) -> Option<String> {
    if plan.steps.iter().any(|step| matches!(step.action, Action::Retire { .. })) {
        return None;
    }
    let name = view.name(id);
    if view.node(id).is_some_and(|node| node.said.is_ok()) {
        return Some(format!(">>> WARNING: node {name} holds what may be nowhere else, no CLUSTER RESET is sent.\n"));
    }
    Some(format!(">>> WARNING: Could not connect to node {name}, unable to send CLUSTER RESET.\n"))
}
