//! Data is lost: what others have of it is not.

use crate::{
    agents::scene::{Scene, engines},
    support::eventually,
};
use std::{fs, path::PathBuf, process::Command};
use testservers::{Ledger, wait_until};

/// A cluster that has been written to, and what was written.
fn written(scene: &Scene) -> Ledger {
    let ledger = scene.writer().stop();
    ledger.assert_kept(&scene.cluster());
    ledger
}

fn data(scene: &Scene, port: u16) -> PathBuf {
    scene.place.directory("main").join(format!("members/{port}/data"))
}

/// Loses the keys of a member that does not run, and with `all` its id and its slots, too.
fn lose(scene: &Scene, port: u16, all: bool) {
    let data = data(scene, port);
    fs::remove_dir_all(data.join("appendonlydir")).unwrap();
    if all {
        fs::remove_file(data.join("nodes.conf")).unwrap();
    }
}

/// Kills all processes of the cluster at once, but for servers, which never outlive their agents.
fn kill_all(scene: &Scene) {
    let status = scene.place.status("main");
    let agents = status["members"].as_array().unwrap().iter().map(|member| &member["agent_pid"]);
    let pids = agents.chain([&status["supervisor_pid"]]).map(ToString::to_string);
    // In one go, so that nobody sees another one die.
    assert!(Command::new("kill").arg("-KILL").args(pids).status().unwrap().success());
    eventually("nothing runs", || scene.place.server_pids("main").is_empty());
}

#[test]
fn a_primary_without_its_data_joins_as_a_replica_after_everything_was_killed_on_every_engine() {
    for engine in engines() {
        for all in [false, true] {
            let name = engine.name.clone();
            let scene = Scene::up(engine.clone(), "", 6);
            let [replica] = scene.replicas_of(scene.first)[..] else { panic!("one replica") };
            let ledger = written(&scene);
            kill_all(&scene);
            lose(&scene, scene.first, all);
            scene.place.local("up").succeeded();
            eventually("the replica is the primary", || scene.role(replica) == "primary");
            eventually("the old primary is its replica", || scene.replicas_of(replica) == [scene.first]);
            scene.eventually_healthy();
            ledger.assert_kept(&scene.cluster());
            let log = scene.agent_log(scene.first);
            assert!(log.contains("the data of this member is gone"), "{name}, all: {all}\n{log}");
        }
    }
}

#[test]
fn a_primary_that_keeps_nothing_on_disk_never_empties_its_replica_on_every_engine() {
    for engine in engines() {
        let scene = Scene::up(engine, "", 6);
        let [replica] = scene.replicas_of(scene.first)[..] else { panic!("one replica") };
        let ledger = written(&scene);
        let conf = scene.place.directory("main").join(format!("members/{}/server.conf", scene.first));
        let text = fs::read_to_string(&conf).unwrap().replace("appendonly yes", "appendonly no");
        fs::write(&conf, text).unwrap();
        // Its replica cannot take over at once, and it has nothing.
        scene.place.local(&format!("pause {replica}")).succeeded();
        scene.kill_server(scene.first);
        fs::remove_dir_all(data(&scene, scene.first).join("appendonlydir")).unwrap();
        eventually("its agent waits", || scene.agent_log(scene.first).contains("the data of this member is gone"));
        scene.place.local(&format!("resume {replica}")).succeeded();
        eventually("the replica is the primary", || scene.role(replica) == "primary");
        eventually("the old primary is its replica", || scene.replicas_of(replica) == [scene.first]);
        scene.eventually_healthy();
        ledger.assert_kept(&scene.cluster());
    }
}

#[test]
fn a_shard_that_is_lost_for_good_begins_anew_when_that_is_asked_for_and_status_tells_of_it() {
    let Some(engine) = testservers::any_engine() else { return };
    let mut place = crate::local::Place::new(engine);
    let first = place.up("main", "--shards 3 --replicas 0", 4);
    let data = place.directory("main").join(format!("members/{first}/data"));
    place.local("down").succeeded();
    fs::remove_dir_all(data.join("appendonlydir")).unwrap();
    fs::remove_file(data.join("nodes.conf")).unwrap();
    assert_eq!(place.local("up").code, Some(1), "it does not become healthy");
    let patience = std::time::Duration::from_mins(2);
    wait_until("it says what to type", patience, || {
        place.local("status").out.contains("local scale --when-shard-lost recreate")
    });
    place.local("scale --when-shard-lost recreate --yes").succeeded();
    eventually("all slots are served", || place.is_healthy("main"));
    let told = place.local("status").out;
    assert!(told.contains("! the data of slots 0-5460 was lost with all its copies"), "{told}");
    assert_eq!(place.status("main")["loop"]["losses"].as_array().unwrap().len(), 1);
    // What begins next tells it, too.
    place.local("down").succeeded();
    place.local("up").succeeded();
    eventually("it is told", || place.local("status").out.contains("was lost with all its copies"));
}
