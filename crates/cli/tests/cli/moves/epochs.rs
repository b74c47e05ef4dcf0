//! Config epochs that rise while slots move, and messages that are late: of two nodes that claim a slot everybody believes the one with
//! the higher epoch, or should.

use super::scene::{Scene, Setup};
use crate::support::eventually;
use std::time::Duration;
use testservers::{each_engine, engine};

#[test]
fn moves_that_were_interrupted_all_around_the_cluster_are_finished_on_every_engine() {
    each_engine(|engine| {
        let scene = Scene::with(engine, &Setup { nodes: 6, shards: 6, keys: 300, ..Setup::default() });
        for (round, words) in ["resume", "fix", "resume"].into_iter().enumerate() {
            let what = format!("{}, round {round}, {words}", engine.name);
            let before: Vec<_> = (0..6).map(|node| scene.slots(node)).collect();
            for (from, slots) in before.iter().enumerate() {
                let (to, ids) = ((from + 1) % 6, [from, (from + 1) % 6].map(|node| scene.id(node)));
                for slot in slots.iter().take(100).map(ToString::to_string) {
                    scene.servers[to].call_ok(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ids[0]]);
                    scene.servers[from].call_ok(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &ids[1]]);
                }
            }
            println!("{what}");
            scene.tribune(&format!("{words} {} --yes", scene.address(0))).succeeded();
            for (from, slots) in before.iter().enumerate() {
                let arrived = scene.slots((from + 1) % 6);
                assert!(slots.iter().take(100).all(|slot| arrived.contains(slot)), "{what}: node {from}");
            }
            scene.assert_settled();
        }
        scene.assert_whole();
    });
}

/// Without keys: a server that loses a slot to a higher epoch deletes what is in it, whoever moves it.
#[test]
fn slots_stay_where_they_were_moved_though_the_config_epoch_of_their_old_owner_rises_all_the_time() {
    for name in ["redis-7.0", "redis-8.6", "valkey-9.1"] {
        let Some(engine) = engine(name) else { continue };
        let scene = Scene::new(&engine, 3, 3, 0);
        let mut running = scene.start(&format!("{} --dialect migrate", scene.reshard(500, 0, 1)));
        let mut bumped = 0;
        eventually("it has ended", || {
            let answer = scene.servers[0].call(&["CLUSTER", "BUMPEPOCH"]);
            bumped += usize::from(answer.starts_with("BUMPED"));
            running.has_ended()
        });
        running.finish().succeeded();
        assert!(bumped > 0, "{name}: it was never below the destination's");
        assert_eq!(scene.slots(1).len(), 5462 + 500, "{name}: after {bumped} times");
        scene.assert_settled();
    }
}

/// What the first move makes its destination say is still under way when the second one begins.
#[test]
fn slots_that_have_just_come_go_back_whole_though_messages_are_late_on_every_engine() {
    each_engine(|engine| {
        let (scene, bus) = Scene::with_bus_proxy(engine, 1, &Setup { keys: 600, ..Setup::default() });
        let slowly = "--dialect migrate --pipeline 1 --latency-budget 0.05";
        for slots in [1500, 1500, 30, 1] {
            println!("{}, {slots} slots", engine.name);
            bus.delays(Duration::from_millis(700), Duration::ZERO);
            scene.tribune(&format!("{} {slowly}", scene.reshard(slots, 1, 0))).succeeded();
            scene.tribune(&format!("{} {slowly}", scene.reshard(slots, 0, 1))).succeeded();
            bus.delays(Duration::ZERO, Duration::ZERO);
            scene.assert_whole();
        }
    });
}
