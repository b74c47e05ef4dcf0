//! What each command promises, on every engine and in every dialect, while a client keeps writing.

use super::scene::{Scene, dialects};
use crate::support::{eventually, value};
use testservers::{Writer, WriterOptions, each_engine};

fn writer() -> WriterOptions {
    WriterOptions { keys: 300, per_second: Some(500), ..WriterOptions::default() }
}

#[test]
fn a_reshard_moves_exactly_as_many_slots_with_all_they_hold_in_every_dialect() {
    each_engine(|engine| {
        let scene = Scene::new(engine, 6, 3, 300);
        let writer = Writer::start(&scene.cluster(), &writer());
        let mut owned = [0, 1, 2].map(|node| scene.slots(node).len());
        for dialect in dialects(engine) {
            let run = scene.tribune(&format!("{} --dialect {dialect}", scene.reshard(343, 0, 1))).succeeded();
            assert!(!run.err.contains("could not move"), "{dialect}: {run:#?}");
            owned = [owned[0] - 343, owned[1] + 343, owned[2]];
            assert_eq!([0, 1, 2].map(|node| scene.slots(node).len()), owned, "{dialect}");
        }
        // From all others, in the words of the reference tools: not one word on standard error.
        let entry = scene.address(0);
        let words = format!("reshard {entry} --cluster-from all --cluster-to {} --cluster-slots 101", scene.id(2));
        let run = scene.tribune(&format!("--cluster {words} --cluster-yes")).succeeded();
        assert_eq!(run.err, "");
        assert_eq!(scene.slots(2).len(), owned[2] + 101);
        eventually("much was written", || writer.acknowledged() > 100);
        let ledger = writer.stop();
        scene.assert_whole();
        scene.assert_replicas_in_sync();
        ledger.assert_kept(&scene.cluster());
    });
}

#[test]
fn a_rebalance_shares_out_and_drains_and_fills_on_every_engine() {
    each_engine(|engine| {
        let scene = Scene::new(engine, 4, 4, 200);
        let entry = scene.address(0);
        let owned = || [0, 1, 2, 3].map(|node| scene.slots(node).len());
        let own = |words: &str| scene.tribune(&format!("rebalance {entry} --yes {words}"));
        let reference = |words: &str| {
            let run = scene.tribune(&format!("--cluster rebalance {entry} {words}"));
            assert_eq!(run.err, "");
            run.succeeded()
        };
        let [first, last] = [0, 3].map(|node| scene.id(node));
        // Within the threshold nothing moves, and what is only simulated neither.
        assert!(reference("").out.contains("No rebalancing needed"));
        assert!(reference(&format!("--cluster-weight {first}=3 --cluster-simulate")).out.contains("Moving"));
        assert_eq!(owned(), [4096; 4]);
        own(&format!("--weight {first}=3")).succeeded();
        assert_eq!(owned()[0], 8192);
        let writer = Writer::start(&scene.cluster(), &writer());
        for dialect in dialects(engine) {
            own(&format!("--weight {last}=0 --threshold 0 --dialect {dialect}")).succeeded();
            assert_eq!(scene.slots(3).len(), 0, "{dialect}: drained");
            // A drained primary becomes a replica; it is to be an empty primary again.
            if !super::scene::myself(&scene.servers[3]).contains("master") {
                scene.tribune(&format!("repurpose {} --yes", scene.address(3))).succeeded();
            }
            own(&format!("--use-empty-masters --dialect {dialect}")).succeeded();
            assert_eq!(owned(), [4096; 4], "{dialect}");
        }
        reference(&format!("--cluster-weight {}=0.5 --cluster-threshold 1", &first[..12]));
        assert_eq!(owned()[0], 2341);
        let ledger = writer.stop();
        scene.assert_whole();
        ledger.assert_kept(&scene.cluster());
    });
}

