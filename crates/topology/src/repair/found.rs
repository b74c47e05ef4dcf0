//! What nodes say of slots that are not as they should be.

use super::Held;
use crate::{ClusterView, NodeId, NodeView, ObservedNode, Slot, SlotSet, plan::NodeRef};

/// What was found about one slot. Nodes are in the order of the view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The primaries that claim it, with their config epochs.
    pub owners: Vec<(NodeRef, u64)>,
    /// The primaries on which it is migrating, with the node that it is to go to.
    pub migrating: Vec<(NodeRef, NodeId)>,
    /// The primaries on which it is importing, with the node that it is to come from.
    pub importing: Vec<(NodeRef, NodeId)>,
    /// The primaries that hold keys of it, and how many.
    pub keys: Vec<(NodeRef, u64)>,
    /// The primary that most nodes take for its owner, if that answers.
    pub named: Option<NodeRef>,
    /// Whether some node takes another one for its owner than the one that claims it.
    pub disputed: bool,
    /// Those whom some node takes for its owner, with the highest config epoch told of each.
    pub believed: Vec<(NodeId, u64)>,
}

/// The primaries that answer.
pub(super) fn primaries(view: &ClusterView) -> impl Iterator<Item = (NodeRef, &NodeView)> {
    let answering = view.answering().filter(|(_, said)| said.myself.is_primary());
    answering.map(|(node, said)| (NodeRef { id: said.myself.id, address: node.address.clone() }, said))
}

/// The slots about which something is wrong, or may be: all primaries have to be asked for keys of them.
pub fn doubtful(view: &ClusterView) -> SlotSet {
    let (mut once, mut twice, mut open) = (SlotSet::new(), SlotSet::new(), SlotSet::new());
    for (_, said) in primaries(view) {
        let own = &said.myself;
        twice = twice.union(&once.intersection(&own.slots));
        once = once.union(&own.slots);
        open = open.union(&own.open_slots());
    }
    once.complement().union(&twice).union(&open).union(&disputed(view))
}

/// The slots of which some node takes another one for the owner than the one that claims it.
fn disputed(view: &ClusterView) -> SlotSet {
    let mut disputed = SlotSet::new();
    // A node that knows no other has nothing to tell of them.
    for (_, witness) in view.answering().filter(|(_, said)| !said.peers.is_empty()) {
        for (node, said) in primaries(view).filter(|(node, _)| node.id != witness.myself.id) {
            let believed = witness.entry(node.id).map(|entry| entry.slots.clone()).unwrap_or_default();
            let claimed = &said.myself.slots;
            disputed = disputed.union(&believed.difference(claimed)).union(&claimed.difference(&believed));
        }
    }
    disputed
}

/// The primaries that do not answer, as far as others know that they are primaries.
pub fn unreachable_primaries(view: &ClusterView) -> Vec<&ObservedNode> {
    let silent = view.members().filter(|member| !member.answers() && !member.account.is_replica());
    silent.map(|member| member.node).collect()
}

impl Found {
    /// What is found about a slot.
    pub(super) fn of(slot: Slot, view: &ClusterView, held: &Held) -> Self {
        let mut found = Self::default();
        for (node, said) in primaries(view) {
            let own = &said.myself;
            if own.slots.contains(slot) {
                found.owners.push((node.clone(), own.config_epoch));
            }
            if let Some(to) = own.migrating.get(&slot) {
                found.migrating.push((node.clone(), *to));
            }
            if let Some(from) = own.importing.get(&slot) {
                found.importing.push((node.clone(), *from));
            }
            let keys = held.get(&node.id).and_then(|slots| slots.get(&slot)).copied().unwrap_or_default();
            if keys > 0 {
                found.keys.push((node, keys));
            }
        }
        found.ask_all(slot, view);
        found
    }

    /// Whom the nodes take for the owner.
    fn ask_all(&mut self, slot: Slot, view: &ClusterView) {
        let claimant = self.owners.first().map(|(node, _)| node.id);
        let mut votes: Vec<(NodeId, usize, u64)> = Vec::new();
        for (_, said) in view.answering().filter(|(_, said)| !said.peers.is_empty()) {
            let owner = said.entries().find(|entry| entry.slots.contains(slot));
            self.disputed |= owner.map(|entry| entry.id) != claimant;
            let Some(owner) = owner else { continue };
            match votes.iter_mut().find(|(voted, ..)| *voted == owner.id) {
                Some((_, count, epoch)) => {
                    *count += 1;
                    *epoch = (*epoch).max(owner.config_epoch);
                }
                None => votes.push((owner.id, 1, owner.config_epoch)),
            }
        }
        let most = votes.iter().map(|(_, count, _)| *count).max();
        let named = votes.iter().find(|(_, count, _)| Some(*count) == most).map(|(id, ..)| *id);
        self.named = primaries(view).map(|(node, _)| node).find(|node| Some(node.id) == named);
        self.believed = votes.into_iter().map(|(id, _, epoch)| (id, epoch)).collect();
    }

    /// The highest epoch of those whom some node takes for the owner beside this one.
    pub(super) fn rivals(&self, owner: NodeId) -> u64 {
        let rivals = self.believed.iter().filter(|(id, _)| *id != owner).map(|(_, epoch)| *epoch);
        rivals.max().unwrap_or_default()
    }

    /// How many keys a node holds of it.
    pub fn keys_of(&self, id: NodeId) -> u64 {
        self.keys.iter().find(|(node, _)| node.id == id).map_or(0, |(_, keys)| *keys)
    }

    /// Whether it is importing or migrating anywhere.
    pub const fn is_open(&self) -> bool {
        !self.migrating.is_empty() || !self.importing.is_empty()
    }

    /// Whether nothing is wrong with it: one owner that all nodes know, closed, all keys in one place.
    pub(super) fn is_well(&self) -> bool {
        let [(owner, _)] = &self.owners[..] else { return false };
        !self.is_open() && !self.disputed && self.keys.iter().all(|(node, _)| node == owner)
    }
}
