//! The agent's work: start, watch, wait, start again, until it is asked to stop.

use crate::{
    backoff::{Backoff, Next, SHORT_RUN},
    copies,
    directory::MemberDirectory,
    error::AgentError,
    events::{self, seconds},
    farewell::await_clients,
    follow,
    hand_over::hand_over,
    happening::Happening,
    launch::Running,
    lock::Signal,
    logs,
    member::Member,
    report::Report,
    server::{Server, StartError},
    settle,
    shared::Shared,
    wipe,
    wishes::{Stop, Wish, Wishes},
};
use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// A killed process that the kernel has not ended after this long hangs in the kernel, in seconds.
const KILL_SECONDS: u64 = 10;

/// The agent of one member.
pub(crate) struct Agent {
    directory: MemberDirectory,
    exec_program: PathBuf,
    wishes: Wishes,
    backoff: Backoff,
    report: Report,
    shared: Arc<Shared>,
}

/// How the server is to be started.
enum Start {
    /// Not at all: the agent ends.
    Not,
    /// With what it has kept.
    WithItsData,
    /// Without: what it has kept is to go first.
    Empty,
}

/// How watching a server ended.
enum Watched {
    /// The server ended by itself: how, in words.
    Ended(String),
    /// The server was stopped as wished.
    Stopped,
}

impl Agent {
    /// The agent of the member in this directory, whose lock is held.
    pub(crate) fn new(directory: MemberDirectory, exec_program: &Path, wishes: Wishes, shared: Arc<Shared>) -> Self {
        let report = Report::begin(directory.clone(), Arc::clone(&shared));
        Self { directory, exec_program: exec_program.to_owned(), wishes, backoff: Backoff::new(), report, shared }
    }

    /// Keeps the server running until it is wished to stop.
    pub(crate) async fn run(mut self) -> Result<(), AgentError> {
        // An agent that was killed has taken its server along: its shard may be choosing another primary just now.
        let mut pause = Duration::ZERO;
        loop {
            let begun = match self.wait(pause).await {
                Start::Not => return Ok(()),
                Start::WithItsData if self.spare_copies().await => return Ok(()),
                Start::WithItsData => self.start(),
                Start::Empty => self.start_empty().await,
            };
            let next = match begun {
                Ok(mut server) => match self.watch(&mut server).await? {
                    Watched::Stopped => return Ok(()),
                    Watched::Ended(exit) => {
                        self.shared.ended(&exit);
                        self.ended(&exit, server.last_lines(&self.directory), server.ran_for())
                    }
                },
                Err(error) => self.ended(&format!("could not be started: {error}"), Vec::new(), Duration::ZERO),
            };
            pause = next.pause();
        }
    }

    /// Waits as long as a server without data would cost a replica its copy; whether it is wished to stop instead.
    async fn spare_copies(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut safe = pin!(copies::are_safe(&shared));
        loop {
            tokio::select! {
                () = &mut safe => return false,
                wish = self.wishes.next() => match wish {
                    Wish::StartNow => self.backoff.reset(),
                    Wish::Stop(_) => return self.stop_without_server(),
                },
            }
        }
    }

    fn stop_without_server(&mut self) -> bool {
        events::tell("stopped; no server was running");
        self.report.stopped_without_server();
        true
    }

    /// Waits until the server may be started.
    async fn wait(&mut self, mut pause: Duration) -> Start {
        let shared = Arc::clone(&self.shared);
        loop {
            let order = wipe::ordered(&self.directory);
            let quiet = async {
                sleep(pause).await;
                match order {
                    Some(order) => wipe::unneeded(&shared, order).await,
                    None => settle::settled(&shared).await,
                }
            };
            tokio::select! {
                () = quiet => return if order.is_some() { Start::Empty } else { Start::WithItsData },
                wish = self.wishes.next() => match wish {
                    Wish::StartNow => {
                        self.backoff.reset();
                        // Nobody can allow that an empty server is taken for one with data.
                        if wipe::ordered(&self.directory).is_none() {
                            return Start::WithItsData;
                        }
                        pause = Duration::ZERO;
                    }
                    Wish::Stop(_) => {
                        self.stop_without_server();
                        return Start::Not;
                    }
                },
            }
        }
    }

    async fn start_empty(&mut self) -> Result<Server, StartError> {
        let data = self.directory.data();
        wipe::carry_out(&self.directory).await.map_err(|source| StartError::Data { path: data, source })?;
        events::tell("the server's data is gone");
        self.shared.forget();
        self.start()
    }

