//! `backup`: what was saved is what was there, whole or not at all.

use crate::support::{
    PROGRAM, Run, addresses, assert_cluster, cluster, command, eventually, eventually_cluster, run, start, tribune,
    value,
};
use serde_json::Value;
use std::{fs, path::Path, process::Command, time::Duration};
use tempfile::TempDir;
use testservers::{
    Certificates, Cluster, Dataset, Direction, Engine, Options, Proxies, Servers, any_engine, each_engine,
};

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn nodes(directory: &Path) -> Vec<Value> {
    let text = fs::read_to_string(directory.join("nodes.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {run:#?}"))
}

fn place() -> (TempDir, String) {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().display().to_string();
    (place, path)
}

/// Makes a cluster of what is in a directory, as docs/backup.md says.
fn restored(
    engine: &Engine,
    directory: &Path,
    configure: impl Fn(testservers::Builder) -> testservers::Builder,
) -> Servers {
    let nodes = nodes(directory);
    let primaries: Vec<&Value> = nodes.iter().filter(|node| node["replicate"].is_null()).collect();
    let servers = Servers::start_with(engine, primaries.len(), |builder, _| configure(builder));
    let files = names(directory);
    for (server, primary) in servers.iter().zip(&primaries) {
        server.kill();
        let id = primary["name"].as_str().unwrap();
        let file = files.iter().find(|name| name.ends_with(&format!("-{id}.rdb"))).unwrap();
        fs::copy(directory.join(file), server.directory().join("dump.rdb")).unwrap();
        let slots = primary["slots"].as_array().unwrap().iter().map(|range| {
            let ends: Vec<String> = range.as_array().unwrap().iter().map(ToString::to_string).collect();
            ends.join("-")
        });
        let slots: Vec<String> = slots.collect();
        let (epoch, slots) = (&primary["current_epoch"], slots.join(" "));
        let text = format!(
            "{id} :0@0 myself,master - 0 0 {epoch} connected {slots}\nvars currentEpoch {epoch} lastVoteEpoch 0\n"
        );
        fs::write(server.directory().join("nodes.conf"), text).unwrap();
        server.restart();
    }
    for server in &servers[1..] {
        servers[0].call_ok(&["CLUSTER", "MEET", "127.0.0.1", &server.port().to_string()]);
    }
    eventually("the nodes know each other", || {
        let known = |server: &testservers::Server| value(&server.call_ok(&["CLUSTER", "INFO"]), "cluster_known_nodes");
        servers.iter().all(|server| known(server) == Some(servers.len().to_string()))
    });
    eventually_cluster(&servers, primaries.len());
    servers
}

/// The engine's own tool and the program, each into a directory of its own.
fn assert_twins_same(engine: &Engine, entry: &str) {
    let told = [engine.cli.as_path(), Path::new(PROGRAM)].map(|program| {
        let (place, path) = place();
        let run = run(command(program).args(["--cluster", "backup", entry, &path]));
        (
            run.code,
            run.out.replace(&path, "DIRECTORY"),
            run.err,
            names(place.path()),
            fs::read_to_string(place.path().join("nodes.json")).unwrap(),
        )
    });
    let [reference, ours] = told;
    assert_eq!((reference.0, &reference.1), (ours.0, &ours.1));
    assert_eq!((&reference.3, &reference.4), (&ours.3, &ours.4));
    assert_eq!(ours.2, "", "nothing goes to standard error");
}

