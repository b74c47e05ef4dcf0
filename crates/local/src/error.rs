//! What can go wrong with a cluster on this machine.

use agent::{TokenError, file::FileError, lock::LockError};
use std::{io, path::PathBuf};

/// What can go wrong with a cluster on this machine; each reads as one sentence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// A name that cannot be a directory's.
    #[error("{0:?} is not a name for a cluster: letters, digits, - and _, at most 40")]
    Name(String),
    /// Neither `TRIBUNE_HOME` nor `HOME` says where clusters live.
    #[error("there is no place for clusters: neither TRIBUNE_HOME nor HOME is set")]
    NoHome,
    /// There is no such cluster.
    #[error("there is no cluster {name}")]
    NoCluster {
        /// The name.
        name: String,
        /// Those that there are.
        others: Vec<String>,
    },
    /// There is no such member.
    #[error("cluster {name} has no member with port {port}")]
    NoMember {
        /// The cluster.
        name: String,
        /// The port.
        port: u16,
        /// The ports that there are.
        others: Vec<u16>,
    },
    /// There is a member with this port already.
    #[error("cluster {name} has a member with port {port} already")]
    MemberExists {
        /// The cluster.
        name: String,
        /// The port.
        port: u16,
    },
    /// Members without the file that says what the cluster was asked to be.
    #[error("{} holds members but no cluster.json", directory.display())]
    Torso {
        /// The cluster's directory.
        directory: PathBuf,
        /// The cluster.
        name: String,
    },
    /// The cluster was never made to its end.
    #[error("cluster {name} was never made to its end")]
    Unformed {
        /// The cluster.
        name: String,
    },
    /// No process of the cluster runs.
    #[error("cluster {name} does not run")]
    NotRunning {
        /// The cluster.
        name: String,
    },
    /// Another command works on the cluster.
    #[error("another command, process {pid}, works on cluster {name}")]
    Busy {
        /// The cluster.
        name: String,
        /// The other command.
        pid: i32,
    },
    /// A port of a member is not free.
    #[error("port {port} is taken{}", of.map_or_else(String::new, |of| format!(": {of}")))]
    PortTaken {
        /// The port.
        port: u16,
        /// What it is, unless it is the client port.
        of: Option<PortOf>,
    },
    /// Ports outside of what a cluster bus port can be added to.
    #[error(
        "{} from port {first} on do not fit: ports go from 1024 to 55535, their bus ports lie 10000 above",
        if *count == 1 { "1 member".to_owned() } else { format!("{count} members") }
    )]
    PortRange {
        /// The first port.
        first: u16,
        /// How many members.
        count: usize,
    },
    /// The disk has not enough room.
    #[error("the disk under {} has {free} MB left and {needed} MB are needed", directory.display())]
    DiskFull {
        /// The directory.
        directory: PathBuf,
        /// What is left, MB.
        free: u64,
        /// What is needed, MB.
        needed: u64,
    },
    /// A file or directory cannot be written or read.
    #[error("{} cannot be used: {source}", path.display())]
    Directory {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No server on this machine.
    #[error("there is no {wanted} on this machine")]
    NoEngine {
        /// What was looked for.
        wanted: String,
    },
    /// A program that is no server, or one that is too old.
    #[error("{} cannot run a cluster: {reason}", program.display())]
    BadEngine {
        /// The program.
        program: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A server ended instead of serving.
    #[error("the server on port {port} {exit}")]
    ServerEnded {
        /// Its port.
        port: u16,
        /// How it ended.
        exit: String,
        /// Its last words.
        last_words: Vec<String>,
        /// Its log.
        log: PathBuf,
    },
    /// The program starts the server as another process instead of becoming it.
    #[error("{} starts the server as another process: nobody could look after that one", program.display())]
    NotTheServer {
        /// The program.
        program: PathBuf,
    },
    /// A server runs and does not answer.
    #[error("the server on port {port} is not ready after {seconds} s: it {reason}")]
    NotReady {
        /// Its port.
        port: u16,
        /// How long it was waited for.
        seconds: u64,
        /// What the last try gave.
        reason: String,
        /// Its log.
        log: PathBuf,
    },
    /// The supervisor did not start.
    #[error("the supervisor of cluster {name} ended at once: {reason}")]
    Supervisor {
        /// The cluster.
        name: String,
        /// Its last words.
        reason: String,
    },
    /// Processes of the cluster did not end.
    #[error("process {pid} of cluster {name} does not end")]
    DoesNotEnd {
        /// The cluster.
        name: String,
        /// The process.
        pid: i32,
    },
    /// A member that is to be cut off is so already.
    #[error("the member on port {port} is cut off already")]
    CutOffAlready {
        /// Its port.
        port: u16,
    },
    /// All members were to be cut off.
    #[error("nobody would be left to be cut off from")]
    NobodyLeft,
    /// The system does not let a process take the sockets of its children.
    #[error("this system does not let agents cut off their servers: {0}")]
    NoSockets(#[source] io::Error),
    /// An agent could not cut off its server, or keep others away from it.
    #[error("the agent of the member on port {port} cannot do its part: {reason}")]
    NotCut {
        /// The member's port.
        port: u16,
        /// What the system said.
        reason: String,
    },
    /// An agent has not followed in time, or is too old to.
    #[error("the agent of the member on port {port} does not do its part")]
    DoesNotFollow {
        /// The member's port.
        port: u16,
    },
    /// A lock cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file of ours cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The secret of the agents cannot be written.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The system did not give what an event loop needs.
    #[error("this process cannot start its event loop: {0}")]
    EventLoop(#[source] io::Error),
}

/// A port of a member that is not for clients, with the one that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortOf {
    /// The cluster bus port.
    Bus(u16),
    /// The port of the agent.
    Agent(u16),
}

impl std::fmt::Display for PortOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bus(port) => write!(f, "the cluster bus port of {port}"),
            Self::Agent(port) => write!(f, "the port of the agent of {port}"),
        }
    }
}

