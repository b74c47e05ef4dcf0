//! `--cluster add-node`

use super::{
    Session, Stop, Terminal,
    blocks::{self, Loaded},
    check, create, load, membership, moving,
    terminal::Tone,
};
use crate::failure::ExitStatus;
use operations::{
    functions::{self, Functions},
    observe::{Observation, dial_and_ask},
    port::NodeLink,
};
use topology::{
    NodeAddr,
    create::NewNode,
    membership::{MembershipRefusal, Role, plan_join},
    plan::{Action, NodeRef},
};

pub(crate) async fn run(session: &Session, terminal: &mut Terminal<'_>) -> Result<ExitStatus, Stop> {
    let new = session.address(0).map_err(|misuse| misuse.stop(terminal))?;
    let entry = session.address(1).map_err(|misuse| misuse.stop(terminal))?;
    terminal.say(Tone::Info, &format!(">>> Adding node {} to cluster {}\n", new.bare(), entry.bare()));
    let mut observation = session.load_address(1, terminal).await?;
    let nodes = load::loaded(&observation, terminal);
    if !check::check(&nodes, true, terminal) {
        return Err(Stop::Said(ExitStatus::NotDone));
    }
    let role = role(session, &nodes, terminal)?;
    let answer = match dial_and_ask(&session.connector()?, &new).await {
        Ok(answer) => answer,
        Err(error) => {
            let stop = load::unreachable(&error, terminal);
            if membership::is_of_connection(&error.trouble) {
                let line = format!("[ERR] Sorry, can't connect to node {}\n", new.bare());
                terminal.say(Tone::Bad, &line);
            }
            return Err(stop);
        }
    };
    let node = NewNode { address: new.clone(), zone: None, view: answer.view };
    if is_complete(&observation, &node) {
        drop(nodes);
        observation.links.insert(node.view.myself.id, answer.link);
        settle(&node, observation, session, terminal).await?;
        return Err(create::not_empty(&new, 0, terminal));
    }
    // Whether it may join is known before anything is sent to it.
    plan_join(&observation.view, &node, role, None).map_err(|refusal| refuse(&refusal, terminal))?;
    let functions_of = match role {
        Role::Primary => functions(&observation, &new, answer.link.as_ref(), terminal).await?,
        _ => None,
    };
    let plan = plan_join(&observation.view, &node, role, functions_of).map_err(|refusal| refuse(&refusal, terminal))?;
    drop(nodes);
    observation.links.insert(node.view.myself.id, answer.link);
    terminal.say(Tone::Info, &format!(">>> Send CLUSTER MEET to node {} to make it join the cluster.\n", new.bare()));
    if role != Role::Primary {
        terminal.plain("Waiting for the cluster to join\n");
    }
    let lines = |action: &Action| match action {
        Action::Replicate { primary, .. } => {
            Some((Tone::Info, format!("\n>>> Configure node as replica of {}.\n", primary.address.bare())))
        }
        _ => None,
    };
    let options = moving::options(session).map_err(|misuse| misuse.stop(terminal))?;
    let dots = role != Role::Primary;
    membership::carry_out(plan, observation, &session.connector()?, &options, terminal, lines, dots).await?;
    terminal.say(Tone::Good, "[OK] New node added correctly.\n");
    Ok(ExitStatus::Done)
}

