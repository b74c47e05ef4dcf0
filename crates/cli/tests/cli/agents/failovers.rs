//! A primary dies, with its agent or without.

use super::scene::{Scene, engines, epoch, tell};
use crate::{local::kill, support::eventually};
use std::time::{Duration, Instant};

/// Loose: what is promised is measured by benches.
const GAP: Duration = Duration::from_secs(1);

#[test]
fn a_killed_server_is_replaced_at_once_by_one_election_and_comes_back_as_a_replica() {
    for engine in engines() {
        let name = engine.name.clone();
        let scene = Scene::up(engine, "", 6);
        let [replica] = scene.replicas_of(scene.first)[..] else { panic!("one replica") };
        let before = epoch(replica);
        let writer = scene.writer();
        let begin = Instant::now();
        scene.kill_server(scene.first);
        eventually("the replica is the primary", || scene.role(replica) == "primary");
        eventually("the old primary is its replica", || scene.replicas_of(replica) == [scene.first]);
        let ledger = scene.finish(writer);
        tell("server killed", &name, ledger.worst_gap(), begin);
        assert!(ledger.worst_gap() < GAP, "{:?}\n{}", ledger.worst_gap(), scene.agent_log(replica));
        assert_eq!(epoch(replica), before + 1, "one election");
        assert!(scene.agent_log(replica).contains("took over from 127.0.0.1:"), "{}", scene.agent_log(replica));
    }
}

#[test]
fn a_server_that_dies_with_its_agent_is_replaced_at_once_too() {
    for engine in engines() {
        let name = engine.name.clone();
        let scene = Scene::up(engine, "", 6);
        let [replica] = scene.replicas_of(scene.first)[..] else { panic!("one replica") };
        let agent = scene.agent_pid(scene.first);
        let writer = scene.writer();
        let begin = Instant::now();
        kill(agent);
        eventually("the replica is the primary", || scene.role(replica) == "primary");
        eventually("the old primary is its replica", || scene.replicas_of(replica) == [scene.first]);
        let ledger = scene.finish(writer);
        tell("agent and server killed", &name, ledger.worst_gap(), begin);
        assert!(ledger.worst_gap() < GAP, "{:?}\n{}", ledger.worst_gap(), scene.agent_log(replica));
    }
}
