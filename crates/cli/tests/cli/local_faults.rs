//! `tribune local`: bad days.

use crate::{
    local::{Place, addresses, kill, runs},
    support::{PROGRAM, command, eventually, run, tribune, write_script},
};
use std::{fs, net::TcpListener, path::Path, process::Command};
use testservers::{StockClient, any_engine, engine};

#[test]
fn all_servers_killed_at_once_come_back_as_the_same_cluster_with_its_data() {
    for name in ["redis-7.0", "valkey-9.1"] {
        let Some(engine) = engine(name) else { continue };
        let mut place = Place::new(engine);
        let port = place.up("main", "", 6);
        StockClient::connect(&addresses(port, 6), None).write(100);
        // The append-only file is written out once a second.
        eventually("all is on disk", || {
            (port..port + 6).all(|port| {
                let info = tribune_info(port);
                info.contains("aof_pending_bio_fsync:0") && info.contains("aof_buffer_length:0")
            })
        });
        let before = place.server_pids("main");
        place.local("kill --all").succeeded();
        // At once, while the agents start them again.
        place.local("up").succeeded();
        eventually("all are new processes", || {
            let now = place.server_pids("main");
            now.len() == 6 && now.iter().all(|pid| !before.contains(pid))
        });
        eventually("the cluster is healthy", || place.is_healthy("main"));
        StockClient::connect(&addresses(port, 6), None).read(100);
        let status = place.local("status");
        assert!(status.out.contains("was killed by signal 9"), "{status:#?}");
    }
}

/// `INFO` of a server, by hand.
fn tribune_info(port: u16) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    stream.write_all(b"INFO persistence\r\nQUIT\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).ok();
    text
}

#[test]
fn servers_outlive_a_killed_supervisor_and_up_takes_them_over() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    place.up("main", "", 6);
    let pids = place.server_pids("main");
    kill(place.status("main")["supervisor_pid"].as_i64().unwrap());
    eventually("the supervisor is gone", || place.status("main")["supervisor_pid"].is_null());
    let status = place.local("status");
    assert_eq!(status.code, Some(1));
    assert!(
        status.out.contains("the supervisor does not run; 6 of 6 servers do") && status.out.contains("local up"),
        "{status:#?}"
    );
    place.local("up").succeeded();
    assert_eq!(place.server_pids("main"), pids);
    // The new supervisor looks after the agents that it took over, too.
    let agent = place.status("main")["members"][0]["agent_pid"].as_i64().unwrap();
    kill(agent);
    eventually("another agent runs another server", || {
        let member = place.status("main")["members"][0].clone();
        member["agent_pid"].as_i64().is_some_and(|pid| pid != agent) && member["state"] == "running"
    });
    assert!(!runs(pids[0]), "a server never outlives its agent");
    eventually("the cluster is healthy", || place.is_healthy("main"));
}

#[test]
fn when_every_process_died_up_brings_back_the_same_nodes_with_their_data() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    let port = place.up("main", "", 6);
    StockClient::connect(&addresses(port, 6), None).write(50);
    let ids = |place: &Place| -> Vec<String> {
        let report = place.status("main")["cluster"].clone();
        let shards = report["shards"].as_array().unwrap().clone();
        let primaries = shards.iter().map(|shard| shard["primary"]["id"].as_str().unwrap().to_owned());
        let mut ids: Vec<String> = primaries.collect();
        ids.extend(shards.iter().map(|shard| shard["replicas"][0]["id"].as_str().unwrap().to_owned()));
        ids.sort();
        ids
    };
    let before = ids(&place);
    let status = place.status("main");
    kill(status["supervisor_pid"].as_i64().unwrap());
    for member in status["members"].as_array().unwrap() {
        kill(member["agent_pid"].as_i64().unwrap());
    }
    eventually("nothing runs", || place.server_pids("main").is_empty());
    place.local("up").succeeded();
    assert_eq!(ids(&place), before);
    StockClient::connect(&addresses(port, 6), None).read(50);
}

#[test]
fn a_crash_loop_is_reported_with_the_servers_last_words_and_up_tries_again_after_the_repair() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    let port = place.up("main", "--shards 3 --replicas 0", 3);
    let conf = place.directory("main").join(format!("members/{port}/server.conf"));
    let good = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("{good}\nno-such-setting 1\n")).unwrap();
    place.local(&format!("kill {port}")).succeeded();
    eventually("the crash loop is known", || place.status("main")["members"][0]["state"] == "crash-loop");
    let status = place.local("status");
    assert_eq!(status.code, Some(1));
    for text in [&format!("the server on port {port} ends again and again"), "no-such-setting", "local logs"] {
        assert!(status.out.contains(text), "no {text:?} in {status:#?}");
    }
    fs::write(&conf, good).unwrap();
    place.local("up").succeeded();
    assert!(place.is_healthy("main"));
}

