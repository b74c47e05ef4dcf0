//! `--cluster call` and `--cluster set-timeout`: the same for every node.

use super::{Session, Stop, Terminal, load, misuse::Misuse, terminal::Tone};
use crate::{failure::ExitStatus, replies};
use operations::{
    everywhere::{configure, send_to_each},
    port::{Command, Trouble},
};
use topology::{Reply, plan::NodeRef};

/// Sends what was typed to all nodes at once and tells the answers in the order of the nodes.
///
/// Not done when a node refused it or did not answer: the reference does not tell.
pub(crate) async fn call(session: &Session, terminal: &mut Terminal<'_>) -> Result<ExitStatus, Stop> {
    let words = session.words().split_off(1);
    let observation = session.load_address(0, terminal).await?;
    let nodes = load::loaded(&observation, terminal);
    let mut good = observation.troubles.is_empty();
    let wanted = |replica: bool| {
        let only = if replica { "--cluster-only-masters" } else { "--cluster-only-replicas" };
        !session.invocation.has(only)
    };
    let nodes = nodes.iter().filter(|node| wanted(node.entry().is_replica()));
    let nodes: Vec<NodeRef> =
        nodes.map(|node| NodeRef { id: node.entry().id, address: node.address.clone() }).collect();
    terminal.say(Tone::Info, ">>> Calling");
    terminal.bytes(&[b" ", &*words.join(&b' '), b"\n"].concat());
    for (node, answer) in send_to_each(&observation.links, &nodes, &[Command::Typed(words)]).await {
        let address = node.address.bare();
        if let Ok(Some(reply)) = answer.map(|mut replies| replies.pop()) {
            good &= !matches!(reply, Reply::Error(_));
            terminal.bytes(&[format!("{address}: ").as_bytes(), &replies::raw(&reply), b"\n"].concat());
        } else {
            good = false;
            terminal.plain(&format!("{address}: Failed!\n"));
        }
    }
    Ok(if good { ExitStatus::Done } else { ExitStatus::NotDone })
}

/// Sets the node timeout of all nodes at once. Not done when one of them did not take it: the reference does not tell.
pub(crate) async fn set_timeout(session: &Session, terminal: &mut Terminal<'_>) -> Result<ExitStatus, Stop> {
    let typed = session.arguments.get(1).map(String::as_str).unwrap_or_default();
    // Before the number is looked at, as in the reference.
    session.address(0).map_err(|misuse| misuse.stop(terminal))?;
    let Some(milliseconds) = typed.parse::<i64>().ok().filter(|milliseconds| *milliseconds >= 100) else {
        return Err(Misuse::ShortTimeout.stop(terminal));
    };
    let observation = session.load_address(0, terminal).await?;
    let nodes = load::loaded(&observation, terminal);
    let nodes: Vec<NodeRef> =
        nodes.iter().map(|node| NodeRef { id: node.entry().id, address: node.address.clone() }).collect();
    terminal.say(Tone::Info, ">>> Reconfiguring node timeout in every cluster node...\n");
    let outcomes = configure(&observation.links, &nodes, "cluster-node-timeout", &milliseconds.to_string()).await;
    let (mut good, mut bad) = (0, 0);
    for (node, outcome) in outcomes {
        let address = node.address.bare();
        match outcome {
            Ok(()) => {
                good += 1;
                terminal.say(Tone::Warning, &format!("*** New timeout set for {address}\n"));
            }
            Err(failure) => {
                bad += 1;
                let why = match failure.trouble {
                    Trouble::Refusal(line) | Trouble::NotPermitted(line) => line,
                    other => other.to_string(),
                };
                terminal.say(Tone::Bad, &format!("ERR setting node-timeout for {address}: {why}\n"));
            }
        }
    }
    terminal.say(Tone::Info, &format!(">>> New node timeout set. {good} OK, {bad} ERR.\n"));
    Ok(if bad == 0 && observation.troubles.is_empty() { ExitStatus::Done } else { ExitStatus::NotDone })
}
