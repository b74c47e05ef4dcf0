//! Agents to test, and waiting for what they do.

use agent::{Member, MemberDirectory, Phase, State, lock};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// No test waits longer for one thing.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that does nothing, as one process.
pub(crate) const IDLE: &str = "exec sleep 100";

/// The example program, which cargo builds beside the tests.
pub(crate) fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples").join("agent");
    assert!(program.exists(), "{} is missing: cargo build -p agent --examples", program.display());
    program
}

/// Looks again and again until there is what was looked for. The only place that lets time pass.
pub(crate) fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        let pause = rustix::event::Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        rustix::event::poll(&mut [], Some(&pause)).ok();
    }
}

pub(crate) fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// A member whose server is the script beside its data.
pub(crate) fn member() -> Member {
    Member::new("/bin/sh", vec!["../server.sh".into()], 7000)
}

/// A member's directory whose server is a shell script.
pub(crate) struct Place {
    root: TempDir,
    pub(crate) files: MemberDirectory,
}

impl Place {
    pub(crate) fn new(script: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let place = Self { files: MemberDirectory::new(root.path()), root };
        fs::create_dir(place.files.data()).unwrap();
        place.script(script);
        member().write(place.path()).unwrap();
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    /// Makes this the server from its next start on.
    pub(crate) fn script(&self, script: &str) {
        fs::write(self.path().join("server.sh"), script).unwrap();
    }

    pub(crate) fn start(&self) -> Agent<'_> {
        let log = OpenOptions::new().append(true).create(true).open(self.files.agent_log()).unwrap();
        let mut command = Command::new(program());
        command.arg("agent").arg(self.path()).env("TRIBUNE_AUTH", "secret").env("COLOUR", "blue");
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Agent { process, place: self }
    }

    /// What the agent, if any, told last.
    pub(crate) fn state(&self) -> Option<State> {
        State::read(self.path()).unwrap()
    }

    pub(crate) fn server_log(&self) -> String {
        fs::read_to_string(self.files.server_log()).unwrap_or_default()
    }

    pub(crate) fn server(&self) -> Option<i32> {
        lock::holder(&self.files.server_lock()).unwrap()
    }

    /// Nobody is server any more, at once.
    pub(crate) fn server_ends_at_once(&self) {
        lock::wait_released(&self.files.server_lock(), Instant::now() + Duration::from_secs(2)).unwrap();
    }
}

/// An agent; killed, and its server with it, when dropped.
pub(crate) struct Agent<'a> {
    process: Child,
    place: &'a Place,
}

impl Agent<'_> {
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.process.id()).unwrap()
    }

    /// The agent's own state, once it is as wanted.
    pub(crate) fn state_when(&self, what: &str, wanted: impl Fn(&State) -> bool) -> State {
        let pid = self.pid();
        wait_until(what, || self.place.state().filter(|state| state.agent_pid == pid && wanted(state)))
    }

    pub(crate) fn running(&self) -> State {
        self.state_when("a running server", |state| state.phase == Phase::Running)
    }

    /// Waits for the agent's end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        wait_until("the agent's end", || self.process.try_wait().unwrap())
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        self.kill();
        let deadline = Instant::now() + Duration::from_secs(5);
        lock::wait_released(&self.place.files.server_lock(), deadline).ok();
    }
}

/// A file of this length.
pub(crate) fn long_file(path: &Path, length: u64) {
    File::create(path).unwrap().set_len(length).unwrap();
}