#[test]
fn what_was_saved_is_what_was_there_and_the_lines_are_those_of_the_tools_on_every_engine() {
    each_engine(|engine| {
        let servers = cluster(engine, 6, 1);
        let data = Dataset::generate(7, &Options::all(engine, 300));
        data.write(&Cluster::of(&servers));
        let entry = servers[0].address();
        assert_twins_same(engine, &entry);

        let (place, path) = place();
        let saved = json(&tribune(&format!("backup {entry} {path} --json")).succeeded());
        assert_eq!((&saved["complete"], &saved["keys"]), (&Value::Bool(true), &Value::from(data.len())));
        for shard in saved["shards"].as_array().unwrap() {
            assert_eq!(shard["primary"], shard["from"]);
            assert!(shard["file"]["checksum"].as_str().is_some_and(|checksum| checksum.len() == 16), "{shard}");
        }
        data.assert_same(&Cluster::of(&restored(engine, place.path(), |builder| builder)));

        // A replica's data are as good, and its primary has nothing to do.
        let syncs = || -> Vec<String> {
            servers
                .iter()
                .take(3)
                .map(|server| value(&server.call_ok(&["INFO", "stats"]), "sync_full").unwrap())
                .collect()
        };
        let before = syncs();
        eventually("the replicas are linked", || {
            let (other, path) = self::place();
            let saved = json(&tribune(&format!("backup {entry} {path} --from-replicas --json")).succeeded());
            let spared = saved["shards"].as_array().unwrap().iter().all(|shard| shard["primary"] != shard["from"]);
            if spared {
                data.assert_same(&Cluster::of(&restored(engine, other.path(), |builder| builder)));
            }
            spared
        });
        assert_eq!(syncs(), before);

        servers[0].call_ok(&["CLUSTER", "DELSLOTS", "5"]);
        let ids = [0, 1].map(|index: usize| servers[index].call_ok(&["CLUSTER", "MYID"]));
        servers[0].call_ok(&["CLUSTER", "SETSLOT", "6", "MIGRATING", &ids[1]]);
        servers[1].call_ok(&["CLUSTER", "SETSLOT", "6", "IMPORTING", &ids[0]]);
        assert_twins_same(engine, &entry);
        for words in
            [format!("backup {entry} /no/such/directory"), format!("backup {entry}"), "backup 127.0.0.1:1 /tmp".into()]
        {
            let [reference, ours] = [engine.cli.as_path(), Path::new(PROGRAM)]
                .map(|program| run(command(program).arg("--cluster").args(words.split(' '))));
            assert_eq!(reference.code, ours.code, "{words}");
            // The older tools complain of the directory when they have the first snapshot already.
            if !words.contains("/no/") || ["redis-8.6", "valkey-9.1"].contains(&engine.name.as_str()) {
                assert_eq!(reference.out, ours.out, "{words}");
            }
        }
    });
}

#[test]
fn passwords_and_tls_make_no_difference() {
    let Some(engine) = any_engine() else { return };
    let certificates = Certificates::new();
    let servers = Servers::start_with(&engine, 3, |builder, _| builder.tls(&certificates).password("secret"));
    let secured = |words: &str| {
        let mut program = command(Path::new(PROGRAM));
        program.args(words.split_whitespace()).arg("--tls").arg("--cacert").arg(certificates.ca());
        run(program.env("TRIBUNE_AUTH", "secret")).succeeded()
    };
    secured(&format!("create --yes {}", addresses(&servers)));
    let data = Dataset::generate(11, &Options::all(&engine, 200));
    data.write(&Cluster::of(&servers));
    let (place, path) = place();
    secured(&format!("backup {} {path}", servers[0].address()));
    let again = restored(&engine, place.path(), |builder| builder.tls(&certificates).password("secret"));
    data.assert_same(&Cluster::of(&again));
}

/// Three primaries behind proxies, the second with a snapshot of about a megabyte.
fn behind_proxies(engine: &Engine) -> (Servers, Proxies) {
    let (servers, proxies) = Servers::start_behind_proxies(engine, 3, |builder, _| builder);
    tribune(&format!("create --yes {}", addresses(&servers))).succeeded();
    assert_cluster(&servers, 3);
    servers[1].call_ok(&["DEBUG", "POPULATE", "30000", "populated"]);
    (servers, proxies)
}

/// Whether the second primary is named, the others' files are kept, and nothing else is there.
#[track_caller]
fn assert_only_the_second_is_missing(run: &Run, second: &str, directory: &Path, texts: &[&str]) {
    assert_eq!(run.code, Some(1), "{run:#?}");
    for text in texts.iter().chain(&["2 of 3 shards saved", second]) {
        assert!(run.err.contains(text), "no {text:?} in {run:#?}");
    }
    let files = names(directory);
    assert_eq!(files.len(), 3, "{files:?}");
    let port = second.rsplit(':').next().unwrap();
    assert!(!files.iter().any(|file| file.contains(&format!("-{port}-")) || file.starts_with('.')), "{files:?}");
    assert_eq!(nodes(directory).len(), 3);
}

#[test]
fn a_snapshot_that_is_cut_changed_or_too_large_is_not_kept_and_the_others_are() {
    let Some(engine) = any_engine() else { return };
    let (_servers, proxies) = behind_proxies(&engine);
    let (entry, second) = (proxies[0].address(), proxies[1].address());

    let (cut, path) = place();
    proxies[1].cut_after_bytes(Direction::ToClient, 300_000);
    let run = tribune(&format!("backup {entry} {path}"));
    assert_only_the_second_is_missing(&run, &second, cut.path(), &["closed the connection"]);
    assert_eq!(proxies[1].cuts(), 1);

    let (changed, path) = place();
    proxies[1].flip_behind(b"populated:1");
    let run = tribune(&format!("backup {entry} {path}"));
    assert_only_the_second_is_missing(&run, &second, changed.path(), &["its checksum is"]);
    // With the file of an earlier run there, that it is one is told.
    tribune(&format!("backup {entry} {path} --overwrite")).succeeded();
    proxies[1].flip_behind(b"populated:1");
    let run = tribune(&format!("backup {entry} {path} --overwrite"));
    assert!(run.code == Some(1) && run.err.contains(".rdb is of an earlier run"), "{run:#?}");
    proxies[1].flip_behind(b"populated:1");
    let (place, path) = place();
    let run = tribune(&format!("--cluster backup {entry} {path}"));
    assert_eq!((run.code, names(place.path()).len()), (Some(1), 3), "{run:#?}");
    assert!(run.err.contains("its checksum is") && run.out.ends_with("[ERR] Failed to back cluster!\n"), "{run:#?}");

    // As when the disk is full, without one: no file may be larger than 200 kB.
    let (full, path) = self::place();
    let script = format!("trap '' XFSZ; ulimit -f 400; exec {PROGRAM} backup {entry} {path}");
    let run = crate::support::run(command(Path::new("sh")).args(["-c", &script]));
    assert_only_the_second_is_missing(&run, &second, full.path(), &["it is larger than files may be there"]);
}

