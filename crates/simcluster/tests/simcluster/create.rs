//! A cluster is created by the plans and the runner that real servers get.

use crate::support::{cluster, look, on_all, until_healthy};
use simcluster::{Writer, WriterOptions};
use std::time::Duration;
use tokio::time::sleep;

#[test]
fn six_new_servers_become_a_cluster() {
    on_all(0..3, |simulation, profile| async move {
        cluster(&simulation, profile, 3).await;
        until_healthy(&simulation, Duration::from_secs(1)).await;
        let view = look(&simulation).await.view;
        assert_eq!(view.shards().len(), 3);
        assert!(view.shards().iter().all(|shard| shard.replicas.len() == 1));
        assert!(simulation.unserved_slots().is_empty());
    });
}

#[test]
fn a_cluster_that_is_formed_at_once_is_like_one_that_was_created() {
    on_all(0..3, |simulation, profile| async move {
        simulation.add_servers(6, profile);
        sleep(Duration::from_millis(100)).await;
        simulation.form(&[vec![0, 3], vec![1, 4], vec![2, 5]]);
        let writer = Writer::start(&simulation, &WriterOptions::default());
        until_healthy(&simulation, Duration::from_millis(500)).await;
        sleep(Duration::from_secs(30)).await;
        until_healthy(&simulation, Duration::ZERO).await;
        let (ledger, lost) = writer.stop().await;
        assert!(lost.is_empty() && ledger.failed == 0 && ledger.worst_gap < Duration::from_secs(1), "{ledger:?}");
        assert!((3..6).all(|replica| simulation.keys(replica) > 0), "the replicas follow");
    });
}
