//! Looking at the own server, again and again.

use crate::shared::{Shared, another};
use operations::port::Trouble;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use topology::{Flag, NodeEntry, NodeView};

/// Time between two looks when all is calm.
const CALM: Duration = Duration::from_secs(1);
/// When it is not.
const RESTLESS: Duration = Duration::from_millis(250);
/// While the server does not answer yet.
const STARTING: Duration = Duration::from_millis(10);
/// A server that does not answer, or a cluster that is not whole, is looked at more often for this long.
const AWHILE: Duration = Duration::from_secs(10);

/// Looks at the server for as long as it is polled.
pub(crate) async fn keep_looking(shared: Arc<Shared>) {
    let mut runs = shared.runs();
    let mut since = (0, false, Instant::now());
    loop {
        let run = *runs.borrow_and_update();
        if run.pid.is_none() {
            if runs.changed().await.is_err() {
                return;
            }
            continue;
        }
        let outcome = shared.look().await;
        let calm = outcome.as_ref().is_ok_and(|view| is_calm(view));
        if (since.0, since.1) != (run.number, calm) {
            since = (run.number, calm, Instant::now());
        }
        let pause = pause(outcome.as_ref().map(|_| calm), since.2.elapsed());
        tokio::select! {
            () = sleep(pause) => {}
            () = another(&mut runs, run) => {}
        }
    }
}

/// How long until the next look, when it has been so for this long.
fn pause(outcome: Result<bool, &Trouble>, for_so_long: Duration) -> Duration {
    let soon = for_so_long < AWHILE;
    match outcome {
        Ok(true) => CALM,
        Err(Trouble::Refused) if soon => STARTING,
        _ if soon => RESTLESS.min(for_so_long + STARTING),
        _ => CALM,
    }
}

fn is_calm(view: &NodeView) -> bool {
    view.cluster.state_ok && view.server.primary_link_up != Some(false) && !view.peers.iter().any(is_lost)
}

/// Whether the server has lost this node, or never found it.
pub(crate) fn is_lost(entry: &NodeEntry) -> bool {
    let flags = [Flag::Failing, Flag::PossiblyFailing, Flag::NoAddress];
    !entry.flags.has(&Flag::Handshake) && (!entry.connected || flags.iter().any(|flag| entry.flags.has(flag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_rare_when_all_is_calm_or_has_been_wrong_for_long() {
        let long = Duration::from_mins(1);
        assert_eq!(pause(Ok(true), Duration::ZERO), CALM);
        assert_eq!(pause(Ok(false), Duration::ZERO), STARTING);
        assert_eq!(pause(Ok(false), CALM), RESTLESS);
        assert_eq!(pause(Ok(false), long), CALM);
        assert_eq!(pause(Err(&Trouble::Refused), CALM), STARTING);
        assert_eq!(pause(Err(&Trouble::Loading { percent: None }), CALM), RESTLESS);
        assert_eq!(pause(Err(&Trouble::Refused), long), CALM);
    }
}
