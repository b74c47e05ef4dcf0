//! What is seen of a cluster before something is done to it.

use crate::{Cluster, address};
use operations::{observe, port::Dialer};
use std::collections::{BTreeMap, BTreeSet};
use topology::{
    ClusterView, NodeAddr, NodeId, Shard, SlotSet,
    findings::{check, healthy},
    survival::{is_in_sync, survives_loss},
};

/// What is seen of a cluster.
pub(super) struct Sight {
    view: ClusterView,
    /// The members that there are.
    ports: Vec<u16>,
}

/// Looks at a cluster; none when nobody answers.
pub(super) async fn look(cluster: &Cluster, dialer: &dyn Dialer) -> Option<Sight> {
    let ports = cluster.ports().ok()?;
    let addresses: Vec<NodeAddr> = ports.iter().copied().map(address).collect();
    let view = observe::look(dialer, &addresses).await.ok()?.view;
    Some(Sight { view, ports })
}

impl Sight {
    /// Whether it is whole: all members answer, all replicas have their link, nothing is to be told of the cluster.
    pub(super) fn is_healthy(&self) -> bool {
        let shards = self.view.shards();
        let in_sync = |shard: &Shard<'_>| shard.replicas.iter().all(|replica| is_in_sync(shard, replica));
        healthy(&check(&self.view)) && shards.iter().all(in_sync) && self.view.served() == SlotSet::all()
    }

    /// The members that may be disturbed one by one while these are already: of shards that are whole and of which none is disturbed.
    pub(super) fn steady(&self, disturbed: &BTreeSet<u16>) -> Vec<u16> {
        let mut steady = Vec::new();
        for shard in self.view.shards().iter().filter(|shard| !shard.slots().is_empty()) {
            let ports: Vec<u16> = shard.members().map(|member| member.node.address.port).collect();
            let is_whole = shard.primary.answers()
                && !shard.replicas.is_empty()
                && shard.replicas.iter().all(|replica| is_in_sync(shard, replica))
                && ports.iter().all(|port| self.ports.contains(port) && !disturbed.contains(port));
            if is_whole {
                steady.extend(ports);
            }
        }
        steady.sort_unstable();
        steady
    }

    /// Whether these may be disturbed together while others are already: no two of a shard, a majority of primaries goes on, and a copy of each slot.
    pub(super) fn outlives(&self, ports: &BTreeSet<u16>, disturbed: &BTreeSet<u16>) -> bool {
        let steady = self.steady(disturbed);
        let shards = self.shards();
        let of: Vec<Option<&NodeId>> = ports.iter().map(|port| shards.get(port)).collect();
        let alone = of.iter().collect::<BTreeSet<_>>().len() == ports.len();
        let id = |port: &u16| self.view.nodes.iter().find(|node| node.address.port == *port && node.said.is_ok())?.id;
        let lost = ports.union(disturbed).filter_map(id).collect();
        alone && ports.iter().all(|port| steady.contains(port)) && survives_loss(&self.view, &lost).is_ok()
    }

    /// The members that are replicas.
    pub(super) fn is_replica(&self, port: u16) -> bool {
        self.view.shards().iter().any(|shard| shard.replicas.iter().any(|replica| replica.node.address.port == port))
    }

    /// Which shard each member is of, by its primary.
    fn shards(&self) -> BTreeMap<u16, NodeId> {
        let shards = self.view.shards();
        let members = shards
            .iter()
            .flat_map(|shard| shard.members().map(|member| (member.node.address.port, shard.primary.account.id)));
        members.collect()
    }
}
