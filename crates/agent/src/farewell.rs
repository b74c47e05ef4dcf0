//! Serving on, after a server has given its slots away and before it is stopped, until clients know who has them.
//!
//! A client that is answered `MOVED` goes on elsewhere. One whose connection ends in the middle of a question does not know what became of it.

use crate::{events, seen::Seen, shared::Shared};
use operations::port::Command;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Clients come to a server that was primary no longer ago than this.
const LATELY: Duration = Duration::from_secs(5);
/// When none was sent on for so long, all know.
const QUIET: Duration = Duration::from_millis(150);
/// No client is waited for longer: one that does not learn never will.
const MOST: Duration = Duration::from_secs(2);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// How long the own server may take to answer.
const ANSWER: Duration = Duration::from_millis(500);

/// Waits until no client is sent on any more by a server that was primary a moment ago.
pub(crate) async fn await_clients(shared: &Shared) {
    let has_given_away = |seen: &Seen| seen.primary().is_some() && seen.has_served_within(LATELY);
    if !has_given_away(&shared.seen().borrow()) {
        return;
    }
    let begin = Instant::now();
    let (mut before, mut since) = (None, begin);
    while since.elapsed() < QUIET {
        if begin.elapsed() >= MOST {
            return events::tell(format_args!("clients are still sent on after {}", events::seconds(MOST)));
        }
        let Some(count) = sent_on(shared).await else { return };
        if before != Some(count) {
            (before, since) = (Some(count), Instant::now());
        }
        sleep(LOOK).await;
    }
}

/// How many commands the server has answered `MOVED` (`INFO errorstats`, Redis 6.2); none where it does not say.
async fn sent_on(shared: &Shared) -> Option<u64> {
    let words = ["INFO", "errorstats"].map(|word| word.as_bytes().to_vec()).into();
    let text = timeout(ANSWER, shared.ask_for(Command::Typed(words))).await.ok()?.ok()?;
    text.starts_with("# Errorstats").then_some(())?;
    let count = text.lines().find_map(|line| line.strip_prefix("errorstat_MOVED:count="));
    count.map_or(Some(0), |count| count.trim_end().parse().ok())
}
