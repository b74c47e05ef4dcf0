//! A replica of a shard that has several goes to a primary that has lost its last one (`cluster-allow-replica-migration`).

use super::{Known, Server};
use crate::bus::{Bus, Millis};
use topology::NodeId;

/// How long a primary must have been without replicas (`CLUSTER_SLAVE_MIGRATION_DELAY`).
const DELAY: Millis = 5000;
/// Replicas that must be left behind (`cluster-migration-barrier`).
const BARRIER: usize = 1;

impl Server {
    /// Working replicas of a node.
    fn working_replicas(&self, of: NodeId) -> usize {
        let works = |known: &&Known| known.is_replica && known.primary == Some(of) && !known.has_failed;
        self.nodes.values().filter(works).count()
    }

    /// Takes note of primaries without replicas, and goes to one of them where it is its turn: `clusterHandleSlaveMigration`.
    pub(super) fn look_for_orphans(&mut self, bus: &mut Bus) {
        if self.is_primary() || !self.settings.replica_migration {
            return;
        }
        let now = bus.now;
        let primaries: Vec<NodeId> =
            self.nodes.values().filter(|known| !known.is_replica && known.owns_slots()).map(|known| known.id).collect();
        let counts: Vec<(NodeId, usize)> = primaries.iter().map(|id| (*id, self.working_replicas(*id))).collect();
        for (id, replicas) in &counts {
            if let Some(known) = self.nodes.get_mut(id) {
                let is_orphan = *replicas == 0 && known.had_replicas && !known.has_failed;
                known.orphaned_at = match (is_orphan, known.orphaned_at) {
                    (false, _) => 0,
                    (true, 0) => now,
                    (true, since) => since,
                };
            }
        }
        let most = counts.iter().map(|(_, replicas)| *replicas).max().unwrap_or_default();
        let Some(own) = self.primary() else { return };
        let has_most = counts.iter().any(|(id, replicas)| *id == own && *replicas == most);
        if most <= BARRIER || !has_most || !self.state_ok {
            return;
        }
        let is_ripe = |known: &&Known| known.orphaned_at > 0 && now - known.orphaned_at > DELAY;
        let Some(target) = self.nodes.values().find(is_ripe).map(|known| known.id) else { return };
        // Of all that could go, the one with the smallest id.
        let could_go = |known: &&Known| {
            known.is_replica && !known.has_failed && known.primary.is_some_and(|of| counts.contains(&(of, most)))
        };
        if self.nodes.values().find(could_go).map(|known| known.id) == Some(self.me) {
            self.note(bus, format_args!("goes to {}, which has no replica", target.short()));
            self.follow(bus, target);
        }
    }
}
