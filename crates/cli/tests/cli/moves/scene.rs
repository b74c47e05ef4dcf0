//! A cluster with data in it, a program that changes it, and what has to be so afterwards.

use crate::support::{PROGRAM, Run, addresses, command, eventually, run, value};
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use testservers::{
    Builder, Cluster, Dataset, Difference, Engine, Options, Process, Proxies, Proxy, Server, Servers, What, comes_true,
};

/// A cluster with a dataset in it.
pub(crate) struct Scene {
    pub(crate) servers: Servers,
    pub(crate) proxies: Option<Proxies>,
    pub(crate) data: Dataset,
    /// Where the program keeps its records.
    home: TempDir,
    /// What the program is told to get in: words of the connection.
    entry: String,
}

/// A run of the program that goes on beside the test.
pub(crate) struct Running {
    process: Process,
    said: Said,
}

/// What a program says goes into files here. A test that fails meanwhile tells it.
struct Said(TempDir);

/// What a scene is to be.
pub(crate) struct Setup {
    pub(crate) nodes: usize,
    /// How many of them are primaries.
    pub(crate) shards: usize,
    /// Keys, of every type.
    pub(crate) keys: usize,
    /// The databases that they are in.
    pub(crate) databases: u32,
    /// Words that the program is always given to get in.
    pub(crate) entry: &'static str,
    pub(crate) configure: fn(Builder) -> Builder,
}

impl Default for Setup {
    fn default() -> Self {
        Self { nodes: 3, shards: 3, keys: 300, databases: 1, entry: "", configure: |builder| builder }
    }
}

impl Scene {
    /// A cluster of so many nodes, of which so many are primaries, with so many keys.
    pub(crate) fn new(engine: &Engine, nodes: usize, shards: usize, keys: usize) -> Self {
        Self::with(engine, &Setup { nodes, shards, keys, ..Setup::default() })
    }

    /// The same as it is wanted.
    pub(crate) fn with(engine: &Engine, setup: &Setup) -> Self {
        let servers = Servers::start_with(engine, setup.nodes, |builder, _| (setup.configure)(builder));
        let nodes = addresses(&servers);
        Self::of(engine, servers, None, &nodes, setup)
    }

    /// The same with a proxy through which the others reach a node on the cluster bus.
    pub(crate) fn with_bus_proxy(engine: &Engine, node: usize, setup: &Setup) -> (Self, Proxy) {
        let servers = Servers::start_with(engine, setup.nodes, |builder, _| (setup.configure)(builder));
        let bus = Proxy::start_for_bus(&servers[node]);
        let mut nodes = servers.addresses();
        nodes[node] = format!("{}@{}", nodes[node], bus.port());
        let nodes = nodes.join(" ");
        (Self::of(engine, servers, None, &nodes, setup), bus)
    }

    /// The same with a proxy in front of each server.
    pub(crate) fn behind_proxies(engine: &Engine, setup: &Setup) -> Self {
        let configure = |builder, _| (setup.configure)(builder);
        let (servers, proxies) = Servers::start_behind_proxies(engine, setup.nodes, configure);
        // Their bus ports do not follow from the ports of the proxies.
        let node = |(proxy, server): (&Proxy, &Server)| format!("{}@{}", proxy.address(), server.bus_port());
        let nodes = proxies.iter().zip(&servers).map(node).collect::<Vec<_>>().join(" ");
        Self::of(engine, servers, Some(proxies), &nodes, setup)
    }

    fn of(engine: &Engine, servers: Servers, proxies: Option<Proxies>, nodes: &str, setup: &Setup) -> Self {
        let Setup { keys, databases, shards, .. } = *setup;
        let options = Options { largest: 20_000, databases, ..Options::all(engine, keys) };
        let data = Dataset::generate(7, &options);
        let home = tempfile::tempdir().unwrap();
        let scene = Self { servers, proxies, data, home, entry: setup.entry.to_owned() };
        scene.tribune(&format!("create --yes --shards {shards} {nodes}")).succeeded();
        scene.data.write(&scene.cluster());
        scene
    }