impl LocalError {
    /// What was seen, where that helps.
    pub fn why(&self) -> Option<String> {
        match self {
            Self::ServerEnded { last_words, .. } if !last_words.is_empty() => Some(last_words.join("\n       ")),
            _ => None,
        }
    }

    /// What the user can type or do next; `program` is how this program was called.
    pub fn advice(&self, program: &str) -> Option<String> {
        let of = |name: &str| if name == "main" { String::new() } else { format!(" --name {name}") };
        Some(match self {
            Self::NoSockets(_) => "pidfd_getfd is needed, which a kernel since 5.6 has; kernel.yama.ptrace_scope must be 0 or 1, and no sandbox may forbid it"
                .to_owned(),
            Self::CutOffAlready { port } => format!("heal it first: {program} local heal {port}"),
            Self::DoesNotFollow { port } => {
                format!("one of an older version is replaced when it ends: kill it, or {program} local down and up; else see agent.log of {port}")
            }
            Self::NoCluster { others, name } if others.is_empty() => format!("{program} local up{}", of(name)),
            Self::NoCluster { others, .. } => format!("those that there are: --name {}", others.join(", --name ")),
            Self::NoMember { others, .. } => {
                let ports: Vec<String> = others.iter().map(u16::to_string).collect();
                format!("its members: {}", ports.join(" "))
            }
            Self::MemberExists { name, .. } => {
                format!("another port: --port N      or look at it: {program} local status{}", of(name))
            }
            Self::Torso { name, .. } => {
                format!("put cluster.json back, or remove all of it: {program} local down{} --remove", of(name))
            }
            Self::Unformed { name } => format!("make it to its end: {program} local up{}", of(name)),
            Self::NotRunning { name } => format!("{program} local up{}", of(name)),
            Self::NotTheServer { .. } => "let the program become the server: exec it on its last line".to_owned(),
            Self::Busy { .. } => "wait until it has ended, then repeat".to_owned(),
            Self::PortTaken { port, .. } => {
                format!("other ports: --port N; who has this one: ss -ltnp sport = :{port}")
            }
            Self::PortRange { .. } => "another first port: --port N".to_owned(),
            Self::DiskFull { .. } => "make room, or set TRIBUNE_HOME to a directory on another disk".to_owned(),
            Self::NoHome | Self::Directory { .. } => "set TRIBUNE_HOME to a directory that can be written".to_owned(),
            Self::NoEngine { .. } => {
                "install one: apt-get install redis-server (or valkey-server), or make engines; or say where one is: \
                 --engine PATH"
                    .to_owned()
            }
            Self::BadEngine { .. } => "another one: --engine NAME or --engine PATH; 7.0 or newer".to_owned(),
            Self::ServerEnded { log, .. } | Self::NotReady { log, .. } => format!("its log: {}", log.display()),
            _ => return None,
        })
    }
}
