//! Servers that die in the middle of a move.

use super::scene::{Scene, Setup, myself, slots};
use crate::support::eventually;
use std::time::{Duration, Instant};
use testservers::{Builder, Server, Writer, WriterOptions, engine};

/// Slow enough to be met half-way.
const SLOWLY: &str = "--dialect migrate --pipeline 1 --latency-budget 0.05";

fn kept(builder: Builder) -> Builder {
    builder.config("appendonly", "yes").config("appendfsync", "always")
}

#[test]
fn a_server_that_is_killed_and_comes_back_with_its_data_costs_a_move_nothing_but_time() {
    for (seed, name) in (1..).zip(["redis-7.0", "redis-8.6", "valkey-9.1"]) {
        let Some(engine) = engine(name) else { continue };
        // Nobody takes over meanwhile: there are no replicas.
        let scene = Scene::with(&engine, &Setup { keys: 600, configure: kept, ..Setup::default() });
        let options = WriterOptions { seed, keys: 60, per_second: Some(300), ..WriterOptions::default() };
        let writer = Writer::start(&scene.cluster(), &options);
        let (mut from, mut to) = (0, 1);
        for (round, lost) in ["source", "destination", "third"].into_iter().enumerate() {
            let what = format!("{name}, seed {seed}, the {lost} is killed");
            println!("{what}");
            let before = scene.slots(to).len();
            let running = scene.start(&format!("{} {SLOWLY}", scene.reshard(400, from, to)));
            eventually(&format!("{what}: it has begun"), || scene.slots(to).len() > before + 50 * round);
            let node = [from, to, 2][round];
            scene.servers[node].kill();
            scene.servers[node].restart();
            let run = running.finish();
            if run.code != Some(0) {
                // Nodes that come back are taken for lost for a while.
                eventually(&format!("{what}: it is resumed: {run:#?}"), || {
                    scene.tribune(&format!("resume {} --yes", scene.address(2))).code == Some(0)
                });
            }
            assert_eq!(scene.slots(to).len(), before + 400, "{what}: {run:#?}");
            scene.assert_settled();
            (from, to) = (to, from);
        }
        let ledger = writer.stop();
        ledger.assert_kept(&scene.cluster());
        scene.assert_whole();
    }
}

