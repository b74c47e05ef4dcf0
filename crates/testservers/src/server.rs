//! A running server.

use crate::{
    builder::Builder,
    client::Client,
    engine::Engine,
    ports::{BUS_OFFSET, Ports},
    process::Process,
    wait::comes_true,
};
use std::{
    fs::{self, File},
    path::Path,
    process::Stdio,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tempfile::TempDir;

const START_DEADLINE: Duration = Duration::from_secs(20);
const CONFIGURATION: &str = "server.conf";
const LOG: &str = "server.log";
/// What the server prints before it has a log, such as what is wrong with its configuration.
const OUTPUT: &str = "output";

/// A server on 127.0.0.1 with a directory of its own. Dropping it kills the process and removes the directory.
#[derive(Debug)]
pub struct Server {
    // In the order in which they go: the process, its files, its port.
    process: Mutex<Option<Process>>,
    directory: TempDir,
    pub(crate) how: Builder,
    port: u16,
    _reserved: Option<Ports>,
}

/// A server that has been started and may not serve yet.
pub(crate) struct Launch {
    server: Server,
    /// Where in the log this start begins: a restart adds to it.
    log_before: usize,
}

impl Launch {
    #[track_caller]
    pub(crate) fn new(how: Builder, port: u16, reserved: Option<Ports>) -> Self {
        let written = tempfile::Builder::new().prefix("tribune-server-").tempdir().and_then(|directory| {
            fs::write(directory.path().join(CONFIGURATION), how.configuration(port, directory.path()))?;
            Ok(directory)
        });
        let directory = written.unwrap_or_else(|error| panic!("cannot write a server's configuration: {error}"));
        let process = Some(spawn(&how.engine, directory.path()));
        let server = Server { process: Mutex::new(process), directory, how, port, _reserved: reserved };
        Self { server, log_before: 0 }
    }

    #[track_caller]
    pub(crate) fn wait_until_ready(self) -> Server {
        self.server.wait_until_ready(self.log_before);
        self.server
    }
}

impl Server {
    /// A server of `engine`: a cluster node without a password, on a port of its own, unless told otherwise.
    pub fn builder(engine: &Engine) -> Builder {
        Builder::new(engine)
    }

    /// The client port; with TLS, the TLS port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The port on which it listens to other nodes.
    pub const fn bus_port(&self) -> u16 {
        self.port + BUS_OFFSET
    }

    /// Where clients find it: `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What it is.
    pub const fn engine(&self) -> &Engine {
        &self.how.engine
    }

    /// Its directory, with `server.conf`, `server.log` and what it writes itself.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The process id. Panics after [`kill`](Self::kill).
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.running(Process::pid)
    }

    /// Whether the process runs, stopped or not.
    pub fn is_running(&self) -> bool {
        self.process().as_mut().is_some_and(|process| process.exit_status().is_none())
    }

    /// Stops the process as it stands (SIGSTOP): connections stay open, and nothing answers.
    #[track_caller]
    pub fn stop_process(&self) {
        self.running(Process::suspend);
    }

    /// Lets a stopped process go on (SIGCONT).
    #[track_caller]
    pub fn continue_process(&self) {
        self.running(Process::resume);
    }

    /// Kills the process (SIGKILL) and waits for its end. Nothing happens where it has ended.
    pub fn kill(&self) {
        *self.process() = None;
    }

    /// Kills the process where it runs and starts it again with the same port and directory, as [`Builder::start`].
    #[track_caller]
    pub fn restart(&self) {
        self.kill();
        let log_before = self.log().len();
        *self.process() = Some(spawn(&self.how.engine, self.directory()));
        self.wait_until_ready(log_before);
    }

    /// What the server has logged over all its starts.
    pub fn log(&self) -> String {
        read_lossy(&self.directory().join(LOG))
    }

    #[track_caller]
    fn wait_until_ready(&self, log_before: usize) {
        let ready = comes_true(START_DEADLINE, || {
            assert!(self.is_running(), "{} on port {} ended:\n{}", self.engine().name, self.port, self.last_words());
            let logged = self.log().get(log_before..).is_some_and(|log| log.contains("Ready to accept connections"));
            logged && (self.how.tls.is_some() || self.answers())
        });
        assert!(ready, "{} on port {} does not serve:\n{}", self.engine().name, self.port, self.last_words());
    }

    fn answers(&self) -> bool {
        let reply = Client::connect(self.port).and_then(|mut client| client.call(&["PING"]));
        reply.is_ok_and(|reply| reply == "PONG" || reply.starts_with("-NOAUTH"))
    }

    /// What it printed, and the last lines of its log.
    fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default();
        format!("{}{}", read_lossy(&self.directory().join(OUTPUT)), tail.join("\n"))
    }

    #[track_caller]
    fn running<T>(&self, act: impl FnOnce(&Process) -> T) -> T {
        match &*self.process() {
            Some(process) => act(process),
            None => panic!("{} on port {} was killed", self.engine().name, self.port),
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        // A panic in another thread leaves the process as it is.
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[track_caller]
fn spawn(engine: &Engine, directory: &Path) -> Process {
    let streams = File::create(directory.join(OUTPUT)).and_then(|output| Ok((output.try_clone()?, output)));
    let (stdout, stderr) = streams.unwrap_or_else(|error| panic!("cannot write in {}: {error}", directory.display()));
    Process::start(&engine.server, |server| {
        server.arg(directory.join(CONFIGURATION)).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    })
}

/// The text of a file that a server may just be writing, or has not made yet.
fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
