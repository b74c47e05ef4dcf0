//! A move that is stopped, killed, or loses a node goes on to the same end.

use super::scene::{Scene, Setup, dialects};
use crate::support::eventually;
use std::time::{Duration, Instant};
use testservers::{Builder, each_engine, engine};

/// Slow enough to be met half-way.
const SLOWLY: &str = "--pipeline 1 --latency-budget 0.05";

#[test]
fn ctrl_c_leaves_no_slot_open_and_the_same_command_goes_on_on_every_engine() {
    each_engine(|engine| {
        let scene = Scene::new(engine, 3, 3, 1000);
        for dialect in dialects(engine) {
            let before = scene.slots(1).len();
            let words = format!("{} --dialect {dialect} {SLOWLY}", scene.reshard(1500, 0, 1));
            let running = scene.start(&words);
            eventually("it has begun", || scene.slots(1).len() > before || !scene.open().is_empty());
            running.signal("INT");
            let run = running.finish();
            assert_eq!(scene.open(), Vec::<String>::new(), "{dialect}: {run:#?}");
            if run.code != Some(0) {
                assert_eq!(run.code, Some(130), "{run:#?}");
                assert!(run.err.contains("no slot left open, nothing lost"), "{run:#?}");
                assert!(scene.slots(1).len() <= before + 1500);
            }
            scene.assert_whole();
            if run.code != Some(0) {
                scene.tribune(&words).succeeded();
            }
            assert_eq!(scene.slots(1).len(), before + 1500, "{dialect}");
            scene.tribune(&scene.reshard(1500, 1, 0)).succeeded();
        }
        scene.assert_whole();
    });
}

#[test]
fn a_killed_run_is_explained_and_finished_by_the_same_command_or_resume_on_every_engine() {
    each_engine(|engine| {
        let scene = Scene::new(engine, 3, 3, 800);
        for (round, dialect) in dialects(engine).into_iter().cycle().take(2).enumerate() {
            let before = scene.slots(1).len();
            let words = format!("{} --dialect {dialect} {SLOWLY}", scene.reshard(600, 0, 1));
            let running = scene.start(&words);
            // At another moment each time.
            let moved = round * 100;
            eventually("it has come so far", || {
                scene.slots(1).len() > before + moved || (moved == 0 && !scene.open().is_empty())
            });
            running.signal("KILL");
            running.finish();
            let entry = scene.address(2);
            let check = scene.tribune(&format!("check {entry}"));
            if !scene.open().is_empty() {
                assert_eq!(check.code, Some(1), "{check:#?}");
                assert!(check.out.contains("tribune resume"), "{check:#?}");
            }
            if round % 2 == 0 {
                scene.tribune(&words).succeeded();
            } else {
                scene.tribune(&format!("resume {entry} --yes")).succeeded();
            }
            assert_eq!(scene.slots(1).len(), before + 600, "{dialect} in round {round}");
            scene.assert_whole();
            scene.tribune(&scene.reshard(600, 1, 0)).succeeded();
        }
        scene.assert_whole();
    });
}

#[test]
fn two_runs_do_not_change_a_cluster_at_the_same_time() {
    let Some(engine) = engine("redis-7.0") else { return };
    let scene = Scene::new(&engine, 3, 3, 2000);
    let before = scene.slots(1).len();
    let running = scene.start(&format!("{} {SLOWLY}", scene.reshard(1000, 0, 1)));
    eventually("it has begun", || scene.slots(1).len() > before);
    let other = scene.tribune(&scene.reshard(10, 2, 1));
    if scene.open().is_empty() {
        return running.finish().succeeded().code.map_or((), |_| ());
    }
    assert_eq!(other.code, Some(1), "{other:#?}");
    assert!(other.err.contains("is changing this cluster"), "{other:#?}");
    running.finish().succeeded();
    scene.assert_whole();
}

#[test]
fn a_node_that_stands_still_for_a_while_only_delays_a_move() {
    let Some(engine) = engine("redis-7.0") else { return };
    // Long enough that no replica takes over meanwhile.
    let configure = |builder: Builder| builder.config("cluster-node-timeout", "15000");
    let scene = Scene::with(&engine, &Setup { keys: 2000, configure, ..Setup::default() });
    for stopped in [0, 1, 2] {
        let before = scene.slots(1).len();
        let words = format!("{} --dialect migrate {SLOWLY} --read-timeout 1", scene.reshard(600, 0, 1));
        let mut running = scene.start(&words);
        eventually("it has begun", || scene.slots(1).len() > before);
        scene.servers[stopped].stop_process();
        // The program waits for the first two, and nobody for the last one.
        let stands = Instant::now();
        eventually("it has stood still", || running.has_ended() || stands.elapsed() > Duration::from_secs(3));
        scene.servers[stopped].continue_process();
        let run = running.finish();
        if run.code != Some(0) {
            scene.tribune(&words).succeeded();
        }
        assert_eq!(scene.slots(1).len(), before + 600, "{stopped}");
        scene.assert_whole();
        scene.tribune(&scene.reshard(600, 1, 0)).succeeded();
    }
}
