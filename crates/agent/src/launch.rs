//! What a server runs with: its program and settings, and what it takes of others while it runs.

use crate::{
    MemberDirectory,
    file::{self, FileError, Survives},
    member::Member,
    shared::Shared,
};
use operations::port::{Command, Trouble};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// What a server is started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The server's program.
    pub program: PathBuf,
    /// The version that it told when it was chosen: the file may be another one later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Settings beyond those of its configuration file, which they override. No secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// Counts the restarts that were asked for without anything else.
    #[serde(default)]
    pub round: u64,
}

/// What the server runs with: the file `launch.json`, which the agent writes. It holds as long as that process is the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The server's process.
    pub server_pid: i32,
    /// What it was started with, and has taken since.
    pub launch: Launch,
    /// What it was to take, and does not while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declined: Option<Declined>,
}

/// What a server does not take while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declined {
    /// What it was to run with.
    pub launch: Launch,
    /// Which setting it refuses, and in which words; none where a restart is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

/// What has become of a setting.
enum Outcome {
    Taken,
    NeedsRestart,
    Refused(String),
}

impl Running {
    /// What runs in this directory by the word of its agent; none when no agent that tells has ever run there.
    ///
    /// # Errors
    /// When there is a file, and it cannot be read.
    pub fn read(directory: &MemberDirectory) -> Result<Option<Self>, FileError> {
        file::read_if_there(&directory.launch())
    }

    pub(crate) fn write(&self, directory: &MemberDirectory) -> Result<(), FileError> {
        file::write(&directory.launch(), self, Survives::Processes)
    }
}

/// Has the own server take what it is to run with, as far as it does so while it runs; tells what it runs with now.
///
/// # Errors
/// When the server does not answer, or a file cannot be read or written.
pub(crate) async fn take(shared: &Shared, wanted: Launch) -> Result<Running, TakeError> {
    let directory = &shared.directory;
    let pid = shared.run().pid.ok_or(Trouble::Refused)?;
    let told = Running::read(directory)?.filter(|running| running.server_pid == pid);
    let mut running = told.ok_or_else(|| Trouble::Protocol("another program runs there".to_owned()))?;
    let is_restart = |now: &Launch| {
        (&now.program, &now.version, now.round) != (&wanted.program, &wanted.version, wanted.round)
            || now.settings.keys().any(|name| !wanted.settings.contains_key(name))
    };
    let (mut needs_restart, mut refusal) = (is_restart(&running.launch), None);
    if !needs_restart {
        for (name, value) in &wanted.settings {
            if running.launch.settings.get(name) == Some(value) {
                continue;
            }
            match set(shared, name, value).await? {
                Outcome::Taken => drop(running.launch.settings.insert(name.clone(), value.clone())),
                Outcome::NeedsRestart => needs_restart = true,
                Outcome::Refused(why) => refusal = Some(format!("{name} {value}: {why}")),
            }
        }
        // What it has taken it is to have after a crash, too.
        let mut member = Member::read(directory.path())?;
        member.launch.settings.clone_from(&running.launch.settings);
        member.write(directory.path())?;
    }
    running.declined = (needs_restart || refusal.is_some()).then_some(Declined { launch: wanted, refusal });
    running.write(directory)?;
    Ok(running)
}

/// Sets one setting at run time (`CONFIG SET`, which says so when that is not possible).
async fn set(shared: &Shared, name: &str, value: &str) -> Result<Outcome, Trouble> {
    match shared.send(Command::ConfigSet(name.to_owned(), value.to_owned())).await {
        Ok(()) => Ok(Outcome::Taken),
        Err(Trouble::Refusal(why)) if is_for_starts(&why) => Ok(Outcome::NeedsRestart),
        Err(Trouble::Refusal(why)) => Ok(Outcome::Refused(why)),
        Err(trouble) => Err(trouble),
    }
}

/// Whether a server refuses a setting (`CONFIG SET`) since it takes it only when it starts.
pub fn is_for_starts(refusal: &str) -> bool {
    refusal.contains("immutable") || refusal.contains("protected")
}

/// Why it is not known what a server has taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeError {
    #[error("the server {0}")]
    Server(#[from] Trouble),
    #[error(transparent)]
    File(#[from] FileError),
}
