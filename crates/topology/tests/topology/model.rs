//! A cluster that does what plans say, and objects where a server would.

use crate::hand::{self, Node};
use std::collections::{BTreeMap, BTreeSet};
use topology::{
    ClusterView, NodeId, SlotSet,
    plan::{Action, NodeRef, Plan, PlannedShard, Step},
};

/// A cluster as a list of nodes; their ids are those of [`hand::id`].
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) nodes: Vec<Node>,
    /// How often each slot has moved.
    pub(crate) moved: BTreeMap<u16, usize>,
}

impl Model {
    pub(crate) fn new(nodes: Vec<Node>) -> Self {
        Self { nodes, moved: BTreeMap::new() }
    }

    pub(crate) fn view(&self) -> ClusterView {
        hand::view(&self.nodes)
    }

    /// Carries out the plan, and checks after every step that each slot has one owner.
    pub(crate) fn run(&mut self, plan: &Plan) {
        let mut last = 0;
        for steps in plan.stages() {
            assert_eq!(steps[0].stage, last + 1, "stages without gaps");
            last = steps[0].stage;
            self.stage(&steps);
        }
        assert!(plan.steps.is_sorted_by_key(|step| step.stage), "stages in order");
        assert_eq!(plan.cost.slots_moved, moved(plan));
    }

    fn stage(&mut self, steps: &[&Step]) {
        let before = self.clone();
        let (mut changed, mut needed) = (Vec::new(), BTreeSet::new());
        for step in steps {
            let (changes, needs) = self.act(&before, &step.action);
            changed.extend(changes);
            needed.extend(needs);
            self.one_owner_each();
        }
        // Steps of a stage run in any order: none may change what another one changes or relies on.
        let once: BTreeSet<usize> = changed.iter().copied().collect();
        assert_eq!(once.len(), changed.len(), "a node changes its role twice in one stage: {steps:?}");
        assert!(once.is_disjoint(&needed), "a step relies on what another one changes: {steps:?}");
    }

    /// Does one step; tells which nodes change their role by it, and whose role it relies on.
    fn act(&mut self, before: &Self, action: &Action) -> (Vec<usize>, Vec<usize>) {
        match action {
            Action::MoveSlots { slots, from, to, .. } => {
                let (from, to) = (self.at(from), self.at(to));
                assert!(before.nodes[to].primary.is_none(), "{to} is no primary");
                assert!(slots.difference(&before.nodes[from].slots).is_empty(), "{from} does not own {slots}");
                assert!(from != to && !slots.is_empty());
                self.nodes[from].slots = self.nodes[from].slots.difference(slots);
                self.nodes[to].slots = self.nodes[to].slots.union(slots);
                slots.iter().for_each(|slot| *self.moved.entry(slot.number()).or_default() += 1);
                (Vec::new(), vec![from, to])
            }
            Action::Detach { node, from } => {
                let (node, from) = (self.at(node), self.at(from));
                assert_eq!(before.nodes[node].primary, Some(from));
                self.nodes[node].primary = None;
                (vec![node], Vec::new())
            }
            Action::Replicate { replica, primary } => {
                let (replica, primary) = (self.at(replica), self.at(primary));
                assert!(before.nodes[replica].slots.is_empty(), "{replica} owns slots");
                assert!(before.nodes[primary].primary.is_none(), "{primary} is no primary");
                assert_ne!(before.nodes[replica].primary, Some(primary), "it follows it already");
                self.nodes[replica].primary = Some(primary);
                (vec![replica], vec![primary])
            }
            Action::Failover { replica, primary, .. } => {
                let (replica, primary) = (self.at(replica), self.at(primary));
                assert_eq!(before.nodes[replica].primary, Some(primary));
                self.nodes[replica].slots = std::mem::take(&mut self.nodes[primary].slots);
                self.nodes[replica].primary = None;
                for (at, node) in self.nodes.iter_mut().enumerate() {
                    if at == primary || node.primary == Some(primary) {
                        node.primary = Some(replica);
                    }
                }
                (vec![replica, primary], Vec::new())
            }
            other => {
                assert!(other.waits() || matches!(other, Action::Meet { .. }), "{other:?}");
                (Vec::new(), Vec::new())
            }
        }
    }

    fn one_owner_each(&self) {
        let all = self.nodes.iter().fold(SlotSet::new(), |all, node| all.union(&node.slots));
        assert_eq!(all, SlotSet::all());
        assert_eq!(self.nodes.iter().map(|node| node.slots.len()).sum::<usize>(), 16384);
    }

    fn at(&self, node: &NodeRef) -> usize {
        let at = (0..self.nodes.len()).find(|at| hand::id(*at) == node.id).unwrap();
        assert_eq!(self.nodes[at].address, node.address.to_string());
        at
    }

    pub(crate) fn reference(&self, at: usize) -> NodeRef {
        NodeRef { id: hand::id(at), address: self.nodes[at].address.parse().unwrap() }
    }

    /// The shards, in an order of their own.
    pub(crate) fn shards(&self) -> Vec<PlannedShard> {
        let shard = |(at, node): (usize, &Node)| {
            let follows = |(_, node): &(usize, &Node)| node.primary == Some(at);
            let replicas = self.nodes.iter().enumerate().filter(follows).map(|(at, _)| self.reference(at));
            PlannedShard { slots: node.slots.clone(), primary: self.reference(at), replicas: replicas.collect() }
        };
        let primaries = self.nodes.iter().enumerate().filter(|(_, node)| node.primary.is_none());
        in_order(primaries.map(shard).collect())
    }

    /// How many slots each primary owns, by place.
    pub(crate) fn owned(&self) -> Vec<usize> {
        self.nodes.iter().filter(|node| node.primary.is_none()).map(|node| node.slots.len()).collect()
    }
}

/// These shards in the order of [`Model::shards`].
pub(crate) fn in_order(mut shards: Vec<PlannedShard>) -> Vec<PlannedShard> {
    for shard in &mut shards {
        shard.replicas.sort();
    }
    shards.sort_by_key(|shard| shard.primary.id);
    shards
}

/// How many slots the plan moves.
pub(crate) fn moved(plan: &Plan) -> usize {
    let slots = |step: &Step| if let Action::MoveSlots { slots, .. } = &step.action { slots.len() } else { 0 };
    plan.steps.iter().map(slots).sum()
}

/// Leaves these slots open on the way from one node to another, as both ends or one of them tell.
pub(crate) fn open(view: &mut ClusterView, slots: &str, from: usize, to: usize, ends: (bool, bool)) {
    let slots: SlotSet = slots.parse().unwrap();
    for slot in slots.iter() {
        if ends.0 {
            hand::said(view, from).myself.migrating.insert(slot, hand::id(to));
        }
        if ends.1 {
            hand::said(view, to).myself.importing.insert(slot, hand::id(from));
        }
    }
}

/// The ids of the nodes at these places.
pub(crate) fn ids(places: &[usize]) -> Vec<NodeId> {
    places.iter().map(|at| hand::id(*at)).collect()
}
