//! The keys of a standalone server come into a cluster: all of them, as they were.

use crate::support::{PROGRAM, Run, addresses, cluster, command, eventually, eventually_cluster, run, start, tribune};
use std::{
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};
use testservers::{
    Certificates, Cluster, Dataset, Difference, Engine, Options, Process, Server, Servers, What, any_engine,
    each_engine,
};

/// A server of its own.
fn standalone(engine: &Engine) -> Server {
    Server::builder(engine).cluster(false).start()
}

fn databases(engine: &Engine) -> u32 {
    if engine.name == "valkey-9.1" { 3 } else { 1 }
}

/// Every type, any bytes, expiries; over all databases that this engine has in clusters.
fn everything(engine: &Engine, keys: usize) -> Dataset {
    Dataset::generate(7, &Options { databases: databases(engine), largest: 20_000, ..Options::all(engine, keys) })
}

/// Three primaries with a password, and with several databases where there are such.
fn guarded(engine: &Engine) -> Servers {
    let servers = Servers::start_with(engine, 3, |builder, _| {
        let builder = builder.password("of the cluster");
        if databases(engine) > 1 { builder.config("cluster-databases", "16") } else { builder }
    });
    secret(&format!("create --yes {}", addresses(&servers))).succeeded();
    servers
}

/// Runs the program with both passwords in its environment.
fn secret(words: &str) -> Run {
    let mut program = command(Path::new(PROGRAM));
    program.env("TRIBUNE_AUTH", "of the cluster").env("TRIBUNE_FROM_AUTH", "100%sure %s");
    run(program.args(words.split_whitespace()))
}

/// Starts the program; what it tells on standard error goes into this file.
fn start_telling(words: &str, err: &Path) -> Process {
    Process::start(Path::new(PROGRAM), |command| {
        command.args(words.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::File::create(err).unwrap());
    })
}

fn keys(server: &Server) -> usize {
    server.call_ok(&["DBSIZE"]).parse().unwrap()
}

/// Everything is there as it was. `MIGRATE` sends how long a key has left, so that it goes later by the time on the way.
#[track_caller]
fn assert_arrived(data: &Dataset, cluster: &Cluster) {
    let differs = |found: &Difference| match found.what {
        What::Expiry { expected: Some(expected), found: Some(found) } => found.abs_diff(expected) > 5000,
        _ => true,
    };
    let found: Vec<String> =
        data.compare(cluster).iter().filter(|found| differs(found)).map(ToString::to_string).collect();
    assert!(found.is_empty(), "{} differences: {:#?}", found.len(), &found[..found.len().min(20)]);
}

#[track_caller]
fn assert_told(run: &Run, texts: &[&str]) {
    for text in texts {
        assert!(run.out.contains(text) || run.err.contains(text), "no {text:?} in {run:#?}");
    }
}

#[test]
fn every_type_any_bytes_and_expiries_of_all_databases_arrive_past_two_passwords_on_every_engine() {
    each_engine(|engine| {
        let source = Server::builder(engine)
            .cluster(false)
            .password("100%sure %s")
            .user("mover on >\"100%sure %s\" ~* &* +@all")
            .start();
        let (data, servers) = (everything(engine, 330), guarded(engine));
        data.write(&Cluster::standalone(&source));
        let (entry, from) = (servers[0].address(), source.address());
        let copied = secret(&format!("import {entry} --from {from} --copy --yes")).succeeded();
        assert_told(&copied, &[&format!("done: {} keys arrived", data.len())]);
        assert!(!copied.err.contains("through this machine"), "{copied:#?}");
        assert_arrived(&data, &Cluster::of(&servers));
        data.assert_same(&Cluster::standalone(&source));
        // Whatever is equal is skipped, and leaves when it is to move.
        let again = secret(&format!("import {entry} --from {from} --copy --yes")).succeeded();
        assert_told(&again, &["done: 0 keys arrived", &format!("{} were there already", data.len())]);
        secret(&format!("import {entry} --from {from} --from-user mover --yes")).succeeded();
        assert!(!source.call_ok(&["INFO", "keyspace"]).contains("keys="));
        assert_arrived(&data, &Cluster::of(&servers));
    });
}

