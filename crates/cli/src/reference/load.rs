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
    if wording.is_none()
        && let Some((_, view)) = observation.view.answering().next()
    {
        terminal.wording = Wording::of_engine(view.server.engine);
    }
    if let Some((_, view)) = observation.view.answering().next()
        && !view.server.cluster_enabled
    {
        return Err(not_a_cluster(entry, terminal));
    }
    Ok(observation)
}

/// The nodes that take part, in the order in which the first one lists them; the others are named on standard error.
pub(crate) fn loaded<'a>(observation: &'a Observation, terminal: &mut Terminal<'_>) -> Vec<Loaded<'a>> {
    let mut nodes = Vec::new();
    for node in &observation.view.nodes {
        match &node.said {
            Ok(view) => {
                let myself = &view.myself.flags;
                if ![Flag::NoAddress, Flag::Failing].iter().any(|flag| myself.has(flag)) {
                    nodes.push(Loaded { address: &node.address, view });
                }
            }
            Err(silence) => {
                let product = terminal.wording.product();
                let address = node.address.bare();
                terminal.complain(&format!("Could not connect to {product} at {address}: {}\n", silence.reason));
            }
        }
    }
    nodes
}

/// Says that a node cannot be talked to.
pub(crate) fn unreachable(error: &NodeError, terminal: &mut Terminal<'_>) -> Stop {
    let address = error.address.bare();
    let product = terminal.wording.product();
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
        Trouble::Tls(trouble) => terminal.complain(&format!(
            "Could not connect to {product} at {address}: {}{trouble}\n",
            if matches!(trouble, TlsTrouble::ServerSpeaksTls) { "" } else { "TLS: " }
        )),
        other => terminal.complain(&format!("Could not connect to {product} at {address}: {}\n", reason(other))),
    }
    Stop::Said(ExitStatus::NotDone)
}

/// The system's words where there are some.
fn reason(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Refused => "Connection refused".to_owned(),
        Trouble::Unresolvable(_) => "Name or service not known".to_owned(),
        Trouble::ConnectTimedOut(_) => "Connection timed out".to_owned(),
        Trouble::Closed => "Server closed the connection".to_owned(),
        other => other.to_string(),
    }
}

fn not_a_cluster(address: &NodeAddr, terminal: &mut Terminal<'_>) -> Stop {
    terminal.say(Tone::Bad, &format!("[ERR] Node {} is not configured as a cluster node.\n", address.bare()));
    Stop::Said(ExitStatus::NotDone)
}
