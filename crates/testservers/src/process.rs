//! Processes that end with the test, however it ends.

use crate::wait::comes_true;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs, io,
    path::Path,
    process::{Child, Command, ExitStatus},
    sync::{
        OnceLock,
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
};

const DEADLINE: Duration = Duration::from_secs(5);

/// A running program. It is killed and reaped when this is dropped, and killed by the kernel when the test process dies
/// without dropping anything.
#[derive(Debug)]
pub struct Process {
    child: Child,
    program: String,
}

struct Request {
    command: Command,
    answer: Sender<io::Result<Child>>,
}

impl Process {
    /// Starts `program`; `configure` adds arguments, environment and standard streams.
    ///
    /// Panics where it cannot be started.
    #[track_caller]
    pub fn start(program: &Path, configure: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        configure(&mut command);
        let program = program.display().to_string();
        match spawn(command) {
            Ok(child) => Self { child, program },
            Err(error) => panic!("cannot start {program} through setpriv (of util-linux): {error}"),
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The exit status; none while it runs.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        match self.child.try_wait() {
            Ok(status) => status,
            Err(error) => panic!("cannot look after {}: {error}", self.program),
        }
    }

    /// Waits until it has ended, and kills it and panics where it does not within `deadline`.
    #[track_caller]
    pub fn finish(mut self, deadline: Duration) -> ExitStatus {
        let mut status = None;
        comes_true(deadline, || {
            status = self.exit_status();
            status.is_some()
        });
        status.unwrap_or_else(|| panic!("{} has not ended within {deadline:?}", self.program))
    }

    /// Stops it without ending it (SIGSTOP), and returns when it stands.
    #[track_caller]
    pub fn suspend(&self) {
        self.send(Signal::STOP);
        assert!(comes_true(DEADLINE, || self.state() == Some('T')), "{} did not stop", self.program);
    }

    /// Lets it go on (SIGCONT), and returns when it does.
    #[track_caller]
    pub fn resume(&self) {
        self.send(Signal::CONT);
        assert!(comes_true(DEADLINE, || self.state() != Some('T')), "{} did not go on", self.program);
    }

    #[track_caller]
    fn send(&self, signal: Signal) {
        if let Err(error) = kill_process(Pid::from_child(&self.child), signal) {
            panic!("cannot send {signal:?} to {}: {error}", self.program);
        }
    }

    /// The kernel's letter for what it does: `R`, `S`, `T` stopped, `Z` ended.
    fn state(&self) -> Option<char> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
        // The program's name before it, in parentheses, may hold anything.
        stat.rsplit_once(") ")?.1.chars().next()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // KILL ends a stopped process too. Both fail only for one that is reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Spawns from one thread that lives as long as this process: the kernel delivers a death signal when the *thread* that
/// spawned ends, and test threads end early.
fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Sender<Request>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (requests, received) = channel::<Request>();
        thread::spawn(move || {
            for mut request in received {
                // Whoever asked waits for the answer; a child nobody takes would outlive its owner.
                let _ = request.answer.send(request.command.spawn());
            }
        });
        requests
    });
    let (answer, answered) = channel();
    let gone = || io::Error::other("the spawning thread has ended");
    spawner.send(Request { command, answer }).map_err(|_| gone())?;
    answered.recv().map_err(|_| gone())?
}