#[test]
fn a_move_whose_source_is_lost_for_good_goes_on_from_its_replica() {
    for (seed, name) in (11..).zip(["redis-7.0", "redis-8.6", "valkey-9.1"]) {
        let Some(engine) = engine(name) else { continue };
        let scene = Scene::new(&engine, 6, 3, 600);
        scene.assert_replicas_in_sync();
        let (lost, other) = (0, 1);
        let what = format!("{name}, seed {seed}, node {lost} is lost");
        println!("{what}");
        let before = scene.slots(other).len();
        let running = scene.start(&format!("{} {SLOWLY}", scene.reshard(400, lost, other)));
        eventually(&format!("{what}: it has begun"), || scene.slots(other).len() > before + 30);
        let lost_id = scene.servers[lost].call_ok(&["CLUSTER", "MYID"]);
        scene.servers[lost].kill();
        let run = running.finish();
        assert_ne!(run.code, Some(0), "{what}: {run:#?}");
        // The destination believes no new owner of slots that it imports before it is told.
        eventually(&format!("{what}: a replica has taken over"), || {
            let nodes = scene.servers[2].call_ok(&["CLUSTER", "NODES"]);
            let owns_none = |line: &str| line.starts_with(&lost_id) && line.split_whitespace().count() == 8;
            nodes.lines().any(owns_none) && scene.servers[2].call_ok(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
        });
        let resumed = scene.tribune(&format!("resume {} --yes", scene.address(other)));
        assert_eq!(resumed.code, Some(0), "{what}: {run:#?} {resumed:#?}");
        assert_eq!(scene.open(), Vec::<String>::new(), "{what}");
        scene.assert_data();
        let owned: usize =
            scene.servers.iter().filter(|server| server.is_running()).map(|server| slots(server).len()).sum();
        assert_eq!(owned, 16384, "{what}: every slot has one owner");
    }
}

#[test]
fn a_move_whose_destination_is_lost_for_good_ends_as_advised_and_nothing_is_lost() {
    for (seed, name) in (21..).zip(["redis-7.0", "redis-8.6", "valkey-9.1"]) {
        let Some(engine) = engine(name) else { continue };
        for is_succeeded in [false, true] {
            let what = format!("{name}, seed {seed}, its replica has taken over: {is_succeeded}");
            println!("{what}");
            let scene = Scene::new(&engine, 6, 3, 600);
            scene.assert_replicas_in_sync();
            let before = scene.slots(1).len();
            let running = scene.start(&format!("{} {SLOWLY}", scene.reshard(400, 0, 1)));
            eventually(&format!("{what}: it has begun"), || scene.slots(1).len() > before + 30);
            scene.servers[1].kill();
            let run = running.finish();
            assert_eq!(run.code, Some(1), "{what}: {run:#?}");
            let primaries =
                || (3..6).filter(|node| scene.servers[*node].call_ok(&["ROLE"]).starts_with("master")).count();
            eventually(&format!("{what}: it shows"), || !is_succeeded || primaries() == 1);
            // Whether the replica had heard of the open slots decides which of the two is to be typed.
            let entry = scene.address(0);
            let check = scene.tribune(&format!("check {entry}"));
            let repair = format!("fix {entry} --fix-with-unreachable-primaries");
            if check.out.contains(&format!("      or, where it is lost for good: tribune {repair}")) {
                scene.tribune(&format!("{repair} --yes")).succeeded();
            } else if !scene.open().is_empty() {
                assert!(check.out.contains("tribune resume "), "{what}: {check:#?}");
                scene.resume_as_advised(0);
            }
            assert_eq!(scene.open(), [] as [&str; 0], "{what}");
            scene.assert_data();
            let running = scene.servers.iter().filter(|server| server.is_running());
            assert_eq!(
                running.map(|server| slots(server).len()).sum::<usize>(),
                16384,
                "{what}: every slot has one owner"
            );
        }
    }
}

#[test]
fn what_a_replica_alone_believes_of_a_destination_that_died_is_mended_as_advised() {
    let Some(engine) = engine("valkey-9.1") else { return };
    let scene = Scene::new(&engine, 6, 3, 600);
    scene.assert_replicas_in_sync();
    let (source, destination, replica) = (&scene.servers[0], &scene.servers[1], &scene.servers[3]);
    let ids = [scene.id(0), scene.id(1)];
    assert!(replica.call_ok(&["ROLE"]).contains(&source.port().to_string()), "its replica is server 3");
    destination.call_ok(&["CLUSTER", "BUMPEPOCH"]);
    let epoch_of_destination = |by: &Server| {
        let nodes = by.call_ok(&["CLUSTER", "NODES"]);
        let line = nodes.lines().find(|line| line.starts_with(&ids[1])).unwrap();
        line.split(' ').nth(6).map(str::to_owned)
    };
    eventually("the replica has heard of the destination's epoch", || {
        epoch_of_destination(replica) == epoch_of_destination(destination)
    });
    source.call_ok(&["CLUSTER", "SETSLOT", "100", "MIGRATING", &ids[1]]);
    // Valkey has the replicas carry it out first. Whoever asked is gone before they have said that they did, so that the source never does;
    // and the destination dies before it can tell the replica that the slot is not its own.
    destination.stop_process();
    for _ in 0..2 {
        replica.call_ok(&["PING"]);
    }
    replica.stop_process();
    let mut asker = source.client();
    asker.send(&["CLUSTER", "SETSLOT", "100", "NODE", &ids[1]]).unwrap();
    source.call_ok(&["PING"]);
    drop(asker);
    source.call_ok(&["PING"]);
    destination.kill();
    replica.continue_process();
    eventually("another one has taken over, and the replica alone takes the dead one for the slot's owner", || {
        let nodes = replica.call_ok(&["CLUSTER", "NODES"]);
        let is_owner = |line: &str| line.starts_with(&ids[1]) && line.ends_with(" 100");
        nodes.lines().any(is_owner) && scene.servers[4].call_ok(&["ROLE"]).starts_with("master")
    });
    assert!(scene.slots(0).contains(&100));
    scene.resume_as_advised(0);
    assert_eq!(scene.open(), [] as [&str; 0]);
    eventually("all agree", || !scene.tribune(&format!("check {}", scene.address(0))).out.contains("disagrees"));
    assert!(scene.slots(0).contains(&100));
    scene.assert_data();
}

#[test]
fn a_move_whose_destination_is_lost_without_a_replica_ends_and_says_what_to_do() {
    for name in ["redis-7.0", "redis-8.6", "valkey-9.1"] {
        let Some(engine) = engine(name) else { continue };
        let scene = Scene::with(&engine, &Setup { keys: 600, configure: kept, ..Setup::default() });
        let lost = 1;
        let before = scene.slots(lost).len();
        let running = scene.start(&format!("{} {SLOWLY}", scene.reshard(400, 0, lost)));
        eventually("it has begun", || scene.slots(lost).len() > before + 30);
        scene.servers[lost].kill();
        let run = running.finish();
        assert_eq!(run.code, Some(1), "{name}: {run:#?}");
        let check = scene.tribune(&format!("check {}", scene.address(0)));
        assert_eq!(check.code, Some(1), "{name}: {check:#?}");
        assert!(check.out.contains(&format!("do   start {} again", scene.address(lost))), "{name}: {check:#?}");
        let resumed = scene.tribune(&format!("resume {} --yes", scene.address(0)));
        assert_eq!(resumed.code, Some(1), "{name}: {resumed:#?}");
        scene.servers[lost].restart();
        eventually(&format!("{name}: it is resumed: {run:#?}"), || {
            scene.tribune(&format!("resume {} --yes", scene.address(0))).code == Some(0)
        });
        assert_eq!(scene.slots(lost).len(), before + 400, "{name}: {run:#?}");
        scene.assert_whole();
    }
}

#[test]
fn a_move_between_two_shards_arrives_while_the_primary_of_a_third_is_lost_for_good() {
    for (seed, name) in (31..).zip(["redis-7.0", "redis-8.6", "valkey-9.1"]) {
        let Some(engine) = engine(name) else { continue };
        let scene = Scene::new(&engine, 6, 3, 600);
        scene.assert_replicas_in_sync();
        let what = format!("{name}, seed {seed}");
        println!("{what}");
        let before = scene.slots(1).len();
        let running = scene.start(&format!("{} {SLOWLY}", scene.reshard(400, 0, 1)));
        eventually(&format!("{what}: it has begun"), || scene.slots(1).len() > before + 30);
        scene.servers[2].kill();
        let run = running.finish();
        assert_eq!(scene.slots(1).len(), before + 400, "{what}: {run:#?}");
        assert_eq!(scene.open(), [] as [&str; 0], "{what}: {run:#?}");
        assert!(run.code == Some(0) || run.err.contains(&scene.address(2)), "{what}: {run:#?}");
        eventually(&format!("{what}: its replica has taken over"), || {
            let serves = |server: &Server| server.call_ok(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
            (3..6).any(|node| scene.servers[node].call_ok(&["ROLE"]).starts_with("master"))
                && scene.servers.iter().filter(|server| server.is_running()).all(serves)
        });
        scene.assert_data();
    }
}

#[test]
fn several_moves_at_once_survive_nodes_that_stand_still_and_one_that_is_killed() {
    for (seed, name) in (41..).zip(["redis-7.0", "redis-8.6", "valkey-9.1"]) {
        let Some(engine) = engine(name) else { continue };
        let scene =
            Scene::with(&engine, &Setup { nodes: 5, shards: 5, keys: 600, configure: kept, ..Setup::default() });
        scene.tribune(&format!("rebalance {} --weight {}=0 --yes", scene.address(0), scene.id(4))).succeeded();
        // A drained primary becomes a replica.
        if !myself(&scene.servers[4]).contains("master") {
            scene.tribune(&format!("repurpose {} --yes", scene.address(4))).succeeded();
        }
        let what = format!("{name}, seed {seed}");
        println!("{what}");
        let options = WriterOptions { seed, keys: 60, per_second: Some(200), ..WriterOptions::default() };
        let writer = Writer::start(&scene.cluster(), &options);
        // Four sources at once, and one destination.
        let words = format!("rebalance {} --use-empty-primaries --yes {SLOWLY}", scene.address(0));
        let running = scene.start(&words);
        for (round, node) in [1, 4, 2].into_iter().enumerate() {
            let enough = 100 * (round + 1);
            eventually(&format!("{what}: {enough} slots have arrived"), || scene.slots(4).len() > enough);
            if round < 2 {
                scene.servers[node].stop_process();
                let begin = Instant::now();
                eventually("it has stood still", || begin.elapsed() > Duration::from_millis(1500));
                scene.servers[node].continue_process();
            } else {
                scene.servers[node].kill();
                scene.servers[node].restart();
            }
        }
        let run = running.finish();
        if run.code != Some(0) {
            eventually(&format!("{what}: it is resumed: {run:#?}"), || {
                scene.tribune(&format!("resume {} --yes", scene.address(0))).code == Some(0)
            });
        }
        assert_eq!(scene.slots(4).len(), 3276, "{what}: {run:#?}");
        let ledger = writer.stop();
        scene.assert_settled();
        ledger.assert_kept(&scene.cluster());
        scene.assert_whole();
    }
}