#[test]
fn a_cluster_is_scaled_from_one_shard_to_three_and_back_on_every_engine() {
    each_engine(|engine| {
        let scene = Scene::new(engine, 6, 1, 300);
        scene.servers[0].call_ok(&["FUNCTION", "LOAD", LIBRARY]);
        let writer = Writer::start(&scene.cluster(), &writer());
        let shape = || {
            let mut owned: Vec<usize> = (0..6).map(|node| scene.slots(node).len()).collect();
            owned.sort_unstable();
            owned
        };
        let scale = |shards: usize| {
            scene.tribune(&format!("scale {} --shards {shards} --yes", scene.address(0))).succeeded();
        };
        scale(3);
        assert_eq!(shape(), [0, 0, 0, 5461, 5461, 5462]);
        for server in &scene.servers {
            let info = server.call_ok(&["INFO", "replication"]);
            let told = |name: &str| value(&info, name).unwrap_or_default();
            let replicas = if told("role") == "master" { "1" } else { "0" };
            assert_eq!(told("connected_slaves"), replicas, "one replica for each primary: {info}");
            assert!(server.call_ok(&["FUNCTION", "LIST"]).contains("greetings"), "{} lacks it", server.address());
        }
        // What is written meanwhile is not to be counted.
        scene.assert_settled();
        scale(1);
        assert_eq!(shape(), [0, 0, 0, 0, 0, 16384]);
        let ledger = writer.stop();
        scene.assert_whole();
        scene.assert_replicas_in_sync();
        ledger.assert_kept(&scene.cluster());
    });
}

#[test]
fn replicas_that_change_their_primary_hold_what_it_holds_and_not_what_their_last_one_held() {
    each_engine(|engine| {
        let scene = Scene::new(engine, 6, 1, 300);
        scene.assert_replicas_in_sync();
        // Nobody writes: all replicas have come as far, and those of one could take up where they stopped with another.
        scene.tribune(&format!("scale {} --shards 3 --yes", scene.address(0))).succeeded();
        scene.assert_replicas_in_sync();
        for server in &scene.servers {
            let errors = server.call_ok(&["INFO", "errorstats"]);
            assert!(!errors.contains("BUSYKEY"), "{}: {errors}", server.address());
        }
        scene.assert_whole();
    });
}

#[test]
fn replicas_become_primaries_beside_theirs_or_in_its_place_on_every_engine() {
    each_engine(|engine| {
        let scene = Scene::new(engine, 6, 3, 200);
        let writer = Writer::start(&scene.cluster(), &writer());
        let is_primary = |node: usize| super::scene::myself(&scene.servers[node]).contains("master");
        let owned_by_first = scene.slots(0);
        let heir = (3..6).find(|node| {
            let line = super::scene::myself(&scene.servers[*node]);
            line.contains(&scene.id(0))
        });
        let heir = heir.unwrap();
        scene.tribune(&format!("failover {} --yes", scene.address(heir))).succeeded();
        assert_eq!((scene.slots(heir), scene.slots(0).len()), (owned_by_first.clone(), 0));
        let ledger = writer.stop();
        ledger.assert_kept(&scene.cluster());
        scene.tribune(&format!("failover {} --force --yes", scene.address(0))).succeeded();
        assert_eq!(scene.slots(0), owned_by_first);
        scene.tribune(&format!("repurpose {} --yes", scene.address(heir))).succeeded();
        assert_eq!((is_primary(heir), scene.slots(heir).len()), (true, 0));
        let other = (3..6).find(|node| *node != heir).unwrap();
        scene.tribune(&format!("repurpose {} --fair --yes", scene.address(other))).succeeded();
        assert_eq!(scene.slots(other).len(), 4096);
        scene.assert_data();
        ledger.assert_kept(&scene.cluster());
        assert_eq!(scene.open(), Vec::<String>::new());
    });
}

const LIBRARY: &str = "#!lua name=greetings\nredis.register_function('greet', function() return 'hello' end)";
