//! Clients that read while slots move.

use super::scene::{Scene, dialects};
use crate::support::eventually;
use testservers::{Reader, each_engine};

/// Slow enough to be met half-way, and to be read often meanwhile.
const SLOWLY: &str = "--pipeline 3 --latency-budget 0.05";

#[test]
fn a_key_is_always_found_however_a_move_goes_and_ends_on_every_engine() {
    each_engine(|engine| {
        let scene = Scene::new(engine, 3, 3, 600);
        for dialect in dialects(engine) {
            for ended_by in ["itself", "INT", "KILL"] {
                let before = scene.slots(1).len();
                let keys = |odd| {
                    let of_all = scene.data.keys().filter(|(database, _)| *database == 0).map(|(_, key)| key.to_vec());
                    of_all.skip(odd).step_by(2).collect()
                };
                let readers = [0, 1].map(|odd| Reader::start(&scene.cluster(), keys(odd)));
                let words = format!("{} --dialect {dialect} {SLOWLY}", scene.reshard(1500, 0, 1));
                let running = scene.start(&words);
                eventually("it has begun", || scene.slots(1).len() > before || !scene.open().is_empty());
                if ended_by != "itself" {
                    running.signal(ended_by);
                }
                let run = running.finish();
                if run.code != Some(0) {
                    // Killed when all was done, the same words would ask for more.
                    let is_done = scene.slots(1).len() == before + 1500;
                    let again = if is_done { format!("resume {} --yes", scene.address(0)) } else { words };
                    scene.tribune(&again).succeeded();
                }
                assert_eq!(scene.slots(1).len(), before + 1500, "{dialect}, ended by {ended_by}");
                for readings in readers.map(Reader::stop) {
                    assert!(readings.missed.is_empty(), "{dialect}, ended by {ended_by}: {readings:?}");
                    assert!(readings.found > 0, "{dialect}, ended by {ended_by}: {readings:?}");
                }
                scene.tribune(&scene.reshard(1500, 1, 0)).succeeded();
            }
        }
        scene.assert_whole();
    });
}