    fn start(&mut self) -> Result<Server, StartError> {
        if let Err(error) = logs::renew_standard_error(&self.directory.agent_log(), logs::AGENT_LOG) {
            events::tell(format_args!("the agent's log cannot be put aside: {error}"));
        }
        let source = self.source();
        let more = follow::arguments(source, self.shared.neighbourhood.own_host());
        let server = Server::start(&self.directory, &self.exec_program, &more)?;
        self.shared.begun(server.pid(), server.member.port, source);
        let running = Running { server_pid: server.pid(), launch: server.member.launch.clone(), declined: None };
        if let Err(error) = running.write(&self.directory) {
            events::tell(error);
        }
        self.report.started(server.pid(), self.backoff.in_crash_loop());
        let (program, port) = (server.member.launch.program.display(), server.member.port);
        events::tell(format_args!("started {program} for port {port} as process {}", server.pid()));
        Ok(server)
    }

    /// Where the server's connections are to come from, if it is cut off.
    fn source(&self) -> Option<Ipv4Addr> {
        let member = Member::read(self.directory.path()).ok()?;
        self.shared.partition().ok()?.side(member.port).source()
    }

    async fn watch(&mut self, server: &mut Server) -> Result<Watched, AgentError> {
        let proof = if self.backoff.in_crash_loop() { SHORT_RUN } else { Duration::ZERO };
        let mut runs = pin!(server.runs(&self.directory, proof));
        let mut running = false;
        loop {
            tokio::select! {
                exit = server.ended() => return Ok(Watched::Ended(exit)),
                () = &mut runs, if !running => {
                    running = true;
                    self.report.running();
                }
                wish = self.wishes.next() => match wish {
                    Wish::StartNow => {
                        self.backoff.reset();
                        if wipe::ordered(&self.directory).is_some() {
                            events::tell("the server is to lose its data: killing it");
                            server.signal(Signal::KILL);
                        }
                    }
                    Wish::Stop(who) => return self.stop(server, who).await.map(|()| Watched::Stopped),
                },
            }
        }
    }

    fn ended(&mut self, exit: &str, log: Vec<String>, ran_for: Duration) -> Next {
        let next = self.backoff.ended(ran_for);
        let what = match next {
            Next::StartAfter(pause) => format!("it is started again in {}", seconds(pause)),
            Next::CrashLoop(pause) => format!("it does so again and again, and is tried again in {}", seconds(pause)),
        };
        events::tell(format_args!("exited: the server {exit} after {}; {what}", seconds(ran_for)));
        self.report.waiting(exit, log, next);
        next
    }

    /// Lets a replica take over where that is to be, then asks the server to end, and kills it when it takes too long or when the wish
    /// is repeated.
    async fn stop(&mut self, server: &mut Server, who: Stop) -> Result<(), AgentError> {
        self.report.stopping();
        self.shared.watchers.tell(&Happening::Stopping { whole_cluster: who == Stop::WholeCluster });
        let mut ended = None;
        let mut hurry = false;
        if who == Stop::Member {
            tokio::select! {
                () = async {
                    hand_over(&self.shared).await;
                    await_clients(&self.shared).await;
                } => {}
                exit = server.ended() => ended = Some(exit),
                _ = self.wishes.stop() => hurry = true,
            }
        }
        let patience = Duration::from_secs(server.member.stop_seconds);
        if ended.is_none() && !hurry {
            events::tell(format_args!("stopping the server, which has {} to end", seconds(patience)));
            server.signal(Signal::TERM);
            ended = tokio::select! {
                exit = server.ended() => Some(exit),
                () = sleep(patience) => None,
                _ = self.wishes.stop() => None,
            };
        }
        let exit = match ended {
            Some(exit) => exit,
            None => kill(server).await?,
        };
        events::tell(format_args!("stopped: the server {exit}"));
        self.shared.ended(&exit);
        self.report.stopped(&exit, server.last_lines(&self.directory));
        Ok(())
    }
}

async fn kill(server: &mut Server) -> Result<String, AgentError> {
    events::tell("killing the server");
    server.signal(Signal::KILL);
    let ended = timeout(Duration::from_secs(KILL_SECONDS), server.ended()).await;
    ended.map_err(|_| AgentError::DoesNotEnd { pid: server.pid(), seconds: KILL_SECONDS })
}