#[test]
fn a_primary_that_does_not_answer_is_named_and_the_others_are_kept() {
    let Some(engine) = any_engine() else { return };
    let (servers, proxies) = behind_proxies(&engine);
    let (place, path) = place();
    servers[1].stop_process();
    let run = tribune(&format!("backup {} {path} --read-timeout 0.5", proxies[0].address()));
    servers[1].continue_process();
    let reason = "takes connections but does not answer";
    assert_only_the_second_is_missing(&run, &proxies[1].address(), place.path(), &[reason]);
}

#[test]
fn nothing_is_replaced_unless_that_is_asked_for_and_a_dry_run_writes_nothing() {
    let Some(engine) = any_engine() else { return };
    let servers = Servers::start_with(&engine, 1, |builder, _| builder.config("rdbchecksum", "no"));
    tribune(&format!("create --yes --shards 1 {}", servers[0].address())).succeeded();
    servers[0].call_ok(&["SET", "a", "1"]);
    let (place, path) = place();
    let words = format!("backup {} {path}", servers[0].address());

    let outlook = json(&tribune(&format!("{words} --dry-run --json")).succeeded());
    assert_eq!((&outlook["fits"], &outlook["shards"][0]["keys"]), (&Value::Bool(true), &Value::from(1)));
    assert!(outlook["bytes_at_most"].as_u64() > Some(0), "{outlook}");
    assert_eq!(names(place.path()), [""; 0]);

    let saved = tribune(&words).succeeded();
    assert!(saved.out.contains("without checksum: the server makes none"), "{saved:#?}");
    let before = names(place.path());
    assert_eq!(before.len(), 2);
    tribune(&words).refused(1, &["nodes.json is there already", "--overwrite"]);
    assert_eq!(tribune(&format!("{words} --dry-run")).code, Some(1));
    tribune(&format!("{words} --overwrite")).succeeded();
    assert_eq!(names(place.path()), before);

    for (directory, reason) in [("/no/such/directory", "there is no such directory"), (PROGRAM, "that is no directory")]
    {
        tribune(&format!("backup {} {directory}", servers[0].address())).refused(1, &[reason]);
    }
    tribune(&format!("backup {}", servers[0].address())).refused(2, &["DIRECTORY"]);
}

#[test]
fn a_server_that_cannot_write_its_own_disk_sends_from_memory() {
    each_engine(|engine| {
        let servers = Servers::start(engine, 1);
        tribune(&format!("create --yes --shards 1 {}", servers[0].address())).succeeded();
        // In the way of its snapshot.
        fs::create_dir(servers[0].directory().join("dump.rdb")).unwrap();
        let (place, path) = place();
        let saved = tribune(&format!("backup {} {path}", servers[0].address())).succeeded();
        assert!(saved.out.contains("checksum right"), "{saved:#?}");
        assert_eq!(names(place.path()).len(), 2);
    });
}

#[test]
fn a_stopped_backup_leaves_nothing() {
    let Some(engine) = any_engine() else { return };
    let servers = cluster(&engine, 3, 0);
    servers[1].call_ok(&["DEBUG", "POPULATE", "20000"]);
    // Microseconds for each key: the snapshot takes half a minute.
    servers[1].call_ok(&["CONFIG", "SET", "rdb-key-save-delay", "1500"]);
    let (place, path) = place();
    let backup = start(&format!("backup {} {path}", servers[0].address()));
    let is_whole = |name: &String| fs::metadata(place.path().join(name)).is_ok_and(|file| file.len() > 0);
    eventually("two shards have come", || names(place.path()).iter().filter(|name| is_whole(name)).count() == 2);
    let pid = backup.pid().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(backup.finish(Duration::from_secs(20)).code(), Some(130));
    assert_eq!(names(place.path()), [""; 0]);
}
