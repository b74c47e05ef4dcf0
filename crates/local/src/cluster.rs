//! A cluster of this machine: its directory and the processes that work in it.

use crate::{LocalError, MemberStatus, Settings, checks, member};
use agent::{
    Launch, MemberDirectory, SECRET_VARIABLES, Token,
    file::{self, Survives},
    lock::{self, LockError, RecordLock, Signal},
};
use operations::control::Report;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};
use topology::{NodeId, control::Loss};

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

    pub(crate) fn member_directory(&self, port: u16) -> MemberDirectory {
        MemberDirectory::new(self.members_directory().join(port.to_string()))
    }

    pub(crate) fn unusable(&self, source: io::Error) -> LocalError {
        LocalError::Directory { path: self.directory.clone(), source }
    }

    /// Keeps other commands away until the result is dropped; makes the directory.
    pub fn lock(&self) -> Result<CommandLock, LocalError> {
        let path = self.directory.join("command.lock");
        loop {
            fs::create_dir_all(&self.directory).map_err(|error| self.unusable(error))?;
            match RecordLock::acquire(&path) {
                // The command that held it before may have removed the whole directory.
                Ok(lock) if lock.is_at(&path) => return Ok(CommandLock(lock)),
                Ok(_) => {}
                Err(LockError::Held { pid, .. }) => return Err(LocalError::Busy { name: self.name.clone(), pid }),
                Err(LockError::System { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The error of members without settings.
    pub fn torso(&self) -> LocalError {
        LocalError::Torso { directory: self.directory.clone(), name: self.name.clone() }
    }

    /// Whether there is nothing yet: neither settings nor members.
    pub fn is_new(&self) -> bool {
        !self.exists() && !self.members_directory().exists()
    }

    /// Whether a server has ever run in one of the members' directories.
    pub fn holds_data(&self) -> Result<bool, LocalError> {
        Ok(self.ports()?.into_iter().any(|port| self.has_run(port)))
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
    pub fn write_members(&self, first: u16, count: usize, launch: &Launch) -> Result<Vec<u16>, LocalError> {
        let ports = checks::ports(first, count)?;
        let present = self.ports()?;
        if let Some(port) = ports.iter().find(|port| present.contains(port)) {
            return Err(LocalError::MemberExists { name: self.name.clone(), port: *port });
        }
        checks::ports_differ(&ports, &present)?;
        for port in &ports {
            checks::port_is_free(*port)?;
            checks::agent_port_is_free(port.saturating_add(checks::AGENT), *port)?;
        }
        checks::room_for(count, &self.directory)?;
        let token = self.token_file();
        Token::ensure(&token)?;
        for port in &ports {
            member::write(*port, &self.member_directory(*port), launch.clone(), &token)?;
        }
        Ok(ports)
    }

    /// The secret that the agents show each other.
    fn token_file(&self) -> PathBuf {
        self.directory.join("agent.token")
    }

    /// The ports of its members, ascending.
    pub fn ports(&self) -> Result<Vec<u16>, LocalError> {
        let entries = match fs::read_dir(self.members_directory()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| self.unusable(error))?,
        };
        let port = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
        // A directory without that file is still being written, or was never written to its end.
        let mut ports: Vec<u16> = entries.filter_map(port).filter(|port| self.has_member(*port)).collect();
        ports.sort_unstable();
        Ok(ports)
    }

    fn has_member(&self, port: u16) -> bool {
        self.member_directory(port).member().exists()
    }

    /// What was found about a member; none where nothing was because the loop has removed it meanwhile.
    pub(crate) fn unless_removed<T>(&self, port: u16, found: Result<T, LocalError>) -> Option<Result<T, LocalError>> {
        (found.is_ok() || self.has_member(port)).then_some(found)
    }

    /// Its members as they are now, by port.
    pub fn members(&self) -> Result<Vec<MemberStatus>, LocalError> {
        self.ports()?.into_iter().filter_map(|port| self.unless_removed(port, self.member(port))).collect()
    }

    /// A member as it is now.
    pub fn member(&self, port: u16) -> Result<MemberStatus, LocalError> {
        let directory = self.member_directory(port);
        if !self.has_member(port) {
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
    /// Ports of members that do not run must be free. It waits without letting other tasks run, so that nobody can drop it
    /// half-way and leave a supervisor that is not known yet.
    pub fn start(&self) -> Result<(), LocalError> {
        if lock::signal_holder(&self.supervisor_lock(), Signal::HUP)?.is_some() {
            return Ok(());
        }
        // Where an agent runs, its server may be about to take the port, and looking whether it is free would be in its way.
        let idle = |member: &&MemberStatus| member.agent_pid.is_none() && member.server_pid.is_none();
        for member in self.members()?.iter().filter(idle) {
            checks::port_is_free(member.port)?;
            if let Some(agent) = member.agent_port {
                checks::agent_port_is_free(agent, member.port)?;
            }
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(self.supervisor_log());
        let log = log.map_err(|error| self.unusable(error))?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0("tribune").arg("local-supervisor").arg(&self.directory).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        for secret in SECRET_VARIABLES {
            command.env_remove(secret);
        }
        let mut child = command.spawn().map_err(|error| self.unusable(error))?;
        let ready = child.stdout.take().is_some_and(|output| says_something(&output, STARTS));
        if ready {
            return Ok(());
        }
        // Not reaped yet, so this is nobody else.
        child.kill().and_then(|()| child.wait()).map_err(|error| self.unusable(error))?;
        Err(LocalError::Supervisor { name: self.name.clone(), reason: self.last_words() })
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(self.supervisor_log()).unwrap_or_default();
        text.lines().next_back().unwrap_or("it said nothing").to_owned()
    }

    /// Ends all processes of the cluster, in order: the supervisor lets the agents stop, and the agents their servers.
    /// No server hands its slots over, since the others stop, too. Processes that a killed supervisor or agent left behind are ended, too.
    pub fn stop(&self) -> Result<(), LocalError> {
        let deadline = Instant::now() + ENDS;
        let members = self.ports()?.into_iter().map(|port| self.member_directory(port));
        // Of a removal that was interrupted something may run yet.
        let leaving = self.leaving()?.into_iter().map(|port| self.leaving_directory(port));
        let directories: Vec<_> = members.chain(leaving).collect();
        let agents: Vec<_> = directories.iter().map(MemberDirectory::agent_lock).collect();
        for agent in agents.iter().filter(|agent| agent.exists()) {
            // The supervisor waits for them, and one that is stopped hears nothing.
            lock::signal_holder(agent, Signal::CONT)?;
        }
        self.end(&[self.supervisor_lock()], Signal::TERM, deadline)?;
        self.end(&agents, Signal::INT, deadline)?;
        let servers: Vec<_> = directories.iter().map(MemberDirectory::server_lock).collect();
        self.end(&servers, Signal::KILL, deadline)?;
        self.forget_partition();
        Ok(())
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
        if_there(fs::remove_dir_all(self.members_directory())).map_err(|error| self.unusable(error))
    }

    /// Removes the cluster's directory with all its data. Nothing of it may run any more.
    pub fn delete(&self) -> Result<(), LocalError> {
        // Under another name first: what is interrupted then is no half of a cluster that somebody could bring up.
        let away = self.directory.with_file_name(format!(".removed-{}", self.name));
        for _ in 0..2 {
            if_there(fs::remove_dir_all(&away)).map_err(|error| self.unusable(error))?;
            if_there(fs::rename(&self.directory, &away)).map_err(|error| self.unusable(error))?;
        }
        Ok(())
    }

    /// Signals the server of a member; its process id, or none when it does not run.
    pub fn signal_server(&self, port: u16, signal: Signal) -> Result<Option<i32>, LocalError> {
        self.member(port)?;
        Ok(lock::signal_holder(&self.member_directory(port).server_lock(), signal)?)
    }

    /// Signals the agent of a member; its process id, or none when it does not run.
    pub fn signal_agent(&self, port: u16, signal: Signal) -> Result<Option<i32>, LocalError> {
        self.member(port)?;
        Ok(lock::signal_holder(&self.member_directory(port).agent_lock(), signal)?)
    }

    /// Signals the supervisor; its process id, or none when it does not run.
    pub fn signal_supervisor(&self, signal: Signal) -> Result<Option<i32>, LocalError> {
        Ok(lock::signal_holder(&self.supervisor_lock(), signal)?)
    }

    /// Lets the agent of a member start its server now, without waiting any longer after the last end.
    pub fn start_now(&self, port: u16) -> Result<(), LocalError> {
        lock::signal_holder(&self.member_directory(port).agent_lock(), Signal::HUP)?;
        Ok(())
    }

    /// Has a member lose all its data: its agent kills its server, and starts it again empty when no other server follows it any more.
    pub fn wipe(&self, port: u16) -> Result<(), LocalError> {
        agent::order_wipe(&self.member_directory(port))?;
        // Without an agent, the next one carries it out.
        self.start_now(port)
    }

    /// Where a member's directory is while it is being removed.
    fn leaving_directory(&self, port: u16) -> MemberDirectory {
        MemberDirectory::new(self.directory.join(format!("leaving-{port}")))
    }

    /// Members whose removal was begun and not finished.
    pub fn leaving(&self) -> Result<Vec<u16>, LocalError> {
        let entries = fs::read_dir(&self.directory).map_err(|error| self.unusable(error))?;
        let port =
            |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.strip_prefix("leaving-")?.parse().ok();
        Ok(entries.filter_map(port).collect())
    }

    /// Takes a member out of the supervisor's sight and ends its processes; its data stays for
    /// [`Cluster::discard`]. A member that was taken out before is left as it is.
    pub fn take_out(&self, port: u16) -> Result<(), LocalError> {
        let away = self.leaving_directory(port);
        if self.member_directory(port).path().exists() {
            // What is there is of an earlier member with this port, whose removal was interrupted when nobody needed it any more.
            self.end_leaving(&away)?;
            self.discard(port)?;
            // Locks go with the files.
            fs::rename(self.member_directory(port).path(), away.path()).map_err(|error| self.unusable(error))?;
        }
        self.end_leaving(&away)
    }

    fn end_leaving(&self, away: &MemberDirectory) -> Result<(), LocalError> {
        let deadline = Instant::now() + ENDS;
        self.end(&[away.agent_lock()], Signal::TERM, deadline)?;
        self.end(&[away.server_lock()], Signal::KILL, deadline)
    }

    /// Removes the data of a member that was taken out.
    pub fn discard(&self, port: u16) -> Result<(), LocalError> {
        if_there(fs::remove_dir_all(self.leaving_directory(port).path())).map_err(|error| self.unusable(error))
    }

    /// Whether a member's server has ever run, by what it left on disk.
    pub fn has_run(&self, port: u16) -> bool {
        let kept = |directory: MemberDirectory| directory.nodes_conf().exists();
        kept(self.member_directory(port)) || kept(self.leaving_directory(port))
    }

    /// The node id that a member's data belongs to; none before its first run.
    pub(crate) fn kept_id(&self, port: u16) -> Option<NodeId> {
        self.member_directory(port).kept_id()
    }

    /// Whether a member has data on disk that its server would load.
    pub(crate) fn holds_data_of(&self, port: u16) -> bool {
        self.member_directory(port).holds_data()
    }

    /// Where the loop tells what it is at.
    pub(crate) fn loop_file(&self) -> PathBuf {
        self.directory.join("loop.json")
    }

    /// What the loop is at, while the supervisor runs and the cluster is formed.
    pub fn loop_report(&self) -> Result<Option<Report>, LocalError> {
        if self.supervisor()?.is_none() || !self.loop_file().exists() {
            return Ok(None);
        }
        Ok(Some(file::read(&self.loop_file())?))
    }

    /// Keeps a member's server from being started until the result is dropped.
    ///
    /// # Errors
    /// When its server runs, or is being started.
    pub(crate) fn fence(&self, port: u16) -> Result<RecordLock, LocalError> {
        let directory = self.member_directory(port);
        let fence = RecordLock::acquire(&directory.fence_lock())?;
        let path = directory.server_lock();
        match lock::holder(&path) {
            Ok(None) => Ok(fence),
            Ok(Some(pid)) => Err(LockError::Held { path, pid }.into()),
            Err(source) => Err(LocalError::Directory { path, source }),
        }
    }

    /// Where it is kept which shards were lost.
    pub fn losses_file(&self) -> PathBuf {
        self.directory.join("losses.json")
    }

    /// The shards that were lost with all copies of their data, and made anew; none where the file cannot be read.
    pub fn losses(&self) -> Vec<Loss> {
        file::read(&self.losses_file()).unwrap_or_default()
    }

    /// Keeps that a shard was lost. That of the same slots is told once.
    pub(crate) fn keep_loss(&self, loss: &Loss) -> Result<(), LocalError> {
        let mut losses = self.losses();
        losses.retain(|other| (&other.slots, &other.had) != (&loss.slots, &loss.had));
        losses.push(loss.clone());
        Ok(file::write(&self.losses_file(), &losses, Survives::PowerLoss)?)
    }

    fn hold_lock(&self) -> PathBuf {
        self.directory.join("hold.lock")
    }

    /// Keeps the loop from changing anything until the result is dropped: for commands that change members themselves.
    pub fn hold_loop(&self) -> Result<CommandLock, LocalError> {
        Ok(CommandLock(RecordLock::acquire(&self.hold_lock())?))
    }

    /// The process that holds the loop now, if there is one.
    pub(crate) fn held_by(&self) -> Option<i32> {
        lock::holder(&self.hold_lock()).ok().flatten()
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

/// What was to be removed or moved away may be gone already.
pub(crate) fn if_there(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Whether a process writes something within this time; not when it ends without.
fn says_something(output: &ChildStdout, within: Duration) -> bool {
    let deadline = Instant::now() + within;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(left) = Timespec::try_from(left) else { return false };
        let mut descriptors = [PollFd::new(output, PollFlags::IN)];
        match poll(&mut descriptors, Some(&left)) {
            Ok(0) => return false,
            Ok(_) => return descriptors.iter().any(|descriptor| descriptor.revents().contains(PollFlags::IN)),
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
