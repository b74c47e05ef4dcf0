//! `tribune create`

use crate::support::{
    PROGRAM, addresses, assert_as_new, assert_cluster, assert_replicas_linked, command, run, tribune,
};
use std::path::Path;
use testservers::{Certificates, Servers, StockClient, any_engine, each_engine};

#[test]
fn six_servers_of_every_engine_become_a_cluster_that_a_stock_client_uses() {
    each_engine(|engine| {
        let servers = Servers::start(engine, 6);
        let nodes = addresses(&servers);
        let made = tribune(&format!("create --yes --replicas 1 {nodes}")).succeeded();
        assert!(made.out.contains("created: 3 shards with 1 replica each from 6 nodes"), "{made:#?}");
        assert_cluster(&servers, 3);
        assert_replicas_linked(&servers, 3);
        let mut client = StockClient::connect(&servers.addresses(), None);
        client.write(300);
        client.read(300);
        let again = tribune(&format!("create --replicas 1 {nodes}"));
        assert_eq!(again.code, Some(1), "it holds keys now: {again:#?}");
    });
}

#[test]
fn servers_of_every_engine_with_passwords_become_a_cluster_and_the_password_is_never_shown() {
    each_engine(|engine| {
        let servers = Servers::start_with(engine, 6, |builder, _| builder.password("open sesame"));
        let words = format!("create --yes --replicas 1 {}", addresses(&servers));
        tribune(&words).refused(1, &["asks for a password and none was given", "--askpass, or TRIBUNE_AUTH"]);
        for (variable, words) in
            [("TRIBUNE_AUTH", words.as_str()), ("VALKEYCLI_AUTH", &words), ("REDISCLI_AUTH", &words)]
        {
            let mut program = command(Path::new(PROGRAM));
            let made = run(program.args(words.split_whitespace()).env(variable, "open sesame")).succeeded();
            assert!(!format!("{made:?}").contains("sesame"), "{made:#?}");
        }
        assert_cluster(&servers, 3);
        assert_replicas_linked(&servers, 3);
        let mut client = StockClient::connect(&servers.addresses(), Some("open sesame"));
        client.write(30);
        client.read(30);
    });
}

#[test]
fn servers_of_every_engine_with_tls_become_a_cluster() {
    let certificates = Certificates::new();
    each_engine(|engine| {
        let servers = Servers::start_with(engine, 6, |builder, _| builder.tls(&certificates).tls_auth_clients(true));
        let tls = format!(
            "--tls --cacert {} --cert {} --key {}",
            certificates.ca().display(),
            certificates.client_cert().display(),
            certificates.client_key().display()
        );
        tribune(&format!("create --yes --replicas 1 {} {tls}", addresses(&servers))).succeeded();
        assert_cluster(&servers, 3);
        assert_replicas_linked(&servers, 3);
        tribune(&format!("check {} {tls}", servers[0].address())).succeeded();
    });
}

#[test]
fn a_cluster_that_is_made_already_is_left_alone() {
    let Some(engine) = any_engine() else { return };
    let servers = Servers::start(&engine, 6);
    let nodes = addresses(&servers);
    tribune(&format!("create --yes --replicas 1 {nodes}")).succeeded();
    let again = tribune(&format!("create --replicas 1 {nodes}")).succeeded();
    assert_eq!(again.out, "nothing to do: these nodes already form this cluster\n");
    tribune(&format!("create --shards 2 --replicas 2 {nodes}")).refused(1, &["already has another part"]);
}

#[test]
fn a_dry_run_shows_the_plan_with_its_reasons_and_changes_nothing() {
    let Some(engine) = any_engine() else { return };
    let servers = Servers::start(&engine, 6);
    let shown = tribune(&format!("create --dry-run --replicas 1 {}", addresses(&servers))).succeeded();
    for text in ["5461-10922", "replica 127.0.0.1:", "each node needs an epoch of its own", "Nothing has been changed"]
    {
        assert!(shown.out.contains(text), "no {text:?} in {shown:#?}");
    }
    servers.iter().for_each(assert_as_new);
}

#[test]
fn a_plan_as_json_says_what_is_done_why_and_what_will_be() {
    let Some(engine) = any_engine() else { return };
    let servers = Servers::start(&engine, 4);
    let run = tribune(&format!("create --yes --json --shards 2 --replicas 1 {}", addresses(&servers))).succeeded();
    let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(report["outcome"], "done");
    let plan: topology::plan::Plan = serde_json::from_value(report["plan"].clone()).unwrap();
    let slots = plan.expected_after.iter().map(|shard| shard.slots.len()).sum::<usize>();
    assert_eq!((slots, plan.expected_after.len()), (16384, 2));
    assert!(plan.steps.iter().all(|step| !step.reason.is_empty()));
    assert_cluster(&servers, 2);
}

#[test]
fn replicas_that_are_left_over_are_used_too() {
    let Some(engine) = any_engine() else { return };
    let servers = Servers::start(&engine, 8);
    tribune(&format!("create --yes --replicas 1 --shards 3 {}", addresses(&servers))).succeeded();
    assert_cluster(&servers, 3);
    assert_replicas_linked(&servers, 5);
}

#[test]
fn nodes_that_do_not_reach_each_other_are_named_with_their_ports() {
    let Some(engine) = any_engine() else { return };
    // The last node tells a bus port on which nobody listens.
    let servers = Servers::start_with(&engine, 3, |builder, index| {
        if index == 2 { builder.config("cluster-announce-bus-port", "1") } else { builder }
    });
    let run = tribune(&format!("create --yes --patience 2 {}", addresses(&servers)));
    assert_eq!(run.code, Some(1), "{run:#?}");
    let (first, last) = (servers[0].address(), servers[2].address());
    for text in [
        "do not all reach each other",
        &format!("{first} does not reach {last} on its cluster bus port 1"),
        "cluster-announce-bus-port",
        &format!("tribune create --undo {first}"),
    ] {
        assert!(run.err.contains(text), "no {text:?} in {run:#?}");
    }
}
