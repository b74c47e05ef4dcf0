//! `tribune local scale`: the loop gives a cluster another shape while it serves.

use crate::{
    local::{Place, kill, runs},
    support::{Run, eventually},
};
use testservers::{Cluster, Writer, WriterOptions, any_engine, each_engine};

/// How many replicas each shard has, sorted.
fn shape(place: &Place) -> Vec<usize> {
    let status = place.status("main");
    let shards = status["cluster"]["shards"].as_array().unwrap().clone();
    let mut shape: Vec<usize> = shards.iter().map(|shard| shard["replicas"].as_array().map_or(0, Vec::len)).collect();
    shape.sort_unstable();
    shape
}

fn cluster(first: u16) -> Cluster {
    Cluster::at(&[format!("127.0.0.1:{first}"), format!("127.0.0.1:{}", first + 1)])
}

#[test]
fn every_shape_is_reached_while_a_client_writes_and_nothing_is_lost_on_every_engine() {
    each_engine(|engine| {
        let mut place = Place::new(engine.clone());
        let port = place.up("main", "--shards 3 --replicas 1", 12);
        let cluster = cluster(port);
        let writer = Writer::start(&cluster, &WriterOptions::default());
        for (shards, replicas) in [(4, 1), (2, 2), (1, 5), (3, 1)] {
            place.local(&format!("scale --shards {shards} --replicas {replicas} --yes")).succeeded();
            assert_eq!(shape(&place), vec![replicas; shards], "{shards} + {replicas}");
            assert_eq!(place.server_pids("main").len(), shards * (replicas + 1));
        }
        let members: Vec<u64> = place.status("main")["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(|member| member["port"].as_u64().unwrap())
            .collect();
        let left = Cluster::at(&members.iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>());
        writer.stop().assert_kept(&left);
        eventually("the cluster is well", || place.is_healthy("main"));
    });
}

#[test]
fn a_loop_that_is_killed_again_and_again_is_gone_on_from_by_the_next() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    let port = place.up("main", "--shards 2 --replicas 1", 12);
    let writer = Writer::start(&cluster(port), &WriterOptions::default());
    for (round, (shards, replicas)) in [(4, 1), (2, 1), (3, 1)].into_iter().enumerate() {
        let scaling = place.begin(&format!("scale --shards {shards} --replicas {replicas} --yes"));
        for kills in 0..3 {
            let doing = || place.status("main")["loop"]["settled"] == false;
            eventually("the loop is at work, or done", || doing() || shape(&place) == vec![replicas; shards]);
            if let Some(supervisor) = place.status("main")["supervisor_pid"].as_i64() {
                kill(supervisor);
                eventually("it is gone", || !runs(supervisor));
            }
            let up = place.local("up");
            let is_supervised = place.status("main")["supervisor_pid"].as_i64().is_some();
            let log = std::fs::read_to_string(place.directory("main").join("supervisor.log")).unwrap_or_default();
            assert!(is_supervised, "round {round}, kill {kills}: {up:#?}\n{log}");
        }
        drop(scaling);
        eventually("the shape is reached", || {
            place.status("main")["loop"]["settled"] == true && shape(&place) == vec![replicas; shards]
        });
    }
    let ports: Vec<String> = place.status("main")["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| format!("127.0.0.1:{}", member["port"]))
        .collect();
    writer.stop().assert_kept(&Cluster::at(&ports));
}

#[test]
fn a_shape_is_shown_before_it_is_asked_about_and_refused_where_there_is_no_loop() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    place.up("main", "--shards 1 --replicas 0", 3);
    let shown = place.local("scale --shards 2 --replicas 1 --dry-run").succeeded();
    assert!(shown.out.contains("from 1 shard with 0 replicas each to 2 shards with 1 replica each"), "{shown:#?}");
    assert!(shown.out.contains("3 new members start"), "{shown:#?}");
    assert_eq!(place.local("scale --shards 2").code, Some(1), "nobody can be asked");
    assert_eq!(place.server_pids("main").len(), 1);
    place.local("down").succeeded();
    place.local("scale --shards 2 --yes").refused(1, &["does not run"]);
}

#[test]
fn a_loop_that_is_held_changes_nothing_tells_what_it_would_do_and_goes_on_when_released() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    place.up("main", "--shards 1 --replicas 0", 2);
    place.local("hold --because maintenance").succeeded();
    let scaling = place.begin("scale --shards 2 --yes");
    eventually("it tells what it would do", || {
        let status = place.local("status").out;
        status.contains("maintenance") && status.contains("would") && status.contains("1 new member")
    });
    assert_eq!(place.server_pids("main").len(), 1);
    place.local("release").succeeded();
    eventually("it has gone on", || shape(&place) == [0, 0]);
    drop(scaling);
    assert!(place.local("release").succeeded().out.contains("it was not held"));
}

#[test]
fn what_a_loop_that_is_held_would_do_it_does_once_that_is_approved_and_nothing_after_it() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    place.up("main", "--shards 1 --replicas 0", 2);
    place.local("approve --yes").refused(1, &["there is nothing to approve"]);
    place.local("hold").succeeded();
    let waits = |run: &Run| run.code == Some(1) && run.err.contains("nothing has been changed yet");
    let wanted = place.local("scale --shards 2 --yes");
    assert!(
        waits(&wanted) && wanted.err.contains("local approve") && wanted.err.contains("1 new member"),
        "{wanted:#?}"
    );
    assert_eq!(place.server_pids("main").len(), 1);
    let approved = place.local("approve --yes").succeeded();
    assert!(approved.out.contains("1 new member") && approved.out.contains("held again"), "{approved:#?}");
    assert_eq!(shape(&place), [0, 0]);
    let wanted = place.local("scale --shards 1 --yes");
    assert!(waits(&wanted), "{wanted:#?}");
    assert_eq!(shape(&place), [0, 0]);
    place.local("release").succeeded();
    eventually("it has gone on", || shape(&place) == [0]);
}

#[test]
fn a_setting_that_is_given_while_the_loop_is_held_is_given_when_that_goes_on() {
    let Some(engine) = any_engine() else { return };
    let mut place = Place::new(engine);
    let first = place.up("main", "--shards 1 --replicas 0", 1);
    place.local("hold").succeeded();
    let wanted = place.local("set hz 17 --yes");
    assert!(wanted.code == Some(1) && wanted.err.contains("nothing has been changed yet"), "{wanted:#?}");
    assert!(!wanted.err.contains("everywhere again"), "it is not taken back: {wanted:#?}");
    assert_eq!(place.local("set").succeeded().out, "hz 17\n");
    let has_it = || super::agents::scene::call(first, "CONFIG GET hz").contains("17");
    assert!(!has_it());
    place.local("approve --yes").succeeded();
    assert!(has_it());
}
