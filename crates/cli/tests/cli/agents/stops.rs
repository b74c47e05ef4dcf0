//! Members that are stopped in order: one, or all.

use super::scene::{Scene, call, engines, epoch, tell};
use crate::support::eventually;
use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};
use testservers::any_engine;

/// Loose: what is promised is measured by benches.
const GAP: Duration = Duration::from_secs(1);

fn terminate(pids: &[i64]) {
    let pids = pids.iter().map(ToString::to_string);
    assert!(Command::new("kill").arg("-TERM").args(pids).status().unwrap().success());
}

#[test]
fn a_member_that_is_stopped_hands_over_first_and_no_write_is_lost() {
    for engine in engines() {
        let name = engine.name.clone();
        let scene = Scene::up(engine, "", 6);
        let [replica] = scene.replicas_of(scene.first)[..] else { panic!("one replica") };
        let before = epoch(replica);
        let writer = scene.writer();
        let begin = Instant::now();
        terminate(&[scene.agent_pid(scene.first)]);
        eventually("the replica is the primary", || scene.role(replica) == "primary");
        eventually("the old primary is its replica", || scene.replicas_of(replica) == [scene.first]);
        let ledger = scene.finish(writer);
        tell("member stopped in order", &name, ledger.worst_gap(), begin);
        assert!(ledger.worst_gap() < GAP, "{:?}\n{}", ledger.worst_gap(), scene.agent_log(scene.first));
        assert_eq!(epoch(replica), before + 1, "one election");
        let log = scene.agent_log(scene.first);
        assert!(log.contains(&format!("handed over to 127.0.0.1:{replica} in ")), "{log}");
    }
}

/// A question that is under way when the connection ends has no answer, and its client does not know what became of it.
#[test]
fn a_member_that_is_stopped_answers_clients_until_they_know_where_to_go() {
    for engine in engines() {
        let scene = Scene::up(engine, "", 6);
        let mut stream = TcpStream::connect(("127.0.0.1", scene.first)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        // A key of its first slot.
        let mut ask = || {
            stream.write_all(b"GET {3560}\r\n").unwrap();
            let mut answer = [0; 64];
            let length = stream.read(&mut answer).unwrap();
            String::from_utf8_lossy(&answer[..length]).into_owned()
        };
        assert_eq!(ask(), "$-1\r\n");
        terminate(&[scene.agent_pid(scene.first)]);
        // It learns late.
        let mut moved = 0;
        while moved < 500 {
            let answer = ask();
            assert!(!answer.is_empty(), "no answer after {moved} times MOVED\n{}", scene.agent_log(scene.first));
            moved += usize::from(answer.starts_with("-MOVED"));
        }
        drop(stream);
        scene.eventually_healthy();
    }
}

/// Otherwise the new primary would answer for a key that has gone already as if there were none.
#[test]
fn a_member_that_is_stopped_while_slots_of_it_are_open_leaves_them_open() {
    for engine in engines() {
        let scene = Scene::up(engine, "", 6);
        scene.place.local("hold").succeeded();
        let [replica] = scene.replicas_of(scene.first)[..] else { panic!("one replica") };
        let other = scene.first + 1;
        let id = |port| call(port, "CLUSTER MYID").lines().nth(1).unwrap().to_owned();
        // The first primary's last slot, and the first of the second one.
        let commands = [
            (other, format!("CLUSTER SETSLOT 5460 IMPORTING {}", id(scene.first))),
            (scene.first, format!("CLUSTER SETSLOT 5460 MIGRATING {}", id(other))),
            (scene.first, format!("CLUSTER SETSLOT 5461 IMPORTING {}", id(other))),
        ];
        for (port, command) in commands {
            assert!(call(port, &command).starts_with("+OK"), "{command}");
        }
        terminate(&[scene.agent_pid(scene.first)]);
        eventually("the replica is the primary", || scene.role(replica) == "primary");
        let open = [format!("[5460->-{}]", id(other)), format!("[5461-<-{}]", id(other))];
        eventually("it knows which slots are open", || {
            let nodes = call(replica, "CLUSTER NODES");
            open.iter().all(|mark| nodes.contains(mark))
        });
        scene.place.local("release").succeeded();
        scene.eventually_healthy();
    }
}

#[test]
fn a_cluster_that_is_stopped_hands_nothing_over() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::up(engine, "", 6);
    let before = epoch(scene.first);
    scene.place.local("down").succeeded();
    scene.place.local("up").succeeded();
    let logs: String = scene.ports().map(|port| scene.agent_log(port)).collect();
    for word in ["handing", "taking over", "is dead"] {
        assert!(!logs.contains(word), "{logs}");
    }
    assert_eq!(epoch(scene.first), before, "nobody was elected");
    let roles: Vec<String> = scene.ports().map(|port| scene.role(port)).collect();
    assert_eq!(roles, ["primary", "primary", "primary", "replica", "replica", "replica"]);
}

#[test]
fn a_primary_without_a_replica_stops_as_it_is() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::up(engine, "--replicas 0", 3);
    let agent = scene.agent_pid(scene.first);
    terminate(&[agent]);
    eventually("another agent keeps it", || scene.agent(scene.first).is_some_and(|now| now != agent));
    scene.eventually_healthy();
    assert!(scene.agent_log(scene.first).contains("no replica that stays is in sync, so nobody takes over"));
}

#[test]
fn members_that_are_stopped_at_the_same_time_hand_nothing_to_and_fro() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::up(engine, "", 6);
    let before = epoch(scene.first);
    let agents: Vec<i64> = scene.ports().map(|port| scene.agent_pid(port)).collect();
    terminate(&agents);
    eventually("other agents keep all members", || {
        scene.ports().zip(&agents).all(|(port, before)| scene.agent(port).is_some_and(|now| now != *before))
    });
    scene.eventually_healthy();
    let logs: String = scene.ports().map(|port| scene.agent_log(port)).collect();
    assert!(!logs.contains("has not taken over"), "{logs}");
    // Who hears of its own stop before the others do hands over: once for each shard at most, and never back.
    assert!(logs.matches("handed over").count() <= 3, "{logs}");
    assert!(epoch(scene.first) <= before + 3, "{logs}");
}

#[test]
fn a_member_that_is_stopped_again_and_again_is_back_without_a_pause() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::up(engine, "--shards 1 --replicas 1", 2);
    for _ in 0..4 {
        let agent = scene.agent_pid(scene.first);
        terminate(&[agent]);
        eventually("another agent runs", || scene.agent(scene.first).is_some_and(|other| other != agent));
        scene.eventually_healthy();
    }
    let log = std::fs::read_to_string(scene.place.directory("main").join("supervisor.log")).unwrap();
    assert!(!log.contains("another agent is started in"), "{log}");
}
