//! Putting right what the reference has left, so that the next contender finds what it is to find.

use crate::{
    note,
    problem::Problem,
    setting::{Setting, Tool},
    stopwatch::run,
};
use std::time::Duration;
use testservers::comes_true;

/// What nodes know spreads in less.
const GOSSIP: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_mins(2);

/// Repairs the cluster unless it becomes whole by itself after the reference tool.
///
/// Servers before 8.0 may give slots away again that such a tool has just moved back to them (Redis 7.0.15).
pub(crate) fn after_reference(setting: &Setting, entry: &str, is_whole: impl FnMut() -> bool) -> Result<(), Problem> {
    if comes_true(GOSSIP, is_whole) {
        return Ok(());
    }
    note("  it has left slots that nobody owns: mended before the next one");
    run(setting, Tool::Tribune, &["fix", "--yes", entry], LIMIT)?.done().map(drop)
}
