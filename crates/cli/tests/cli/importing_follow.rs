//! An import that follows its source: what is written there meanwhile comes, too, until the clients go over.

use crate::support::{PROGRAM, addresses, cluster, command, eventually, run, tribune};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::Range,
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tempfile::TempDir;
use testservers::{
    Certificates, Client, Cluster, Dataset, Engine, Kind, Options, Process, Proxy, Server, Servers, any_engine, engine,
};

/// Three primaries, with several databases where that engine has them in clusters.
fn destination(engine: &Engine) -> (Servers, &'static [u32]) {
    if engine.name != "valkey-9.1" {
        return (cluster(engine, 3, 0), &[0]);
    }
    let servers = Servers::start_with(engine, 3, |builder, _| builder.config("cluster-databases", "16"));
    tribune(&format!("create --yes {}", addresses(&servers))).succeeded();
    (servers, &[0, 2, 5])
}

/// The program while it follows, and what it has told.
struct Following {
    process: Process,
    directory: TempDir,
}

impl Following {
    fn start(words: &str) -> Self {
        Self::start_with(words, &[])
    }

    fn start_with(words: &str, environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| fs::File::create(directory.path().join(name)).unwrap();
        let process = Process::start(Path::new(PROGRAM), |program| {
            program.envs(environment.iter().copied());
            program.args(words.split_whitespace()).stdin(Stdio::null()).stdout(file("out")).stderr(file("err"));
        });
        Self { process, directory }
    }

    fn told(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).unwrap()
    }

    #[track_caller]
    fn tells(&mut self, text: &str) {
        eventually(text, || {
            let err = self.told("err");
            assert!(err.contains(text) || self.process.exit_status().is_none(), "it has ended without {text:?}: {err}");
            err.contains(text)
        });
    }

    fn interrupt(&self) {
        run(command(Path::new("sh")).args(["-c", &format!("kill -INT {}", self.process.pid())])).succeeded();
    }

    /// How it ended, with what it wrote to standard output and standard error.
    fn end(self) -> (Option<i32>, String, String) {
        let Self { process, directory } = self;
        let code = process.finish(Duration::from_secs(40)).code();
        let read = |name| fs::read_to_string(directory.path().join(name)).unwrap();
        (code, read("out"), read("err"))
    }

    #[track_caller]
    fn ends_with(self, code: i32, texts: &[&str]) {
        let (ended, out, err) = self.end();
        assert_eq!(ended, Some(code), "{out}{err}");
        for text in texts {
            assert!(err.contains(text), "no {text:?} in {err}");
        }
    }
}

