//! One run of the server, from its start to its end.

use crate::{
    directory::MemberDirectory,
    exit,
    file::FileError,
    lock::{self, Signal},
    logs,
    member::Member,
};
use rustix::process::{Pid, kill_process_group};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

/// Variables of the environment that hold passwords of clients: no server and no agent needs them.
pub const SECRET_VARIABLES: [&str; 4] = ["TRIBUNE_AUTH", "TRIBUNE_FROM_AUTH", "REDISCLI_AUTH", "VALKEYCLI_AUTH"];

/// Why there is no run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Member(#[from] FileError),
    #[error("{} cannot be written: {source}", path.display())]
    Log { path: PathBuf, source: io::Error },
    #[error("{} cannot be written: {source}", path.display())]
    Settings { path: PathBuf, source: io::Error },
    #[error("{} cannot be removed: {source}", path.display())]
    Data { path: PathBuf, source: io::Error },
    #[error("no process can be made in {}: {source}", directory.display())]
    Process { directory: PathBuf, source: io::Error },
}

/// A server's process, which was not reaped yet. Dropping it kills it.
pub(crate) struct Server {
    pub(crate) member: Member,
    pid: Pid,
    child: Child,
    started: Instant,
    /// How long the log was before.
    log_from: u64,
}

/// Settings as a configuration file of the server: a value in double quotes may hold spaces, and is empty where it is "".
fn settings(member: &Member) -> String {
    let quoted = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
    let lines = member.launch.settings.iter().map(|(name, value)| format!("{name} \"{}\"", quoted(value)));
    lines.chain([String::new()]).collect::<Vec<_>>().join("\n")
}

impl Server {
    /// Makes the process, with more arguments than its member has. To be called on the main thread: the server dies with the thread that made it.
    pub(crate) fn start(directory: &MemberDirectory, exec_program: &Path, more: &[String]) -> Result<Self, StartError> {
        let member = Member::read(directory.path())?;
        let path = directory.server_log();
        let log =
            logs::open(&path, logs::SERVER_LOG).and_then(|log| Ok((log.metadata()?.len(), log.try_clone()?, log)));
        let (log_from, errors, output) = log.map_err(|source| StartError::Log { path, source })?;
        let mut command = Command::new(exec_program);
        command.arg0("tribune").arg("exec-server").arg(directory.server_lock()).arg(std::process::id().to_string());
        command.arg("--").arg(&member.launch.program).args(&member.arguments);
        if !member.launch.settings.is_empty() {
            let path = directory.settings_conf();
            fs::write(&path, settings(&member))
                .map_err(|source| StartError::Settings { path: path.clone(), source })?;
            command.arg("--include").arg(path);
        }
        command.args(more);
        command.current_dir(directory.data()).stdin(Stdio::null()).stdout(output).stderr(errors);
        for secret in SECRET_VARIABLES {
            command.env_remove(secret);
        }
        // A signal that the terminal sends to the agent's group is for the agent alone, which then stops the server.
        command.process_group(0).kill_on_drop(true);
        let failed = |source| StartError::Process { directory: directory.data(), source };
        let child = command.spawn().map_err(failed)?;
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let pid = pid.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        Ok(Self { member, pid, child, started: Instant::now(), log_from })
    }

    /// The process id, as everybody else writes it.
    pub(crate) const fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Waits for the end of the process and reaps it; gives how it ended, in words.
    pub(crate) async fn ended(&mut self) -> String {
        self.child.wait().await.map_or_else(|error| format!("ended, and it is unknown how: {error}"), exit::in_words)
    }

    /// Waits until the process is the server and holds its lock, and after that until it has run for `at_least`.
    pub(crate) fn runs(&self, directory: &MemberDirectory, at_least: Duration) -> impl Future<Output = ()> + use<> {
        let (lock, pid, settled) = (directory.server_lock(), self.pid(), self.started + at_least);
        async move {
            let mut pause = Duration::from_millis(1);
            while !lock::holder(&lock).is_ok_and(|holder| holder == Some(pid)) {
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(100));
            }
            tokio::time::sleep_until(settled).await;
        }
    }

    /// How long the process has run.
    pub(crate) fn ran_for(&self) -> Duration {
        self.started.elapsed()
    }

    /// Sends a signal; to nobody when the process was reaped.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.child.id().is_some() {
            // The process was not reaped, so its id is still its own, and so is its group's; that it may have ended already is
            // no trouble. The group holds whatever the program has started instead of becoming the server.
            kill_process_group(self.pid, signal).ok();
        }
    }

    /// The last lines that the server said in this run.
    pub(crate) fn last_lines(&self, directory: &MemberDirectory) -> Vec<String> {
        logs::last_lines(&directory.server_log(), self.log_from, 5)
    }
}
