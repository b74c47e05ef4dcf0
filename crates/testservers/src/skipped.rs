//! Saying loudly that something was not tested.

use std::{
    collections::BTreeSet,
    io::{Write, stderr},
    sync::{Mutex, PoisonError},
};

static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Writes `SKIPPED: what` to standard error, once a process.
///
/// Not through `eprintln`, because the test runner keeps that to itself when the test passes.
pub(crate) fn skipped(what: &str) {
    if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(what.to_owned()) {
        // Nothing can be said where standard error is closed.
        let _ = writeln!(stderr(), "SKIPPED: {what}");
    }
}
