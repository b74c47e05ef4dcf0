//! A cluster with agents that answer, looked at from outside.

use crate::local::{Place, addresses, kill};
use crate::support::{EVENTUALLY, eventually, value};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};
use testservers::{Cluster, Engine, Ledger, Loss, Writer, WriterOptions, engine};

/// The engines that these tests run with.
pub(crate) fn engines() -> Vec<Engine> {
    ["redis-7.0", "valkey-9.1", "redis-8.6"].into_iter().filter_map(engine).collect()
}

/// A cluster that is up.
pub(crate) struct Scene {
    pub(crate) place: Place,
    pub(crate) first: u16,
    pub(crate) members: u16,
}

impl Scene {
    pub(crate) fn up(engine: Engine, words: &str, members: u16) -> Self {
        let mut place = Place::new(engine);
        let first = place.up("main", words, members);
        let scene = Self { place, first, members };
        eventually("all replicas are in sync and watch their primaries", || {
            scene.ports().all(|port| scene.get(port, "/readyz").is_some_and(|(status, _)| status == 200))
        });
        scene
    }

    pub(crate) fn ports(&self) -> impl Iterator<Item = u16> + use<> {
        self.first..self.first + self.members
    }

    pub(crate) fn cluster(&self) -> Cluster {
        Cluster::at(&addresses(self.first, self.members))
    }

    pub(crate) fn writer(&self) -> Writer {
        let writer = Writer::start(&self.cluster(), &WriterOptions::default());
        wait_for_writes(&writer, 200);
        writer
    }

    pub(crate) fn token(&self) -> String {
        fs::read_to_string(self.place.directory("main").join("agent.token")).unwrap().trim().to_owned()
    }

    /// Status and body of the answer of a member's agent, shown the token; none when there is none.
    pub(crate) fn get(&self, port: u16, path: &str) -> Option<(u16, String)> {
        get(port + 5000, path, &format!("Authorization: Bearer {}\r\n", self.token()))
    }

    /// What the agent of the member with this port tells of it.
    pub(crate) fn member(&self, port: u16) -> serde_json::Value {
        let answer = self.get(port, "/v1/member").filter(|(status, _)| *status == 200);
        answer.map(|(_, body)| serde_json::from_str(&body).unwrap()).unwrap_or_default()
    }

    pub(crate) fn role(&self, port: u16) -> String {
        self.member(port)["role"].as_str().unwrap_or_default().to_owned()
    }

    /// The ports of the replicas of the primary on this port.
    pub(crate) fn replicas_of(&self, port: u16) -> Vec<u16> {
        let id = self.member(port)["id"].clone();
        assert!(id.is_string(), "{}", self.member(port));
        self.ports().filter(|port| self.member(*port)["primary"] == id).collect()
    }

    #[track_caller]
    pub(crate) fn agent_pid(&self, port: u16) -> i64 {
        self.agent(port).unwrap()
    }

    /// The agent's process, while there is one.
    pub(crate) fn agent(&self, port: u16) -> Option<i64> {
        let members = self.place.status("main")["members"].clone();
        members.as_array()?.iter().find(|member| member["port"] == port)?["agent_pid"].as_i64()
    }

    pub(crate) fn kill_server(&self, port: u16) {
        kill(self.member(port)["server_pid"].as_i64().unwrap());
    }

    pub(crate) fn agent_log(&self, port: u16) -> String {
        fs::read_to_string(self.place.directory("main").join(format!("members/{port}/agent.log"))).unwrap_or_default()
    }

    #[track_caller]
    #[expect(clippy::print_stderr, reason = "what is wrong is of use where it does not become well")]
    pub(crate) fn eventually_healthy(&self) {
        let begin = Instant::now();
        eventually("the cluster is healthy", || {
            let is_healthy = self.place.is_healthy("main");
            if !is_healthy && begin.elapsed() + Duration::from_secs(2) > EVENTUALLY {
                eprintln!("{}", self.place.local("status").out);
            }
            is_healthy
        });
    }

    /// Stops writing once it has gone on for a while; nothing that was acknowledged may be lost.
    pub(crate) fn finish(&self, writer: Writer) -> Ledger {
        let ledger = self.stopped(writer);
        ledger.assert_kept(&self.cluster());
        ledger
    }

    /// The same, where some of what was acknowledged may be lost: with what is.
    pub(crate) fn finish_with_losses(&self, writer: Writer) -> (Ledger, Vec<Loss>) {
        let ledger = self.stopped(writer);
        let lost = ledger.check(&self.cluster());
        (ledger, lost)
    }

    fn stopped(&self, writer: Writer) -> Ledger {
        wait_for_writes(&writer, writer.acknowledged() + 500);
        let ledger = writer.stop();
        self.eventually_healthy();
        ledger
    }
}

fn wait_for_writes(writer: &Writer, count: u64) {
    eventually("writes go on", || writer.acknowledged() >= count);
}

/// Sends a command to a server by hand; what comes within a moment.
pub(crate) fn call(port: u16, command: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).ok();
    let mut text = String::new();
    stream.read_to_string(&mut text).ok();
    text
}

/// The highest epoch that a server knows.
pub(crate) fn epoch(port: u16) -> u64 {
    value(&call(port, "CLUSTER INFO"), "cluster_current_epoch").unwrap().parse().unwrap()
}

/// Status and body of what is answered over HTTP.
pub(crate) fn get(port: u16, path: &str, headers: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// Says what was measured, for who runs the tests with `--nocapture`.
#[expect(clippy::print_stderr, reason = "figures belong to the test's own output")]
pub(crate) fn tell(what: &str, engine: &str, gap: Duration, begin: Instant) {
    let (gap, all) = (gap.as_secs_f64() * 1000.0, begin.elapsed().as_secs_f64());
    eprintln!("MEASURED {engine}: {what}: worst write gap {gap:.0} ms, well after {all:.1} s");
}

/// The same for a time.
#[expect(clippy::print_stderr, reason = "figures belong to the test's own output")]
pub(crate) fn tell_time(what: &str, engine: &str, took: Duration) {
    eprintln!("MEASURED {engine}: {what}: {:.2} s", took.as_secs_f64());
}
