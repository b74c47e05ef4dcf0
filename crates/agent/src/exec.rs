//! The last thing before a server: the process that becomes it.

use crate::lock::{self, LockError, RecordLock, Signal};
use rustix::process::{getppid, set_parent_process_death_signal};
use std::{
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// A server whose agent was killed is killed, too, but takes a moment to give its memory back.
const PREDECESSOR_ENDS: Duration = Duration::from_secs(5);

/// Why a process did not become the server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// The parent's id is none.
    #[error("{0:?} is not the id of a process")]
    NotAProcess(String),
    /// The system does not promise to end the server with its agent.
    #[error("the system does not end the server with its agent: {0}")]
    Unbound(#[source] io::Error),
    /// The agent has ended already.
    #[error("the agent, process {0}, has ended, so the server is not started")]
    Orphaned(i32),
    /// The member is held back: a replica takes its place just now.
    #[error("process {0} keeps the server from being started: a replica takes its place")]
    Fenced(i32),
    /// Another server works in the directory.
    #[error("another server, process {0}, still runs in this directory")]
    AlreadyRuns(i32),
    /// The server's lock could not be taken.
    #[error(transparent)]
    Lock(LockError),
    /// The program could not be started.
    #[error("{} cannot be started: {source}", program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Becomes the server: bound to the life of its parent, the process `parent`, and holding the record lock `lock`.
///
/// Comes back only with the reason why it did not.
pub fn exec_server(lock: &Path, parent: &str, program: &Path, arguments: &[&str]) -> ExecError {
    let held = match prepare(lock, parent) {
        Ok(held) => held,
        Err(error) => return error,
    };
    let source = Command::new(program).args(arguments).exec();
    drop(held);
    ExecError::Program { program: program.to_owned(), source }
}

fn prepare(lock: &Path, parent: &str) -> Result<RecordLock, ExecError> {
    let Ok(parent) = parent.parse::<i32>() else { return Err(ExecError::NotAProcess(parent.to_owned())) };
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| ExecError::Unbound(error.into()))?;
    // A parent that ended before that call has sent no signal.
    if getppid().is_none_or(|now| now.as_raw_nonzero().get() != parent) {
        return Err(ExecError::Orphaned(parent));
    }
    let deadline = Instant::now() + PREDECESSOR_ENDS;
    let _begins = begin(&fence_of(lock), deadline)?;
    RecordLock::acquire_across_exec(lock, deadline).map_err(|error| match error {
        LockError::Held { pid, .. } => ExecError::AlreadyRuns(pid),
        error => ExecError::Lock(error),
    })
}

/// Takes the lock that whoever holds a member back takes, too, before that looks whether there is a server: there is none, or it has not begun.
fn begin(fence: &Path, deadline: Instant) -> Result<RecordLock, ExecError> {
    loop {
        match RecordLock::acquire(fence) {
            Ok(lock) => return Ok(lock),
            Err(LockError::Held { pid, .. }) => {
                lock::wait_released(fence, deadline).map_err(|_| ExecError::Fenced(pid))?;
            }
            Err(error) => return Err(ExecError::Lock(error)),
        }
    }
}

/// The lock that is taken by whoever begins a server, and by whoever holds it back; beside the server's own.
pub(crate) fn fence_of(server_lock: &Path) -> PathBuf {
    server_lock.with_file_name("fence.lock")
}
