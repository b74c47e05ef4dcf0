//! A member: a directory, an agent, a server.

use crate::{LocalError, checks};
use agent::{Launch, Member, MemberDirectory, Phase, State, lock};
use serde::Serialize;
use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::SystemTime,
};
use topology::{Host, NodeAddr};

/// What a member is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MemberState {
    /// Its server's process runs.
    Running,
    /// Its server's process was stopped by SIGSTOP.
    Paused,
    /// Its server is being started, or will be after a pause.
    Starting,
    /// Its server ends again and again.
    CrashLoop,
    /// Nothing runs.
    Stopped,
}

/// A member as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct MemberStatus {
    /// Its client port; its bus port lies 10000 above.
    pub port: u16,
    /// What it is at.
    pub state: MemberState,
    /// The port on which its agent answers; none when an older version has made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_port: Option<u16>,
    /// The server's process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_pid: Option<i32>,
    /// The agent's process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_pid: Option<i32>,
    /// How many times the agent has started the server again.
    pub restarts: u64,
    /// How the server ended the last time, in words that follow "the server".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<String>,
    /// What the server said before it ended the last time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub last_words: Vec<String>,
    /// In how many seconds the agent starts the server again, while it waits for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_start_seconds: Option<u64>,
    /// The member's directory.
    pub directory: PathBuf,
    /// The server's log.
    pub log: PathBuf,
}

impl MemberStatus {
    /// Looks at a member.
    pub(crate) fn of(port: u16, directory: &MemberDirectory) -> Result<Self, LocalError> {
        let holder = |path: PathBuf| lock::holder(&path).map_err(|source| LocalError::Directory { path, source });
        let (agent_pid, server_pid) = (holder(directory.agent_lock())?, holder(directory.server_lock())?);
        // A killed agent leaves its last words behind: they count only while it runs.
        let told = State::read(directory.path())?.filter(|state| Some(state.agent_pid) == agent_pid);
        let state = match (server_pid, agent_pid, told.as_ref().map(|state| state.phase)) {
            (Some(pid), ..) if is_paused(pid) => MemberState::Paused,
            (_, Some(_), Some(Phase::CrashLoop)) => MemberState::CrashLoop,
            (Some(_), ..) => MemberState::Running,
            (None, Some(_), _) => MemberState::Starting,
            (None, None, _) => MemberState::Stopped,
        };
        let agent_port = Member::read(directory.path())?.api.map(|api| api.port);
        Ok(Self {
            port,
            agent_port,
            state,
            server_pid,
            agent_pid,
            restarts: told.as_ref().map_or(0, |state| state.restarts),
            next_start_seconds: told
                .as_ref()
                .and_then(|state| state.next_start_in(SystemTime::now()))
                .map(|left| left.as_secs()),
            last_exit: told.as_ref().and_then(|state| state.last_exit.clone()),
            last_words: told.map(|state| state.last_log).unwrap_or_default(),
            directory: directory.path().to_owned(),
            log: directory.server_log(),
        })
    }
}

/// Where the server with this port listens.
pub fn address(port: u16) -> NodeAddr {
    NodeAddr::new(Host::Ip(Ipv4Addr::LOCALHOST.into()), port)
}

/// Whether a process is stopped, by the third field of `/proc/PID/stat`; the second is a name in parentheses.
fn is_paused(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
}

/// Writes a member's directory: its server's configuration and what its agent starts.
pub(crate) fn write(port: u16, directory: &MemberDirectory, launch: Launch, token: &Path) -> Result<(), LocalError> {
    let data = directory.data();
    fs::create_dir_all(&data).map_err(|source| LocalError::Directory { path: data, source })?;
    let conf = directory.server_conf();
    fs::write(&conf, configuration(port)).map_err(|source| LocalError::Directory { path: conf.clone(), source })?;
    let arguments = vec![conf.to_string_lossy().into_owned()];
    let mut member = Member::new(&launch.program, arguments, port).answering(port.saturating_add(checks::AGENT), token);
    member.launch = launch;
    Ok(member.write(directory.path())?)
}

fn configuration(port: u16) -> String {
    format!(
        "# Written once by tribune local; change what you like, the server reads it at its next start.\n\
         port {port}\n\
         bind 127.0.0.1\n\
         # It listens to this machine alone. With yes, redis 7.0 takes other addresses of this machine than 127.0.0.1 for another machine.\n\
         protected-mode no\n\
         # Other nodes find it here wherever its connections come from.\n\
         cluster-announce-ip 127.0.0.1\n\
         cluster-enabled yes\n\
         cluster-config-file nodes.conf\n\
         # How long a node may be silent before the others vote to replace it, in milliseconds.\n\
         cluster-node-timeout 5000\n\
         # Replicas go where the loop puts them, and nowhere by themselves.\n\
         cluster-allow-replica-migration no\n\
         # Every write is kept in the append-only file: a restart loses at most the last second.\n\
         appendonly yes\n\
         save \"\"\n\
         # A new replica gets its data at once instead of waiting for others to share the transfer.\n\
         repl-diskless-sync-delay 0\n\
         # Below the 10 s after which the agent kills it.\n\
         shutdown-timeout 5\n"
    )
}
