//! `tribune local partition` and `heal`: members that are cut off from the others.

use crate::{
    agents::scene::{Scene, engines, tell},
    support::{eventually, tribune},
};
use std::{
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};
use testservers::any_engine;

/// Whether somebody on this machine reaches a port: a packet that is dropped is not even refused.
fn is_reached(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_millis(300)).is_ok()
}

/// Who is a primary with slots by the word of this server.
fn owners_by(port: u16) -> Vec<u16> {
    let nodes = super::agents::scene::call(port, "CLUSTER NODES");
    let owns = |line: &&str| line.contains("master") && line.split_whitespace().count() > 8;
    let port = |line: &str| line.split(['@', ' ']).nth(1)?.rsplit_once(':')?.1.parse().ok();
    nodes.lines().filter(owns).filter_map(port).collect()
}

impl Scene {
    fn words(ports: &[u16]) -> String {
        ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" ")
    }

    fn processes(&self) -> Vec<(i64, i64)> {
        let members = self.place.status("main")["members"].clone();
        let pids = |member: &serde_json::Value| {
            (member["server_pid"].as_i64().unwrap(), member["agent_pid"].as_i64().unwrap())
        };
        members.as_array().unwrap().iter().map(pids).collect()
    }
}

#[test]
fn a_primary_that_is_cut_off_is_replaced_clients_go_on_and_it_follows_the_new_one_when_it_is_back() {
    for engine in engines() {
        let name = engine.name.clone();
        let scene = Scene::up(engine, "", 6);
        let [replica] = scene.replicas_of(scene.first)[..] else { panic!("one replica") };
        let processes = scene.processes();
        let writer = scene.writer();
        let begin = Instant::now();
        scene.place.local(&format!("partition {}", scene.first)).succeeded();
        for port in [scene.first, scene.first + 10000, scene.first + 5000] {
            assert!(!is_reached(port), "{port}");
        }
        eventually("the replica is the primary", || scene.role(replica) == "primary");
        let acknowledged = writer.acknowledged();
        eventually("the client goes on", || writer.acknowledged() > acknowledged + 500);
        let status = scene.place.local("status");
        assert_eq!(status.code, Some(1));
        let said = format!("the member on port {} has been cut off for", scene.first);
        assert!(status.out.contains(&said) && status.out.contains("local heal"), "{status:#?}");
        assert_eq!(scene.place.status("main")["partition"][0]["ports"][0], scene.first);
        scene.place.local("heal").succeeded();
        eventually("the old primary follows the new one", || scene.replicas_of(replica) == [scene.first]);
        // An answer may go out just before the cut, and its write to the replica would have gone just after: replication waits for nobody.
        let (ledger, lost) = scene.finish_with_losses(writer);
        assert!(lost.len() <= 3, "{} of {} writes are gone: {lost:?}", lost.len(), ledger.writes());
        tell("primary cut off", &name, ledger.worst_gap(), begin);
        tribune(&format!("check 127.0.0.1:{}", scene.first)).succeeded();
        assert_eq!(scene.processes(), processes, "no process has ended");
    }
}

#[test]
fn members_that_are_cut_off_together_reach_each_other_and_nobody_else() {
    for engine in engines() {
        let scene = Scene::up(engine, "", 6);
        let [replica] = scene.replicas_of(scene.first)[..] else { panic!("one replica") };
        let other = scene.first + 1;
        // A whole shard and a primary: the majority is inside, and nobody replaces anything there.
        let group = [scene.first, replica, other];
        scene.place.local(&format!("partition {}", Scene::words(&group))).succeeded();
        let outside = scene.first + 2;
        eventually("those outside miss them", || {
            let nodes = super::agents::scene::call(outside, "CLUSTER NODES");
            group
                .iter()
                .all(|port| nodes.lines().any(|line| line.contains(&format!(":{port}@")) && line.contains("fail")))
        });
        scene.place.local("heal").succeeded();
        scene.eventually_healthy();
        // They had a majority, so that nothing has been elected in their place; and they have not missed each other.
        let log = |port: u16| {
            std::fs::read_to_string(scene.place.directory("main").join(format!("members/{port}/server.log"))).unwrap()
        };
        let short = |port: u16| scene.member(port)["id"].as_str().unwrap().to_owned();
        for (one, other) in [(scene.first, replica), (scene.first, other), (other, replica)] {
            for (of, about) in [(one, other), (other, one)] {
                let missed = log(of).lines().any(|line| line.contains(&short(about)) && line.contains("as failing"));
                assert!(!missed, "{of} has lost {about}: {}", log(of));
            }
        }
        // The majority may have replaced the primary that it missed, when it could tell others of that.
        let owners = owners_by(outside);
        assert!(owners.contains(&scene.first) && owners.contains(&other), "{owners:?}");
    }
}

#[test]
fn a_server_that_is_started_again_is_still_cut_off_and_the_end_of_the_time_heals() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::up(engine, "", 6);
    let [replica] = scene.replicas_of(scene.first)[..] else { panic!("one replica") };
    let pid = scene.member(scene.first)["server_pid"].as_i64().unwrap();
    let agent = scene.agent_pid(scene.first);
    scene.place.local(&format!("partition {} --for 14", scene.first)).succeeded();
    scene.place.local(&format!("kill {}", scene.first)).succeeded();
    let server = || scene.place.status("main")["members"][0]["server_pid"].as_i64();
    eventually("another process runs", || server().is_some_and(|now| now != pid));
    eventually("it listens and is cut off", || !is_reached(scene.first) && !is_reached(scene.first + 10000));
    // And with its agent.
    crate::local::kill(agent);
    eventually("another agent has another server", || {
        scene.agent(scene.first).is_some_and(|now| now != agent) && server().is_some()
    });
    eventually("it is cut off, too", || ![0, 10000, 5000].iter().any(|more| is_reached(scene.first + more)));
    eventually("the replica is the primary", || scene.role(replica) == "primary");
    eventually("it is over by itself", || {
        scene.place.status("main")["partition"].as_array().is_some_and(Vec::is_empty)
    });
    eventually("the old primary follows the new one", || scene.replicas_of(replica) == [scene.first]);
    scene.eventually_healthy();
}

#[test]
fn who_is_cut_off_already_all_at_once_and_strangers_are_refused_and_down_ends_it() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::up(engine, "--shards 1 --replicas 1", 2);
    let first = scene.first;
    scene.place.local(&format!("partition {first} {}", first + 1)).refused(1, &["nobody would be left"]);
    scene.place.local("partition 80").refused(1, &["no member with port 80"]);
    assert!(scene.place.local("heal").succeeded().out.contains("nobody was cut off"));
    scene.place.local(&format!("partition {}", first + 1)).succeeded();
    scene.place.local(&format!("partition {}", first + 1)).refused(1, &["is cut off already", "local heal"]);
    assert!(!is_reached(first + 1) && is_reached(first));
    scene.place.local("down").succeeded();
    scene.place.local("up").succeeded();
    assert!(is_reached(first + 1));
    scene.place.local(&format!("partition {}", first + 1)).succeeded();
    scene.place.local("up").succeeded();
    assert!(is_reached(first + 1), "up ends it, too");
}
