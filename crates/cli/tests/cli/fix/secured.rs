//! A repair of a cluster with TLS, a password, several databases and replicas.

use super::lab::slot_of;
use crate::support::{PROGRAM, Run, addresses, assert_replicas_linked, command, eventually, run};
use std::{collections::BTreeMap, path::Path};
use testservers::{Certificates, Cluster, Dataset, Options, Server, Servers, engine};

#[test]
fn tls_a_password_several_databases_and_replicas_make_no_difference() {
    let Some(engine) = engine("valkey-9.1") else { return };
    let certificates = Certificates::new();
    let servers = Servers::start_with(&engine, 6, |builder, _| {
        builder.tls(&certificates).password("secret").config("cluster-databases", "2")
    });
    let secured = |words: &str| -> Run {
        let mut program = command(Path::new(PROGRAM));
        program.args(words.split_whitespace()).arg("--tls").arg("--cacert").arg(certificates.ca());
        run(program.env("TRIBUNE_AUTH", "secret"))
    };
    secured(&format!("create --yes --replicas 1 {}", addresses(&servers))).succeeded();
    let data = Dataset::generate(5, &Options { databases: 2, ..Options::small(600) });
    data.write(&Cluster::of(&servers));
    let primaries: Vec<&Server> =
        servers.iter().filter(|server| server.call_ok(&["ROLE"]).contains("master")).collect();
    let [first, second] = [primaries[0], primaries[1]];
    let [source, destination] = [first, second].map(|server| server.call_ok(&["CLUSTER", "MYID"]));
    let mut slots: BTreeMap<u16, Vec<(u32, String)>> = BTreeMap::new();
    for (database, key) in data.keys() {
        slots.entry(slot_of(key)).or_default().push((database, String::from_utf8(key.to_vec()).unwrap()));
    }
    // The first primary owns the lowest slots.
    let mut with_keys =
        slots.iter().filter(|(slot, keys)| **slot <= 5000 && keys.iter().any(|(database, _)| *database == 1));
    let mut next = || with_keys.next().unwrap();
    let set = |server: &Server, slot: u16, words: &[&str]| {
        let slot = slot.to_string();
        server.call_ok(&[&["CLUSTER", "SETSLOT", &slot], words].concat());
    };
    // Half-way, with no key sent; waited for by nobody who sends; and nobody's.
    let (moving, _) = next();
    set(second, *moving, &["IMPORTING", &source]);
    set(first, *moving, &["MIGRATING", &destination]);
    let (waiting, _) = next();
    set(second, *waiting, &["IMPORTING", &source]);
    let (bare, _) = next();
    for primary in &primaries {
        primary.call_ok(&["CLUSTER", "DELSLOTS", &bare.to_string()]);
    }
    let entry = second.address();
    assert_eq!(secured(&format!("check {entry}")).code, Some(1));
    let fixed = secured(&format!("fix {entry} --yes")).succeeded();
    assert!(!format!("{fixed:?}").contains("secret"), "{fixed:#?}");
    eventually("all serve, and none has a mark", || {
        servers.iter().all(|server| {
            let (info, nodes) = (server.call_ok(&["CLUSTER", "INFO"]), server.call_ok(&["CLUSTER", "NODES"]));
            info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384") && !nodes.contains('[')
        })
    });
    secured(&format!("check {entry}")).succeeded();
    data.assert_same(&Cluster::of(&servers));
    assert_replicas_linked(&servers, 3);
    let moved = second.call_ok(&["CLUSTER", "COUNTKEYSINSLOT", &moving.to_string()]);
    assert_ne!(moved, "0", "the move was finished");
}
