//! `tribune local`: nothing is lost by a command that is stopped, repeated, or mistaken.

use crate::{
    local::{Place, addresses, runs},
    support::{PROGRAM, eventually, write_script},
};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use testservers::{Process, StockClient, any_engine};

impl Place {
    /// Starts a command and lets it go on.
    pub(crate) fn begin(&self, words: &str) -> Process {
        Process::start(Path::new(PROGRAM), |command| {
            command.arg("local").args(words.split_whitespace()).env("TRIBUNE_HOME", self.home());
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        })
    }
}

fn interrupt(process: &Process) {
    Command::new("kill").args(["-INT", &process.pid().to_string()]).status().unwrap();
}

#[test]
fn a_primary_that_nobody_else_knows_is_not_removed_with_its_keys() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    let port = place.up("main", "--shards 1 --replicas 1", 2);
    StockClient::connect(&addresses(port, 2), None).write(3);
    // Its replica loses all that it knows.
    let replica = port + 1;
    let data = place.directory("main").join(format!("members/{replica}/data"));
    place.local(&format!("pause {replica}")).succeeded();
    fs::remove_dir_all(&data).unwrap();
    fs::create_dir(&data).unwrap();
    place.local(&format!("kill {replica}")).succeeded();
    eventually("the replica is new", || {
        place.status("main")["members"][1]["state"] == "running" && data.join("nodes.conf").exists()
    });
    let refused = place.local(&format!("remove {port} --yes"));
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(refused.err.contains("owns 16 384 slots"), "{refused:#?}");
    // Nor when it does not answer and nobody else knows it.
    place.local(&format!("pause {port}")).succeeded();
    let refused = place.local(&format!("remove {port} --yes"));
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(refused.err.contains("could be the only copy"), "{refused:#?}");
    place.local(&format!("resume {port}")).succeeded();
    StockClient::connect(&addresses(port, 1), None).read(3);
}

#[test]
fn an_up_that_was_killed_before_its_last_word_does_not_cost_what_was_written_since() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    let port = place.up("main", "--replicas 0", 4);
    StockClient::connect(&addresses(port, 3), None).write(50);
    let settings = place.directory("main").join("cluster.json");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text.replace("\"formed\": true", "\"formed\": false")).unwrap();
    let refused = place.local("add");
    assert!(refused.err.contains("cluster main was never made to its end"), "{refused:#?}");
    place.local("up").succeeded();
    StockClient::connect(&addresses(port, 3), None).read(50);
    assert!(fs::read_to_string(&settings).unwrap().contains("\"formed\": true"));
}

#[test]
fn members_without_settings_are_neither_brought_up_nor_removed_without_a_word() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    let port = place.up("main", "--replicas 0", 3);
    StockClient::connect(&addresses(port, 3), None).write(20);
    place.local("down").succeeded();
    let settings = place.directory("main").join("cluster.json");
    let text = fs::read_to_string(&settings).unwrap();
    fs::remove_file(&settings).unwrap();
    for words in ["up", "status", "add"] {
        let refused = place.local(words);
        assert_eq!(refused.code, Some(1), "{words}: {refused:#?}");
        assert!(refused.err.contains("holds members but no cluster.json"), "{words}: {refused:#?}");
    }
    fs::write(&settings, text).unwrap();
    place.local("up").succeeded();
    StockClient::connect(&addresses(port, 3), None).read(20);
}

#[test]
fn two_commands_at_once_do_not_undo_each_other() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine.clone());
    let port = place.up("main", "--shards 1 --replicas 0", 1);
    let other = place.port(6);
    // One that must fail, again and again, beside one that makes the cluster anew.
    place.local("down --remove --yes").succeeded();
    let make = format!("up --shards 1 --replicas 0 --port {port} --engine {}", engine.server.display());
    let running = place.begin(&make);
    let mut refused = 0;
    while place.local(&format!("up --shards 5 --port {other} --engine /bin/true")).code == Some(1) && refused < 20 {
        refused += 1;
    }
    let made = running.finish(Duration::from_mins(1)).success();
    // Whoever was first, nobody's cluster is half there.
    if made {
        assert!(place.is_healthy("main"));
    } else {
        place.local(&make).succeeded();
    }
}

#[test]
fn an_existing_member_is_not_replaced_by_a_new_one() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    let port = place.up("main", "--replicas 0", 3);
    let conf = place.directory("main").join(format!("members/{port}/server.conf"));
    let good = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("{good}\nno-such-setting 1\n")).unwrap();
    place.local(&format!("kill {port}")).succeeded();
    eventually("it does not run", || place.status("main")["members"][0]["state"] != "running");
    place.local(&format!("add --port {port}")).refused(1, &["has a member with port", "another port"]);
    assert!(fs::read_to_string(&conf).unwrap().contains("no-such-setting"));
}

