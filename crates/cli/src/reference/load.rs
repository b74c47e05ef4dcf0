//! Loading a cluster through one of its nodes.

use super::{Stop, Terminal, Wording, blocks::Loaded, terminal::Tone};
use crate::failure::ExitStatus;
use operations::{
    observe::{Observation, look},
    port::{Dialer, NodeError, TlsTrouble, Trouble},
};
use topology::{Flag, NodeAddr};

/// Loads the cluster; whatever keeps the first node from answering ends the command.
pub(crate) async fn load(
    dialer: &dyn Dialer,
    entry: &NodeAddr,
    wording: Option<Wording>,
    terminal: &mut Terminal<'_>,
) -> Result<Observation, Stop> {
    let observation = match look(dialer, std::slice::from_ref(entry)).await {
        Ok(observation) => observation,
        Err(none) => return Err(unreachable(&none.first, terminal)),
    };
    if let Some((_, view)) = observation.view.answering().next() {
        if wording.is_none() {
            terminal.wording = Wording::of_engine(view.server.engine);
        }
        if !view.server.cluster_enabled {
            return Err(not_a_cluster(entry, terminal));
        }
    }
    Ok(observation)
}

/// The nodes that take part, in the order in which the first one lists them. The others are named with their trouble.
pub(crate) fn loaded<'a>(observation: &'a Observation, terminal: &mut Terminal<'_>) -> Vec<Loaded<'a>> {
    for (node, silence) in observation.view.silent() {
        let trouble = observation.troubles.iter().find(|error| error.address.same_endpoint(&node.address));
        match trouble {
            Some(error) => not_loaded(error, terminal),
            None => not_connected(&node.address, &silence.reason, terminal),
        }
    }
    let nodes = loaded_again(observation);
    warn_of_orphans(&nodes, terminal);
    nodes
}

/// The nodes that take part, where the others have been named before.
pub(super) fn loaded_again(observation: &Observation) -> Vec<Loaded<'_>> {
    let answering = observation.view.answering().map(|(node, view)| Loaded { address: &node.address, view });
    let takes_part = |node: &Loaded<'_>| {
        let myself = &node.view.myself.flags;
        ![Flag::NoAddress, Flag::Failing].iter().any(|flag| myself.has(flag))
    };
    answering.filter(takes_part).collect()
}

/// Says what keeps one of the other nodes away. What it answers instead of its view, the reference does not tell.
fn not_loaded(error: &NodeError, terminal: &mut Terminal<'_>) {
    match &error.trouble {
        Trouble::PasswordNeeded
        | Trouble::NotPermitted(_)
        | Trouble::ProtectedMode
        | Trouble::Loading { .. }
        | Trouble::NotACluster
        | Trouble::Moved(_)
        | Trouble::Refusal(_) => {
            let address = error.address.bare();
            terminal.say(Tone::Bad, &format!("[ERR] Unable to load info for node {address}\n"));
        }
        _ => {
            // Only that it is said matters: the command goes on.
            let _ = unreachable(error, terminal);
        }
    }
}

fn warn_of_orphans(nodes: &[Loaded<'_>], terminal: &mut Terminal<'_>) {
    for loaded in nodes {
        let Some(primary) = loaded.entry().primary else { continue };
        if !nodes.iter().any(|node| node.entry().id == primary) {
            let (address, replica) = (loaded.address.bare(), terminal.wording.replica());
            terminal.say(
                Tone::Warning,
                &format!("*** WARNING: {address} claims to be {replica} of unknown node ID {primary}.\n"),
            );
        }
    }
}

/// Says that a node cannot be talked to.
pub(crate) fn unreachable(error: &NodeError, terminal: &mut Terminal<'_>) -> Stop {
    let address = error.address.bare();
    match &error.trouble {
        Trouble::NotACluster => return not_a_cluster(&error.address, terminal),
        Trouble::PasswordNeeded => {
            terminal.say(Tone::Bad, &format!("[ERR] Node {address} NOAUTH Authentication required.\n"));
        }
        Trouble::WrongPassword => terminal.say(
            Tone::Bad,
            &format!(
                "Node {address} replied with error:\nWRONGPASS invalid username-password pair or user is disabled.\n"
            ),
        ),
        Trouble::NotPermitted(line) | Trouble::Moved(line) | Trouble::Refusal(line) => {
            terminal.say(Tone::Bad, &format!("Node {address} replied with error:\n{line}\n"));
        }
        other => not_connected(&error.address, &reason(other), terminal),
    }
    Stop::Said(ExitStatus::NotDone)
}

fn not_connected(address: &NodeAddr, reason: &str, terminal: &mut Terminal<'_>) {
    let product = terminal.wording.product();
    terminal.complain(&format!("Could not connect to {product} at {}: {reason}\n", address.bare()));
}

/// The system's words where there are some.
pub(crate) fn reason(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Refused => "Connection refused".to_owned(),
        Trouble::Unresolvable(_) => "Name or service not known".to_owned(),
        Trouble::ConnectTimedOut(_) => "Connection timed out".to_owned(),
        Trouble::Closed => "Server closed the connection".to_owned(),
        Trouble::Tls(trouble) if !matches!(trouble, TlsTrouble::ServerSpeaksTls) => format!("TLS: {trouble}"),
        other => other.to_string(),
    }
}

fn not_a_cluster(address: &NodeAddr, terminal: &mut Terminal<'_>) -> Stop {
    terminal.say(Tone::Bad, &format!("[ERR] Node {} is not configured as a cluster node.\n", address.bare()));
    Stop::Said(ExitStatus::NotDone)
}
