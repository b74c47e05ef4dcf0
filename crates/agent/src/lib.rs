//! The process beside each server: it starts the server, watches it, and starts it again when it ends.
//!
//! The agent is the server's parent. The server never outlives it: the kernel kills the server when the agent dies,
//! whatever it dies of. Who works in a member's directory is told by two record locks (see [`lock`]), what the agent
//! does by a file that it keeps up to date (see [`State`]), and what it should do by signals: TERM and INT stop the
//! server and the agent, TERM lets a replica take over first, HUP ends a pause before the next start and has an order to lose the data
//! carried out, USR1 tells that others are cut off, or this one (see [`Partition`]).
//!
//! The agents of a cluster talk to each other (see [`Api`]): a death is told at once, the best replica asks for an election at once,
//! and servers whose addresses have changed are told so. Nobody above them is needed for that.

mod account;
mod api;
mod backoff;
mod call;
mod copies;
mod counters;
mod directory;
mod electable;
mod error;
mod events;
mod exec;
mod exit;
mod failover;
mod farewell;
pub mod file;
mod follow;
mod guard;
mod hand_over;
mod happening;
mod introductions;
mod kept;
mod launch;
pub mod lock;
mod logs;
mod looking;
mod member;
mod metrics;
mod neighbours;
mod partition;
mod report;
mod seen;
mod server;
mod settle;
mod shared;
mod sockets;
mod state;
mod succession;
mod supervise;
mod token;
mod wipe;
mod wishes;

pub use account::{Account, Role, Said};
pub use call::{CallError, take};
pub use copies::CopyOf;
pub use directory::MemberDirectory;
pub use error::AgentError;
pub use exec::{ExecError, exec_server};
pub use file::FileError;
pub use happening::Happening;
pub use launch::{Declined, Launch, Running, is_for_starts};
pub use member::{Api, Member};
pub use partition::{Cut, Followed, Partition};
pub use server::SECRET_VARIABLES;
pub use sockets::may_take_sockets;
pub use state::{Phase, State};
pub use token::{Token, TokenError};
pub use wipe::order_wipe;

use lock::{LockError, RecordLock};
use neighbours::Neighbourhood;
use operations::port::Dialer;
use shared::Shared;
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use wishes::Wishes;

/// The running program, also after its file was replaced by a newer one.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// How long an agent that ends waits for who watches to take its last words.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Runs the agent of the member in this directory until it is asked to stop and the server has ended.
///
/// To be called on the main thread of its own process: the server dies with the thread that started it. The program
/// must understand the words `exec-server LOCK PARENT -- PROGRAM ARGUMENTS…` and hand them to [`exec_server`]. The dialer
/// leads to the own server and to its replicas.
///
/// # Errors
/// When another agent runs there, when the member cannot be read, and when the server does not even end when killed.
pub fn run(directory: &Path, dialer: Arc<dyn Dialer>) -> Result<(), AgentError> {
    run_with(directory, Path::new(THIS_PROGRAM), dialer)
}

/// As [`run`], with another program that understands the words `exec-server …`.
///
/// # Errors
/// As [`run`].
pub fn run_with(directory: &Path, exec_program: &Path, dialer: Arc<dyn Dialer>) -> Result<(), AgentError> {
    let directory = MemberDirectory::absolute(directory).map_err(AgentError::NoDirectory)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AgentError::EventLoop)?;
    runtime.block_on(async {
        // Signals are heard before the lock makes this process a target for them.
        let wishes = Wishes::hear().map_err(AgentError::EventLoop)?;
        let called = follow::hear().map_err(AgentError::EventLoop)?;
        let _lock = acquire(&directory)?;
        let member = Member::read(directory.path())?;
        let api = member.api.as_ref();
        let token = api.and_then(|api| token_of(&api.token_file));
        // Without an address of its own this member is nobody's neighbour, and asks nobody.
        let own = api.map_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)), Api::address);
        let neighbourhood = Neighbourhood::of(&directory, own);
        let shared = Arc::new(Shared::new(directory.clone(), dialer, token, neighbourhood, member.port));
        if api.is_some() {
            tokio::spawn(api::serve(Arc::clone(&shared), own));
            tokio::spawn(looking::keep_looking(Arc::clone(&shared)));
            tokio::spawn(electable::keep(Arc::clone(&shared)));
            tokio::spawn(guard::guard(Arc::clone(&shared)));
            tokio::spawn(introductions::keep_introducing(Arc::clone(&shared)));
            tokio::spawn(follow::follow(Arc::clone(&shared), called));
        }
        let outcome = supervise::Agent::new(directory, exec_program, wishes, Arc::clone(&shared)).run().await;
        shared.watchers.heard(LAST_WORDS).await;
        outcome
    })
}

/// The token in this file. Without one the server is kept all the same, but nobody is told of it who would have to show the token.
fn token_of(path: &Path) -> Option<Token> {
    Token::read(path).inspect_err(|error| events::tell(error)).ok()
}

fn acquire(directory: &MemberDirectory) -> Result<RecordLock, AgentError> {
    RecordLock::acquire(&directory.agent_lock()).map_err(|error| match error {
        LockError::Held { pid, .. } => AgentError::AlreadyRuns { pid, directory: directory.path().to_owned() },
        error => AgentError::Lock(error),
    })
}