#[test]
fn a_paused_server_is_named_and_goes_on_when_told() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    let port = place.up("main", "", 6);
    let paused = place.local(&format!("pause {}", port + 5)).succeeded();
    assert!(paused.out.contains(&format!("local resume {}", port + 5)), "{paused:#?}");
    assert_eq!(place.status("main")["members"][5]["state"], "paused");
    let check = tribune(&format!("check 127.0.0.1:{port} --read-timeout 0.5"));
    assert!(check.out.contains(&format!("127.0.0.1:{} takes connections but does not answer", port + 5)), "{check:#?}");
    place.local(&format!("resume {}", port + 5)).succeeded();
    eventually("the cluster is healthy", || place.is_healthy("main"));
    place.local(&format!("pause {}", port + 5)).succeeded();
    // A paused server must not keep the cluster from being stopped.
    place.local("down").succeeded();
}

#[test]
fn a_taken_port_is_one_error_and_nothing_is_left_behind() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine.clone());
    let port = place.port(6);
    for taken in [port + 2, port + 10003] {
        let listener = TcpListener::bind(("127.0.0.1", taken)).unwrap();
        place
            .local(&format!("up --port {port} --engine {}", engine.server.display()))
            .refused(1, &[&format!("error: port {taken} is taken"), "--port"]);
        assert!(!place.directory("main").exists());
        drop(listener);
    }
    place.local("up --port 80").refused(1, &["ports go from 1024"]);
    place.local("up --shards 0").refused(2, &["at least 1 shard"]);
}

#[test]
fn a_place_that_cannot_be_written_is_one_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let home = file.path().join("below-a-file");
    let run = run(command(Path::new(PROGRAM)).args(["local", "up"]).env("TRIBUNE_HOME", &home));
    run.refused(1, &["cannot be used", "set TRIBUNE_HOME"]);
}

#[test]
fn a_full_disk_is_one_error_and_nothing_is_left_behind() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine.clone());
    let port = place.port(6);
    let home = tempfile::tempdir().unwrap();
    // A small disk of its own, seen by this command alone.
    let script = format!(
        "mount -t tmpfs -o size=1m tribune {home} || exit 77\n\
         TRIBUNE_HOME={home} {PROGRAM} local up --port {port} --engine {engine}\n\
         code=$?; ls {home}/local 2>/dev/null; exit $code",
        home = home.path().display(),
        engine = engine.server.display()
    );
    let run = run(Command::new("unshare").args(["--mount", "sh", "-c", &script]));
    if run.code == Some(77) || run.err.contains("unshare failed") || run.err.contains("Operation not permitted") {
        eprintln!("SKIPPED: a full disk: this machine lets nobody mount one: {}", run.err);
        return;
    }
    run.refused(1, &["MB left and 60 MB are needed", "make room"]);
}

#[test]
fn engines_that_cannot_run_a_cluster_are_refused_by_name() {
    let place = Place::new(match any_engine() {
        Some(engine) => engine,
        None => return,
    });
    place.local("up --engine /bin/true").refused(1, &["/bin/true cannot run a cluster", "--engine"]);
    place
        .local("up --engine no-such-engine")
        .refused(1, &["there is no no-such-engine on this machine", "apt-get install"]);
    let directory = tempfile::tempdir().unwrap();
    let old = directory.path().join("redis-server");
    write_script(&old, "#!/bin/sh\necho 'Redis server v=6.2.14 sha=0 malloc=libc bits=64 build=0'\n");
    place.local(&format!("up --engine {}", old.display())).refused(1, &["its version is 6.2.14", "7.0"]);
    // One that says a good version and ends at once.
    write_script(
        &old,
        "#!/bin/sh\n[ \"$1\" = --version ] && echo 'Redis server v=7.2.0 x' || { echo 'no luck today'; exit 3; }\n",
    );
    let run = place.local(&format!("up --engine {}", old.display()));
    run.refused(1, &["ended with status 3", "no luck today"]);
    assert!(!place.directory("main").exists());
}
