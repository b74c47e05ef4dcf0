//! Who owns which slot, as far as is known.

use super::{Importer, Item, lock};
use crate::{
    observe::{Observation, look},
    port::NodeLink,
    run::Progress,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::sleep;
use topology::{ClusterView, NodeAddr, NodeId, NodeView, ObservedNode, Slot};

/// Between two looks at a cluster whose slots move.
const PAUSE: Duration = Duration::from_millis(20);
const MOST_PAUSE: Duration = Duration::from_millis(500);

/// The primary of a slot.
pub(super) struct Owner {
    pub(super) id: NodeId,
    pub(super) address: NodeAddr,
    pub(super) link: Arc<dyn NodeLink>,
    /// Where others find it.
    pub(super) host: String,
    pub(super) port: u16,
}

/// Keys of one owner.
pub(super) type Group = (Arc<Owner>, Vec<Item>);

/// The owners of all slots, as one look has shown them.
pub(super) struct Owners {
    /// How many looks there were before.
    pub(super) look: u64,
    of_slot: Vec<Option<Arc<Owner>>>,
    /// Every node that is known, to look again.
    known: Vec<NodeAddr>,
}

impl Owners {
    pub(super) fn of(observation: &Observation, look: u64) -> Self {
        let view = &observation.view;
        let mut of_slot = vec![None; usize::from(Slot::COUNT)];
        for (node, said) in view.answering().filter(|(_, said)| said.myself.is_primary()) {
            let Some(link) = observation.links.get(&said.myself.id) else { continue };
            let (host, port) = whereabouts(view, node, said);
            let (id, address, link) = (said.myself.id, node.address.clone(), Arc::clone(link));
            let owner = Arc::new(Owner { id, address, link, host, port });
            for slot in said.myself.slots.iter() {
                if let Some(place) = of_slot.get_mut(usize::from(slot.number())) {
                    *place = Some(Arc::clone(&owner));
                }
            }
        }
        let known = view.nodes.iter().map(|node| node.address.clone()).collect();
        Self { look, of_slot, known }
    }

    /// The owner of a slot.
    pub(super) fn owner(&self, slot: Slot) -> Option<&Arc<Owner>> {
        self.of_slot.get(usize::from(slot.number()))?.as_ref()
    }

    /// Keys by their owners, and those without one.
    pub(super) fn group(&self, items: Vec<Item>) -> (Vec<Group>, Vec<Item>) {
        let mut groups: BTreeMap<NodeId, Group> = BTreeMap::new();
        let mut homeless = Vec::new();
        for item in items {
            match self.owner(Slot::of_key(&item.key)) {
                Some(owner) => {
                    groups.entry(owner.id).or_insert_with(|| (Arc::clone(owner), Vec::new())).1.push(item);
                }
                None => homeless.push(item),
            }
        }
        (groups.into_values().collect(), homeless)
    }
}

/// Where other servers find a node: what other nodes say of it, because an address that was typed here, such as localhost, may be
/// another machine there.
fn whereabouts(view: &ClusterView, node: &ObservedNode, said: &NodeView) -> (String, u16) {
    let told = view.sightings(said.myself.id).find_map(|(witness, entry)| {
        let other = witness.id != Some(said.myself.id);
        let host = entry.endpoint.host.as_ref().filter(|_| other && entry.endpoint.port != 0)?;
        Some((host.to_string(), entry.endpoint.port))
    });
    told.unwrap_or_else(|| (node.address.host.to_string(), node.address.port))
}

impl Importer<'_> {
    /// Looks at the cluster anew, unless that was done since `seen`.
    pub(super) async fn look_again(&self, seen: u64, missing: &str) {
        let _looking = self.looking.lock().await;
        let owners = self.owners();
        if owners.look > seen {
            return;
        }
        (self.progress)(Progress::Waiting { missing: missing.to_owned() });
        sleep(PAUSE.saturating_mul(1 << owners.look.min(5)).min(MOST_PAUSE)).await;
        let next = owners.look + 1;
        // Where nobody answers, what was known is tried once more.
        let new = match look(self.import.dialer.as_ref(), &owners.known).await {
            Ok(observation) => Owners::of(&observation, next),
            Err(_) => Owners { look: next, of_slot: owners.of_slot.clone(), known: owners.known.clone() },
        };
        *lock(&self.owners) = Arc::new(new);
    }
}
