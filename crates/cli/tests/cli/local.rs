//! `tribune local`: the life of a cluster.

use crate::support::{PROGRAM, Run, command, eventually, run};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;
use testservers::{Engine, Ports, Process, StockClient, agent_ports, any_engine, free_ports};

/// A place for clusters of one test, which are removed at its end.
pub(crate) struct Place {
    home: TempDir,
    engine: Engine,
    names: Vec<&'static str>,
    /// Ports of members, reserved until the end.
    ports: Vec<Ports>,
}

impl Place {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { home: tempfile::tempdir().unwrap(), engine, names: Vec::new(), ports: Vec::new() }
    }

    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = command(Path::new(PROGRAM));
        command.arg("local").args(words.split_whitespace()).env("TRIBUNE_HOME", self.home.path());
        command
    }

    pub(crate) fn local(&self, words: &str) -> Run {
        run(&mut self.command(words))
    }

    /// A first port behind which so many are free, with those of their agents.
    pub(crate) fn port(&mut self, count: u16) -> u16 {
        for _ in 0..50 {
            let ports = free_ports(usize::from(count));
            let first = ports[0];
            let in_a_row = ports.iter().zip(first..).all(|(port, wanted)| *port == wanted);
            let agents = agent_ports(&ports).filter(|_| in_a_row);
            // Those that are not in a row stay reserved, so that the next try finds others.
            self.ports.push(ports);
            if let Some(agents) = agents {
                self.ports.push(agents);
                return first;
            }
        }
        panic!("no {count} free ports in a row");
    }

    /// A cluster that is up; its first port.
    pub(crate) fn up(&mut self, name: &'static str, words: &str, members: u16) -> u16 {
        self.names.push(name);
        let port = self.port(members);
        let engine = self.engine.server.display().to_string();
        let run = self.local(&format!("up --name {name} --port {port} --engine {engine} {words}"));
        assert_eq!(run.code, Some(0), "{run:#?}");
        port
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        self.home.path().join("local").join(name)
    }

    pub(crate) fn status(&self, name: &str) -> serde_json::Value {
        let run = self.local(&format!("status --name {name} --json"));
        serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {run:#?}"))
    }

    pub(crate) fn server_pids(&self, name: &str) -> Vec<i64> {
        let members = self.status(name)["members"].clone();
        members.as_array().unwrap().iter().filter_map(|member| member["server_pid"].as_i64()).collect()
    }

    pub(crate) fn is_healthy(&self, name: &str) -> bool {
        self.local(&format!("status --name {name}")).code == Some(0)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for name in &self.names {
            let run = self.local(&format!("down --remove --yes --name {name}"));
            let removed = run.code == Some(0) || std::thread::panicking();
            assert!(removed, "the cluster of a test cannot be removed: {run:#?}");
        }
    }
}

pub(crate) fn addresses(first: u16, count: u16) -> Vec<String> {
    (first..first + count).map(|port| format!("127.0.0.1:{port}")).collect()
}

/// Kills a process that the test knows by its lock.
pub(crate) fn kill(pid: i64) {
    signal(pid, "KILL");
}

/// Signals a process that the test knows by its lock.
pub(crate) fn signal(pid: i64, signal: &str) {
    let status = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).stderr(Stdio::null()).status();
    assert!(status.is_ok());
}

pub(crate) fn runs(pid: i64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[test]
fn a_new_cluster_is_healthy_tells_how_to_use_it_and_twice_is_harmless() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    let port = place.up("main", "", 6);
    StockClient::connect(&addresses(port, 6), None).write(100);
    let pids = place.server_pids("main");
    let again = place.local("up").succeeded();
    assert_eq!(place.server_pids("main"), pids);
    for text in [
        "3 shards, 3 replicas",
        "healthy",
        "connect",
        &format!("-c -p {port}"),
        "seeds",
        "logs",
        "local kill",
        "100 keys",
    ] {
        assert!(again.out.contains(text), "no {text:?} in {again:#?}");
    }
    let other = place.local("up --shards 5");
    assert_eq!(other.code, Some(1));
    assert!(other.err.contains("cluster main exists with 3 shards"), "{other:#?}");
    StockClient::connect(&addresses(port, 6), None).read(100);
}

