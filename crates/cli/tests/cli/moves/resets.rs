//! Connections that break after exactly so many commands or bytes.

use super::scene::{Scene, Setup, dialects};
use testservers::{Direction, each_engine};

/// Connections break at these places, in turn of the source, the destination and another node.
const COMMANDS: [u64; 9] = [0, 1, 3, 5, 9, 20, 60, 110, 160];
const BYTES: [u64; 4] = [1, 200, 2500, 7000];

#[test]
fn a_reset_after_any_command_or_byte_does_not_keep_a_move_from_its_end_on_every_engine() {
    each_engine(|engine| {
        let scene = Scene::behind_proxies(engine, &Setup { keys: 500, ..Setup::default() });
        let proxies = scene.proxies.as_ref().unwrap();
        let dialects = dialects(engine);
        let faults = COMMANDS.into_iter().map(|n| (Some(n), 0)).chain(BYTES.into_iter().map(|n| (None, n)));
        let (mut from, mut to) = (0, 1);
        for (round, (commands, bytes)) in faults.enumerate() {
            let before = scene.slots(to).len();
            let proxy = &proxies[[from, to, to, from, 2][round % 5]];
            let dialect = dialects[round % dialects.len()];
            match commands {
                Some(commands) => proxy.cut_after_commands(commands),
                None if round % 2 == 0 => proxy.cut_after_bytes(Direction::ToServer, bytes),
                None => proxy.cut_after_bytes(Direction::ToClient, bytes),
            }
            let words = format!("{} --dialect {dialect} --pipeline 5", scene.reshard(70, from, to));
            let run = scene.tribune(&words);
            proxy.cut_after_commands(u64::MAX);
            // Whoever looks for the first time is told, and nothing was done.
            if run.code != Some(0) {
                let again = scene.tribune(&words);
                assert_eq!(again.code, Some(0), "round {round}: {run:#?} {again:#?}");
            }
            assert_eq!(scene.slots(to).len(), before + 70, "round {round}, {dialect}: {run:#?}");
            assert_eq!(scene.open(), Vec::<String>::new(), "round {round}");
            scene.assert_data();
            (from, to) = (to, from);
        }
        scene.assert_whole();
    });
}
