//! A cluster that `tribune local` keeps, with its agents and its loop.

use crate::{
    problem::Problem,
    setting::{Setting, Tool},
};
use serde::Deserialize;
use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use testservers::{Client, Cluster, Ports, Writer, WriterOptions, agent_ports, free_ports, wait_until};

/// For anything that servers do on their own.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// A cluster of this machine. It goes with all its processes when it is dropped.
pub(crate) struct Kept {
    program: PathBuf,
    home: TempDir,
    first: u16,
    _ports: Vec<Ports>,
}

/// What is told of a cluster.
#[derive(Default, Deserialize)]
pub(crate) struct Status {
    healthy: bool,
    /// The process that runs the loop.
    #[serde(default)]
    pub(crate) supervisor_pid: Option<i64>,
    #[serde(default)]
    pub(crate) members: Vec<Member>,
    #[serde(default, rename = "loop")]
    keeping: Option<Keeping>,
}

/// What is told of the loop.
#[derive(Deserialize)]
struct Keeping {
    settled: bool,
}

/// What is told of a member.
#[derive(Clone, Copy, Deserialize)]
pub(crate) struct Member {
    pub(crate) port: u16,
    #[serde(default)]
    pub(crate) server_pid: Option<i64>,
    #[serde(default)]
    pub(crate) agent_pid: Option<i64>,
}

impl Kept {
    /// A healthy cluster of so many shards and replicas, on ports in a row with room for two members more.
    pub(crate) fn up(setting: &Setting, shards: u16, replicas: u16) -> Result<Self, Problem> {
        let refused = |source| Problem::System { what: "cannot make a directory".to_owned(), source };
        let home = tempfile::tempdir().map_err(refused)?;
        let program = setting.invocation(Tool::Tribune).program.clone();
        let (first, ports) = ports(shards * (replicas + 1) + 2)?;
        let kept = Self { program, home, first, _ports: ports };
        let engine = setting.engine.server.display();
        kept.local(&format!("up --port {first} --shards {shards} --replicas {replicas} --engine {engine}"))?;
        kept.ready();
        Ok(kept)
    }

    /// Runs `tribune local …`; its exit code has to be 0.
    pub(crate) fn local(&self, words: &str) -> Result<String, Problem> {
        self.tribune(&format!("local {words}"))
    }

    /// Runs `tribune …`; its exit code has to be 0.
    pub(crate) fn tribune(&self, words: &str) -> Result<String, Problem> {
        let mut command = Command::new(&self.program);
        command.args(words.split_whitespace()).env("TRIBUNE_HOME", self.home.path()).stdin(Stdio::null());
        let what = format!("tribune {words}");
        let refused = |source| Problem::System { what: format!("cannot run {what}"), source };
        let output = command.output().map_err(refused)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        let last_words = format!("{} {}", text.trim(), String::from_utf8_lossy(&output.stderr).trim());
        Err(Problem::Failed { command: what, status: output.status.to_string(), last_words })
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.home.path().join("local/main")
    }

    /// The port of its first member.
    pub(crate) const fn first(&self) -> u16 {
        self.first
    }

    /// Says that its members have other ports now, from this one on.
    pub(crate) const fn moved_to(&mut self, first: u16) {
        self.first = first;
    }

    /// What `local status --json` tells. It ends with 1 while the cluster is not well, and tells all the same.
    pub(crate) fn status(&self) -> Status {
        let mut command = Command::new(&self.program);
        command.args(["local", "status", "--json"]).env("TRIBUNE_HOME", self.home.path()).stdin(Stdio::null());
        let told = command.output().ok().and_then(|output| serde_json::from_slice(&output.stdout).ok());
        told.unwrap_or_default()
    }

    pub(crate) fn cluster(&self) -> Cluster {
        let members = self.status().members.into_iter();
        Cluster::at(&members.map(|member| format!("127.0.0.1:{}", member.port)).collect::<Vec<_>>())
    }

    /// A client that has written for a moment.
    pub(crate) fn writer(&self) -> Writer {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // No two write to the same keys.
        let name = format!("writer-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let writer = Writer::start(&self.cluster(), &WriterOptions { name, ..WriterOptions::default() });
        wait_until("the client writes", PATIENCE, || writer.acknowledged() > 300);
        writer
    }

    /// Waits until the cluster is well and the loop has nothing to do.
    #[track_caller]
    pub(crate) fn ready(&self) {
        wait_until("the loop has nothing to do", PATIENCE, || {
            let status = self.status();
            status.healthy && status.keeping.is_some_and(|keeping| keeping.settled)
        });
    }

    /// A primary.
    pub(crate) fn a_primary(&self) -> Result<Member, Problem> {
        let mut members = self.status().members.into_iter();
        let primary = members.find(|member| info(member.port, "replication").contains("role:master"));
        primary.ok_or_else(|| Problem::Absent("primary".to_owned()))
    }

    /// A replica of the primary on this port.
    pub(crate) fn replica_of(&self, primary: u16) -> Result<Member, Problem> {
        let follows = |port| info(port, "replication").contains(&format!("master_port:{primary}\r"));
        let mut members = self.status().members.into_iter();
        members.find(|member| follows(member.port)).ok_or_else(|| Problem::Absent(format!("replica of {primary}")))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.local("down --remove --yes");
    }
}

/// What a server says of itself; nothing where it does not answer.
pub(crate) fn info(port: u16, section: &str) -> String {
    ask(port, &["INFO", section])
}

/// What the server on this port answers; nothing where it does not.
pub(crate) fn ask(port: u16, command: &[&str]) -> String {
    Client::connect(port).and_then(|mut client| client.call(command)).unwrap_or_default()
}

/// Signals a process of a member.
pub(crate) fn signal(pid: Option<i64>, signal: &str) -> Result<(), Problem> {
    let pid = pid.ok_or_else(|| Problem::Absent("process".to_owned()))?;
    let status = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status();
    status.map(drop).map_err(|source| Problem::System { what: format!("cannot signal {pid}"), source })
}

/// Waits for something, and says when it was so.
#[track_caller]
pub(crate) fn when(what: &str, condition: impl FnMut() -> bool) -> Instant {
    wait_until(what, PATIENCE, condition);
    Instant::now()
}

/// Free ports in a row, with those of their agents.
pub(crate) fn ports(count: u16) -> Result<(u16, Vec<Ports>), Problem> {
    let mut tried = Vec::new();
    for _ in 0..50 {
        let ports = free_ports(usize::from(count));
        let first = ports.first().copied().unwrap_or_default();
        let in_a_row = ports.iter().zip(first..).all(|(port, wanted)| *port == wanted);
        let agents = agent_ports(&ports).filter(|_| in_a_row);
        tried.push(ports);
        if let Some(agents) = agents {
            tried.push(agents);
            return Ok((first, tried));
        }
    }
    Err(Problem::Absent(format!("row of {count} free ports")))
}

/// How much of a core a process has used so far, in seconds, and what it holds, in millions of bytes.
pub(crate) fn usage(pid: i64) -> (f64, f64) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let held =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<f64>().ok());
    // Fields 14 and 15 of the file, in ticks of 10 ms on Linux; the resident memory in KiB.
    ((ticks(11) + ticks(12)) / 100.0, held.unwrap_or_default() * 1024.0 / 1e6)
}
