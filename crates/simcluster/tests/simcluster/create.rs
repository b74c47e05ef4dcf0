//! A cluster is created by the plans and the runner that real servers get.

use crate::support::{cluster, look, on_all, until_healthy};
use std::time::Duration;

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