#[test]
fn the_lines_and_exit_codes_are_those_of_the_reference_tool_on_every_engine() {
    each_engine(|engine| {
        let (source, servers) = (standalone(engine), cluster(engine, 3, 0));
        let (entry, from, member) = (servers[0].address(), source.address(), servers[1].address());
        let reset = || {
            for server in &servers {
                server.call_ok(&["FLUSHALL"]);
            }
            source.call_ok(&["FLUSHALL"]);
            source.call_ok(&["MSET", "a", "1", "b", "2", "c", "3"]);
        };
        for words in [
            String::new(),
            "--cluster-from nonsense".into(),
            "--cluster-from 127.0.0.1:1".into(),
            format!("--cluster-from {member}"),
            format!("--cluster-from {from} --cluster-copy"),
            format!("--cluster-from {from}"),
            format!("--cluster-from {from} --cluster-replace --cluster-timeout 5000"),
        ] {
            let mut runs = Vec::new();
            for program in [engine.cli.as_path(), Path::new(PROGRAM)] {
                reset();
                let mut program = command(program);
                let words = format!("--cluster import {entry} {words}");
                let mut told = run(program.args(words.split_whitespace()));
                // The order of keys is the server's, and the tool's own.
                let (mut keys, mut others): (Vec<&str>, Vec<&str>) =
                    told.out.lines().partition(|line| line.starts_with("Migrating "));
                keys.sort_unstable();
                others.extend(keys);
                told.out = others.join("\n");
                runs.push((told, source.call_ok(&["DBSIZE"])));
            }
            let [(reference, left), (ours, left_by_us)] = &runs[..] else { panic!("two runs") };
            assert_eq!((reference.code, &reference.out, left), (ours.code, &ours.out, left_by_us), "{words}");
            assert_eq!(reference.err.replace("Redis", "Valkey"), ours.err.replace("Redis", "Valkey"), "{words}");
        }
        // The first key that the cluster has ends the reference.
        source.call_ok(&["SET", "a", "other"]);
        let words = format!("--cluster import {entry} --cluster-from {from}");
        let [reference, ours] = [engine.cli.as_path(), Path::new(PROGRAM)]
            .map(|program| run(command(program).args(words.split_whitespace())));
        assert_eq!((reference.code, reference.out), (ours.code, ours.out), "{words}");
    });
}

#[test]
fn a_key_that_the_cluster_has_is_kept_and_named_and_the_others_arrive() {
    let Some(engine) = any_engine() else { return };
    let (source, servers) = (standalone(&engine), cluster(&engine, 3, 0));
    source.call_ok(&["MSET", "a", "1", "b", "2", "c", "3", "d", "4"]);
    let owner = servers.iter().find(|server| server.call(&["SET", "b", "of the cluster"]) == "OK").unwrap();
    let (entry, from) = (servers[0].address(), source.address());
    let kept = tribune(&format!("import {entry} --from {from} --yes"));
    assert_eq!(kept.code, Some(1), "{kept:#?}");
    assert_told(&kept, &["error: the cluster keeps its own value of 1 key\n       b\n", "3 keys arrived", "--replace"]);
    assert_eq!((owner.call_ok(&["GET", "b"]), keys(&source)), ("of the cluster".into(), 1));
    let json = tribune(&format!("import {entry} --from {from} --yes --json"));
    assert_eq!(json.code, Some(1), "{json:#?}");
    assert_told(&json, &["\"outcome\": \"incomplete\"", "\"kept\": 1", "\"kept_keys\": [\n      \"b\"\n    ]"]);
    tribune(&format!("import {entry} --from {from} --yes --replace")).succeeded();
    assert_eq!((owner.call_ok(&["GET", "b"]), keys(&source)), ("2".into(), 0));
    let nothing = tribune(&format!("import {entry} --from {from}")).succeeded();
    assert_eq!(nothing.out, format!("{from} holds no keys\n"));
}

#[test]
fn what_cannot_be_imported_is_refused_before_anything_is_touched() {
    let Some(engine) = any_engine() else { return };
    let (source, servers) = (standalone(&engine), cluster(&engine, 3, 0));
    source.call_ok(&["SET", "a", "1"]);
    source.call_ok(&["MOVE", "a", "5"]);
    source.call_ok(&["SET", "b", "1"]);
    let (entry, from) = (servers[0].address(), source.address());
    let import = |words: &str| tribune(&format!("import {entry} {words}"));
    import(&format!("--from {from} --yes")).refused(
        1,
        &[&format!("error: database 5 of {from} holds 1 key, and the cluster has 1 database"), "--database 0"],
    );
    let native = format!("[ERR] database 5 of {from} holds 1 key, and the cluster has 1 database.\n");
    let reference = tribune(&format!("--cluster import {entry} --cluster-from {from}"));
    assert!(reference.code == Some(1) && reference.out.ends_with(&native), "{reference:#?}");
    let plan = import(&format!("--from {from} --database 0 --dry-run")).succeeded();
    assert_told(&plan, &["1 key of", "5 with 1 key was not asked for", "ot copied: cached scripts"]);
    import(&format!("--from {} --yes", servers[1].address())).refused(1, &["is a node of a cluster"]);
    import("--from 127.0.0.1:1 --yes").refused(1, &["error: 127.0.0.1:1 refuses connections"]);
    import("--from redis://:secret@127.0.0.1:1 --yes").refused(2, &["user and password have no place in --from"]);
    import(&format!("--from {from} --from-user x --yes")).refused(1, &["TRIBUNE_FROM_AUTH"]);
    import(&format!("--from {from}")).code.filter(|code| *code == 1).unwrap();
    servers[0].call_ok(&["CLUSTER", "DELSLOTS", "5"]);
    import(&format!("--from {from} --database 0 --yes")).refused(1, &["1 slot of 16384 not served", "tribune fix"]);
    assert_eq!(servers.iter().map(keys).sum::<usize>(), 0);
    import(&format!("--from {from} --database 0")).refused(1, &["not served"]);
}

