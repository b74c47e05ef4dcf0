//! The writer keeps writing, and its ledger knows what has to be there.

use crate::support::{DEADLINE, form, move_slot};
use std::time::Duration;
use testservers::{Cluster, Ledger, Proxy, Servers, Writer, WriterOptions, any_engine, each_engine, wait_until};

#[test]
fn writes_to_every_engine_are_there_also_after_slots_have_moved() {
    each_engine(|engine| {
        let servers = Servers::start(engine, 3);
        form(&servers, 3);
        let cluster = Cluster::of(&servers);
        let writer = Writer::start(&cluster, &options());
        wait(&writer, 500);
        for slot in 0..60_u32 {
            move_slot(&slot.to_string(), &servers[0], &servers[1], &servers);
        }
        wait(&writer, 500);
        let ledger = writer.stop();
        ledger.assert_kept(&cluster);
        assert_eq!((ledger.failures(), ledger.last_failure()), (0, None));
        assert!(ledger.writes() >= 1000 && ledger.latencies().count() == ledger.writes());
        assert!(ledger.latencies().p50() > Duration::ZERO);
    });
}

#[test]
fn the_ledger_finds_each_lost_write() {
    let Some(engine) = any_engine() else { return };
    let servers = Servers::start(&engine, 3);
    form(&servers, 3);
    let cluster = Cluster::of(&servers);
    let ledger = some_writes(&cluster);
    ledger.assert_kept(&cluster);

    for (key, damage) in [
        ("writer:text:", vec!["SET", "KEY", "0"]),
        ("writer:counter:", vec!["DECR", "KEY"]),
        ("writer:list:", vec!["LPOP", "KEY"]),
        ("writer:list:", vec!["RPUSH", "KEY", "0"]),
    ] {
        // The last key that a change of this kind takes.
        let key = some_key(&servers, key);
        let words: Vec<&str> = damage.iter().map(|word| if *word == "KEY" { key.as_str() } else { *word }).collect();
        let before = ledger.check(&cluster).len();
        assert!(servers.iter().any(|server| !server.call(&words).starts_with('-')), "{words:?}");
        let lost = ledger.check(&cluster);
        assert!(lost.iter().any(|loss| loss.key == key), "{words:?}: {lost:?}");
        assert!(lost.len() >= before);
    }
}

#[test]
fn cut_connections_lose_nothing_that_was_acknowledged() {
    let Some(engine) = any_engine() else { return };
    let (servers, proxies) = Servers::start_behind_proxies(&engine, 3, |builder, _| builder.password("secret"));
    form(&servers, 3);
    let cluster = Cluster::at(&proxies.addresses()).password("secret");
    let writer = Writer::start(&cluster, &options());
    for round in 0..20 {
        wait(&writer, 50);
        proxies[round % 3].cut_after_commands(round as u64);
    }
    wait(&writer, 50);
    let ledger = writer.stop();
    assert!(proxies.iter().map(Proxy::cuts).sum::<u64>() >= 15);
    ledger.assert_kept(&cluster);
}

#[test]
fn a_server_that_dies_is_a_gap_and_what_it_forgot_is_found() {
    let Some(engine) = any_engine() else { return };
    for (keeps, fsync) in [("yes", "always"), ("no", "no")] {
        let servers = Servers::start_with(&engine, 3, |builder, _| {
            builder.config("appendonly", keeps).config("appendfsync", fsync).config("cluster-node-timeout", "1000")
        });
        form(&servers, 3);
        let cluster = Cluster::of(&servers);
        let writer = Writer::start(&cluster, &options());
        wait(&writer, 300);
        servers[1].kill();
        wait_until("the others have noticed", DEADLINE, || {
            servers[0].call(&["CLUSTER", "INFO"]).contains("cluster_state:fail")
        });
        servers[1].restart();
        wait_until("all serve", DEADLINE, || {
            servers.iter().all(|server| server.call(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
        });
        wait(&writer, 300);
        let ledger = writer.stop();
        assert!(ledger.failures() > 0 && ledger.last_failure().is_some());
        assert!(ledger.worst_gap() >= Duration::from_millis(500), "{:?}", ledger.worst_gap());
        if keeps == "yes" {
            ledger.assert_kept(&cluster);
        } else {
            assert!(!ledger.check(&cluster).is_empty());
        }
    }
}

#[test]
fn a_rate_is_not_exceeded() {
    let Some(engine) = any_engine() else { return };
    let servers = Servers::start(&engine, 3);
    form(&servers, 3);
    let begin = std::time::Instant::now();
    let writer = Writer::start(&Cluster::of(&servers), &WriterOptions { per_second: Some(200), ..options() });
    wait(&writer, 100);
    let ledger = writer.stop();
    let most = begin.elapsed().as_millis() / 5 + 1;
    assert!(ledger.writes() as u128 <= most, "{} instead of {most}", ledger.writes());
}

fn options() -> WriterOptions {
    WriterOptions { keys: 300, ..WriterOptions::default() }
}

fn some_writes(cluster: &Cluster) -> Ledger {
    let writer = Writer::start(cluster, &options());
    wait(&writer, 2000);
    writer.stop()
}

/// Until so many more writes have been acknowledged.
fn wait(writer: &Writer, more: u64) {
    let before = writer.acknowledged();
    wait_until("there are more writes", DEADLINE, || writer.acknowledged() >= before + more);
}

/// A key that begins like this.
fn some_key(servers: &Servers, begin: &str) -> String {
    let mut keys = servers.iter().map(|server| server.call_ok(&["KEYS", &format!("{begin}*")]));
    keys.find_map(|keys| keys.lines().next().map(str::to_owned)).unwrap()
}
