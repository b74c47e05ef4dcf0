//! What the reference gives up on, or gets wrong.

use super::lab::Lab;
use crate::support::{addresses, eventually, tribune};
use std::fs;
use testservers::{Cluster, Dataset, Options, Server, Servers, any_engine, each_engine};

#[test]
fn what_the_reference_gives_up_on_is_repaired_in_one_run_on_every_engine() {
    each_engine(|engine| {
        let mut lab = Lab::new(engine);
        // Two nodes import, each holds keys, and the owner means none of them.
        let (several, keys) = lab.slot(2);
        lab.importing(1, several, 0);
        lab.importing(2, several, 0);
        lab.send(&keys[0], 0, 1);
        lab.send(&keys[1], 0, 2);
        // The owner sends to one, and another one holds keys, too.
        let (third, keys) = lab.slot(2);
        lab.importing(1, third, 0);
        lab.importing(2, third, 0);
        lab.send(&keys[0], 0, 2);
        lab.migrating(0, third, 1);
        // The source has closed the slot, the destination has not heard of it.
        let (closed, keys) = lab.slot(1);
        lab.importing(1, closed, 0);
        for key in &keys {
            lab.send(key, 0, 1);
        }
        let id = lab.id(1);
        lab.servers[0].call_ok(&["CLUSTER", "SETSLOT", &closed.to_string(), "NODE", &id]);
        let dry = tribune(&format!("fix {} --dry-run", lab.entry())).succeeded();
        assert!(dry.out.contains("Nothing has been changed"), "{dry:#?}");
        let before = tribune(&format!("check {}", lab.entry()));
        assert_eq!(before.code, Some(1), "nothing was changed: {before:#?}");
        let fixed = tribune(&format!("fix {} --yes", lab.entry())).succeeded();
        assert!(fixed.out.contains("done: slots"), "{fixed:#?}");
        lab.assert_mended("all at once");
        assert_eq!([several, third, closed].map(|slot| lab.owners(slot)), [vec![0], vec![1], vec![1]]);
        let again = tribune(&format!("fix {} --yes", lab.entry())).succeeded();
        assert!(again.out.starts_with("nothing to repair"), "{again:#?}");
    });
}

