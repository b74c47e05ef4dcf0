//! What members run with and what they are to run with: their program and settings.

use crate::{Cluster, LocalError, MemberStatus};
use agent::{CallError, Launch, Member, Running, Token, lock, lock::Signal};
use std::time::{Duration, Instant};
use tokio::time::sleep;
use topology::Update;

/// How long a server may take to end, with its agent: that gives it 10 s before it kills it, and hands over before for 5 s at most.
const ENDS: Duration = Duration::from_secs(30);
/// Time between two looks whether it has.
const AGAIN: Duration = Duration::from_millis(10);

/// Why a server was not given what it is to run with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeError {
    #[error(transparent)]
    Local(#[from] LocalError),
    #[error("its agent does not answer: {0}")]
    Call(#[from] CallError),
    #[error("{0}")]
    Token(#[from] agent::TokenError),
    #[error("its agent was made by an older version, and is not to be told anything")]
    NoApi,
}

impl Cluster {
    /// How what each member runs with, by port, stands to what it is to run with.
    ///
    /// # Errors
    /// When a member's files cannot be read.
    pub fn updates(&self) -> Result<Vec<(u16, Update)>, LocalError> {
        let (members, wanted) = (self.members()?, self.settings()?.launch());
        let update = |status: &MemberStatus| {
            let update = self.update_of(status, &wanted).map(|update| (status.port, update));
            self.unless_removed(status.port, update)
        };
        members.iter().filter_map(update).collect()
    }

    /// How what a member runs with stands to what it is to run with.
    pub(crate) fn update_of(&self, status: &MemberStatus, wanted: &Launch) -> Result<Update, LocalError> {
        let directory = self.member_directory(status.port);
        let member = Member::read(directory.path())?;
        let running = Running::read(&directory)?.filter(|running| Some(running.server_pid) == status.server_pid);
        let Some(running) = running else {
            return Ok(if is_same(&member.launch, wanted) { Update::Current } else { Update::NeedsRestart });
        };
        if is_same(&running.launch, wanted) {
            return Ok(Update::Current);
        }
        let other_program = Launch { settings: wanted.settings.clone(), ..running.launch.clone() };
        let declined = running.declined.filter(|declined| declined.launch == *wanted);
        Ok(match declined.map(|declined| declined.refusal) {
            Some(Some(refusal)) => Update::Refused(refusal),
            Some(None) => Update::NeedsRestart,
            None if member.api.is_none() || !is_same(&other_program, wanted) => Update::NeedsRestart,
            None => Update::Outdated,
        })
    }

    /// Has a member's server take what it is to run with, as far as it does so while it runs.
    pub(crate) async fn take(&self, port: u16) -> Result<(), TakeError> {
        let member = Member::read(self.member_directory(port).path()).map_err(LocalError::from)?;
        let api = member.api.ok_or(TakeError::NoApi)?;
        let token = Token::read(&api.token_file)?;
        agent::take(api.address(), &token, &self.settings()?.launch()).await?;
        Ok(())
    }

    /// Ends a member's server orderly, with its agent; the supervisor starts both again, the server with what it is to run with.
    pub(crate) async fn restart(&self, port: u16) -> Result<(), LocalError> {
        let directory = self.member_directory(port);
        let mut member = Member::read(directory.path())?;
        member.launch = self.settings()?.launch();
        member.write(directory.path())?;
        let lock = directory.agent_lock();
        let Some(agent) = lock::signal_holder(&lock, Signal::TERM)? else { return Ok(()) };
        // A server that is stopped hears nothing but SIGKILL until it goes on.
        lock::signal_holder(&directory.server_lock(), Signal::CONT)?;
        let deadline = Instant::now() + ENDS;
        while lock::holder(&lock).map_err(|source| LocalError::Directory { path: lock.clone(), source })? == Some(agent)
        {
            if Instant::now() >= deadline {
                return Err(LocalError::DoesNotEnd { name: self.name().to_owned(), pid: agent });
            }
            sleep(AGAIN).await;
        }
        Ok(())
    }
}

/// Whether both are the same. Members that were made by older versions do not tell the version of their program.
fn is_same(runs: &Launch, wanted: &Launch) -> bool {
    let version = runs.version.as_ref().or(wanted.version.as_ref()).cloned();
    Launch { version, ..runs.clone() } == *wanted
}
