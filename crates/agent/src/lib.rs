//! The process beside each server: it starts the server, watches it, and starts it again when it ends.
//!
//! The agent is the server's parent. The server never outlives it: the kernel kills the server when the agent dies,
//! whatever it dies of. Who works in a member's directory is told by two record locks (see [`lock`]), what the agent
//! does by a file that it keeps up to date (see [`State`]), and what it should do by signals: TERM and INT stop the
//! server and the agent, HUP ends a pause before the next start.

mod backoff;
mod directory;
mod error;
mod events;
mod exec;
mod exit;
pub mod file;
pub mod lock;
mod logs;
mod member;
mod report;
mod server;
mod state;
mod supervise;
mod wishes;

pub use directory::MemberDirectory;
pub use error::AgentError;
pub use exec::{ExecError, exec_server};
pub use file::FileError;
pub use member::Member;
pub use server::SECRET_VARIABLES;
pub use state::{Phase, State};

use lock::{LockError, RecordLock};
use std::path::Path;
use wishes::Wishes;

/// The running program, also after its file was replaced by a newer one.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Runs the agent of the member in this directory until it is asked to stop and the server has ended.
///
/// To be called on the main thread of its own process: the server dies with the thread that started it. The program
/// must understand the words `exec-server LOCK PARENT -- PROGRAM ARGUMENTS…` and hand them to [`exec_server`].
///
/// # Errors
/// When another agent runs there, when the member cannot be read, and when the server does not even end when killed.
pub fn run(directory: &Path) -> Result<(), AgentError> {
    run_with(directory, Path::new(THIS_PROGRAM))
}

/// As [`run`], with another program that understands the words `exec-server …`.
///
/// # Errors
/// As [`run`].
pub fn run_with(directory: &Path, exec_program: &Path) -> Result<(), AgentError> {
    let directory = MemberDirectory::absolute(directory).map_err(AgentError::NoDirectory)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AgentError::EventLoop)?;
    runtime.block_on(async {
        // Signals are heard before the lock makes this process a target for them.
        let wishes = Wishes::hear().map_err(AgentError::EventLoop)?;
        let _lock = acquire(&directory)?;
        Member::read(directory.path())?;
        supervise::Agent::new(directory, exec_program, wishes).run().await
    })
}

fn acquire(directory: &MemberDirectory) -> Result<RecordLock, AgentError> {
    RecordLock::acquire(&directory.agent_lock()).map_err(|error| match error {
        LockError::Held { pid, .. } => AgentError::AlreadyRuns { pid, directory: directory.path().to_owned() },
        error => AgentError::Lock(error),
    })
}