#[test]
fn the_owners_value_stays_even_where_it_is_told_to_replace_on_every_engine() {
    each_engine(|engine| {
        let mut lab = Lab::new(engine);
        let (slot, keys) = lab.slot(2);
        lab.stray(slot, &keys[0], 1);
        lab.importing(1, slot, 0);
        lab.servers[1].call(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        lab.write_stale(&keys[0], 1);
        let words = format!("--cluster fix {} --cluster-replace", lab.entry());
        let fixed = tribune(&words).succeeded();
        assert_eq!(fixed.err, "", "{fixed:#?}");
        lab.assert_mended("an older value on the importing node");
    });
}

#[test]
fn a_key_that_may_be_newer_is_named_and_kept_and_the_rest_is_repaired_on_every_engine() {
    each_engine(|engine| {
        // Servers that do not count idle time cannot tell which of two values is newer.
        let mut lab = Lab::with(engine, |builder| builder.config("maxmemory-policy", "allkeys-lfu"));
        let (doubtful, keys) = lab.slot(2);
        lab.stray(doubtful, &keys[0], 1);
        lab.importing(1, doubtful, 0);
        lab.write_stale(&keys[0], 1);
        let (clear, _) = lab.slot(1);
        lab.importing(2, clear, 0);
        let (bare, _) = lab.slot(0);
        lab.nobodys(bare);
        let fixed = tribune(&format!("fix {} --yes", lab.entry()));
        assert_eq!(fixed.code, Some(1), "{fixed:#?}");
        assert!(fixed.err.contains(&keys[0]) && fixed.err.contains("--replace"), "{fixed:#?}");
        assert!(lab.servers[1].call_ok(&["CLUSTER", "NODES"]).contains(&format!("[{doubtful}-<-")), "it can be found");
        assert!(!lab.servers[2].call_ok(&["CLUSTER", "NODES"]).contains(&format!("[{clear}-<-")), "the rest is closed");
        assert_eq!(lab.owners(bare).len(), 1);
        let named = tribune(&format!("--cluster fix {}", lab.entry()));
        assert_eq!(named.code, Some(1));
        assert!(named.out.contains(&format!("    - {}\n", keys[0])), "{named:#?}");
        tribune(&format!("fix {} --yes --replace", lab.entry())).succeeded();
        lab.assert_mended("the owner's value was wanted");
    });
}

#[test]
fn a_doubtful_key_keeps_no_other_slot_of_its_move_from_being_moved_on_every_engine() {
    each_engine(|engine| {
        let mut lab = Lab::with(engine, |builder| builder.config("maxmemory-policy", "allkeys-lfu"));
        // More slots than are open at a time, with doubtful ones in the first batch and in the last; another node holds keys of one that moves.
        let slots: Vec<(u16, Vec<String>)> = (0..30).map(|_| lab.slot(1)).collect();
        let doubtful = [&slots[1], &slots[28]];
        lab.stray(slots[27].0, &slots[27].1[0], 2);
        lab.importing(2, slots[27].0, 0);
        lab.stray(slots[28].0, &slots[28].1[0], 2);
        lab.importing(2, slots[28].0, 0);
        for (slot, keys) in doubtful {
            lab.stray(*slot, &keys[0], 1);
            lab.importing(1, *slot, 0);
            lab.write_stale(&keys[0], 1);
        }
        for (slot, _) in &slots {
            lab.importing(1, *slot, 0);
            lab.migrating(0, *slot, 1);
        }
        let fixed = tribune(&format!("fix {} --yes", lab.entry()));
        assert_eq!(fixed.code, Some(1), "{fixed:#?}");
        for (slot, keys) in doubtful {
            assert!(fixed.err.contains(&keys[0]) && fixed.err.contains("--replace"), "{slot} in {fixed:#?}");
            assert_eq!(lab.owners(*slot), [0], "a slot with a doubtful key stays: {fixed:#?}");
        }
        let open: Vec<String> = doubtful.iter().map(|(slot, _)| format!("[{slot}->-")).collect();
        let nodes = lab.servers[0].call_ok(&["CLUSTER", "NODES"]);
        assert!(open.iter().all(|mark| nodes.contains(mark)), "they can be found: {nodes}");
        assert_eq!(nodes.matches("->-").count(), 2, "the rest is closed: {nodes}");
        for (slot, _) in slots.iter().filter(|(slot, _)| doubtful.iter().all(|(other, _)| other != slot)) {
            assert_eq!(lab.owners(*slot), [1], "{slot}: {fixed:#?}");
        }
        tribune(&format!("fix {} --yes --replace", lab.entry())).succeeded();
        lab.assert_mended("the owner's values were wanted");
    });
}

#[test]
fn stray_keys_are_found_wherever_they_are_on_every_engine() {
    each_engine(|engine| {
        let mut lab = Lab::new(engine);
        let (slot, keys) = lab.slot(2);
        lab.stray(slot, &keys[0], 1);
        let plain = tribune(&format!("fix {} --yes", lab.entry())).succeeded();
        assert!(plain.out.starts_with("nothing to repair"), "{plain:#?}");
        let found = tribune(&format!("fix {} --yes --search-multiple-owners --json", lab.entry())).succeeded();
        let report: serde_json::Value = serde_json::from_str(&found.out).unwrap();
        assert_eq!(report["outcome"], "done", "{report:#}");
        assert_eq!(report["plan"]["steps"][0]["action"], "gather-keys", "{report:#}");
        lab.assert_mended("stray keys");
        assert_eq!(lab.owners(slot), [0]);
        let searched = tribune(&format!("check {} --search-multiple-owners", lab.entry())).succeeded();
        assert!(searched.out.contains("healthy"), "{searched:#?}");
    });
}

#[test]
fn a_lost_primary_stops_a_repair_until_its_replica_may_take_over() {
    let Some(engine) = any_engine() else { return };
    let servers = Servers::start_with(&engine, 6, |builder, _| builder.config("cluster-replica-no-failover", "yes"));
    tribune(&format!("create --yes --replicas 1 {}", addresses(&servers))).succeeded();
    let data = Dataset::generate(3, &Options::small(300));
    data.write(&Cluster::of(&servers));
    let primaries: Vec<&Server> =
        servers.iter().filter(|server| server.call_ok(&["ROLE"]).starts_with("master")).collect();
    for primary in &primaries {
        assert_eq!(primary.call_ok(&["WAIT", "1", "5000"]), "1");
    }
    primaries[1].kill();
    let entry = primaries[0].address();
    let nodes = || primaries[0].call_ok(&["CLUSTER", "NODES"]);
    eventually("the others call it failed", || nodes().contains(",fail") && !nodes().contains("fail?"));
    let refused = tribune(&format!("fix {entry} --yes"));
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("tribune failover 127.0.0.1:"), "{refused:#?}");
    let told = tribune(&format!("doctor {entry}"));
    assert_eq!(told.code, Some(1));
    assert!(told.out.contains("what it means") && told.out.contains("tribune failover 127.0.0.1:"), "{told:#?}");
    // By the name that the older tools have for it.
    tribune(&format!("fix {entry} --yes --fix-with-unreachable-masters")).succeeded();
    eventually("every slot is served", || primaries[0].call_ok(&["CLUSTER", "INFO"]).contains("cluster_state:ok"));
    data.assert_same(&Cluster::at(&[entry]));
}

#[test]
fn a_doctor_tells_what_it_means_as_text_and_as_json() {
    let Some(engine) = any_engine() else { return };
    let mut lab = Lab::new(&engine);
    let (slot, _) = lab.slot(1);
    lab.migrating(0, slot, 1);
    lab.importing(1, slot, 0);
    let told = tribune(&format!("doctor {}", lab.entry()));
    assert_eq!(told.code, Some(1));
    for part in ["what it means", "if nothing is done", "what mends it", &format!("tribune resume {}", lab.entry())] {
        assert!(told.out.contains(part), "no {part:?} in {told:#?}");
    }
    let json = tribune(&format!("doctor {} --json", lab.entry()));
    let report: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(report["findings"][0]["code"], "slots-open", "{report:#}");
    assert!(report["findings"][0]["explanation"]["meaning"].as_str().unwrap().contains("on its way"), "{report:#}");
    assert!(fs::exists(env!("CARGO_MANIFEST_DIR").to_owned() + "/../../docs/schema/doctor.json").unwrap());
    tribune(&format!("resume {} --yes", lab.entry())).succeeded();
    lab.assert_mended("what the doctor said");

    // Healthy all the same, but to be known.
    lab.servers[1].call_ok(&["CONFIG", "SET", "cluster-node-timeout", "1234"]);
    let told = tribune(&format!("doctor {}", lab.entry())).succeeded();
    let cure = told.out.lines().find_map(|line| line.strip_prefix("  do   tribune set-timeout ")).unwrap_or_default();
    assert!(
        told.out.contains(&format!("{} takes others for lost after 1234 ms", lab.servers[1].address())),
        "{told:#?}"
    );
    tribune(&format!("set-timeout {cure} --yes")).succeeded();
    assert!(!tribune(&format!("doctor {}", lab.entry())).succeeded().out.contains("for lost after"));
}
