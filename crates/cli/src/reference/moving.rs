//! What reshard, rebalance and fix have in common: moving slots, and what is said of it.

use super::{Session, Stop, Terminal, load, misuse::Misuse, terminal::Tone};
use crate::{
    failure::{ExitStatus, Failure},
    moving::{self, Interruption, MoveOptions, Shown},
    unfinished,
};
use node::Connector;
use operations::{
    moving::Pace,
    observe::Observation,
    run::{Patience, Progress, RunError},
    weigh::{WeighError, weigh},
};
use std::{sync::Mutex, time::Duration};
use topology::{
    SlotSet,
    plan::{NodeRef, Plan},
};

/// The reference waits for ever.
const PATIENCE: Duration = Duration::from_mins(2);

/// How slots are to be moved, as the options say. Without one the servers' own way is used wherever there is one.
pub(super) fn options(session: &Session) -> Result<MoveOptions, Misuse> {
    let mut pace = Pace::default();
    if let Some(keys) = session.number("--cluster-pipeline")? {
        pace.pipeline = keys;
    }
    if let Some(timeout) = session.number("--cluster-timeout")? {
        pace.timeout = timeout;
    }
    let replace = session.invocation.has("--cluster-replace");
    let patience = Patience { agreement: PATIENCE, service: PATIENCE };
    Ok(MoveOptions { dialect: None, pace, replace, persistent: false, patience })
}

/// Moves slots by a plan; `say` has the lines for slots that have arrived.
pub(super) async fn carry_out(
    request: &str,
    mut plan: Plan,
    observation: Observation,
    connector: &Connector,
    options: &MoveOptions,
    terminal: &mut Terminal<'_>,
    say: impl FnMut(&mut Terminal<'_>, &NodeRef, &NodeRef, &SlotSet) + Send,
) -> Result<ExitStatus, Stop> {
    match weigh(&observation, &mut plan, options.dialect).await {
        Ok(()) => {}
        Err(WeighError::Node(error)) => return Err(load::unreachable(&error, terminal)),
        Err(other) => return Err(Failure::new(other.to_string()).into()),
    }
    let shared = Mutex::new((&mut *terminal, say));
    let show = |shown: Shown| {
        let Ok(mut shared) = shared.lock() else { return };
        let (terminal, say) = &mut *shared;
        match shown {
            Shown::Progress(Progress::SlotsMoved { from, to, slots }) => say(terminal, &from, &to, &slots),
            Shown::Stopping => {
                terminal.complain("finishing the slots that are open, then stopping (again to stop hard)\n");
            }
            Shown::Progress(_) | Shown::Unrecorded(_) => {}
        }
    };
    let outcome = moving::carry_out(request, &plan, observation, connector, options, &show).await;
    drop(shared);
    let way_on = "the same command goes on from here";
    match outcome {
        Ok(()) => Ok(ExitStatus::Done),
        Err(Interruption::Stopped) => {
            terminal.complain(&format!("stopped: no slot is open, nothing is lost; {way_on}\n"));
            Err(Stop::Said(ExitStatus::Stopped))
        }
        Err(Interruption::StoppedHard) => {
            terminal.complain(&format!("stopped: slots may be open, nothing is lost; {way_on}\n"));
            Err(Stop::Said(ExitStatus::Stopped))
        }
        Err(Interruption::Busy(pid)) => Err(unfinished::busy(pid, None).into()),
        Err(Interruption::Failed(error)) => {
            terminal.say(Tone::Bad, &format!("clusterManagerMoveSlot failed: {error}\n"));
            if let RunError::Node(error) = &error {
                terminal.complain(&format!("{error}\n"));
            }
            terminal.complain(&format!("{way_on}\n"));
            Err(Stop::Said(ExitStatus::NotDone))
        }
    }
}
