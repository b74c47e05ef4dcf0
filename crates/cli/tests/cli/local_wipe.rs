//! `tribune local wipe`: a member loses its disk.

use crate::{
    agents::scene::{Scene, call, engines},
    local::{kill, signal},
    support::{eventually, value},
};
use std::{collections::BTreeMap, fs};
use testservers::any_engine;

impl Scene {
    fn id(&self, port: u16) -> String {
        self.member(port)["id"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the member on this port is another node and the cluster is whole again, of so many nodes that know no other.
    fn eventually_another(&self, port: u16, before: &str) {
        eventually("it is another node, and a replica", || self.id(port) != before && self.role(port) == "replica");
        self.eventually_healthy();
        eventually("the old node is forgotten by all", || {
            self.ports().all(|port| !call(port, "CLUSTER NODES").contains(before))
        });
    }
}

/// How many full copies a server has given away.
fn full_copies(port: u16) -> u64 {
    value(&call(port, "INFO stats"), "sync_full").map_or(0, |count| count.parse().unwrap())
}

#[test]
fn a_primary_that_was_wiped_is_replaced_first_and_comes_back_as_a_replica_and_nothing_is_lost() {
    for engine in engines() {
        let scene = Scene::up(engine, "", 6);
        let before = scene.id(scene.first);
        let [replica] = scene.replicas_of(scene.first)[..] else { panic!("one replica") };
        let writer = scene.writer();
        let run = scene.place.local(&format!("wipe {} --yes", scene.first)).succeeded();
        assert!(run.out.contains("a replica takes over first"), "{run:#?}");
        eventually("the replica is the primary", || scene.role(replica) == "primary");
        scene.eventually_another(scene.first, &before);
        scene.finish(writer);
        assert_eq!(full_copies(scene.first), 0, "nobody has copied an empty server");
        assert!(scene.agent_log(scene.first).contains("the server's data is gone"));
    }
}

#[test]
fn replicas_of_all_shards_that_were_wiped_at_once_are_taken_in_again() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::up(engine, "", 6);
    let replicas: BTreeMap<u16, String> =
        scene.ports().filter(|port| scene.role(*port) == "replica").map(|port| (port, scene.id(port))).collect();
    assert_eq!(replicas.len(), 3);
    let writer = scene.writer();
    let words: Vec<String> = replicas.keys().map(u16::to_string).collect();
    scene.place.local(&format!("wipe {} --yes", words.join(" "))).succeeded();
    for (port, before) in &replicas {
        scene.eventually_another(*port, before);
    }
    scene.finish(writer);
}

#[test]
fn a_wiped_primary_does_not_start_while_a_paused_replica_would_take_it_for_its_primary() {
    for engine in engines() {
        let scene = Scene::up(engine, "--replicas 2", 9);
        let [paused, heir] = scene.replicas_of(scene.first)[..] else { panic!("two replicas") };
        let before = scene.id(scene.first);
        let writer = scene.writer();
        scene.place.local(&format!("pause {paused}")).succeeded();
        scene.place.local(&format!("wipe {} --yes", scene.first)).succeeded();
        eventually("the other replica is the primary", || scene.role(heir) == "primary");
        eventually("the wiped one says whom it waits for", || {
            scene.agent_log(scene.first).contains(&format!("nobody follows it: 127.0.0.1:{paused} "))
        });
        // Nor because somebody wants it to start now.
        signal(scene.agent_pid(scene.first), "HUP");
        eventually("the loop has looked again", || {
            scene.place.local("status").out.contains(&format!("the server on port {} is being started", scene.first))
        });
        assert!(scene.member(scene.first)["server_pid"].is_null(), "{}", scene.agent_log(scene.first));
        scene.place.local(&format!("resume {paused}")).succeeded();
        scene.eventually_another(scene.first, &before);
        scene.finish(writer);
        assert_eq!(full_copies(scene.first), 0, "nobody has copied an empty server");
    }
}

#[test]
fn an_agent_that_is_killed_while_its_member_is_wiped_is_gone_on_from_by_the_next() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::up(engine, "", 6);
    let [replica] = scene.replicas_of(scene.first)[..] else { panic!("one replica") };
    let before = scene.id(scene.first);
    let agent = scene.agent_pid(scene.first);
    // Its order is there, and nobody has told the agent of it.
    let order = scene.place.directory("main").join(format!("members/{}/wipe.json", scene.first));
    fs::write(&order, format!("{{\"node\": \"{before}\"}}")).unwrap();
    kill(agent);
    eventually("the replica is the primary", || scene.role(replica) == "primary");
    scene.eventually_another(scene.first, &before);
    assert!(!order.exists());
}

#[test]
fn the_last_copy_and_a_primary_that_nobody_could_replace_are_refused() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::up(engine.clone(), "", 6);
    let [replica] = scene.replicas_of(scene.first)[..] else { panic!("one replica") };
    let pids = scene.place.server_pids("main");
    let first = scene.first;
    scene.place.local(&format!("wipe {first} {replica} --yes")).refused(1, &["no copy of slots 0-5460 would be left"]);
    scene.place.local(&format!("wipe {first} {} --yes", first + 1)).refused(1, &["1 of 3 primaries would be left"]);
    scene.place.local("wipe 80 --yes").refused(1, &["no member with port 80"]);
    let run = scene.place.local(&format!("wipe {first}"));
    assert_eq!(run.code, Some(1), "nobody can be asked: {run:#?}");
    let run = scene.place.local(&format!("wipe {first} --dry-run")).succeeded();
    assert!(run.out.contains("primary of 5 461 slots"), "{run:#?}");
    assert_eq!(scene.place.server_pids("main"), pids);
    scene.eventually_healthy();
}
