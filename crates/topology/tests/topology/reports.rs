//! What reports tell of recorded clusters.

use crate::recorded;
use topology::report::ClusterReport;

#[test]
fn shards_are_told_with_their_members_in_every_state_that_has_a_whole_cluster() {
    for recorded in recorded::all() {
        let shards = match recorded.state {
            "fresh" => 6,
            "noaddr" => 4,
            _ => 3,
        };
        let report = ClusterReport::new(&recorded.view());
        assert_eq!(report.shards.len(), shards, "{}", recorded.name);
        assert_eq!(report.nodes().count(), 6, "every node is somewhere: {}", recorded.name);
        let others: Vec<u16> = report.others.iter().map(|node| node.address.port).collect();
        assert_eq!(others, if recorded.state == "failed-over" { vec![7001] } else { vec![] }, "{}", recorded.name);
        let version = report.servers.join(" ");
        assert!(version.starts_with(&recorded.engine.replace('-', " ")), "one engine and version: {version}");
        let reached = matches!(recorded.state, "killed" | "suspected" | "minority");
        if !reached && !matches!(recorded.state, "fresh" | "noaddr") {
            let keys = if recorded.state == "databases" { 55 } else { 30 };
            assert_eq!(report.keys, keys, "keys of replicas do not count twice: {}", recorded.name);
        }
    }
}

#[test]
fn a_replica_in_step_has_no_lag_and_one_without_link_tells_none() {
    for recorded in recorded::each_engine("killed") {
        let report = ClusterReport::new(&recorded.view());
        let (lost, others): (Vec<_>, Vec<_>) = report.shards.iter().partition(|shard| !shard.primary.answers);
        assert_eq!(lost.len(), 1);
        assert!(lost[0].replicas.iter().all(|replica| replica.linked == Some(false) && replica.lag_bytes.is_none()));
        let replicas: Vec<_> = others.iter().flat_map(|shard| &shard.replicas).collect();
        assert_eq!(replicas.len(), 2);
        assert!(replicas.iter().all(|replica| replica.lag_bytes == Some(0)), "{}: {replicas:?}", recorded.name);
    }
}
