//! Why an agent gave up.

use crate::{file::FileError, lock::LockError};
use std::{io, path::PathBuf};

/// Why an agent did not begin, or ended without having stopped its server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// Another agent works in the directory.
    #[error("another agent, process {pid}, already runs in {}", directory.display())]
    AlreadyRuns {
        /// The other agent.
        pid: i32,
        /// The member's directory.
        directory: PathBuf,
    },
    /// The directory has no name.
    #[error("the member's directory cannot be found: {0}")]
    NoDirectory(#[source] io::Error),
    /// The agent's lock could not be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// What to start could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The system did not give what an event loop needs.
    #[error("the agent cannot start its event loop: {0}")]
    EventLoop(#[source] io::Error),
    /// The server was killed and still did not end; the kernel holds it.
    #[error("the server, process {pid}, was killed and has not ended after {seconds} s: see its wait channel with ps")]
    DoesNotEnd {
        /// The server.
        pid: i32,
        /// How long it was waited for after the kill.
        seconds: u64,
    },
}