#[test]
fn where_the_source_cannot_send_its_keys_they_go_through_us() {
    let Some(engine) = any_engine() else { return };
    let certificates = Certificates::new();
    let data = everything(&engine, 220);
    // The cluster speaks TLS, and the source does not.
    let servers = Servers::start_with(&engine, 3, |builder, _| builder.tls(&certificates));
    let trust = format!("--tls --cacert {}", certificates.ca().display());
    tribune(&format!("create --yes {} {trust}", addresses(&servers))).succeeded();
    let (entry, plain) = (servers[0].address(), standalone(&engine));
    data.write(&Cluster::standalone(&plain));
    let import = |words: &str| tribune(&format!("import {entry} {trust} {words}"));
    import(&format!("--from {} --yes", plain.address())).refused(1, &["does not speak TLS"]);
    let moved = import(&format!("--from redis://{} --yes", plain.address())).succeeded();
    assert_told(&moved, &["go through this machine", "tls-cluster no"]);
    data.assert_same(&Cluster::of(&servers));
    assert_eq!(keys(&plain), 0);
    // A replica runs no MIGRATE, and keeps its keys; over TLS to the source.
    let primary = Server::builder(&engine).cluster(false).tls(&certificates).start();
    let replica = Server::builder(&engine).cluster(false).tls(&certificates).start();
    data.write(&Cluster::standalone(&primary));
    replica.call_ok(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    eventually("the replica has its data", || keys(&replica) == data.len());
    import(&format!("--from {} --yes", replica.address()))
        .refused(1, &["is a replica: keys cannot leave it", "--copy"]);
    let copied = import(&format!("--from {} --copy --replace --yes", replica.address())).succeeded();
    assert_told(&copied, &["a replica does not run MIGRATE", &format!("{} keys arrived", data.len())]);
    let again = import(&format!("--from {} --copy --yes", replica.address())).succeeded();
    assert_told(&again, &["0 keys arrived", &format!("{} were there already", data.len())]);
    data.assert_same(&Cluster::of(&servers));
}

#[test]
fn an_address_that_leads_the_source_elsewhere_is_noticed_with_the_first_key() {
    let Some(engine) = any_engine() else { return };
    let (source, other) = (standalone(&engine), standalone(&engine));
    // The nodes tell a port on which another server listens.
    let servers = Servers::start(&engine, 3);
    tribune(&format!("create --yes {}", addresses(&servers))).succeeded();
    let data = Dataset::generate(3, &Options::small(300));
    data.write(&Cluster::standalone(&source));
    servers[1].call_ok(&["CONFIG", "SET", "cluster-announce-port", &other.port().to_string()]);
    let entry = servers[1].address();
    eventually("the others have heard it", || {
        [&servers[0], &servers[2]]
            .iter()
            .all(|node| node.call_ok(&["CLUSTER", "NODES"]).contains(&format!("127.0.0.1:{}@", other.port())))
    });
    let told = tribune(&format!("import {entry} --from {} --yes", source.address())).succeeded();
    assert_told(&told, &["is another server for"]);
    servers[1].call_ok(&["CONFIG", "SET", "cluster-announce-port", "0"]);
    eventually("the others have heard it", || {
        [&servers[0], &servers[2]].iter().all(|node| node.call_ok(&["CLUSTER", "NODES"]).contains(&format!("{entry}@")))
    });
    assert_arrived(&data, &Cluster::of(&servers));
    assert!(keys(&other) <= 1);
}

#[test]
fn an_import_that_was_stopped_goes_on_with_the_same_command() {
    let Some(engine) = any_engine() else { return };
    for way in ["", "--copy"] {
        let (source, servers) = (standalone(&engine), cluster(&engine, 3, 0));
        let data = Dataset::generate(5, &Options::small(6000));
        data.write(&Cluster::standalone(&source));
        let words = format!("import {} --from {} --yes {way}", servers[0].address(), source.address());
        let directory = tempfile::tempdir().unwrap();
        let err = directory.path().join("err");
        let running = start_telling(&format!("{words} --pipeline 1"), &err);
        let arrived = || servers.iter().map(keys).sum::<usize>();
        eventually("keys arrive", || arrived() > 100);
        run(command(Path::new("sh")).args(["-c", &format!("kill -INT {}", running.pid())])).succeeded();
        let status = running.finish(Duration::from_secs(20));
        let told = fs::read_to_string(&err).unwrap();
        assert_eq!(status.code(), Some(130), "{told}");
        assert!(told.contains("of 6 000 keys are in the cluster, nothing lost"), "{told}");
        assert!(told.contains("do   the same command continues"), "{told}");
        let before = arrived();
        assert!(before < 6000, "it was not stopped: {told}");
        // Killed, it has no time to finish anything.
        let killed = start(&format!("{words} --pipeline 1"));
        eventually("more keys arrive", || arrived() > before + 100);
        drop(killed);
        tribune(&words).succeeded();
        assert_arrived(&data, &Cluster::of(&servers));
        assert_eq!(keys(&source), if way.is_empty() { 0 } else { 6000 });
    }
}

#[test]
fn a_source_that_dies_is_named_and_nothing_that_has_arrived_is_lost() {
    let Some(engine) = any_engine() else { return };
    let (source, servers) = (standalone(&engine), cluster(&engine, 3, 0));
    Dataset::generate(5, &Options::small(6000)).write(&Cluster::standalone(&source));
    let (entry, from) = (servers[0].address(), source.address());
    let directory = tempfile::tempdir().unwrap();
    let err = directory.path().join("err");
    let running = start_telling(&format!("import {entry} --from {from} --yes --copy --pipeline 1"), &err);
    eventually("keys arrive", || servers.iter().map(keys).sum::<usize>() > 100);
    source.kill();
    let status = running.finish(Duration::from_secs(20));
    let told = fs::read_to_string(&err).unwrap();
    assert_eq!(status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("error: {from} closed the connection")), "{told}");
    assert!(told.contains("of 6 000 keys are in the cluster, nothing lost"), "{told}");
}

