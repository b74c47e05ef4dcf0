//! `tribune local roll` and `local set`: other programs and settings while a client writes.

use crate::{
    agents::scene::call,
    local::{Place, kill, runs},
    support::eventually,
};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};
use testservers::{Cluster, Engine, Writer, WriterOptions, any_engine, engine};

/// Loose: what is promised is measured by benches. Less than the node timeout, after which servers act by themselves.
const GAP: Duration = Duration::from_secs(3);

fn cluster(place: &Place) -> Cluster {
    Cluster::at(&ports(place).iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>())
}

fn members(place: &Place) -> Vec<serde_json::Value> {
    place.status("main")["members"].as_array().unwrap().clone()
}

fn ports(place: &Place) -> Vec<u16> {
    members(place).iter().map(|member| u16::try_from(member["port"].as_u64().unwrap()).unwrap()).collect()
}

/// Asserts that all servers are of the version that was asked for last.
#[track_caller]
fn assert_version(place: &Place, product: &str) {
    let version = place.status("main")["settings"]["engine"]["version"].as_str().unwrap().to_owned();
    for port in ports(place) {
        let info = call(port, "INFO server");
        assert!(info.contains(&format!("{product}_version:{version}\r\n")), "{port} is not {version}: {info}");
    }
}

fn told(port: u16, setting: &str) -> String {
    // The length of the list, then length and text of the name and of the value.
    call(port, &format!("CONFIG GET {setting}")).lines().nth(4).unwrap_or_default().to_owned()
}

/// A server program that tells its version and ends at once otherwise.
fn that_ends(place: &Place, engine: &Engine) -> PathBuf {
    let path = place.home().join("bad-server");
    let real = engine.server.display();
    let text = format!("#!/bin/sh\n[ \"$1\" = --version ] && exec {real} --version\necho it cannot run here\nexit 3\n");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn all_servers_get_another_version_while_a_client_writes_and_nothing_is_lost() {
    for (old, new) in [("redis-7.0", "redis-8.6"), ("valkey-8.1", "valkey-9.1"), ("redis-7.0", "valkey-8.1")] {
        let (Some(old), Some(new)) = (engine(old), engine(new)) else { continue };
        let what = format!("from {} to {}", old.name, new.name);
        let mut place = Place::new(old);
        place.up("main", "", 6);
        let before = place.server_pids("main");
        let writer = Writer::start(&cluster(&place), &WriterOptions::default());
        let rolled = place.local(&format!("roll --engine {} --yes", new.server.display())).succeeded();
        assert!(rolled.out.contains("one replica first"), "{rolled:#?}");
        let ledger = writer.stop();
        assert!(ledger.worst_gap() < GAP, "{what}: {:?}", ledger.worst_gap());
        ledger.assert_kept(&cluster(&place));
        assert_version(&place, new.name.split('-').next().unwrap());
        assert!(place.server_pids("main").iter().all(|pid| !before.contains(pid)));
        eventually("the cluster is well", || place.is_healthy("main"));
    }
}

#[test]
fn without_replicas_one_member_more_serves_meanwhile_and_leaves_again() {
    let (Some(old), Some(new)) = (engine("redis-7.0"), engine("redis-8.6")) else { return };
    let mut place = Place::new(old);
    place.up("main", "--shards 2 --replicas 0", 4);
    let writer = Writer::start(&cluster(&place), &WriterOptions::default());
    place.local(&format!("roll --engine {} --yes", new.server.display())).succeeded();
    let ledger = writer.stop();
    assert!(ledger.worst_gap() < GAP, "{:?}", ledger.worst_gap());
    ledger.assert_kept(&cluster(&place));
    assert_eq!(members(&place).len(), 2);
    assert_version(&place, "redis");
}

#[test]
fn a_program_that_cannot_run_stops_at_the_first_member_and_going_back_recovers() {
    for replicas in [1, 0] {
        let Some(engine) = any_engine() else { return };
        let old = engine.server.clone();
        let mut place = Place::new(engine.clone());
        place.up("main", &format!("--replicas {replicas}"), 7);
        let before = place.server_pids("main");
        let writer = Writer::start(&cluster(&place), &WriterOptions::default());
        let bad = that_ends(&place, &engine);
        let failed = place.local(&format!("roll --engine {} --yes", bad.display()));
        assert_eq!(failed.code, Some(1), "{failed:#?}");
        assert!(failed.err.contains("it cannot run here") && failed.err.contains("goes back"), "{failed:#?}");
        let left: Vec<i64> = before.iter().copied().filter(|pid| runs(*pid)).collect();
        assert_eq!(left.len(), before.len() - usize::from(replicas > 0), "one replica at most was touched");
        place.local(&format!("roll --engine {} --yes", old.display())).succeeded();
        writer.stop().assert_kept(&cluster(&place));
        assert_eq!(members(&place).len(), before.len());
        assert!(left.iter().all(|pid| runs(*pid)), "nobody else was restarted");
        eventually("the cluster is well", || place.is_healthy("main"));
    }
}

#[test]
fn a_roll_whose_loop_is_killed_again_and_again_is_gone_on_from_by_the_next() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    place.up("main", "", 6);
    let before = place.server_pids("main");
    let writer = Writer::start(&cluster(&place), &WriterOptions::default());
    let rolling = place.begin("roll --yes");
    for _ in 0..3 {
        let is_at_work = || place.status("main")["loop"]["settled"] == false;
        let is_done = || before.iter().all(|pid| !runs(*pid));
        eventually("the loop is at work, or done", || is_at_work() || is_done());
        if let Some(supervisor) = place.status("main")["supervisor_pid"].as_i64() {
            kill(supervisor);
            eventually("it is gone", || !runs(supervisor));
        }
        place.local("up");
    }
    drop(rolling);
    eventually("all servers were restarted", || {
        before.iter().all(|pid| !runs(*pid)) && place.status("main")["loop"]["settled"] == true
    });
    writer.stop().assert_kept(&cluster(&place));
    eventually("the cluster is well", || place.is_healthy("main"));
}