/// Clients of the source: they write all that there is to write, until they wait for longer than they have patience.
struct Traffic {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Traffic {
    fn start(source: &Server, databases: &'static [u32]) -> Self {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut client = source.client();
        let thread = thread::spawn({
            let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
            move || {
                for number in 0_u64.. {
                    let database = databases[usize::try_from(number / 100 % 2).unwrap() % databases.len()];
                    let commands = writes(number, databases);
                    let selected = client.call(&["SELECT", &database.to_string()]).is_ok();
                    let all = selected && commands.iter().all(|command| write(&mut client, command));
                    if !all || stop.load(Ordering::Relaxed) {
                        break;
                    }
                    written.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { stop, written, thread }
    }

    #[track_caller]
    fn go_on(&self, more: u64) {
        let enough = self.written.load(Ordering::Relaxed) + more;
        eventually("clients write", || self.written.load(Ordering::Relaxed) >= enough);
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

/// False where the source holds writes. A key that is not there, or of another type, is no trouble.
fn write(client: &mut Client, command: &str) -> bool {
    let words: Vec<&str> = command.split(' ').collect();
    client.call(&words).is_ok()
}

/// The commands of one round of a client.
fn writes(number: u64, databases: &[u32]) -> Vec<String> {
    // Some keys are written often, and others seldom.
    let (key, other) = (number * 7 % 40, number * 13 % 40);
    let script =
        "redis.call('SET',KEYS[1],ARGV[1])redis.call('HINCRBY',KEYS[2],'script',1)return_redis.call('DEL',KEYS[3])";
    let script = script.replace("return_", "return(") + ")";
    let one = match number % 25 {
        0 => format!("SET text:{key} {number}"),
        1 => format!("SET text:{key} {number} EX 3600"),
        2 => format!("SET brief:{key} {number} PX 80"),
        3 => format!("DEL text:{other}"),
        4 => format!("EXPIRE text:{key} 7200"),
        5 => format!("HSET hash:{key} field{} {number} other {number}", number % 9),
        6 => format!("HDEL hash:{key} field{}", number % 9),
        7 => format!("LPUSH list:{key} {number} {other}"),
        8 => format!("RPOP list:{other}"),
        9 => format!("RENAME text:{key} text:{other}"),
        10 => format!("EVAL {script} 3 text:{key} hash:{other} list:{key} {number}"),
        11 => format!("SADD set:{key} {number} {other}"),
        12 => format!("SPOP set:{other}"),
        13 => format!("ZINCRBY sorted:{key} {number} member{}", number % 5),
        14 => format!("XADD stream:{key} MAXLEN 5 * field {number}"),
        15 => format!("XGROUP CREATE group:{key} group $ MKSTREAM"),
        16 => format!("SUNIONSTORE union:{key} set:{key} set:{other}"),
        17 => format!("SORT list:{key} STORE sorted-list:{key}"),
        18 => format!("PERSIST text:{key}"),
        19 => format!("COPY text:{key} copy:{other} REPLACE"),
        20 => format!("UNLINK union:{other} hash:{other} copy:{key}"),
        21 if databases.len() > 1 => format!("COPY text:{key} other:{key} DB 2"),
        22 if databases.len() > 1 => format!("MOVE copy:{key} 2"),
        23 => format!("LMOVE list:{key} list:{other} LEFT RIGHT"),
        _ => format!("INCR count:{key}"),
    };
    if number.is_multiple_of(5) {
        let more = format!("APPEND many:{key} x");
        return vec!["MULTI".into(), one, more, format!("INCR many-count:{other}"), "EXEC".into()];
    }
    vec![one]
}

type Place = (u32, String);

/// Every key with its type, its value and when it goes.
fn everything(servers: &[&Server], databases: &[u32]) -> BTreeMap<Place, String> {
    let mut all = BTreeMap::new();
    for server in servers {
        let mut client = server.client();
        for database in databases {
            client.call(&["SELECT", &database.to_string()]).unwrap();
            let keys = client.call(&["KEYS", "*"]).unwrap();
            for key in keys.lines().filter(|key| !key.is_empty()) {
                // It may have gone since.
                if let Some(value) = value(&mut client, key) {
                    let before = all.insert((*database, key.to_owned()), value);
                    assert!(before.is_none(), "{key} is on two nodes");
                }
            }
        }
    }
    all
}

fn value(client: &mut Client, key: &str) -> Option<String> {
    let mut call = |words: &[&str]| client.call(words).unwrap();
    let kind = call(&["TYPE", key]);
    let read = match kind.as_str() {
        "string" => call(&["GET", key]),
        "list" => call(&["LRANGE", key, "0", "-1"]),
        "zset" => call(&["ZRANGE", key, "0", "-1", "WITHSCORES"]),
        "stream" => call(&["XRANGE", key, "-", "+"]) + &call(&["XINFO", "GROUPS", key]),
        "set" => sorted(&call(&["SMEMBERS", key]), 1),
        "hash" => sorted(&call(&["HGETALL", key]), 2),
        _ => return None,
    };
    let expiry = call(&["PEXPIRETIME", key]);
    (expiry != "-2").then(|| format!("{kind} until {expiry}: {read}"))
}

fn sorted(lines: &str, together: usize) -> String {
    let lines: Vec<&str> = lines.lines().collect();
    let mut items: Vec<String> = lines.chunks(together).map(|item| item.join(" ")).collect();
    items.sort_unstable();
    items.join("\n")
}

/// Waits out what goes by itself meanwhile.
#[track_caller]
fn assert_same(source: &Server, servers: &Servers, databases: &[u32]) {
    let nodes: Vec<&Server> = servers.iter().collect();
    let differences = || {
        let (here, there) = (everything(&[source], databases), everything(&nodes, databases));
        assert!(here.len() > 300, "{} keys", here.len());
        let differs = here.iter().filter(|(place, value)| there.get(*place) != Some(*value));
        let extra = there.iter().filter(|(place, _)| !here.contains_key(*place));
        let told = |(place, value): (&Place, &String)| format!("{place:?} {value}, there {:?}", there.get(place));
        differs.chain(extra).map(told).collect::<Vec<String>>()
    };
    let mut found = Vec::new();
    for _ in 0..3 {
        found = differences();
        if found.is_empty() {
            return;
        }
    }
    panic!("{} differences: {:#?}", found.len(), &found[..found.len().min(10)]);
}

/// Values that all engines print in the same way.
fn plain() -> Dataset {
    let kinds = vec![Kind::Text, Kind::Number, Kind::List, Kind::Set, Kind::Hash];
    Dataset::generate(11, &Options { kinds, ..Options::small(3000) })
}

#[test]
fn a_source_without_keys_is_followed_until_there_are_some() {
    let Some(engine) = any_engine() else { return };
    let (source, servers) = (Server::builder(&engine).cluster(false).start(), cluster(&engine, 3, 0));
    let words = format!("import {} --from {} --follow --yes", servers[0].address(), source.address());
    let mut following = Following::start(&words);
    following.tells("Ctrl-C cuts over");
    source.call_ok(&["SET", "key", "value"]);
    let arrived = || servers.iter().any(|server| server.call_ok(&["DBSIZE"]) == "1");
    eventually("the key arrives", arrived);
    following.interrupt();
    following.ends_with(0, &[]);
    assert!(arrived());
}

#[test]
fn what_is_written_until_the_cut_over_is_in_the_cluster_and_what_is_deleted_is_gone() {
    for (from, to) in [("redis-7.0", "valkey-9.1"), ("redis-8.6", "redis-8.6"), ("valkey-9.1", "valkey-9.1")] {
        let (Some(from), Some(to)) = (engine(from), engine(to)) else { continue };
        let source = Server::builder(&from).cluster(false).start();
        let (servers, databases) = destination(&to);
        plain().write(&Cluster::standalone(&source));
        let traffic = Traffic::start(&source, databases);
        traffic.go_on(200);
        let words = format!("import {} --from {} --follow --hold 120 --yes", servers[0].address(), source.address());
        let mut following = Following::start(&words);
        following.tells("Ctrl-C cuts over");
        if databases.len() > 1 {
            // It was empty when the import began.
            let mut client = source.client();
            assert_eq!(client.call(&["SELECT", "5"]).unwrap(), "OK");
            assert_eq!(client.call(&["SET", "new", "here"]).unwrap(), "OK");
        }
        traffic.go_on(1000);
        following.interrupt();
        let (code, out, err) = following.end();
        assert_eq!(code, Some(0), "{out}{err}");
        for text in ["done: ", "copied again or deleted", "have the clients go over to", "CLIENT UNPAUSE"] {
            assert!(out.contains(text), "no {text:?} in {out}{err}");
        }
        // The source holds its writes.
        assert_same(&source, &servers, databases);
        source.call_ok(&["CLIENT", "UNPAUSE"]);
        traffic.end();
    }
}

/// Servers with nothing in them but these keys of the source.
fn afresh(source: &Server, servers: &Servers) {
    source.call_ok(&["CLIENT", "UNPAUSE"]);
    for server in servers.iter().chain([source]) {
        server.call_ok(&["FLUSHALL"]);
    }
    for number in 0..20 {
        source.call_ok(&["SET", &format!("key:{number}"), "value"]);
    }
}

fn keys(servers: &Servers) -> usize {
    servers.iter().map(|server| server.call_ok(&["DBSIZE"]).parse::<usize>().unwrap()).sum()
}

#[test]
fn what_a_follower_cannot_do_for_the_cluster_ends_it_and_deletes_nothing() {
    let Some(engine) = any_engine() else { return };
    let (source, servers) = (Server::builder(&engine).cluster(false).start(), cluster(&engine, 3, 0));
    let (entry, from) = (servers[0].address(), source.address());
    let words = format!("import {entry} --from {from} --follow --yes");
    let begin_anew = format!("tribune call {entry} FLUSHALL --only-primaries");
    for command in ["FLUSHALL", "FLUSHDB", "SWAPDB 0 1"] {
        afresh(&source, &servers);
        let mut following = Following::start(&words);
        following.tells("Ctrl-C cuts over");
        source.call_ok(&command.split(' ').collect::<Vec<_>>());
        let name = command.split(' ').next().unwrap();
        following.ends_with(1, &[&format!("error: {from} has run {name}"), "nothing was deleted", &begin_anew]);
        assert_eq!(keys(&servers), 20);
    }
    // What is there already could not be told from what has come from the source.
    afresh(&source, &servers);
    assert!(servers.iter().any(|server| server.call(&["SET", "of the cluster", "kept"]) == "OK"));
    tribune(&words).refused(1, &["a source is followed into an empty cluster", "empty every primary"]);
    assert_eq!(keys(&servers), 1);
    let replica = Server::builder(&engine).cluster(false).start();
    replica.call_ok(&["REPLICAOF", "127.0.0.1", &source.port().to_string()]);
    afresh(&source, &servers);
    eventually("the replica has its data", || replica.call_ok(&["DBSIZE"]) == "20");
    tribune(&format!("import {entry} --from {} --follow --yes", replica.address()))
        .refused(1, &["is a replica", "follow its primary"]);
    tribune(&format!("{words} --replace")).refused(2, &["--replace"]);
    assert_eq!(keys(&servers), 0);

    // A database that the cluster does not have.
    let mut following = Following::start(&words);
    following.tells("Ctrl-C cuts over");
    source.call_ok(&["MOVE", "key:1", "3"]);
    following.ends_with(1, &[&format!("error: {from} writes to database 3"), &begin_anew]);

    afresh(&source, &servers);
    let mut following = Following::start(&words);
    following.tells("Ctrl-C cuts over");
    source.kill();
    following.ends_with(1, &[&from, &begin_anew, "then the same command begins anew"]);
    assert_eq!(keys(&servers), 20);
}

#[test]
fn a_cut_over_that_is_late_or_given_up_lets_the_writers_go_on() {
    let Some(engine) = any_engine() else { return };
    let (source, servers) = (Server::builder(&engine).cluster(false).start(), cluster(&engine, 3, 0));
    let proxy = Proxy::start(source.port());
    let (entry, from) = (servers[0].address(), proxy.address());
    let start = |more: &str| {
        afresh(&source, &servers);
        let mut following = Following::start(&format!("import {entry} --from {from} --follow --yes {more}"));
        following.tells("Ctrl-C cuts over");
        following
    };
    // A distant source: it is asked to hold its writes, and for its offset, which takes longer than half of the time.
    let mut following = start("--hold 6 --json");
    proxy.delay(Duration::from_millis(900));
    following.interrupt();
    following.tells("writes again, and is followed as before");
    assert_eq!(source.call(&["SET", "key:1", "later"]), "OK");
    proxy.delay(Duration::ZERO);
    following.interrupt();
    let (code, out, err) = following.end();
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("\"writes_held_seconds\"") && out.contains("\"changed\": 1"), "{out}{err}");
    let owner = servers.iter().find(|server| server.call(&["GET", "key:1"]) == "later");
    assert!(owner.is_some(), "{err}");

    let mut following = start("--hold 600");
    proxy.delay(Duration::from_secs(1));
    following.interrupt();
    following.tells("holds its writes");
    following.interrupt();
    following.ends_with(130, &["stopped before the cut-over", "its writes go on", "begins anew"]);
    // Nobody waits.
    assert_eq!(source.call(&["SET", "key:2", "later"]), "OK");
    proxy.delay(Duration::ZERO);

    // Databases that were not asked for are passed over. Nodes that do not answer: a second Ctrl-C ends the wait for them.
    let mut following = start("--database 0");
    source.call_ok(&["MOVE", "key:3", "3"]);
    eventually("it is gone in the cluster, too", || keys(&servers) == 19);
    for server in &servers {
        server.stop_process();
    }
    source.call_ok(&["SET", "key:4", "later"]);
    following.interrupt();
    following.tells("cutting over");
    following.interrupt();
    following.ends_with(130, &["stopped before the cut-over", "begins anew"]);
    for server in &servers {
        server.continue_process();
    }
}

#[test]
fn a_cluster_whose_primaries_are_replaced_meanwhile_gets_everything_over_tls_and_past_two_passwords() {
    for name in ["redis-7.0", "valkey-9.1"] {
        let Some(engine) = engine(name) else { continue };
        followed_while_primaries_are_replaced(&engine);
    }
}

fn followed_while_primaries_are_replaced(engine: &Engine) {
    let certificates = Certificates::new();
    let source = Server::builder(engine).cluster(false).tls(&certificates).password("of the source").start();
    let servers = Servers::start_with(engine, 6, |builder, _| {
        builder.tls(&certificates).password("of the cluster").config("cluster-node-timeout", "2000")
    });
    let environment = [("TRIBUNE_AUTH", "of the cluster"), ("TRIBUNE_FROM_AUTH", "of the source")];
    let trust = format!("--tls --cacert {}", certificates.ca().display());
    let tribune = |words: &str| {
        let words = format!("{words} {trust}");
        run(command(Path::new(PROGRAM)).args(words.split_whitespace()).envs(environment)).succeeded()
    };
    tribune(&format!("create --yes --replicas 1 {}", addresses(&servers)));
    let data = plain();
    data.write(&Cluster::standalone(&source));
    let words = format!("import {} --from {} --follow --hold 60 --yes {trust}", servers[0].address(), source.address());
    let mut following = Following::start_with(&words, &environment);
    following.tells("Ctrl-C cuts over");
    let write = |numbers: Range<u32>| {
        let script = "for i = ARGV[1], ARGV[2] do redis.call('SET', KEYS[1] .. i, i) end";
        let [first, last] = [numbers.start, numbers.end - 1].map(|number| number.to_string());
        source.call_ok(&["EVAL", script, "1", "writer:", &first, &last]);
    };
    write(0..50);
    // Planned: one primary changes places with its replica.
    let role = |server: &Server| server.call(&["ROLE"]).lines().next().unwrap_or_default().to_owned();
    let replica = servers.iter().find(|server| role(server) == "slave").unwrap();
    tribune(&format!("failover {} --yes", replica.address()));
    write(50..100);
    // And one is lost.
    let primaries = || servers.iter().filter(|server| server.is_running() && role(server) == "master").count();
    let lost = servers.iter().find(|server| role(server) == "master" && server.port() != replica.port()).unwrap();
    lost.kill();
    write(100..150);
    eventually("its replica has taken over", || primaries() == 3);
    write(150..200);
    following.interrupt();
    let (code, out, err) = following.end();
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(!format!("{out}{err}").contains("of the "), "no password is shown: {out}{err}");

    let owners = servers.iter().filter(|server| server.is_running() && role(server) == "master");
    let written = owners.flat_map(|owner| {
        let keys = owner.call_ok(&["KEYS", "writer:*"]);
        keys.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    let written: BTreeSet<String> = written.filter(|key| !key.is_empty()).collect();
    let missing: Vec<String> =
        (0..200).map(|number| format!("writer:{number}")).filter(|key| !written.contains(key)).collect();
    assert_eq!(missing, Vec::<String>::new(), "{out}{err}");
    let strange = |found: &testservers::Difference| !found.key.starts_with(b"writer");
    let left: Vec<String> = servers.iter().filter(|server| server.is_running()).map(Server::address).collect();
    let cluster = Cluster::at(&left).password("of the cluster").tls(&certificates);
    let found: Vec<String> =
        data.compare(&cluster).iter().filter(|one| strange(one)).map(ToString::to_string).collect();
    assert!(found.is_empty(), "{} differences: {:#?}", found.len(), &found[..found.len().min(10)]);
}