#[test]
fn a_node_that_stands_still_for_longer_than_the_read_timeout_holds_an_import_up_and_no_more() {
    let Some(engine) = any_engine() else { return };
    let (source, servers) = (standalone(&engine), cluster(&engine, 3, 0));
    let data = Dataset::generate(5, &Options::small(40_000));
    data.write(&Cluster::standalone(&source));
    let words = format!("import {} --from {} --yes", servers[0].address(), source.address());
    let directory = tempfile::tempdir().unwrap();
    let err = directory.path().join("err");
    let importing = start_telling(&format!("{words} --read-timeout 0.2"), &err);
    eventually("keys arrive", || servers.iter().map(keys).sum::<usize>() > 100);
    servers[1].stop_process();
    let since = Instant::now();
    eventually("it has stood still for five times as long", || since.elapsed() > Duration::from_secs(1));
    servers[1].continue_process();
    let status = importing.finish(Duration::from_mins(1));
    assert_eq!(status.code(), Some(0), "{}", fs::read_to_string(&err).unwrap());
    assert_arrived(&data, &Cluster::of(&servers));
    assert_eq!(keys(&source), 0);
}

#[test]
fn keys_arrive_while_slots_move_and_a_primary_is_replaced() {
    each_engine(|engine| {
        let (source, servers) = (standalone(engine), cluster(engine, 6, 1));
        let data = Dataset::generate(9, &Options::small(8000));
        data.write(&Cluster::standalone(&source));
        let entry = servers[1].address();
        let words = format!("import {entry} --from {} --yes --copy --pipeline 10", source.address());
        let importing = start(&words);
        eventually("keys arrive", || servers.iter().map(keys).sum::<usize>() > 100);
        let replica = servers.iter().find(|server| server.call_ok(&["ROLE"]).starts_with("slave")).unwrap();
        replica.call_ok(&["CLUSTER", "FAILOVER"]);
        let primary = servers.iter().rev().find(|server| server.call_ok(&["ROLE"]).starts_with("master")).unwrap();
        let id = primary.call_ok(&["CLUSTER", "MYID"]);
        let reshard = tribune(&format!("reshard {entry} --from all --to {id} --slots 300 --yes --dialect migrate"));
        let status = importing.finish(Duration::from_mins(2));
        assert_eq!(status.code(), Some(0), "with {reshard:#?}");
        eventually_cluster(&servers, 3);
        assert_arrived(&data, &Cluster::of(&servers));
    });
}
