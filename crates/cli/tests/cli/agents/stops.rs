//! Members that are stopped in order: one, or all.

use super::scene::{Scene, engines, epoch, tell};
use crate::support::eventually;
use std::{
    process::Command,
    time::{Duration, Instant},
};
use testservers::any_engine;

/// Loose: what is promised is measured by benches.
const GAP: Duration = Duration::from_secs(1);

fn terminate(pid: i64) {
    assert!(Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap().success());
}

#[test]
fn a_member_that_is_stopped_hands_over_first_and_no_write_is_lost() {
    for engine in engines() {
        let name = engine.name.clone();
        let scene = Scene::up(engine, "", 6);
        let [replica] = scene.replicas_of(scene.first)[..] else { panic!("one replica") };
        let before = epoch(replica);
        let writer = scene.writer();
        let begin = Instant::now();
        terminate(scene.agent_pid(scene.first));
        eventually("the replica is the primary", || scene.role(replica) == "primary");
        eventually("the old primary is its replica", || scene.replicas_of(replica) == [scene.first]);
        let ledger = scene.finish(writer);
        tell("member stopped in order", &name, ledger.worst_gap(), begin);
        assert!(ledger.worst_gap() < GAP, "{:?}\n{}", ledger.worst_gap(), scene.agent_log(scene.first));
        assert_eq!(epoch(replica), before + 1, "one election");
        let log = scene.agent_log(scene.first);
        assert!(log.contains(&format!("handed over to 127.0.0.1:{replica} in ")), "{log}");
    }
}

#[test]
fn a_cluster_that_is_stopped_hands_nothing_over() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::up(engine, "", 6);
    let before = epoch(scene.first);
    scene.place.local("down").succeeded();
    scene.place.local("up").succeeded();
    let logs: String = scene.ports().map(|port| scene.agent_log(port)).collect();
    for word in ["handing", "taking over", "is dead"] {
        assert!(!logs.contains(word), "{logs}");
    }
    assert_eq!(epoch(scene.first), before, "nobody was elected");
    let roles: Vec<String> = scene.ports().map(|port| scene.role(port)).collect();
    assert_eq!(roles, ["primary", "primary", "primary", "replica", "replica", "replica"]);
}

#[test]
fn a_primary_without_a_replica_stops_as_it_is() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::up(engine, "--replicas 0", 3);
    let agent = scene.agent_pid(scene.first);
    terminate(agent);
    eventually("another agent keeps it", || scene.agent(scene.first).is_some_and(|now| now != agent));
    scene.eventually_healthy();
    assert!(scene.agent_log(scene.first).contains("no replica that stays is in sync, so nobody takes over"));
}
