//! A repair that is stopped or killed half-way goes on to the same end.

use super::lab::Lab;
use crate::support::{command, eventually, run, start, tribune};
use std::{path::Path, time::Duration};
use testservers::{Process, any_engine};

/// Slow enough to be met half-way.
const SLOWLY: &str = "--yes --pipeline 1 --latency-budget 0.05";

/// Slots of each kind of damage.
const SLOTS: usize = 120;

/// Spoils slots in every way: a repair gives some an owner, moves some, and brings keys of some to their owner.
fn spoil(lab: &mut Lab) -> Vec<u16> {
    let mut moving = Vec::new();
    for _ in 0..SLOTS {
        let (slot, _) = lab.slot(1);
        lab.importing(1, slot, 0);
        lab.migrating(0, slot, 1);
        moving.push(slot);
        let (elsewhere, keys) = lab.slot(1);
        lab.importing(2, elsewhere, 0);
        for key in &keys {
            lab.send(key, 0, 2);
        }
    }
    // Last: from then on nobody serves.
    let (bare, _) = lab.slot(0);
    lab.nobodys(bare);
    moving
}

fn signal(process: &Process, name: &str) {
    run(command(Path::new("sh")).args(["-c", &format!("kill -{name} {}", process.pid())])).succeeded();
}

/// A repair that has given the unserved slot its owner, and has repaired a part of the rest.
fn half_way(lab: &Lab, open: usize) -> Process {
    let running = start(&format!("fix {} {SLOWLY}", lab.entry()));
    eventually("a part is repaired", || marks(lab) < open);
    running
}

/// How many marks of open slots there are.
fn marks(lab: &Lab) -> usize {
    lab.servers.iter().map(|server| server.call_ok(&["CLUSTER", "NODES"]).matches(['>', '<']).count()).sum()
}

#[test]
fn a_repair_that_was_killed_or_stopped_is_finished_by_resume_or_the_same_command() {
    let Some(engine) = any_engine() else { return };
    let mut lab = Lab::new(&engine);
    let killed = spoil(&mut lab);
    let running = half_way(&lab, SLOTS * 3);
    signal(&running, "KILL");
    assert_eq!(running.finish(Duration::from_secs(10)).code(), None, "it was met half-way");
    assert!(marks(&lab) > 0, "it was met half-way");
    let told = tribune(&format!("check {}", lab.entry()));
    assert_eq!(told.code, Some(1), "{told:#?}");
    let resumed = tribune(&format!("resume {} --yes", lab.entry())).succeeded();
    assert!(resumed.err.contains("an earlier run was interrupted"), "{resumed:#?}");
    lab.assert_mended("killed, and resumed");
    assert!(killed.iter().all(|slot| lab.owners(*slot) == [1]), "what was on its way has arrived");
    let again = tribune(&format!("resume {} --yes", lab.entry())).succeeded();
    assert!(again.out.starts_with("nothing to re"), "{again:#?}");

    let stopped = spoil(&mut lab);
    let running = half_way(&lab, SLOTS * 3);
    signal(&running, "INT");
    let code = running.finish(Duration::from_mins(1)).code();
    assert!([Some(130), Some(0)].contains(&code), "{code:?}");
    tribune(&format!("fix {} --yes", lab.entry())).succeeded();
    lab.assert_mended("stopped, and begun again");
    assert!(stopped.iter().all(|slot| lab.owners(*slot) == [1]), "what was on its way has arrived");
}
