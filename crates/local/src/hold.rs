//! Holding the loop: it looks and tells what it would do, and changes nothing before that is approved.

use crate::{Cluster, LocalError, cluster::if_there};
use agent::file::{self, Survives};
use serde::{Deserialize, Serialize};
use std::{fs, path::PathBuf};

/// That the loop is held: the file `hold.json`.
#[derive(Serialize, Deserialize)]
struct Hold {
    because: String,
    /// Whether it may change the cluster until nothing is left to be done.
    approved: bool,
}

impl Cluster {
    fn hold_note(&self) -> PathBuf {
        self.directory().join("hold.json")
    }

    fn hold_now(&self) -> Option<Hold> {
        let unreadable = || Hold { because: "the file hold.json cannot be read".to_owned(), approved: false };
        self.hold_note().exists().then(|| file::read(&self.hold_note()).unwrap_or_else(|_| unreadable()))
    }

    /// Holds the loop until it is released, also over restarts.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub fn hold(&self, because: &str) -> Result<(), LocalError> {
        let hold = Hold { because: because.to_owned(), approved: false };
        Ok(file::write(&self.hold_note(), &hold, Survives::PowerLoss)?)
    }

    /// Why the loop is held, if somebody has asked for that and has not approved what it would do.
    pub fn held(&self) -> Option<String> {
        self.hold_now().filter(|hold| !hold.approved).map(|hold| hold.because)
    }

    /// Lets a loop that is held change the cluster until nothing is left to be done; then it is held again. Whether it was held.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub fn approve(&self) -> Result<bool, LocalError> {
        let Some(hold) = self.hold_now() else { return Ok(false) };
        file::write(&self.hold_note(), &Hold { approved: true, ..hold }, Survives::PowerLoss)?;
        Ok(true)
    }

    /// Nothing is left to be done: what was approved has been done.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub(crate) fn end_approval(&self) -> Result<(), LocalError> {
        match self.hold_now() {
            Some(hold) if hold.approved => self.hold(&hold.because),
            _ => Ok(()),
        }
    }

    /// Lets the loop go on; whether it was held.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn release(&self) -> Result<bool, LocalError> {
        let was_held = self.hold_note().exists();
        if_there(fs::remove_file(self.hold_note())).map_err(|error| self.unusable(error))?;
        Ok(was_held)
    }
}
