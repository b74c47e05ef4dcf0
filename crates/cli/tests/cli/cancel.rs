//! A move of slots that is under way is cancelled, and nothing is left open.

use crate::support::{PROGRAM, cluster, command, eventually, run, tribune};
use std::{
    path::Path,
    process::{Child, Stdio},
};
use testservers::{Cluster, Dataset, Options, Servers, any_engine, each_engine, engine};

/// The program with a home of its own, in which nobody else's runs are noted.
fn at_home(home: &Path, words: &str) -> std::process::Command {
    let mut command = command(Path::new(PROGRAM));
    command.args(words.split_whitespace()).env("TRIBUNE_HOME", home);
    command
}

/// Begins to move slots so slowly that it does not end by itself; waits until it is at it.
fn begin_slowly(home: &Path, servers: &Servers) -> Child {
    let (entry, to) = (servers[0].address(), servers[1].address());
    // A key at a time, and as little as the pace allows.
    let words = format!(
        "reshard {entry} --from {entry} --to {to} --slots 5000 --yes --dialect migrate --pipeline 1 --latency-budget 0.001"
    );
    let child = at_home(home, &words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("slots move", || owned(servers, 1) > 5462);
    child
}

fn owned(servers: &Servers, at: usize) -> usize {
    let nodes = servers[at].call_ok(&["CLUSTER", "NODES"]);
    let own = nodes.lines().find(|line| line.contains("myself")).unwrap().to_owned();
    let ranges = own.split(' ').skip(8).filter(|range| !range.starts_with('['));
    let size = |range: &str| match range.split_once('-') {
        Some((first, last)) => last.parse::<usize>().unwrap() - first.parse::<usize>().unwrap() + 1,
        None => 1,
    };
    ranges.map(size).sum()
}

#[test]
fn a_tribune_of_this_machine_is_stopped_where_no_slot_is_open_and_resume_finishes() {
    let Some(engine) = any_engine() else { return };
    let home = tempfile::tempdir().unwrap();
    let servers = cluster(&engine, 3, 0);
    let data = Dataset::generate(3, &Options::small(20_000));
    let them = Cluster::of(&servers);
    data.write(&them);
    let entry = servers[0].address();
    let mut child = begin_slowly(home.path(), &servers);

    let busy = run(&mut at_home(home.path(), &format!("rebalance {entry} --threshold 0 --yes")));
    assert!(busy.code == Some(1) && busy.err.contains(&format!("process {} is changing", child.id())), "{busy:#?}");
    let shown = run(&mut at_home(home.path(), &format!("cancel {entry} --dry-run"))).succeeded();
    assert!(shown.out.contains(&format!("process {} of this machine runs: 5000 slots", child.id())), "{shown:#?}");
    assert!(child.try_wait().unwrap().is_none(), "a dry run stops nothing");

    let cancelled = run(&mut at_home(home.path(), &format!("cancel {entry} --yes"))).succeeded();
    assert!(cancelled.out.contains("stopped") && cancelled.out.contains("no slot is open"), "{cancelled:#?}");
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(told.contains("of 5 000 slots moved, no slot left open, nothing lost"), "{told}");
    for server in &servers {
        assert!(!server.call_ok(&["CLUSTER", "NODES"]).contains('['), "a slot is open");
    }
    data.assert_same(&them);

    let nothing = run(&mut at_home(home.path(), &format!("cancel {entry} --yes --json"))).succeeded();
    let report: serde_json::Value = serde_json::from_str(&nothing.out).unwrap();
    assert_eq!((&report["found"], &report["stopped"]), (&false.into(), &false.into()), "{nothing:#?}");
    let resumed = run(&mut at_home(home.path(), &format!("resume {entry} --yes --max-speed"))).succeeded();
    assert!(resumed.err.contains("an earlier run was interrupted: 5000 slots"), "{resumed:#?}");
    assert_eq!(owned(&servers, 1), 10_462);
    data.assert_same(&them);
    let again = run(&mut at_home(home.path(), &format!("resume {entry} --yes"))).succeeded();
    assert!(again.out.contains("nothing to resume"), "{again:#?}");
}

#[test]
fn moves_that_servers_carry_out_for_somebody_else_are_cancelled() {
    for name in ["valkey-9.1", "redis-8.6"] {
        let Some(engine) = engine(name) else { continue };
        let servers = cluster(&engine, 3, 0);
        let them = Cluster::of(&servers);
        let data = Dataset::generate(5, &Options::small(3000));
        data.write(&them);
        let taker = servers[1].call_ok(&["CLUSTER", "MYID"]);
        // The other end hangs: the move cannot end by itself.
        let (begun, hanging) = if name.starts_with("valkey") {
            servers[1].stop_process();
            (servers[0].call(&["CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", "0", "2000", "NODE", &taker]), &servers[1])
        } else {
            servers[0].stop_process();
            (servers[1].call(&["CLUSTER", "MIGRATION", "IMPORT", "0", "2000"]), &servers[0])
        };
        assert!(!begun.starts_with("ERR"), "{name}: {begun}");
        let run = tribune(&format!("cancel {} --yes --read-timeout 1", servers[2].address())).succeeded();
        hanging.continue_process();
        assert!(run.out.contains("the servers move 2 001 slots by themselves"), "{name}: {run:#?}");
        assert!(run.out.contains("stopped"), "{name}: {run:#?}");
        eventually("no slot is open and nothing is lost", || {
            servers.iter().all(|server| server.call_ok(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
        });
        data.assert_same(&them);
    }
}

#[test]
fn there_may_be_nothing_to_cancel() {
    each_engine(|engine| {
        let servers = cluster(engine, 3, 0);
        let run = tribune(&format!("cancel {} --yes", servers[0].address())).succeeded();
        assert!(run.out.starts_with("nothing to cancel: no tribune of this machine"), "{run:#?}");
    });
}