#[test]
fn settings_are_given_at_run_time_where_servers_take_them_so_and_by_restarts_where_not() {
    for name in ["redis-7.0", "valkey-9.1"] {
        let Some(engine) = engine(name) else { continue };
        let mut place = Place::new(engine);
        place.up("main", "", 8);
        let before = place.server_pids("main");
        let writer = Writer::start(&cluster(&place), &WriterOptions::default());

        let shown = place.local("set maxmemory-policy allkeys-lru --dry-run").succeeded();
        assert!(shown.out.contains("at run time"), "{shown:#?}");
        place.local("set maxmemory-policy allkeys-lru --yes").succeeded();
        assert!(ports(&place).iter().all(|port| told(*port, "maxmemory-policy") == "allkeys-lru"));
        assert_eq!(place.server_pids("main"), before, "nobody was restarted");

        let shown = place.local("set databases 20 --dry-run").succeeded();
        assert!(shown.out.contains("by restarts"), "{shown:#?}");
        place.local("set databases 20 --yes").succeeded();
        assert!(ports(&place).iter().all(|port| told(*port, "databases") == "20"));
        assert!(place.server_pids("main").iter().all(|pid| !before.contains(pid)));
        assert!(
            ports(&place).iter().all(|port| told(*port, "maxmemory-policy") == "allkeys-lru"),
            "after restarts, too"
        );

        place.local("scale --shards 4 --yes").succeeded();
        assert!(ports(&place).iter().all(|port| told(*port, "databases") == "20"), "new members have it, too");
        let listed = place.local("set").succeeded();
        assert_eq!(listed.out, "databases 20\nmaxmemory-policy allkeys-lru\n");
        place.local("set databases --default --yes").succeeded();
        assert!(ports(&place).iter().all(|port| told(*port, "databases") == "16"));
        writer.stop().assert_kept(&cluster(&place));
    }
}

#[test]
fn what_servers_refuse_is_taken_back_and_what_is_none_is_refused_by_name() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    let port = place.up("main", "--shards 1 --replicas 1", 2);
    let before = place.server_pids("main");
    let refused = place.local("set maxmemory-policy nonsense --yes");
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(
        refused.err.contains("everywhere again") && refused.err.contains("maxmemory-policy nonsense"),
        "{refused:#?}"
    );
    assert_eq!(told(port, "maxmemory-policy"), "noeviction");
    for (words, code, why) in [
        ("set no-such-setting 1 --yes", 1, "there is no setting no-such-setting"),
        ("set port 1 --yes", 1, "port is not set in this way"),
        ("set requirepass secret --yes", 1, "requirepass is not set in this way"),
        ("set maxmemory --yes", 2, "no value for maxmemory"),
        ("set max*memory 1 --yes", 2, "is not the name of a setting"),
    ] {
        let run = place.local(words);
        assert_eq!(run.code, Some(code), "{run:#?}");
        assert!(run.err.contains(why), "{run:#?}");
    }
    assert_eq!(place.server_pids("main"), before);
    assert!(place.is_healthy("main"));
}
