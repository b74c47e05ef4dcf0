//! A cluster of this machine: its directory and the processes that work in it.

use crate::{Engine, LocalError, MemberStatus, Settings, checks, member};
use agent::{
    MemberDirectory, SECRET_VARIABLES,
    file::{self, Survives},
    lock::{self, LockError, RecordLock, Signal},
};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::process::Command;

/// How long all processes of a cluster may take to end: an agent gives its server 10 s before it kills it.
const ENDS: Duration = Duration::from_secs(30);
/// How long the supervisor may take to start.
const STARTS: Duration = Duration::from_secs(10);

/// A cluster of this machine.
#[derive(Clone, Debug)]
pub struct Cluster {
    name: String,
    directory: PathBuf,
}

/// Keeps other commands away from a cluster.
#[derive(Debug)]
pub struct CommandLock(#[expect(dead_code, reason = "held, not read")] RecordLock);

impl Cluster {
    pub(crate) fn new(name: &str, directory: PathBuf) -> Self {
        Self { name: name.to_owned(), directory }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether it was ever made.
    pub fn exists(&self) -> bool {
        self.settings_file().exists()
    }

    fn settings_file(&self) -> PathBuf {
        self.directory.join("cluster.json")
    }

    fn supervisor_lock(&self) -> PathBuf {
        self.directory.join("supervisor.lock")
    }

    /// The supervisor's log.
    pub fn supervisor_log(&self) -> PathBuf {
        self.directory.join("supervisor.log")
    }

    pub(crate) fn members_directory(&self) -> PathBuf {
        self.directory.join("members")
    }

    fn member_directory(&self, port: u16) -> MemberDirectory {
        MemberDirectory::new(self.members_directory().join(port.to_string()))
    }

    fn unusable(&self, source: io::Error) -> LocalError {
        LocalError::Directory { path: self.directory.clone(), source }
    }

    /// Keeps other commands away until the result is dropped; makes the directory.
    pub fn lock(&self) -> Result<CommandLock, LocalError> {
        fs::create_dir_all(&self.directory).map_err(|error| self.unusable(error))?;
        match RecordLock::acquire(&self.directory.join("command.lock")) {
            Ok(lock) => Ok(CommandLock(lock)),
            Err(LockError::Held { pid, .. }) => Err(LocalError::Busy { name: self.name.clone(), pid }),
            Err(error) => Err(error.into()),
        }
    }

    /// What it was asked to be.
    pub fn settings(&self) -> Result<Settings, LocalError> {
        Ok(file::read(&self.settings_file())?)
    }

    /// Keeps what it was asked to be.
    pub fn keep(&self, settings: &Settings) -> Result<(), LocalError> {
        Ok(file::write(&self.settings_file(), settings, Survives::PowerLoss)?)
    }

    /// Writes the directories of so many new members from this port on; nothing is started.
    ///
    /// # Errors
    /// When a port is taken or the disk has no room: then nothing was written.
    pub fn write_members(&self, first: u16, count: usize, engine: &Engine) -> Result<Vec<u16>, LocalError> {
        let ports = checks::ports(first, count)?;
        ports.iter().try_for_each(|port| checks::port_is_free(*port))?;
        checks::room_for(count, &self.directory)?;
        for port in &ports {
            member::write(*port, &self.member_directory(*port), engine)?;
        }
        Ok(ports)
    }

    /// The ports of its members, ascending.
    pub fn ports(&self) -> Result<Vec<u16>, LocalError> {
        let entries = match fs::read_dir(self.members_directory()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| self.unusable(error))?,
        };
        let port = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
        let mut ports: Vec<u16> = entries.filter_map(port).collect();
        ports.sort_unstable();
        Ok(ports)
    }

    /// Its members as they are now, by port.
    pub fn members(&self) -> Result<Vec<MemberStatus>, LocalError> {
        self.ports()?.into_iter().map(|port| self.member(port)).collect()
    }

    /// A member as it is now.
    pub fn member(&self, port: u16) -> Result<MemberStatus, LocalError> {
        let directory = self.member_directory(port);
        if !directory.member().exists() {
            return Err(LocalError::NoMember { name: self.name.clone(), port, others: self.ports()? });
        }
        MemberStatus::of(port, &directory)
    }

    /// The supervisor's process, while there is one.
    pub fn supervisor(&self) -> Result<Option<i32>, LocalError> {
        lock::holder(&self.supervisor_lock()).map_err(|error| self.unusable(error))
    }

    pub(crate) fn hold_supervisor_lock(&self) -> Result<RecordLock, LocalError> {
        Ok(RecordLock::acquire(&self.supervisor_lock())?)
    }

    /// Starts the supervisor, or lets the one that runs look at the members again.
    ///
    /// Ports of members that do not run must be free.
    pub async fn start(&self) -> Result<(), LocalError> {
        for member in self.members()?.iter().filter(|member| member.server_pid.is_none()) {
            checks::port_is_free(member.port)?;
        }
        if lock::signal_holder(&self.supervisor_lock(), Signal::HUP)?.is_some() {
            return Ok(());
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(self.supervisor_log());
        let log = log.map_err(|error| self.unusable(error))?;
        let errors = log.try_clone().map_err(|error| self.unusable(error))?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0("tribune").arg("local-supervisor").arg(&self.directory).current_dir("/");
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        for secret in SECRET_VARIABLES {
            command.env_remove(secret);
        }
        let mut child = command.spawn().map_err(|error| self.unusable(error))?;
        let began = Instant::now();
        while self.supervisor()?.is_none() {
            let ended = child.try_wait().map_err(|error| self.unusable(error))?.is_some();
            if ended || began.elapsed() > STARTS {
                return Err(LocalError::Supervisor { name: self.name.clone(), reason: self.last_words() });
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(self.supervisor_log()).unwrap_or_default();
        text.lines().next_back().unwrap_or("it said nothing").to_owned()
    }

    /// Ends all processes of the cluster, in order: the supervisor lets the agents stop, and the agents their servers.
    /// Processes that a killed supervisor or agent left behind are ended, too.
    pub fn stop(&self) -> Result<(), LocalError> {
        let deadline = Instant::now() + ENDS;
        self.end(&[self.supervisor_lock()], Signal::TERM, deadline)?;
        let directories: Vec<_> = self.ports()?.into_iter().map(|port| self.member_directory(port)).collect();
        let agents: Vec<_> = directories.iter().map(MemberDirectory::agent_lock).collect();
        self.end(&agents, Signal::TERM, deadline)?;
        let servers: Vec<_> = directories.iter().map(MemberDirectory::server_lock).collect();
        self.end(&servers, Signal::KILL, deadline)
    }

    /// Signals the holders of these locks, all at once, and waits until they have ended.
    fn end(&self, locks: &[PathBuf], signal: Signal, deadline: Instant) -> Result<(), LocalError> {
        let locks = locks.iter().filter(|lock| lock.exists());
        for lock in locks.clone() {
            if lock::signal_holder(lock, signal)?.is_some() {
                // A process that is stopped hears nothing but SIGKILL until it goes on.
                lock::signal_holder(lock, Signal::CONT)?;
            }
        }
        for lock in locks {
            match lock::wait_released(lock, deadline) {
                Err(LockError::Held { pid, .. }) => {
                    return Err(LocalError::DoesNotEnd { name: self.name.clone(), pid });
                }
                outcome => outcome?,
            }
        }
        Ok(())
    }

    /// Removes the directories of all members, left behind by a command that was killed. Nothing may run in them any more.
    pub fn clear_members(&self) -> Result<(), LocalError> {
        match fs::remove_dir_all(self.members_directory()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.unusable(error)),
            _ => Ok(()),
        }
    }

    /// Removes the cluster's directory with all its data. Nothing of it may run any more.
    pub fn delete(&self) -> Result<(), LocalError> {
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.unusable(error)),
            _ => Ok(()),
        }
    }

    /// Signals the server of a member; its process id, or none when it does not run.
    pub fn signal_server(&self, port: u16, signal: Signal) -> Result<Option<i32>, LocalError> {
        self.member(port)?;
        Ok(lock::signal_holder(&self.member_directory(port).server_lock(), signal)?)
    }

    /// Lets the agent of a member start its server now, without waiting any longer after the last end.
    pub fn start_now(&self, port: u16) -> Result<(), LocalError> {
        lock::signal_holder(&self.member_directory(port).agent_lock(), Signal::HUP)?;
        Ok(())
    }

    /// Ends a member's processes and removes its directory with its data.
    pub fn remove_member(&self, port: u16) -> Result<(), LocalError> {
        self.member(port)?;
        // Out of the supervisor's sight first, so that it starts nothing there any more. Locks go with the files.
        let away = MemberDirectory::new(self.directory.join(format!("removed-{port}")));
        fs::rename(self.member_directory(port).path(), away.path()).map_err(|error| self.unusable(error))?;
        let deadline = Instant::now() + ENDS;
        self.end(&[away.agent_lock()], Signal::TERM, deadline)?;
        self.end(&[away.server_lock()], Signal::KILL, deadline)?;
        fs::remove_dir_all(away.path()).map_err(|error| self.unusable(error))
    }

    /// Addresses at which clients find the cluster.
    pub fn seeds(&self) -> Result<Vec<String>, LocalError> {
        Ok(self.ports()?.iter().map(|port| format!("127.0.0.1:{port}")).collect())
    }

    /// The log of each member's server, by port.
    pub fn logs(&self) -> Result<BTreeMap<u16, PathBuf>, LocalError> {
        Ok(self.ports()?.into_iter().map(|port| (port, self.member_directory(port).server_log())).collect())
    }
}
