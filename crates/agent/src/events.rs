//! The agent's own log: one line for each thing that happened, on standard error.

use std::{
    fmt::Display,
    io::{self, Write},
    time::{Duration, SystemTime},
};

/// Writes one line with the time, in UTC.
pub(crate) fn tell(event: impl Display) {
    let now = humantime::format_rfc3339_millis(SystemTime::now());
    // One write for the whole line keeps it whole. When nobody can read it any more, the server still wants its agent.
    let line = format!("{now} {event}\n");
    io::stderr().write_all(line.as_bytes()).ok();
}

/// A duration as it is read best: 0.1 s.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
