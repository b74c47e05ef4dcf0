//! What a terminal shows while slots move, and lines of JSON for programs.

use super::scene::Scene;
use crate::support::{PROGRAM, command, run};
use std::path::Path;
use testservers::engine;

/// Makes the move take as long as it takes to show something, on any machine.
const SLOWLY: &str = "--dialect migrate --pipeline 1";

#[test]
fn a_terminal_shows_a_bar_with_keys_and_bytes_a_second_and_what_is_left_and_then_the_outcome() {
    let Some(engine) = engine("valkey-9.1") else { return };
    let scene = Scene::new(&engine, 3, 3, 100);
    scene.cluster().fill("writer", 30_000, 100);
    let words = format!("stty cols 120 rows 30; exec {PROGRAM} {} {SLOWLY}", scene.reshard(4000, 0, 1));
    let mut terminal = command(Path::new("script"));
    let shown =
        run(terminal.env("TERM", "xterm").env("NO_COLOR", "1").args(["-qec", &words, "/dev/null"])).succeeded().out;
    let pictures: Vec<&str> = shown.split('\r').filter(|picture| picture.contains('━')).collect();
    assert!(pictures.len() > 2, "{shown}");
    let last = pictures.last().unwrap();
    for part in ["moving ", " %", " keys", "/s", " MB/s", "p99 ", " s left"] {
        assert!(last.contains(part), "no {part:?} in {last:?}");
    }
    let (_, outcome) = shown.rsplit_once("done: ").unwrap_or_else(|| panic!("{shown}"));
    assert!(outcome.starts_with("4000 slots") && !outcome.contains('━'), "{outcome}");
    scene.assert_settled();
}

#[test]
fn programs_read_lines_of_json_on_standard_error_and_one_document_on_standard_output() {
    let Some(engine) = engine("redis-7.0") else { return };
    let scene = Scene::new(&engine, 3, 3, 100);
    scene.cluster().fill("writer", 30_000, 100);
    let moved = scene.tribune(&format!("{} {SLOWLY} --json", scene.reshard(4000, 0, 1))).succeeded();
    serde_json::from_str::<serde_json::Value>(&moved.out).unwrap();
    let lines: Vec<serde_json::Value> = moved.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().unwrap_or_else(|| panic!("{moved:#?}"));
    for name in ["slots_moved", "keys_moved", "keys_per_second", "bytes_moved", "bytes_per_second"] {
        assert!(last[name].as_u64().is_some_and(|number| number > 0), "{name} in {last}");
    }
    assert_eq!(last["slots"], 4000);
    scene.assert_settled();
}
