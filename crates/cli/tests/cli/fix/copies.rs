//! Replicas that never got a copy of their primary's data.

use crate::support::{eventually, tribune};
use testservers::{Cluster, Dataset, Options, Server, Servers, each_engine};

#[test]
fn a_replica_that_never_got_a_copy_is_not_made_the_primary_on_every_engine() {
    each_engine(|engine| {
        let servers = Servers::start_with(engine, 5, |builder, _| builder.config("cluster-replica-no-failover", "yes"));
        let [primaries @ .., synced, empty] = &servers[..] else { panic!("five") };
        let addresses: Vec<String> = primaries.iter().map(Server::address).collect();
        tribune(&format!("create --yes --replicas 0 {}", addresses.join(" "))).succeeded();
        let data = Dataset::generate(3, &Options::small(300));
        data.write(&Cluster::of(&servers));
        let (lost, entry) = (&primaries[0], primaries[1].address());
        let id = lost.call_ok(&["CLUSTER", "MYID"]);
        // A server without passwords refuses whoever shows it one.
        empty.call_ok(&["CONFIG", "SET", "masteruser", "nobody"]);
        empty.call_ok(&["CONFIG", "SET", "masterauth", "nothing"]);
        for replica in [synced, empty] {
            let (host, port) = entry.rsplit_once(':').unwrap();
            replica.call_ok(&["CLUSTER", "MEET", host, port]);
            eventually("it knows its primary", || replica.call(&["CLUSTER", "REPLICATE", &id]).contains("OK"));
        }
        let link_is = |up: bool| if up { "master_link_status:up" } else { "master_link_status:down" };
        eventually("one has a copy", || synced.call_ok(&["INFO", "replication"]).contains(link_is(true)));
        eventually("all know both", || primaries[1].call_ok(&["CLUSTER", "NODES"]).matches("slave").count() == 2);
        assert!(empty.call_ok(&["INFO", "replication"]).contains(link_is(false)));
        synced.kill();
        lost.kill();
        let nodes = || primaries[1].call_ok(&["CLUSTER", "NODES"]);
        eventually("both are called failed", || nodes().matches(",fail,").count() == 2);
        let refused = tribune(&format!("fix {entry} --yes"));
        assert_eq!(refused.code, Some(1), "{refused:#?}");
        assert!(!refused.err.contains("tribune failover"), "{refused:#?}");
        let shown = tribune(&format!("fix {entry} --dry-run --fix-with-unreachable-primaries"));
        assert!(!shown.out.contains("promote") && !shown.out.contains(&empty.address()), "{shown:#?}");
    });
}
