//! What the agent tells of itself as it goes: its state file.

use crate::{
    backoff::Next,
    directory::MemberDirectory,
    events,
    shared::Shared,
    state::{Phase, State, unix_milliseconds},
};
use std::{sync::Arc, time::SystemTime};

/// The agent's state, written whenever it changes, and known to the other parts of the agent.
pub(crate) struct Report {
    directory: MemberDirectory,
    shared: Arc<Shared>,
    state: State,
    started_before: bool,
}

impl Report {
    /// The report of this process, beginning now.
    pub(crate) fn begin(directory: MemberDirectory, shared: Arc<Shared>) -> Self {
        let state = State {
            phase: Phase::Starting,
            since: unix_milliseconds(SystemTime::now()),
            agent_pid: rustix::process::getpid().as_raw_nonzero().get(),
            server_pid: None,
            restarts: 0,
            last_exit: None,
            last_log: Vec::new(),
            next_start: None,
        };
        let report = Self { directory, shared, state, started_before: false };
        report.write();
        report
    }

    /// The server's process was made. A crash loop is not over with that.
    pub(crate) fn started(&mut self, pid: i32, in_crash_loop: bool) {
        self.state.server_pid = Some(pid);
        self.state.next_start = None;
        self.state.restarts += u64::from(self.started_before);
        self.started_before = true;
        self.enter(if in_crash_loop { Phase::CrashLoop } else { Phase::Starting });
    }

    /// The server runs.
    pub(crate) fn running(&mut self) {
        self.enter(Phase::Running);
    }

    /// The server was asked to end.
    pub(crate) fn stopping(&mut self) {
        self.enter(Phase::Stopping);
    }

    /// The server has ended, or could not even be started: what it said, and what comes next.
    pub(crate) fn waiting(&mut self, exit: &str, log: Vec<String>, next: Next) {
        self.ended(exit, log);
        self.state.next_start = Some(unix_milliseconds(SystemTime::now() + next.pause()));
        self.enter(match next {
            Next::StartAfter(_) => Phase::Waiting,
            Next::CrashLoop(_) => Phase::CrashLoop,
        });
    }

    /// The server has ended because it was asked to.
    pub(crate) fn stopped(&mut self, exit: &str, log: Vec<String>) {
        self.ended(exit, log);
        self.enter(Phase::Stopped);
    }

    /// The agent was asked to stop while there was no server.
    pub(crate) fn stopped_without_server(&mut self) {
        self.state.next_start = None;
        self.enter(Phase::Stopped);
    }

    fn ended(&mut self, exit: &str, log: Vec<String>) {
        self.state.server_pid = None;
        self.state.last_exit = Some(exit.to_owned());
        self.state.last_log = log;
    }

    fn enter(&mut self, phase: Phase) {
        if self.state.phase != phase {
            self.state.phase = phase;
            self.state.since = unix_milliseconds(SystemTime::now());
        }
        self.shared.enter(phase);
        self.write();
    }

    /// A full disk is no reason to leave the server alone: the agent goes on and says so.
    fn write(&self) {
        if let Err(error) = self.state.write(&self.directory) {
            events::tell(error);
        }
    }
}
