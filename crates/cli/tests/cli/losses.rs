//! Data is lost: what others have of it is not.

use crate::{
    agents::scene::{Scene, call, engines},
    local::kill,
    support::{eventually, value},
};
use std::{fs, path::PathBuf, process::Command, time::Duration};
use testservers::{Cluster, Ledger, engine, wait_until};

/// A cluster that has been written to, and what was written: replicas have it, and all have written it to their files, which servers put off
/// while the disk is slow.
fn written(scene: &Scene) -> Ledger {
    let ledger = scene.writer().stop();
    ledger.assert_kept(&scene.cluster());
    let told = |port: u16, section: &str, name: &str| value(&call(port, &format!("INFO {section}")), name);
    let offset = |port: u16| told(port, "replication", "master_repl_offset");
    let has_all = |port: u16| scene.replicas_of(port).iter().all(|replica| offset(*replica) == offset(port));
    eventually("replicas have all", || scene.ports().filter(|port| scene.role(*port) == "primary").all(has_all));
    let is_zero = |port: u16, name: &str| told(port, "persistence", name).is_some_and(|text| text == "0");
    eventually("all is in files", || {
        let names = ["aof_buffer_length", "aof_pending_bio_fsync", "aof_rewrite_in_progress"];
        scene.ports().all(|port| names.iter().all(|name| is_zero(port, name)))
    });
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

/// Lets a member keep nothing on disk from its next start on.
fn keep_nothing(scene: &Scene, port: u16) {
    let conf = scene.place.directory("main").join(format!("members/{port}/server.conf"));
    let text = fs::read_to_string(&conf).unwrap().replace("appendonly yes", "appendonly no");
    fs::write(&conf, text).unwrap();
}

/// Kills all processes of the cluster at once, but for servers, which never outlive their agents.
fn kill_all(scene: &Scene) {
    let status = scene.place.status("main");
    let agents = status["members"].as_array().unwrap().iter().map(|member| &member["agent_pid"]);
    let pids = [&status["supervisor_pid"]].into_iter().chain(agents).map(ToString::to_string);
    // In one go, so that nobody sees another one die or starts it again.
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
            let log = scene.agent_log(scene.first);
            eprintln!("{name}, all: {all}\n{log}\n{}", scene.agent_log(replica));
            ledger.assert_kept(&scene.cluster());
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
        keep_nothing(&scene, scene.first);
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
    let patience = Duration::from_mins(2);
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

#[test]
fn a_cluster_of_which_nothing_is_left_begins_anew_only_when_that_is_asked_for_on_every_engine() {
    for engine in engines() {
        let mut place = crate::local::Place::new(engine);
        let first = place.up("main", "--shards 1 --replicas 1", 2);
        place.local("down").succeeded();
        for port in [first, first + 1] {
            let data = place.directory("main").join(format!("members/{port}/data"));
            fs::remove_dir_all(data.join("appendonlydir")).unwrap();
            fs::remove_file(data.join("nodes.conf")).unwrap();
        }
        let upping = place.begin("up");
        eventually("it says what to type", || {
            place.local("status").out.contains("local scale --when-shard-lost recreate")
        });
        drop(upping);
        assert_eq!(place.status("main")["loop"]["losses"], serde_json::Value::Null, "nothing is given up before that");
        place.local("scale --when-shard-lost recreate --yes").succeeded();
        eventually("all slots are served", || place.is_healthy("main"));
        let told = place.local("status").out;
        assert!(told.contains("! the data of slots 0-16383 was lost with all its copies"), "{told}");
        assert!(told.contains("nothing was left of the whole cluster"), "{told}");
    }
}

#[test]
fn a_single_shard_that_keeps_nothing_on_disk_is_taken_over_without_a_vote_on_every_engine() {
    for engine in engines() {
        let scene = Scene::up(engine, "--shards 1 --replicas 1", 2);
        let (primary, replica) = (scene.first, scene.first + 1);
        let ledger = written(&scene);
        keep_nothing(&scene, primary);
        fs::remove_dir_all(data(&scene, primary).join("appendonlydir")).unwrap();
        scene.kill_server(primary);
        eventually("the replica is the primary", || scene.role(replica) == "primary");
        eventually("the old primary is its replica", || scene.replicas_of(replica) == [primary]);
        scene.eventually_healthy();
        ledger.assert_kept(&scene.cluster());
        assert!(scene.agent_log(primary).contains("the data of this member is gone"), "{}", scene.agent_log(primary));
    }
}

#[test]
fn a_majority_of_primaries_that_cannot_start_is_replaced_by_one_takeover_and_an_election() {
    let Some(engine) = testservers::any_engine() else { return };
    let scene = Scene::up(engine, "", 6);
    let ledger = written(&scene);
    let dead = [scene.first, scene.first + 1];
    for port in dead {
        let conf = scene.place.directory("main").join(format!("members/{port}/server.conf"));
        let text = fs::read_to_string(&conf).unwrap();
        fs::write(&conf, format!("{text}no-such-setting yes\n")).unwrap();
    }
    let pids = dead.map(|port| scene.member(port)["server_pid"].to_string());
    assert!(Command::new("kill").arg("-KILL").args(pids).status().unwrap().success());
    eventually("they are expected back", || {
        scene.place.local("status").out.contains("is waited for, which has its data")
    });
    let log = || fs::read_to_string(scene.place.directory("main").join("supervisor.log")).unwrap();
    let takeovers = || log().matches(r#""kind":"takeover""#).count();
    wait_until("a replica takes over", Duration::from_mins(3), || takeovers() > 0);
    eventually("all slots are served again", || {
        let mut others = scene.ports().filter(|port| !dead.contains(port));
        others.all(|port| scene.member(port)["state_ok"] == true)
    });
    assert_eq!(takeovers(), 1, "{}", log());
    // They have been away for so long that others have been made in their place.
    scene.eventually_healthy();
    ledger.assert_kept(&Cluster::at(&[format!("127.0.0.1:{}", scene.first + 2)]));
}

#[test]
fn keys_that_a_move_without_a_trace_left_elsewhere_go_to_their_owner_before_their_holder_gives_its_last_slot_away() {
    let Some(engine) = engine("redis-7.0") else { return };
    let scene = Scene::up(engine, "--shards 4 --replicas 0", 4);
    let ledger = written(&scene);
    // The last shard is the one that leaves.
    let [owner, holder] = [scene.first, scene.first + 3];
    let is_owner = |key: &String| !call(owner, &format!("GET {key}")).contains("MOVED");
    let key = (0..200).map(|number| format!("stray:{number}")).find(is_owner).unwrap();
    let slot = call(owner, &format!("CLUSTER KEYSLOT {key}"));
    let slot = slot.trim_start_matches(':').lines().next().unwrap();
    let id = |port: u16| call(port, "CLUSTER MYID").lines().nth(1).unwrap().to_owned();
    kill(scene.place.status("main")["supervisor_pid"].as_i64().unwrap());
    eventually("the loop is gone", || scene.place.status("main")["supervisor_pid"].is_null());
    let importing = format!("CLUSTER SETSLOT {slot} IMPORTING {}", id(owner));
    let told = call(holder, &format!("{importing}\r\nASKING\r\nSET {key} kept\r\nCLUSTER SETSLOT {slot} STABLE"));
    assert_eq!(told.matches("+OK").count(), 5, "{told}");
    scene.place.local("up").succeeded();
    scene.place.local("scale --shards 3 --yes").succeeded();
    let cluster = Cluster::at(&[format!("127.0.0.1:{owner}")]);
    ledger.assert_kept(&cluster);
    let told: Vec<String> = (owner..holder).map(|port| call(port, &format!("GET {key}"))).collect();
    assert!(told.iter().any(|told| told.contains("kept")), "{told:?}");
}
