//! What add-node and del-node have in common: a plan that moves no slots, and what is said meanwhile.

use super::{Stop, Terminal, load, terminal::Tone};
use crate::{
    failure::{ExitStatus, Failure},
    moving::{self, Interruption, MoveOptions, Shown},
    unfinished,
};
use node::Connector;
use operations::{
    observe::Observation,
    port::Trouble,
    run::{Progress, RunError},
};
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};
use topology::plan::{Action, Plan};

/// Carries out a plan; `lines` has the line for each step, told when it begins. With `dots` there is one for each second of
/// waiting until then. As with the reference, replicas may still be getting their data when it ends.
pub(super) async fn carry_out(
    mut plan: Plan,
    observation: Observation,
    connector: &Connector,
    options: &MoveOptions,
    terminal: &mut Terminal<'_>,
    lines: impl Fn(&Action) -> Option<(Tone, String)> + Send + Sync,
    dots: bool,
) -> Result<(), Stop> {
    plan.steps.retain(|step| !matches!(step.action, Action::AwaitReplicas { .. }));
    let shared = Mutex::new((&mut *terminal, dots.then(Instant::now)));
    let show = |shown: Shown| {
        let Ok(mut shared) = shared.lock() else { return };
        let (terminal, dots) = &mut *shared;
        match (shown, dots.as_mut()) {
            (Shown::Progress(Progress::Stage { actions, .. }), _) => {
                for (tone, line) in actions.iter().filter_map(&lines) {
                    terminal.say(tone, &line);
                    *dots = None;
                }
            }
            (Shown::Progress(Progress::Waiting { .. }), Some(last)) if last.elapsed() >= Duration::from_secs(1) => {
                *last = Instant::now();
                terminal.plain(".");
            }
            _ => {}
        }
    };
    let outcome = moving::carry_out("", &plan, observation, connector, options, &show).await;
    let way_on = "the same command goes on from here";
    match outcome {
        Ok(()) => Ok(()),
        Err(Interruption::Stopped | Interruption::StoppedHard) => {
            terminal.complain(&format!("stopped: no key was touched; {way_on}\n"));
            Err(Stop::Said(ExitStatus::Stopped))
        }
        Err(Interruption::Busy(pid)) => Err(unfinished::busy(pid, None).into()),
        Err(Interruption::Failed(RunError::Node(error))) => {
            let stop = load::unreachable(&error, terminal);
            terminal.complain(&format!("{way_on}\n"));
            Err(stop)
        }
        Err(Interruption::Failed(error)) => Err(Failure::from(error).advice(way_on).into()),
    }
}

/// Whether there is no connection, or none that may be used: not what a node answers.
pub(super) const fn is_of_connection(trouble: &Trouble) -> bool {
    matches!(
        trouble,
        Trouble::Refused
            | Trouble::Unresolvable(_)
            | Trouble::Unreachable(_)
            | Trouble::ConnectTimedOut(_)
            | Trouble::ReadTimedOut(_)
            | Trouble::Closed
            | Trouble::Tls(_)
            | Trouble::WrongPassword
    )
}
