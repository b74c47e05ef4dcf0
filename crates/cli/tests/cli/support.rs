//! Running the program, and looking at clusters without it.

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};
use testservers::{Process, Server, Servers, wait_until};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_tribune");

/// How long a machine that is busy with other things may take for what is a matter of seconds.
pub(crate) const EVENTUALLY: Duration = Duration::from_mins(1);

/// Where the program keeps what must outlive it.
const HOME: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/tribune-home");

/// How a run ended and what it wrote.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// Fails with this exit code and with all these texts on standard error, and has written nothing to standard output.
    #[track_caller]
    pub(crate) fn refused(self, code: i32, texts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for text in texts {
            assert!(self.err.contains(text), "no {text:?} in {self:#?}");
        }
        assert!(self.out.is_empty(), "{self:#?}");
        self
    }
}

/// The program with a clean environment.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for variable in ["TRIBUNE_AUTH", "REDISCLI_AUTH", "VALKEYCLI_AUTH", "REDISCLI_CLUSTER_YES", "VALKEYCLI_CLUSTER_YES"]
    {
        command.env_remove(variable);
    }
    command.env("TRIBUNE_HOME", HOME).env("TERM", "dumb").stdin(Stdio::null());
    command
}

/// Runs the program with these words, split at spaces.
pub(crate) fn tribune(words: &str) -> Run {
    run(command(Path::new(PROGRAM)).args(words.split_whitespace()))
}

/// Runs the program with something on its standard input.
pub(crate) fn tribune_with_input(words: &str, input: &str) -> Run {
    run_with_input(command(Path::new(PROGRAM)).args(words.split_whitespace()), input)
}

pub(crate) fn run(command: &mut Command) -> Run {
    Run::of(&command.output().unwrap())
}

pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Run {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Whoever does not read its input is not to be told that it was not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Run::of(&child.wait_with_output().unwrap())
}

/// Writes a script that can be run. Another process does: one that is started here meanwhile would have the file open for writing, and
/// nobody may run such a file.
pub(crate) fn write_script(file: &Path, text: &str) {
    let mut write = command(Path::new("sh"));
    write.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(file);
    run_with_input(&mut write, text).succeeded();
}

/// Starts the program and lets it go on.
pub(crate) fn start(words: &str) -> Process {
    Process::start(Path::new(PROGRAM), |command| {
        command
            .args(words.split_whitespace())
            .env("TRIBUNE_HOME", HOME)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
    })
}

pub(crate) fn addresses(servers: &Servers) -> String {
    servers.addresses().join(" ")
}

/// One value of `INFO` or `CLUSTER INFO`.
pub(crate) fn value(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'));
    line.map(str::to_owned)
}

/// What a server tells of its cluster: the state, how many nodes, how many primaries with slots, how many slots.
fn cluster_of(server: &Server) -> [String; 4] {
    let info = server.call_ok(&["CLUSTER", "INFO"]);
    let told = |name: &str| value(&info, name).unwrap_or_default();
    ["cluster_state", "cluster_known_nodes", "cluster_size", "cluster_slots_ok"].map(told)
}

fn whole_cluster(servers: &Servers, primaries: usize) -> [String; 4] {
    ["ok".into(), servers.len().to_string(), primaries.to_string(), "16384".into()]
}

/// Asserts without the program that the servers are one healthy cluster with so many primaries.
#[track_caller]
pub(crate) fn assert_cluster(servers: &Servers, primaries: usize) {
    for server in servers {
        assert_eq!(cluster_of(server), whole_cluster(servers, primaries), "{}", server.address());
    }
}

/// Asserts that every replica is linked to its primary.
#[track_caller]
pub(crate) fn assert_replicas_linked(servers: &Servers, replicas: usize) {
    let links =
        servers.iter().filter_map(|server| value(&server.call_ok(&["INFO", "replication"]), "master_link_status"));
    let links: Vec<String> = links.collect();
    assert_eq!(links, vec!["up"; replicas]);
}

/// Asserts that a server is as it was before it ever heard of a cluster.
#[track_caller]
pub(crate) fn assert_as_new(server: &Server) {
    let info = server.call_ok(&["CLUSTER", "INFO"]);
    let told = |name: &str| value(&info, name).unwrap_or_default();
    let state = ["cluster_known_nodes", "cluster_slots_assigned", "cluster_my_epoch"].map(told);
    assert_eq!(state, ["1", "0", "0"], "{}: {info}", server.address());
}

/// A healthy cluster made by the program.
pub(crate) fn cluster(engine: &testservers::Engine, count: usize, replicas: usize) -> Servers {
    let servers = Servers::start(engine, count);
    tribune(&format!("create --yes --replicas {replicas} {}", addresses(&servers))).succeeded();
    servers
}

#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl FnMut() -> bool) {
    wait_until(what, EVENTUALLY, condition);
}

/// Waits without the program until the servers are one healthy cluster.
#[track_caller]
pub(crate) fn eventually_cluster(servers: &Servers, primaries: usize) {
    let whole = whole_cluster(servers, primaries);
    // A node serves before it has met every other one.
    eventually("every node serves and knows all", || servers.iter().all(|server| cluster_of(server) == whole));
}

/// Runs the engine's own tool and the program with the same words and input.
pub(crate) fn twins_of(engine: &testservers::Engine, words: &str, input: &str) -> (Run, Run) {
    let run = |program: &Path| run_with_input(command(program).args(words.split_whitespace()), input);
    (run(&engine.cli), run(Path::new(PROGRAM)))
}
