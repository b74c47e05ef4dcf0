//! Replicas that do not follow while slots move: Valkey 8.0 and newer lets them carry out each `SETSLOT` first.

use super::scene::Scene;
use crate::support::eventually;
use std::time::Duration;
use testservers::engine;

#[test]
fn a_move_waits_for_replicas_that_stand_still_for_a_while_and_then_ends() {
    for name in ["valkey-8.1", "valkey-9.1"] {
        let Some(engine) = engine(name) else { continue };
        let scene = Scene::new(&engine, 6, 3, 200);
        scene.assert_replicas_in_sync();
        let replica = scene.replica_of(1);
        scene.servers[replica].stop_process();
        let mut running = scene.start(&format!("{} --dialect migrate", scene.reshard(60, 0, 1)));
        // The server gives up on its replica after 2 s, for the first time.
        let begin = std::time::Instant::now();
        eventually("it has waited", || running.has_ended() || begin.elapsed() > Duration::from_secs(4));
        scene.servers[replica].continue_process();
        running.finish().succeeded();
        assert_eq!(scene.slots(1).len(), 5462 + 60, "{name}");
        scene.assert_whole();
        scene.assert_replicas_in_sync();
    }
}

#[test]
fn a_move_ends_when_a_replica_does_not_come_back_and_is_resumed_when_it_does() {
    let Some(engine) = engine("valkey-9.1") else { return };
    let scene = Scene::new(&engine, 6, 3, 200);
    scene.assert_replicas_in_sync();
    let before = scene.slots(1).len();
    let replica = scene.replica_of(1);
    scene.servers[replica].stop_process();
    let run = scene.tribune(&format!("{} --dialect migrate", scene.reshard(60, 0, 1)));
    let told = run.err.contains("have not followed for 30 s")
        && run.err.contains(&format!("tribune check {}", scene.address(1)));
    assert!(run.code == Some(1) && told, "{run:#?}");
    scene.servers[replica].continue_process();
    eventually("it is resumed", || scene.tribune(&format!("resume {} --yes", scene.address(0))).code == Some(0));
    assert_eq!(scene.slots(1).len(), before + 60);
    scene.assert_whole();
    scene.assert_replicas_in_sync();
}