#[test]
fn an_up_that_is_stopped_at_any_moment_leaves_no_process_and_no_file() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine.clone());
    let port = place.port(6);
    for milliseconds in [1, 4, 8, 12, 16, 20, 24, 30, 60, 200] {
        let running = place.begin(&format!("up --port {port} --engine {}", engine.server.display()));
        let begun = std::time::Instant::now();
        eventually("the moment has come", || begun.elapsed() >= Duration::from_millis(milliseconds));
        interrupt(&running);
        let after = begun.elapsed();
        let status = running.finish(Duration::from_secs(40));
        // On a busy machine it may have come too late, when the cluster was up, which takes longer than this.
        if status.success() {
            assert!(after > Duration::from_secs(1), "interrupted {after:?} after it began, and it went on");
            place.local("down --remove --yes").succeeded();
            continue;
        }
        // Before the program listens for it, the signal ends it at once.
        assert!(status.code() == Some(130) || status.code().is_none(), "after {milliseconds} ms: {status:?}");
        if status.code() == Some(130) {
            assert!(!place.directory("main").exists(), "after {milliseconds} ms");
        }
        let mine = place.directory("main").display().to_string();
        eventually("no process is left", || {
            let listed = Command::new("ps").args(["axo", "args"]).output().unwrap();
            !String::from_utf8_lossy(&listed.stdout).contains(&mine)
        });
    }
}

#[test]
fn a_remove_that_was_killed_is_told_and_finished_by_the_same_command() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    let port = place.up("main", "--shards 3 --replicas 1", 7);
    place.local(&format!("add --replica-of {port}")).succeeded();
    let last = port + 6;
    // One that does not end at once, so that there is time to be killed.
    place.local(&format!("pause {last}")).succeeded();
    let running = place.begin(&format!("remove {last} --yes"));
    eventually("it has begun", || place.directory("main").join(format!("leaving-{last}")).exists());
    drop(running);
    let status = place.local("status");
    assert_eq!(status.code, Some(1), "{status:#?}");
    assert!(status.out.contains(&format!("the removal of the member on port {last} was interrupted")), "{status:#?}");
    assert!(status.out.contains(&format!("local remove {last}")), "{status:#?}");
    place.local(&format!("remove {last} --yes")).succeeded();
    eventually("the cluster is well without it", || place.is_healthy("main"));
    assert_eq!(place.status("main")["cluster"]["others"], serde_json::json!([]));
    assert!(!place.directory("main").join(format!("leaving-{last}")).exists());
}

#[test]
fn what_is_left_of_an_interrupted_removal_keeps_no_later_member_with_its_port_from_going() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    let port = place.up("main", "--shards 1 --replicas 0", 2);
    let left = place.directory("main").join(format!("leaving-{}", port + 1));
    std::fs::create_dir_all(left.join("data")).unwrap();
    place.local("scale --shards 2 --yes").succeeded();
    place.local("scale --shards 1 --yes").succeeded();
    assert!(!left.exists());
    assert!(place.is_healthy("main"));
}

#[test]
fn an_add_that_was_killed_is_told_with_the_command_that_mends_it() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    let port = place.up("main", "--shards 3 --replicas 0", 4);
    let running = place.begin("add");
    eventually("its server runs", || place.status("main")["members"][3]["state"] == "running");
    drop(running);
    let last = port + 3;
    // It runs for a moment before it listens.
    eventually("it is told how that is mended", || {
        place.is_healthy("main") || place.local("status").out.contains(&format!("local remove {last}"))
    });
    place.local(&format!("remove {last} --yes")).succeeded();
    eventually("the cluster is as before", || place.is_healthy("main") && place.server_pids("main").len() == 3);
}

#[test]
fn a_server_that_is_started_by_a_shell_is_refused_and_does_not_stay() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine.clone());
    let port = place.port(1);
    let directory = tempfile::tempdir().unwrap();
    let wrapper = directory.path().join("redis-server");
    write_script(&wrapper, &format!("#!/bin/sh\n{} \"$@\"\nexit $?\n", engine.server.display()));
    place
        .local(&format!("up --shards 1 --replicas 0 --port {port} --engine {}", wrapper.display()))
        .refused(1, &["starts the server as another process", "exec"]);
    eventually("nothing listens any more", || std::net::TcpListener::bind(("127.0.0.1", port)).is_ok());
    assert!(!place.directory("main").exists());
}

#[test]
fn a_stopped_agent_does_not_keep_a_cluster_from_being_stopped() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    place.up("main", "--shards 1 --replicas 0", 1);
    let agent = place.status("main")["members"][0]["agent_pid"].as_i64().unwrap();
    Command::new("kill").args(["-STOP", &agent.to_string()]).status().unwrap();
    place.local("down").succeeded();
    assert!(!runs(agent));
}

#[test]
fn commands_on_a_cluster_that_does_not_run_say_so() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    let port = place.up("main", "--shards 1 --replicas 0", 1);
    place.local("down").succeeded();
    for words in ["add".to_owned(), format!("remove {port} --yes")] {
        place.local(&words).refused(1, &["cluster main does not run", "local up"]);
    }
    // Nothing is removed for good without being asked, and nobody can be asked here.
    place.local("down --remove").refused(1, &["nobody can be asked", "--yes"]);
}