    pub(crate) fn cluster(&self) -> Cluster {
        Cluster::of(&self.servers)
    }

    /// Where clients find a node.
    pub(crate) fn address(&self, node: usize) -> String {
        self.proxies.as_ref().map_or_else(|| self.servers[node].address(), |proxies| proxies[node].address())
    }

    pub(crate) fn id(&self, node: usize) -> String {
        self.servers[node].call_ok(&["CLUSTER", "MYID"])
    }

    /// Runs the program with these words.
    pub(crate) fn tribune(&self, words: &str) -> Run {
        run(command(Path::new(PROGRAM))
            .env("TRIBUNE_HOME", self.home.path())
            .args(words.split_whitespace())
            .args(self.entry.split_whitespace()))
    }

    /// Types `tribune resume` at a node, and what it advises where it cannot go on, until one ends well.
    #[track_caller]
    pub(crate) fn resume_as_advised(&self, node: usize) {
        let resumed = self.tribune(&format!("resume {} --yes", self.address(node)));
        if resumed.code == Some(0) {
            return;
        }
        // A replica that alone took a dead destination for an owner is not told otherwise by anybody.
        let advice = resumed.err.split("if it lasts: tribune ").nth(1).and_then(|advice| advice.lines().next());
        let advice = advice.unwrap_or_else(|| panic!("it says what to type: {resumed:#?}"));
        self.tribune(&format!("{advice} --yes")).succeeded();
    }

    /// Starts the program with these words.
    pub(crate) fn start(&self, words: &str) -> Running {
        let said = Said(tempfile::tempdir().unwrap());
        let file = |name| fs::File::create(said.0.path().join(name)).unwrap();
        let process = Process::start(Path::new(PROGRAM), |command| {
            command.env("TRIBUNE_HOME", self.home.path()).env("TERM", "dumb");
            command.args(words.split_whitespace()).args(self.entry.split_whitespace());
            command.stdin(Stdio::null()).stdout(file("out")).stderr(file("err"));
        });
        Running { process, said }
    }

    /// The words of a reshard between two nodes.
    pub(crate) fn reshard(&self, slots: usize, from: usize, to: usize) -> String {
        let [from, to] = [from, to].map(|node| self.address(node));
        format!("reshard {from} --slots {slots} --from {from} --to {to} --yes")
    }

    pub(crate) fn slots(&self, node: usize) -> BTreeSet<u16> {
        slots(&self.servers[node])
    }

    /// Where the cluster is again what it is to be: served and agreed on, no slot open, the data as it was written.
    #[track_caller]
    pub(crate) fn assert_whole(&self) {
        self.assert_settled();
        self.assert_data();
    }

    /// No slot is open, and the program finds nothing wrong.
    #[track_caller]
    pub(crate) fn assert_settled(&self) {
        let begin = Instant::now();
        loop {
            let check = self.tribune(&format!("check {}", self.address(0)));
            if check.code == Some(0) {
                break;
            }
            assert!(begin.elapsed() < Duration::from_secs(30), "{check:#?}");
        }
        assert_eq!(self.open(), Vec::<String>::new());
        self.tribune(&format!("--cluster check {}", self.address(0))).succeeded();
    }

    /// The data is as it was written; what else there is, a [`testservers::Writer`] has written.
    #[track_caller]
    pub(crate) fn assert_data(&self) {
        let found = self.data.compare(&self.cluster());
        let strange: Vec<String> = found.iter().filter(|one| is_strange(one)).map(ToString::to_string).collect();
        assert!(strange.is_empty(), "{} differences: {:#?}", strange.len(), &strange[..strange.len().min(20)]);
    }

    /// What is open, as the nodes list it.
    pub(crate) fn open(&self) -> Vec<String> {
        let of = |server: &Server| {
            let told = myself(server);
            let (node, open) = (
                told.split(' ').take(4).collect::<Vec<_>>().join(" "),
                told.split(' ').filter(|word| word.starts_with('[')),
            );
            open.map(|slot| format!("{slot} on {node}")).collect::<Vec<_>>()
        };
        self.servers.iter().filter(|server| server.is_running()).flat_map(of).collect()
    }

