//! The words for a source that is followed: how far it is, how it ended, and what is to be done then.

use super::units;
use crate::{
    failure::{ExitStatus, Failure},
    importing::Tally,
    moving::Interruption,
};
use operations::{
    importing::{FollowPhase, Followed, ImportError},
    run::RunError,
};
use serde::Serialize;
use std::time::Duration;

/// Who is followed into what.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    /// The source.
    pub(crate) source: String,
    /// A node of the cluster, with the options that lead to it.
    pub(crate) entry: String,
    pub(crate) options: String,
    /// How long the source holds its writes at most.
    pub(crate) hold: Duration,
}

/// What a line of JSON tells.
#[derive(Serialize)]
pub(crate) struct Report {
    changes_copied: u64,
    keys_behind: usize,
    bytes_behind: u64,
    seconds_behind: f64,
}

impl Report {
    pub(crate) fn of(followed: &Followed) -> Self {
        let Followed { changes, pending, behind, lag, .. } = *followed;
        let seconds_behind = lag.as_secs_f64();
        Self { changes_copied: changes, keys_behind: pending, bytes_behind: behind, seconds_behind }
    }
}

/// How far it is, on one line.
pub(crate) fn line(followed: &Followed) -> String {
    let Followed { changes, pending, behind, lag, .. } = *followed;
    let mut parts = vec![
        "following".to_owned(),
        format!("{} copied", units::count(changes, "change")),
        format!("{} to copy", units::count(pending, "key")),
        format!("{} behind", units::duration(lag)),
    ];
    if behind >= 100_000 {
        parts.push(format!("{} of the stream unread", units::bytes(behind)));
    }
    parts.join("   ")
}

impl Words {
    /// What is told when another phase begins.
    pub(crate) fn of_phase(&self, phase: FollowPhase) -> Option<String> {
        let (source, hold) = (&self.source, self.hold.as_secs());
        match phase {
            FollowPhase::Following => Some(format!(
                "all keys are copied; following {source}, whose writes go on\n  Ctrl-C cuts over: {source} holds its writes for {hold} s \
                 at most, the last keys are copied, and the clients can go over\n"
            )),
            FollowPhase::CuttingOver => Some(format!("{source} holds its writes: copying the last keys\n")),
            FollowPhase::TooSlow => Some(format!(
                "the last keys took more than half of {hold} s: {source} writes again, and is followed as before; Ctrl-C tries once more\n"
            )),
            FollowPhase::Over(_) => None,
        }
    }

    /// What is to be done after the cut-over.
    pub(crate) fn over(&self, held: Duration) -> String {
        let Self { source, entry, options, .. } = self;
        format!(
            "  the cluster has all that {source} has, which holds its writes for {} s more; what is written there later is not copied\n  \
             do   have the clients go over to {entry} now\n       \
             more time: CLIENT PAUSE 600000 WRITE on {source}      back: CLIENT UNPAUSE there\n       \
             then tribune status {entry}{options}\n",
            held.as_secs()
        )
    }

    /// Why there was no cut-over, what is missing, and how to begin again.
    pub(crate) fn interrupted(&self, interruption: Interruption, last: Option<&Followed>, tally: &Tally) -> Failure {
        let Self { source, entry, options, hold } = self;
        let missing = match last {
            None => format!("only {} of {source} arrived", units::count(tally.done(), "key")),
            Some(Followed { pending: 0, .. }) => {
                format!("the cluster has no changes that {source} makes from now on, and may lack the last ones")
            }
            Some(Followed { pending, .. }) => format!(
                "the cluster lacks {} that changed on {source}, and what it changes from now on",
                units::count(*pending, "key")
            ),
        };
        let mut failure = match interruption {
            Interruption::Failed(error) => {
                let why = self.why(&error).map_or_else(|| missing.clone(), |why| format!("{why}\n       {missing}"));
                Failure::from(error).because(why)
            }
            Interruption::StoppedHard if last.is_some_and(|last| last.phase == FollowPhase::CuttingOver) => {
                let held = format!("it may hold its writes for {} s at most: CLIENT UNPAUSE there", hold.as_secs());
                Failure::new(format!("stopped before the cut-over: {missing}"))
                    .because(held)
                    .status(ExitStatus::Stopped)
            }
            _ => Failure::new(format!("stopped before the cut-over: {missing}"))
                .because(format!("{source} has all its keys, and its writes go on"))
                .status(ExitStatus::Stopped),
        };
        let begins = "then the same command begins anew";
        let again = if tally.arrived + tally.changed == 0 && last.is_none() {
            "see to it, then the same command".to_owned()
        } else {
            format!(
                "empty the cluster, which holds copies only: tribune call {entry}{options} FLUSHALL --only-primaries\n       {begins}"
            )
        };
        failure.advice = Some(match failure.advice.take() {
            Some(advice) => format!("{advice}\n       {again}"),
            None => again,
        });
        failure
    }

    fn why(&self, error: &RunError) -> Option<String> {
        let RunError::Import(error) = error else { return None };
        match error.as_ref() {
            ImportError::NotReleased { .. } => {
                Some(format!("the hold ends by itself within {} s, or by CLIENT UNPAUSE there", self.hold.as_secs()))
            }
            ImportError::StreamLost { .. } => Some(
                "it has ended, or was written to faster than it could be copied (client-output-buffer-limit replica)"
                    .to_owned(),
            ),
            ImportError::WholeDatabases { .. } => Some("nothing was deleted in the cluster for it".to_owned()),
            ImportError::NotFollowed { .. } => {
                Some("it is followed as a replica does, by SYNC: its user needs +psync and +replconf".to_owned())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_what_was_copied_and_how_far_behind_it_is() {
        let followed = Followed {
            changes: 12_345,
            pending: 1,
            behind: 2_000_000,
            lag: Duration::from_millis(40),
            phase: FollowPhase::Following,
        };
        assert_eq!(
            line(&followed),
            "following   12 345 changes copied   1 key to copy   40 ms behind   2.0 MB of the stream unread"
        );
    }
}
