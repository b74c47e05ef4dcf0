//! All that could be learned of a cluster: every node's own view, and where they disagree.

use crate::{Flag, Host, NodeAddr, NodeEntry, NodeId, NodeView, SlotMap, SlotSet, plan::NodeRef};
use std::collections::BTreeMap;

/// What was learned of a cluster by asking every node that could be found. Unknown is a value: a node that did not answer is
/// here with the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// The nodes: the one that was asked first, then the others in its order, then those that only others know.
    pub nodes: Vec<ObservedNode>,
}

/// A node and what it said, or why it said nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedNode {
    /// Where it was dialled, or would be.
    pub address: NodeAddr,
    /// Its id; none for an address that never answered and that no node knows.
    pub id: Option<NodeId>,
    /// What it said.
    pub said: Result<NodeView, Silence>,
}

/// Why a node said nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// The reason, so that it reads well behind the node's address.
    pub reason: String,
    /// What the user can do about it.
    pub advice: Option<String>,
    /// Whether it is up all the same: it answers, but does not say what it was asked.
    pub answers: bool,
    /// How far it is with what keeps it from answering, where it tells, such as `42 % loaded`.
    pub progress: Option<String>,
}

/// A shard: a primary and its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard<'view> {
    /// The primary.
    pub primary: Member<'view>,
    /// Its replicas, in the view's order.
    pub replicas: Vec<Member<'view>>,
}

/// A node of a shard, with the best account of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'view> {
    /// The node.
    pub node: &'view ObservedNode,
    /// What it says of itself; if it did not answer, what the witness with the latest news says of it.
    pub account: &'view NodeEntry,
}

impl ObservedNode {
    /// What it said, if it answered.
    pub fn view(&self) -> Option<&NodeView> {
        self.said.as_ref().ok()
    }

    /// The host that it runs on, as far as addresses tell: the one that it announces, as the others do, since it may have
    /// been dialled under another name.
    pub fn host(&self) -> &Host {
        self.view().and_then(|view| view.myself.endpoint.host.as_ref()).unwrap_or(&self.address.host)
    }
}

impl Member<'_> {
    /// The node, as plans name it.
    pub fn reference(&self) -> NodeRef {
        NodeRef { id: self.account.id, address: self.node.address.clone() }
    }

    /// Whether the node answered.
    pub fn answers(&self) -> bool {
        self.node.said.is_ok()
    }

    /// Whether the node answered and, being a replica, is linked to its primary.
    pub fn in_service(&self) -> bool {
        self.node.view().is_some_and(|view| view.server.primary_link_up != Some(false))
    }
}

impl Shard<'_> {
    /// The slots that the primary owns.
    pub fn slots(&self) -> &SlotSet {
        &self.primary.account.slots
    }

    /// The primary and the replicas.
    pub fn members(&self) -> impl Iterator<Item = &Member<'_>> {
        std::iter::once(&self.primary).chain(&self.replicas)
    }
}

impl ClusterView {
    /// The nodes that answered.
    pub fn answering(&self) -> impl Iterator<Item = (&ObservedNode, &NodeView)> {
        self.nodes.iter().filter_map(|node| Some((node, node.view()?)))
    }

    /// The nodes that answered, as plans name them.
    pub fn references(&self) -> impl Iterator<Item = NodeRef> {
        self.answering().map(|(node, said)| NodeRef { id: said.myself.id, address: node.address.clone() })
    }

    /// The nodes that did not answer.
    pub fn silent(&self) -> impl Iterator<Item = (&ObservedNode, &Silence)> {
        self.nodes.iter().filter_map(|node| Some((node, node.said.as_ref().err()?)))
    }

    /// The node with this id.
    pub fn node(&self, id: NodeId) -> Option<&ObservedNode> {
        self.nodes.iter().find(|node| node.id == Some(id))
    }