/// What the new node is to be, as the options say.
fn role(session: &Session, nodes: &[Loaded<'_>], terminal: &mut Terminal<'_>) -> Result<Role, Stop> {
    if !session.invocation.has("--cluster-slave") {
        return Ok(Role::Primary);
    }
    let mut primaries = nodes.iter().filter(|node| !node.entry().is_replica());
    let word = terminal.wording.primary();
    let Some(typed) = session.invocation.value("--cluster-master-id") else {
        let fewest = primaries.min_by_key(|node| blocks::replicas_of(node.entry().id, nodes));
        let Some(primary) = fewest else { return Err(Stop::Said(ExitStatus::NotDone)) };
        terminal.plain(&format!("Automatically selected {word} {}\n", primary.address.bare()));
        return Ok(Role::ReplicaOf(primary.entry().id));
    };
    let typed_id = typed.parse().ok();
    let Some(primary) = primaries.find(|node| Some(node.entry().id) == typed_id) else {
        terminal.say(Tone::Bad, &format!("[ERR] No such {word} ID {typed}\n"));
        return Err(Stop::Said(ExitStatus::NotDone));
    };
    Ok(Role::ReplicaOf(primary.entry().id))
}

/// Whether it is a member already, known to all and serving: one that was left on its way is not, and goes on.
fn is_complete(observation: &Observation, node: &NewNode) -> bool {
    let (id, view) = (node.view.myself.id, &observation.view);
    let others = view.answering().filter(|(_, said)| said.myself.id != id).count();
    view.node(id).is_some() && view.sightings(id).count() == others && node.view.cluster.state_ok
}

/// Sets right what a run that was killed may have left on a member: a short node timeout, for the time of waiting.
async fn settle(
    node: &NewNode,
    observation: Observation,
    session: &Session,
    terminal: &mut Terminal<'_>,
) -> Result<(), Stop> {
    let Ok(mut plan) = plan_join(&observation.view, node, Role::Primary, None) else { return Ok(()) };
    plan.steps.retain(|step| matches!(step.action, Action::AwaitService { .. }));
    let options = moving::options(session).map_err(|misuse| misuse.stop(terminal))?;
    membership::carry_out(plan, observation, &session.connector()?, &options, terminal, |_| None, false).await
}

/// The member whose functions the new node has to get.
async fn functions(
    observation: &Observation,
    new: &NodeAddr,
    link: &dyn NodeLink,
    terminal: &mut Terminal<'_>,
) -> Result<Option<NodeRef>, Stop> {
    let address = new.bare();
    terminal.say(Tone::Info, ">>> Getting functions from cluster\n");
    let members = observation.nodes(|said| said.myself.is_primary() && !said.myself.slots.is_empty());
    let member = members.into_iter().next();
    let Some((member, other)) = member.and_then(|node| Some((node.clone(), observation.links.get(&node.id)?))) else {
        return Ok(None);
    };
    let functions = functions::compare(other.as_ref(), link).await;
    let functions = functions.map_err(|error| load::unreachable(&error, terminal))?;
    if let Functions::Unreadable(error) = &functions {
        let line = format!(">>> Failed retrieving Functions from the cluster, skip this step. ({})\n", error.trouble);
        terminal.say(Tone::Info, &line);
        return Ok(None);
    }
    terminal.say(Tone::Info, &format!(">>> Send FUNCTION LIST to {address} to verify there is no functions in it\n"));
    if let Functions::Differ(_) = functions {
        terminal.say(
            Tone::Bad,
            ">>> New node already contains functions and can not be added to the cluster. Use FUNCTION FLUSH and try \
             again.\r\n",
        );
        return Err(Stop::Said(ExitStatus::NotDone));
    }
    terminal.say(Tone::Info, &format!(">>> Send FUNCTION RESTORE to {address}\n"));
    Ok(matches!(functions, Functions::Missing(_)).then_some(member))
}

fn refuse(refusal: &MembershipRefusal, terminal: &mut Terminal<'_>) -> Stop {
    use MembershipRefusal::{AlreadyMember, HasSlots, HoldsKeys, InAnotherCluster};
    match refusal {
        HoldsKeys { address, .. }
        | HasSlots { address, .. }
        | InAnotherCluster { address }
        | AlreadyMember { address, .. } => create::not_empty(address, 0, terminal),
        other => {
            terminal.say(Tone::Bad, &format!("[ERR] {other}.\n"));
            Stop::Said(ExitStatus::NotDone)
        }
    }
}
