//! Cases in which a change of shape hung.

use super::{LONG, SECOND, tell};
use std::time::Duration;
use tokio::time::sleep;

/// A replica too many could not be removed for hours, because by then it was the primary (`KubeBlocks` #9609).
#[test]
fn c_06_fewer_replicas_after_failovers_leave_each_shard_its_primary() {
    tell(&[], 4, (5, 2), async |course| {
        for _ in 0..3 {
            let primaries = course.primaries();
            let one = primaries[usize::try_from(course.simulation.draw(5)).unwrap() % primaries.len()];
            if course.simulation.occurs(format!("server-{one}, a primary, dies")) {
                course.fleet.kill_for(&[one], SECOND);
            }
            sleep(Duration::from_millis(3_000 + course.simulation.draw(3_000))).await;
        }
        course.want(5, 1);
        course.settled(LONG).await;
        assert!(course.primaries().iter().all(|primary| course.replicas_of(*primary).len() == 1));
    });
}

/// One shard, from one to more, and the first replica: corner cases in which operators went round for ever (OT #1521; valkey-io #131, #135, #147;
/// hyperspike #186). All shapes are in `matrix`.
#[test]
fn b_08_from_one_shard_to_more_and_back_and_from_no_replica_to_one() {
    tell(&[], 4, (1, 0), async |course| {
        for (shards, replicas) in [(1, 1), (3, 1), (1, 1), (1, 0), (2, 0)] {
            course.want(shards, replicas);
            course.settled(LONG).await;
            course.check();
        }
    });
}
