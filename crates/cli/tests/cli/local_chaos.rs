//! `tribune local chaos`: failures at random, and a checker of what was acknowledged.

use crate::{
    agents::scene::{Scene, call},
    local::signal,
    support::{Run, eventually, run},
};
use serde_json::Value;
use std::process::Stdio;
use testservers::{any_engine, engine};

fn report(run: &Run) -> Value {
    serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {run:#?}"))
}

/// Whatever the seed, which is printed with the command that draws the same again.
#[test]
fn failures_at_random_lose_no_confirmed_write_and_end_in_a_healthy_cluster() {
    for name in ["redis-7.0", "valkey-9.1"] {
        let Some(engine) = engine(name) else { continue };
        let scene = Scene::up(engine, "", 6);
        let run = scene.place.local("chaos --seconds 30 --json");
        let report = report(&run);
        let writes = &report["writes"];
        let story = format!("{name}: {}\n{report:#}\n{}", run.err, scene.place.local("status").out);
        assert_eq!(writes["confirmed_lost"], 0, "{story}");
        assert_eq!((run.code, &report["passed"]), (Some(0), &Value::Bool(true)), "{story}");
        assert!(run.err.contains(&format!("seed {}; again: ", report["seed"])), "{story}");
        assert!(!report["events"].as_array().unwrap().is_empty(), "{story}");
        assert!(writes["confirmed"].as_u64().unwrap() > 1000, "{story}");
    }
}

/// Moves that are not wanted any more are ended, at any moment of theirs, while their slots are written to.
#[test]
fn shapes_that_change_their_mind_lose_no_write() {
    for name in ["valkey-9.1", "redis-8.6"] {
        let Some(engine) = engine(name) else { continue };
        let scene = Scene::up(engine, "", 6);
        let run = scene.place.local("chaos --seconds 30 --only scale-shards --json");
        let report = report(&run);
        let writes = &report["writes"];
        let lost = [&writes["confirmed_lost"], &writes["unconfirmed_lost"]];
        assert_eq!((run.code, lost), (Some(0), [&Value::from(0); 2]), "{name}: {}\n{report:#}", run.err);
    }
}

#[test]
fn a_confirmed_write_that_is_gone_is_told_and_the_command_fails() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::up(engine, "", 6);
    let mut command = scene.place.command("chaos --seconds 6 --seed 7 --only kill-supervisor --json");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Of one write alone a replica may be too late to confirm it.
    let mut removed = 0;
    eventually("much of what was written is removed behind its back", || {
        let keys = (0..200).map(|number| format!("chaos:7:{number}")).collect::<Vec<_>>();
        let remove = |port: u16| keys.iter().filter(|key| call(port, &format!("DEL {key}")).contains(":1")).count();
        removed += scene.ports().take(3).map(remove).sum::<usize>();
        removed >= 100
    });
    let output = child.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["writes"]["confirmed_lost"].as_u64().unwrap() > 0, "{report:#}");
    assert_eq!((output.status.code(), &report["passed"]), (Some(1), &Value::Bool(false)));
    assert!(report["writes"]["lost"][0]["confirmed"].as_bool().unwrap(), "{report:#}");
}

#[test]
fn a_rehearsal_that_is_stopped_puts_all_back_and_tells_what_came_of_it() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::up(engine, "", 6);
    let mut command = scene.place.command("chaos --seconds 600 --only partition,pause");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("somebody is cut off, or stands still", || {
        let status = scene.place.status("main");
        let paused = status["members"].as_array().unwrap().iter().any(|member| member["state"] == "paused");
        paused || !status["partition"].as_array().unwrap().is_empty()
    });
    signal(i64::from(child.id()), "INT");
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(130), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("lost: 0 that a replica had confirmed") && text.contains("healthy"), "{text}");
    assert!(scene.place.is_healthy("main"));
}

#[test]
fn what_cannot_be_rehearsed_is_refused() {
    let Some(engine) = any_engine() else { return };
    let mut place = crate::local::Place::new(engine);
    place.up("main", "--shards 1 --replicas 0", 1);
    place.local("chaos --only earthquake").refused(2, &["kill-server"]);
    place.local("chaos --seconds 1").refused(1, &["no replica"]);
    place.local("down").succeeded();
    run(&mut place.command("chaos")).refused(1, &["does not run"]);
}
