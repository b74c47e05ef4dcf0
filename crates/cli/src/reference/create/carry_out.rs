//! Making the cluster, and what to say where that stops.

use super::story::{Story, estranged};
use crate::{
    failure::{ExitStatus, Failure},
    reference::{Session, Stop, Terminal, load},
};
use operations::{
    port::NodeLink,
    run::{Patience, Progress, RunError, Runner},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use topology::{
    NodeId,
    plan::{Action, Plan},
};

/// The reference waits for ever.
const PATIENCE: Duration = Duration::from_mins(2);

/// Runs the plan. Like the reference it ends when all nodes agree, before they serve and the replicas have their data.
/// Ctrl-C stops it between two commands.
pub(super) async fn carry_out(
    plan: Plan,
    links: BTreeMap<NodeId, Arc<dyn NodeLink>>,
    session: &Session,
    terminal: &mut Terminal<'_>,
) -> Result<(), Stop> {
    // Asked for first: from the first change on, whoever stops is told how to go on.
    tokio::select! {
        biased;
        Ok(()) = tokio::signal::ctrl_c() => {
            terminal.plain("\n");
            Err(Failure::new(format!("stopped: {}", way_on(session))).status(ExitStatus::Stopped).into())
        }
        outcome = make(plan, links, session, terminal) => outcome,
    }
}

async fn make(
    mut plan: Plan,
    links: BTreeMap<NodeId, Arc<dyn NodeLink>>,
    session: &Session,
    terminal: &mut Terminal<'_>,
) -> Result<(), Stop> {
    plan.steps.retain(|step| !matches!(step.action, Action::AwaitService { .. } | Action::AwaitReplicas { .. }));
    let story = Mutex::new(Story::new(terminal));
    let tell = |progress: Progress| {
        if let Ok(mut story) = story.lock() {
            story.tell(&progress);
        }
    };
    let outcome = Runner::new(links, Patience { agreement: PATIENCE, service: PATIENCE }, &tell).run(&plan).await;
    let Ok(story) = story.into_inner() else { return Err(Stop::Said(ExitStatus::NotDone)) };
    let terminal = story.end();
    let stop = match outcome {
        Ok(()) => return Ok(()),
        Err(RunError::Estranged { pairs, .. }) => {
            estranged(&pairs, terminal);
            Stop::Said(ExitStatus::NotDone)
        }
        Err(RunError::Node(error)) => load::unreachable(&error, terminal),
        Err(other) => return Err(Failure::new(other.to_string()).advice(way_on(session)).into()),
    };
    terminal.complain(&format!("{}\n", way_on(session)));
    Err(stop)
}

/// What completes a cluster that is half made, and what undoes it.
fn way_on(session: &Session) -> String {
    let (addresses, connection) = (session.arguments.join(" "), session.connection.again());
    format!("the same command goes on from here; as new again: tribune create --undo {addresses}{connection}")
}
