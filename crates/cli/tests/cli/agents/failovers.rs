//! A primary dies, with its agent or without.

use super::scene::{Scene, call, engines, epoch, tell};
use crate::{
    local::{kill, signal},
    support::eventually,
};
use std::time::{Duration, Instant};
use testservers::any_engine;

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

#[test]
fn of_two_replicas_the_better_one_takes_over_and_the_other_follows_it() {
    for engine in engines() {
        let scene = Scene::up(engine, "--replicas 2", 9);
        let mut replicas = scene.replicas_of(scene.first);
        replicas.sort_by_key(|port| scene.member(*port)["id"].to_string());
        let [worse, better] = replicas[..] else { panic!("two replicas: {replicas:?}") };
        let writer = scene.writer();
        // The one with the lower id, which would take over if both had the same, misses what is written now.
        scene.place.local(&format!("pause {worse}")).succeeded();
        let begun = writer.acknowledged();
        eventually("more is written", || writer.acknowledged() >= begun + 500);
        scene.kill_server(scene.first);
        eventually("the better one is the primary", || scene.role(better) == "primary");
        scene.place.local(&format!("resume {worse}")).succeeded();
        eventually("the others follow it", || {
            let mut followers = scene.replicas_of(better);
            followers.sort_unstable();
            let mut expected = vec![scene.first, worse];
            expected.sort_unstable();
            followers == expected
        });
        let ledger = scene.finish(writer);
        assert!(ledger.worst_gap() < GAP, "{:?}\n{}", ledger.worst_gap(), scene.agent_log(better));
    }
}

#[test]
fn of_two_equal_replicas_one_alone_asks_for_an_election() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::up(engine, "--replicas 2", 9);
    let replicas = scene.replicas_of(scene.first);
    let before = epoch(replicas[0]);
    scene.kill_server(scene.first);
    eventually("one is the primary", || replicas.iter().any(|port| scene.role(*port) == "primary"));
    let elected = replicas.iter().copied().find(|port| scene.role(*port) == "primary").unwrap();
    eventually("two follow it", || scene.replicas_of(elected).len() == 2);
    scene.eventually_healthy();
    let asked = replicas.iter().filter(|port| scene.agent_log(**port).contains("asking for an election")).count();
    let logs: String = replicas.iter().map(|port| scene.agent_log(*port)).collect();
    assert_eq!((asked, epoch(elected)), (1, before + 1), "{logs}");
}

#[test]
fn an_agent_that_answers_late_is_waited_for_before_another_asks_for_an_election() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::up(engine, "--replicas 2", 9);
    let mut replicas = scene.replicas_of(scene.first);
    replicas.sort_by_key(|port| scene.member(*port)["id"].to_string());
    let [heir, other] = replicas[..] else { panic!("two replicas: {replicas:?}") };
    let agent = scene.agent_pid(heir);
    signal(agent, "STOP");
    scene.kill_server(scene.first);
    eventually("the other one knows of the death", || scene.agent_log(other).contains("is dead"));
    signal(agent, "CONT");
    eventually("one is the primary", || replicas.iter().any(|port| scene.role(*port) == "primary"));
    scene.eventually_healthy();
    let asked = replicas.iter().filter(|port| scene.agent_log(**port).contains("asking for an election")).count();
    assert_eq!(asked, 1, "{}\n{}", scene.agent_log(heir), scene.agent_log(other));
}

#[test]
fn where_nobody_could_be_elected_the_server_is_started_at_once() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::up(engine, "--shards 1 --replicas 1", 2);
    let begin = Instant::now();
    scene.kill_server(scene.first);
    eventually("it is the primary again", || scene.role(scene.first) == "primary" && scene.place.is_healthy("main"));
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}\n{}", begin.elapsed(), scene.agent_log(scene.first));
    let log = scene.agent_log(scene.first);
    assert!(log.contains("no majority of primaries could elect a replica"), "{log}");
    assert!(scene.agent_log(scene.first + 1).contains("no majority of primaries could vote, so no election"));
}

#[test]
fn two_of_three_primaries_that_die_at_once_are_back_soon_and_no_write_is_lost() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::up(engine, "", 6);
    let writer = scene.writer();
    let pids = [0, 1].map(|shard| scene.member(scene.first + shard)["server_pid"].as_i64().unwrap());
    for pid in pids {
        kill(pid);
    }
    let ledger = scene.finish(writer);
    // Without a majority one of them has to come back first, which servers take 2 s for.
    assert!(ledger.worst_gap() < Duration::from_secs(6), "{:?}", ledger.worst_gap());
}

/// Servers let it stand for election, since it had its link to another primary a moment ago, and all keys of the shard would be gone.
#[test]
fn a_replica_that_has_nothing_of_its_new_primary_yet_does_not_take_its_place() {
    for engine in engines() {
        let scene = Scene::up(engine, "", 6);
        let ledger = scene.writer().stop();
        scene.place.local("hold").succeeded();
        let [from, other] = [scene.first, scene.first + 1].map(|port| scene.replicas_of(port)[0]);
        let primary = scene.first + 1;
        let id = call(primary, "CLUSTER MYID").lines().nth(1).unwrap().to_owned();
        scene.place.local(&format!("pause {primary} {other}")).succeeded();
        assert!(call(from, &format!("CLUSTER REPLICATE {id}")).starts_with("+OK"));
        let says = |port: u16, words: &[&str]| {
            let nodes = call(port, "CLUSTER NODES");
            nodes.lines().any(|line| words.iter().all(|word| line.contains(word)))
        };
        let lost = format!(":{primary}@");
        eventually("it says that it is not to be elected", || says(from, &["myself,slave,nofailover"]));
        eventually("the primary is lost", || says(scene.first, &[&lost, "master,fail "]));
        // An election begins a second after that at the latest.
        let begin = Instant::now();
        eventually("it could have been elected", || begin.elapsed() > Duration::from_secs(4));
        assert_eq!(scene.role(from), "replica", "{}", scene.agent_log(from));
        scene.place.local(&format!("resume {primary} {other}")).succeeded();
        eventually("it may be elected once it has a copy", || {
            scene.member(from)["link_up"] == true && !says(from, &["nofailover"])
        });
        scene.place.local("release").succeeded();
        scene.eventually_healthy();
        ledger.assert_kept(&scene.cluster());
    }
}
