//! `tribune check`, `info`, `status`

use crate::support::{cluster, eventually, tribune};
use testservers::{StockClient, any_engine, each_engine};

#[test]
fn a_healthy_cluster_is_healthy_for_all_three_on_every_engine() {
    each_engine(|engine| {
        let servers = cluster(engine, 6, 1);
        StockClient::connect(&servers.addresses(), None).write(100);
        let entry = servers[5].address();
        let check = tribune(&format!("check {entry}")).succeeded();
        assert!(check.out.starts_with("healthy: 6 of 6 nodes answer, 16384 of 16384 slots served"), "{check:#?}");
        let info = tribune(&format!("info {entry}")).succeeded();
        assert!(info.out.contains("100 keys in 3 shards"), "{info:#?}");
        let status = tribune(&format!("status {entry}")).succeeded();
        for text in ["3 shards, 3 replicas", "16384 slots", "100 keys", "healthy", "0-5460", "in sync", "█", &entry] {
            assert!(status.out.contains(text), "no {text:?} in {status:#?}");
        }
        assert_eq!((check.err, info.err, status.err), (String::new(), String::new(), String::new()));
    });
}

#[test]
fn json_of_all_three_can_be_read_back() {
    let Some(engine) = any_engine() else { return };
    let servers = cluster(&engine, 3, 0);
    let entry = servers[0].address();
    let check = tribune(&format!("check --json {entry}")).succeeded();
    let check: topology::report::CheckReport = serde_json::from_str(&check.out).unwrap();
    assert!(check.healthy && check.nodes == 3 && check.format == 1);
    for words in ["info", "status"] {
        let run = tribune(&format!("{words} --json {entry}")).succeeded();
        let report: topology::report::ClusterReport = serde_json::from_str(&run.out).unwrap();
        assert_eq!((report.shards.len(), report.slots_served), (3, 16384));
    }
}

#[test]
fn an_open_slot_is_a_problem_with_its_slot_and_both_ends() {
    let Some(engine) = any_engine() else { return };
    let servers = cluster(&engine, 3, 0);
    let (from, to) = (&servers[0], &servers[1]);
    from.call_ok(&["CLUSTER", "SETSLOT", "5", "MIGRATING", &to.call_ok(&["CLUSTER", "MYID"])]);
    let run = tribune(&format!("check {}", servers[2].address()));
    assert_eq!(run.code, Some(1), "{run:#?}");
    let what = format!("slot 5 is open: migrating from {} to {}", from.address(), to.address());
    assert!(run.out.contains(&what) && run.out.contains("1 problem\n"), "{run:#?}");
}

#[test]
fn keys_on_a_node_that_does_not_own_their_slot_are_found_on_every_engine() {
    each_engine(|engine| {
        let servers = cluster(engine, 3, 0);
        // foo is in slot 12182, of the third node; the first takes it in while the slot is imported there.
        let (stray, owner) = (&servers[0], &servers[2]);
        stray.call_ok(&["CLUSTER", "SETSLOT", "12182", "IMPORTING", &owner.call_ok(&["CLUSTER", "MYID"])]);
        owner.call_ok(&["SET", "foo", "1"]);
        owner.call_ok(&["MIGRATE", "127.0.0.1", &stray.port().to_string(), "foo", "0", "5000", "COPY"]);
        stray.call_ok(&["CLUSTER", "SETSLOT", "12182", "STABLE"]);
        let run = tribune(&format!("check --search-multiple-owners {}", servers[1].address()));
        assert_eq!(run.code, Some(1), "{run:#?}");
        let told = format!("{} holds keys of 1 slot that it does not own: slot 12182", stray.address());
        // Redis 8.4 and later do not tell the slot.
        let counted = format!("{} holds 1 key outside of its slots", stray.address());
        assert!(run.out.contains(if engine.name == "redis-8.6" { &counted } else { &told }), "{run:#?}");
        tribune(&format!("check {}", servers[1].address())).succeeded();
    });
}

#[test]
fn a_lost_primary_is_a_problem_with_its_address() {
    let Some(engine) = any_engine() else { return };
    let servers = cluster(&engine, 3, 0);
    let lost = servers[1].address();
    servers[1].kill();
    let entry = servers[0].address();
    let run = tribune(&format!("check {entry}"));
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.out.contains(&format!("{lost} refuses connections")), "{run:#?}");
    eventually("the others call it failed", || {
        tribune(&format!("check {entry}")).out.contains("2 of 2 nodes call it failed")
    });
    let status = tribune(&format!("status {entry}"));
    assert!(status.out.contains(&lost) && status.out.contains("not healthy"), "{status:#?}");
    servers[1].restart();
    eventually("it is healthy again", || tribune(&format!("check {entry}")).code == Some(0));
}
