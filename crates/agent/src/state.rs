//! What an agent tells of itself.

use crate::{
    directory::MemberDirectory,
    file::{self, FileError, Survives},
};
use serde::{Deserialize, Serialize};
use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What an agent is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Phase {
    /// The server's process is being made.
    Starting,
    /// The server's process runs and holds its lock. Whether it answers is for its clients to say.
    Running,
    /// The server ended and will be started again after a pause.
    Waiting,
    /// The server ended within 10 s five times in a row. It is tried again every 10 s, and until one of these tries has
    /// lasted for 10 s, this phase stays.
    CrashLoop,
    /// The server was asked to end.
    Stopping,
    /// The server has ended because the agent was asked to stop; the agent ends, too.
    Stopped,
}

/// What an agent tells of itself: the file `state.json`.
///
/// An agent that was killed leaves its last state behind. The state holds as long as the holder of the agent's lock is
/// the process [`State::agent_pid`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// What the agent is at.
    pub phase: Phase,
    /// When the phase began, in milliseconds since 1970.
    pub since: u64,
    /// The agent's process.
    pub agent_pid: i32,
    /// The server's process, while there is one.
    pub server_pid: Option<i32>,
    /// How many times this agent has started the server again.
    pub restarts: u64,
    /// How the server ended the last time, in words that follow "the server".
    pub last_exit: Option<String>,
    /// The last lines, at most five, of what the server said before it ended the last time.
    pub last_log: Vec<String>,
    /// When the server will be started again, in milliseconds since 1970, while that is waited for.
    pub next_start: Option<u64>,
}

impl State {
    /// The state of the agent in this directory, or none when no agent has ever run there.
    ///
    /// # Errors
    /// When there is a file, and it cannot be read.
    pub fn read(directory: &Path) -> Result<Option<Self>, FileError> {
        file::read_if_there(&MemberDirectory::new(directory).state())
    }

    /// How long it is from `now` until the server will be started again, while that is waited for.
    pub fn next_start_in(&self, now: SystemTime) -> Option<Duration> {
        self.next_start.map(|at| Duration::from_millis(at.saturating_sub(unix_milliseconds(now))))
    }

    /// Writes the state into this directory.
    pub(crate) fn write(&self, directory: &MemberDirectory) -> Result<(), FileError> {
        file::write(&directory.state(), self, Survives::Processes)
    }
}

/// Milliseconds since 1970; 0 for anything before.
pub(crate) fn unix_milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State {
            phase: Phase::CrashLoop,
            since: 1_000,
            agent_pid: 10,
            server_pid: None,
            restarts: 4,
            last_exit: Some("ended with status 1".into()),
            last_log: vec!["bad configuration".into()],
            next_start: Some(11_000),
        }
    }

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(State::read(directory.path()).unwrap(), None);
        state().write(&MemberDirectory::new(directory.path())).unwrap();
        assert_eq!(State::read(directory.path()).unwrap(), Some(state()));
    }

    #[test]
    fn phases_have_stable_words() {
        assert_eq!(serde_json::to_string(&Phase::CrashLoop).unwrap(), r#""crash-loop""#);
        assert_eq!(serde_json::to_string(&Phase::Waiting).unwrap(), r#""waiting""#);
    }

    #[test]
    fn the_next_start_comes_closer_and_is_never_in_the_past() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(state().next_start_in(at(4)), Some(Duration::from_secs(7)));
        assert_eq!(state().next_start_in(at(12)), Some(Duration::ZERO));
    }
}