#[test]
fn shape_and_ports_are_as_asked_and_clusters_live_side_by_side() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    let one = place.up("one", "--shards 1 --replicas 2", 3);
    let two = place.up("two", "--shards 4 --replicas 0", 4);
    assert_ne!(one, two);
    assert_eq!(place.status("one")["cluster"]["shards"][0]["replicas"].as_array().unwrap().len(), 2);
    assert_eq!(place.status("two")["cluster"]["shards"].as_array().unwrap().len(), 4);
    let list = place.local("list").succeeded();
    assert!(list.out.contains("one ") && list.out.contains("4 of 4 servers run"), "{list:#?}");
    place.local("down --name one").succeeded();
    assert!(place.is_healthy("two"));
}

#[test]
fn a_cluster_that_was_stopped_comes_back_with_its_data_and_goes_when_removed() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    let port = place.up("main", "", 6);
    StockClient::connect(&addresses(port, 6), None).write(100);
    let pids = place.server_pids("main");
    place.local("down").succeeded();
    assert!(pids.iter().all(|pid| !runs(*pid)));
    assert_eq!(place.local("status").code, Some(1));
    place.local("up").succeeded();
    StockClient::connect(&addresses(port, 6), None).read(100);
    place.local("down --remove --yes").succeeded();
    assert!(!place.directory("main").exists());
    assert!(place.local("down").succeeded().out.contains("nothing to do"));
}

#[test]
fn a_member_can_be_added_and_removed_and_one_with_slots_is_kept() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    let port = place.up("main", "", 8);
    let added = place.local(&format!("add --port {} --replica-of {port}", port + 6)).succeeded();
    assert!(
        added.out.contains(&format!("127.0.0.1:{} joins as a replica of 127.0.0.1:{port}", port + 6)),
        "{added:#?}"
    );
    place.local("add").succeeded();
    eventually("eight members are well", || place.is_healthy("main") && place.server_pids("main").len() == 8);
    let kept = place.local(&format!("remove {port} --yes"));
    assert_eq!(kept.code, Some(1));
    assert!(kept.err.contains("owns 5461 slots") && kept.err.contains("tribune failover"), "{kept:#?}");
    for member in [port + 6, port + 7] {
        place.local(&format!("remove {member} --yes")).succeeded();
        assert!(!place.directory("main").join(format!("members/{member}")).exists());
    }
    let nodes = place.status("main")["cluster"]["shards"].as_array().unwrap().len();
    assert_eq!((nodes, place.server_pids("main").len()), (3, 6));
    let unknown = place.local("kill 1");
    assert!(
        unknown.err.contains("has no member with port 1") && unknown.err.contains(&port.to_string()),
        "{unknown:#?}"
    );
}

#[test]
fn an_up_that_was_killed_is_completed_and_one_that_was_stopped_leaves_nothing() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    let port = place.port(6);
    let words = format!("up --port {port} --engine {}", place.engine.server.display());
    let begin = |place: &Place| {
        Process::start(Path::new(PROGRAM), |command| {
            command.arg("local").args(words.split_whitespace()).env("TRIBUNE_HOME", place.home.path());
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        })
    };
    place.names.push("main");
    let running = begin(&place);
    eventually("a server runs", || place.directory("main").join(format!("members/{port}/state.json")).exists());
    drop(running);
    place.local("up").succeeded();
    assert!(place.is_healthy("main"));
    place.local("down --remove --yes").succeeded();

    let running = begin(&place);
    eventually("a server runs", || place.directory("main").join(format!("members/{port}/state.json")).exists());
    Command::new("kill").args(["-INT", &running.pid().to_string()]).status().unwrap();
    assert_eq!(running.finish(std::time::Duration::from_secs(30)).code(), Some(130));
    assert!(!place.directory("main").exists());
}

#[test]
fn logs_are_shown_by_member() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    let port = place.up("main", "--shards 1 --replicas 0", 1);
    let logs = place.local(&format!("logs {port} --lines 200")).succeeded();
    assert!(logs.out.contains("Ready to accept connections"), "{logs:#?}");
    place.local("logs 1").refused(1, &["has no member with port 1"]);
    place.local("logs --name other").refused(1, &["there is no cluster other", "--name main"]);
}