    /// What the nodes that answered say of this one, itself left out.
    pub fn sightings(&self, id: NodeId) -> impl Iterator<Item = (&ObservedNode, &NodeEntry)> {
        self.answering()
            .filter(move |(witness, _)| witness.id != Some(id))
            .filter_map(move |(witness, view)| Some((witness, view.entry(id)?)))
    }

    /// How many nodes that answered flag this one, and how many know it.
    pub fn flagged(&self, id: NodeId, flag: &Flag) -> (usize, usize) {
        self.sightings(id)
            .fold((0, 0), |(flagged, all), (_, entry)| (flagged + usize::from(entry.flags.has(flag)), all + 1))
    }

    /// The best account of a node: its own, else that of the witness with the latest config epoch for it.
    pub fn account<'view>(&'view self, node: &'view ObservedNode) -> Option<&'view NodeEntry> {
        if let Some(view) = node.view() {
            return Some(&view.myself);
        }
        let mut best: Option<&NodeEntry> = None;
        for (_, entry) in self.sightings(node.id?) {
            if best.is_none_or(|best| entry.config_epoch > best.config_epoch) {
                best = Some(entry);
            }
        }
        best
    }

    /// The nodes with the best account of each.
    pub fn members(&self) -> impl Iterator<Item = Member<'_>> {
        self.nodes.iter().filter_map(|node| Some(Member { node, account: self.account(node)? }))
    }

    /// The shards by their first slot, those without slots last. A primary that neither answers nor owns slots is none.
    pub fn shards(&self) -> Vec<Shard<'_>> {
        let mut replicas: BTreeMap<NodeId, Vec<Member<'_>>> = BTreeMap::new();
        let mut primaries = Vec::new();
        for member in self.members() {
            match member.account.primary {
                Some(primary) if member.account.is_replica() => replicas.entry(primary).or_default().push(member),
                _ => primaries.push(member),
            }
        }
        let mut shards: Vec<_> = primaries
            .into_iter()
            .filter(|primary| primary.answers() || !primary.account.slots.is_empty())
            .map(|primary| Shard { primary, replicas: replicas.remove(&primary.account.id).unwrap_or_default() })
            .collect();
        shards.sort_by_key(|shard| shard.slots().ranges().next().map_or(u16::MAX, |range| range.start().number()));
        shards
    }

    /// Whether a node is lost: it does not answer, and most of those that know it call it failed.
    pub fn is_lost(&self, node: &ObservedNode) -> bool {
        let flagged = node.id.filter(|_| node.said.is_err()).map(|id| self.flagged(id, &Flag::Failing));
        flagged.is_some_and(|(failed, all)| failed * 2 > all)
    }

    /// The slots that some node which answered claims as its own, or that are known to belong to one that did not answer
    /// and is not lost.
    pub fn served(&self) -> SlotSet {
        let members = self.members().filter(|member| !self.is_lost(member.node));
        members.map(|member| &member.account.slots).collect()
    }

    /// Those of these slots that no node which answered claims.
    pub(crate) fn unclaimed(&self, slots: &SlotSet) -> SlotSet {
        self.answering().fold(slots.clone(), |left, (_, said)| left.difference(&said.myself.slots))
    }

    /// The slot maps that the nodes hold, with the nodes that hold each; the one that most nodes hold first.
    pub fn slot_maps(&self) -> Vec<(SlotMap, Vec<&ObservedNode>)> {
        let mut maps: Vec<(SlotMap, Vec<&ObservedNode>)> = Vec::new();
        for (node, view) in self.answering() {
            let map = view.slot_map();
            match maps.iter_mut().find(|(known, _)| *known == map) {
                Some((_, holders)) => holders.push(node),
                None => maps.push((map, vec![node])),
            }
        }
        maps.sort_by_key(|(_, holders)| std::cmp::Reverse(holders.len()));
        maps
    }

    /// An address by which people know this node; its short id if no address is known.
    pub fn name(&self, id: NodeId) -> String {
        self.node(id).map_or_else(|| id.short(), |node| node.address.to_string())
    }
}