    /// The first node that follows this one.
    pub(crate) fn replica_of(&self, primary: usize) -> usize {
        let port = self.servers[primary].port().to_string();
        let follows =
            |server: &Server| value(&server.call_ok(&["INFO", "replication"]), "master_port").as_deref() == Some(&port);
        self.servers.iter().position(follows).unwrap()
    }

    /// Every replica has all that its primary has.
    #[track_caller]
    pub(crate) fn assert_replicas_in_sync(&self) {
        let mut behind = Vec::new();
        let in_sync = comes_true(Duration::from_secs(30), || {
            behind = self.servers.iter().filter_map(|server| self.behind(server)).collect();
            behind.is_empty()
        });
        assert!(in_sync, "replicas have not what their primaries have: {behind:#?}");
    }

    /// What a replica and its primary say, if that is not the same.
    fn behind(&self, server: &Server) -> Option<String> {
        let info = server.call_ok(&["INFO", "replication"]);
        let told = |name: &str| value(&info, name).unwrap_or_default();
        let primary = self.servers.iter().find(|other| other.port().to_string() == told("master_port"));
        let (theirs, own) = (primary.map(keyspace), keyspace(server));
        let is_well = match &theirs {
            None => told("role") == "master",
            Some(theirs) => told("master_link_status") == "up" && *theirs == own,
        };
        (!is_well).then(|| format!("{} {own:?}, its primary {theirs:?}: {info}", server.address()))
    }
}

impl Drop for Said {
    #[expect(clippy::print_stdout, reason = "shown with the test that failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the program has said until now: {:#?}", ["out", "err"].map(|name| self.read(name)));
        }
    }
}

impl Said {
    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap_or_default()
    }
}

impl Running {
    /// Sends a signal: `INT`, `KILL`.
    pub(crate) fn signal(&self, signal: &str) {
        let words = format!("kill -{signal} {}", self.process.pid());
        run(command(Path::new("sh")).args(["-c", &words])).succeeded();
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.exit_status().is_some()
    }

    /// Waits until it has shown its plan, or ended.
    pub(crate) fn await_plan(&mut self) {
        eventually("the plan is shown", || self.has_ended() || !self.said.read("out").is_empty());
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn finish(self) -> Run {
        let status = self.process.finish(Duration::from_secs(90));
        Run { code: status.code(), out: self.said.read("out"), err: self.said.read("err") }
    }
}

/// Whether a difference is one: not a key of a writer, nor a time to live that has lost what it took on the way, since MIGRATE
/// sends what is left of it.
fn is_strange(difference: &Difference) -> bool {
    let on_the_way =
        matches!(difference.what, What::Expiry { expected: Some(a), found: Some(b) } if b.abs_diff(a) < 10_000);
    !on_the_way && !difference.key.starts_with(b"writer")
}

/// How many keys each database holds.
fn keyspace(server: &Server) -> Vec<String> {
    let text = server.call_ok(&["INFO", "keyspace"]);
    let counts = text.lines().filter_map(|line| line.split(',').next().filter(|line| line.starts_with("db")));
    counts.map(str::to_owned).collect()
}

/// A node's line on itself.
pub(crate) fn myself(server: &Server) -> String {
    let nodes = server.call_ok(&["CLUSTER", "NODES"]);
    nodes.lines().find(|line| line.contains("myself")).unwrap().to_owned()
}

/// The slots that a node says it owns.
pub(crate) fn slots(server: &Server) -> BTreeSet<u16> {
    let line = myself(server);
    let ranges = line.split(' ').skip(8).filter(|word| !word.starts_with('['));
    let range = |word: &str| {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        first.parse::<u16>().unwrap()..=last.parse::<u16>().unwrap()
    };
    ranges.flat_map(range).collect()
}

/// The dialects that the servers of an engine have, as they are typed.
pub(crate) fn dialects(engine: &Engine) -> Vec<&'static str> {
    let own = match engine.name.as_str() {
        "valkey-9.1" => Some("migrate-slots"),
        "redis-8.6" => Some("migration-import"),
        _ => None,
    };
    ["migrate"].into_iter().chain(own).collect()
}
