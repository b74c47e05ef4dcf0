//! Whether a plan that was made before still fits: what has changed in the cluster since, as far as it matters to the plan.

use crate::{
    ClusterView, NodeAddr, NodeId, Slot, SlotSet,
    findings::slot_list,
    open_moves::{interrupted, unclear},
    plan::{Action, NodeRef, Plan},
};
use std::collections::{BTreeMap, BTreeSet};

/// Something that is not as the plan relies on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum Change {
    /// None of the plan's nodes is in the cluster.
    #[error("none of the nodes of this plan is in this cluster")]
    AnotherCluster,
    /// A node is not in the cluster any more.
    #[error("{address} ({}) is no node of the cluster any more", id.short())]
    Gone {
        /// Where it was.
        address: NodeAddr,
        /// Its id.
        id: NodeId,
    },
    /// A node does not answer.
    #[error("{address} {reason}")]
    Silent {
        /// The node.
        address: NodeAddr,
        /// Why it said nothing.
        reason: String,
    },
    /// Slots that the plan moves belong to another node.
    #[error("{} {} to {owner} now, not to {expected}", slot_list(slots), if slots.len() == 1 { "belongs" } else { "belong" })]
    Owner {
        /// The slots.
        slots: SlotSet,
        /// Their owner, or that they have none.
        owner: String,
        /// Their owner by the plan.
        expected: NodeAddr,
    },
    /// A slot that the plan moves is open in a way that the plan does not know of.
    #[error("slot {slot} is open on {address}: it {problem}")]
    Open {
        /// The slot.
        slot: Slot,
        /// A node on which it is open.
        address: NodeAddr,
        /// Why that does not fit.
        problem: String,
    },
    /// A node whose role matters to the plan has another one.
    #[error("{address} {role} now; the plan takes it for {expected}")]
    Role {
        /// The node.
        address: NodeAddr,
        /// What it is, so that it reads well behind the address.
        role: String,
        /// What it is by the plan.
        expected: String,
    },
    /// A node that the plan makes a member is more than new.
    #[error("{address} holds {keys} keys; the plan takes it for new")]
    Keys {
        /// The node.
        address: NodeAddr,
        /// How many keys it holds.
        keys: u64,
    },
}

/// What keeps the plan from being carried out as it was shown; nothing when it can be.
///
/// Only what the plan touches counts: its nodes, the owners of the slots that it moves, and the roles that it changes. What the plan
/// has done already, because a run of it was interrupted, is no change.
pub fn changes(plan: &Plan, view: &ClusterView) -> Vec<Change> {
    if !plan.based_on.iter().any(|node| view.node(node.id).is_some()) {
        return vec![Change::AnotherCluster];
    }
    let mut changes: BTreeSet<Change> = plan.based_on.iter().filter_map(|node| missing(node, view)).collect();
    if changes.is_empty() {
        changes.extend(open_slots(plan, view));
        let mut course = Course::of(view, moving(plan));
        for step in plan.stages().flatten() {
            changes.extend(course.take(&step.action));
        }
        changes.extend(owners(view, &course));
    }
    changes.into_iter().collect()
}

/// The plan with the addresses under which its nodes answer now: another program may have reached them by other names.
#[must_use]
pub fn readdressed(mut plan: Plan, view: &ClusterView) -> Plan {
    let readdress = |node: &mut NodeRef| {
        if let Some(now) = view.node(node.id) {
            node.address = now.address.clone();
        }
    };
    plan.based_on.iter_mut().for_each(readdress);
    plan.steps.iter_mut().flat_map(|step| step.action.nodes_mut()).for_each(readdress);
    let shards = plan.expected_after.iter_mut();
    shards.flat_map(|shard| std::iter::once(&mut shard.primary).chain(&mut shard.replicas)).for_each(readdress);
    plan
}

fn missing(node: &NodeRef, view: &ClusterView) -> Option<Change> {
    let address = || node.address.clone();
    match view.node(node.id) {
        None => Some(Change::Gone { address: address(), id: node.id }),
        Some(known) => {
            let reason = known.said.as_ref().err()?.reason.clone();
            Some(Change::Silent { address: address(), reason })
        }
    }
}

/// The slots that a plan moves, each with the nodes between which it does, in order.
type Moving<'plan> = BTreeMap<Slot, Vec<(&'plan NodeRef, &'plan NodeRef)>>;

fn moving(plan: &Plan) -> Moving<'_> {
    let mut moving = Moving::new();
    for step in plan.stages().flatten() {
        if let Action::MoveSlots { slots, from, to, .. } = &step.action {
            slots.iter().for_each(|slot| moving.entry(slot).or_default().push((from, to)));
        }
    }
    moving
}

/// Slots of the plan that are open and not on the way that it moves them.
fn open_slots(plan: &Plan, view: &ClusterView) -> Vec<Change> {
    let moving = moving(plan);
    let unclear = unclear(view).into_iter().filter(|open| moving.contains_key(&open.slot));
    let unclear = unclear.map(|open| Change::Open { slot: open.slot, address: open.address, problem: open.problem });
    let mut changes: Vec<Change> = unclear.collect();
    for on_the_way in interrupted(view) {
        let (from, to) = (&on_the_way.from, &on_the_way.to);
        let other = |slot: &Slot| {
            moving.get(slot).is_some_and(|ways| !ways.iter().any(|(a, b)| (a.id, b.id) == (from.id, to.id)))
        };
        if let Some(slot) = on_the_way.slots.iter().find(other) {
            let problem = format!("is on its way to {}", to.address);
            changes.push(Change::Open { slot, address: from.address.clone(), problem });
        }
    }
    changes
}

/// Slots that are not where the plan leaves them once it has taken its course, though they have to be.
fn owners(view: &ClusterView, course: &Course<'_>) -> Vec<Change> {
    let now = owners_now(view);
    let mut wrong: BTreeMap<(Option<NodeId>, &NodeAddr), SlotSet> = BTreeMap::new();
    for (slot, ways) in &course.moving {
        if let (Some((from, _)), Some((_, to))) = (ways.first(), ways.last())
            && course.owners.get(slot) != Some(&to.id)
        {
            let owner = now.get(slot).copied();
            wrong.entry((owner, &from.address)).or_default().insert_range(*slot..=*slot);
        }
    }
    let change = |((owner, expected), slots): ((Option<NodeId>, &NodeAddr), SlotSet)| Change::Owner {
        slots,
        owner: owner.map_or_else(|| "nobody".to_owned(), |owner| view.name(owner)),
        expected: expected.clone(),
    };
    wrong.into_iter().map(change).collect()
}

/// The cluster while the plan takes its course, as far as plans change it.
struct Course<'a> {
    view: &'a ClusterView,
    moving: Moving<'a>,
    owners: BTreeMap<Slot, NodeId>,
    /// Whom each replica follows.
    primaries: BTreeMap<NodeId, NodeId>,
}

fn owners_now(view: &ClusterView) -> BTreeMap<Slot, NodeId> {
    view.answering().flat_map(|(_, said)| said.myself.slots.iter().map(|slot| (slot, said.myself.id))).collect()
}

impl<'a> Course<'a> {
    fn of(view: &'a ClusterView, moving: Moving<'a>) -> Self {
        let replicas = view.answering().map(|(_, said)| &said.myself).filter(|own| own.is_replica());
        let primaries = replicas.filter_map(|own| Some((own.id, own.primary?))).collect();
        Self { view, moving, owners: owners_now(view), primaries }
    }

    /// Takes a step, unless it is done already; what keeps it from being taken.
    fn take(&mut self, action: &Action) -> Vec<Change> {
        match action {
            Action::MoveSlots { slots, from, to, .. } => self.move_slots(slots, from, to),
            Action::Detach { node, from } => self.detach(node, from).into_iter().collect(),
            Action::Replicate { replica, primary } => self.replicate(replica, primary),
            Action::Failover { replica, primary, .. } => self.fail_over(replica, primary).into_iter().collect(),
            Action::AddSlots { node, slots } => self.add_slots(node, slots),
            // What these need is proved just before they act, whatever has become of the cluster; the others change nothing.
            _ => Vec::new(),
        }
    }

    fn move_slots(&mut self, slots: &SlotSet, from: &NodeRef, to: &NodeRef) -> Vec<Change> {
        let left: Vec<Slot> = slots.iter().filter(|slot| self.owners.get(slot) == Some(&from.id)).collect();
        if left.is_empty() {
            return Vec::new();
        }
        self.owners.extend(left.iter().map(|slot| (*slot, to.id)));
        [from, to].into_iter().filter_map(|node| self.must_be_primary(node)).collect()
    }

    fn detach(&mut self, node: &NodeRef, from: &NodeRef) -> Option<Change> {
        match self.primaries.get(&node.id) {
            // It has become a primary already, by this plan unless it owns what the plan does not give it.
            None => {
                let given =
                    |slot: &Slot| self.moving.get(slot).is_some_and(|w| w.iter().any(|(_, to)| to.id == node.id));
                let took_over = self.owners.iter().any(|(slot, owner)| *owner == node.id && !given(slot));
                took_over.then(|| self.role(node, format!("a replica of {}", from.address)))
            }
            Some(primary) if *primary == from.id => {
                self.primaries.remove(&node.id);
                None
            }
            Some(_) => Some(self.role(node, format!("a replica of {}", from.address))),
        }
    }

    fn replicate(&mut self, replica: &NodeRef, primary: &NodeRef) -> Vec<Change> {
        let mut changes: Vec<Change> = self.must_be_primary(primary).into_iter().collect();
        if self.owners.values().any(|owner| *owner == replica.id) {
            changes.push(self.role(replica, "a node without slots".to_owned()));
        }
        self.primaries.insert(replica.id, primary.id);
        changes
    }

    fn fail_over(&mut self, replica: &NodeRef, primary: &NodeRef) -> Option<Change> {
        let follows = |one: &NodeRef, other: &NodeRef| self.primaries.get(&one.id) == Some(&other.id);
        if follows(primary, replica) {
            return None;
        }
        if !follows(replica, primary) {
            return Some(self.role(replica, format!("a replica of {}", primary.address)));
        }
        self.owners.values_mut().filter(|owner| **owner == primary.id).for_each(|owner| *owner = replica.id);
        self.primaries.values_mut().filter(|of| **of == primary.id).for_each(|of| *of = replica.id);
        self.primaries.remove(&replica.id);
        self.primaries.insert(primary.id, replica.id);
        None
    }

    fn add_slots(&mut self, node: &NodeRef, slots: &SlotSet) -> Vec<Change> {
        let mut changes = Vec::new();
        let taken = |slot: &Slot| self.owners.get(slot).is_some_and(|owner| *owner != node.id);
        let mut taken_by: BTreeMap<NodeId, SlotSet> = BTreeMap::new();
        for slot in slots.iter().filter(taken) {
            if let Some(owner) = self.owners.get(&slot) {
                taken_by.entry(*owner).or_default().insert_range(slot..=slot);
            }
        }
        for (owner, slots) in taken_by {
            changes.push(Change::Owner { slots, owner: self.view.name(owner), expected: node.address.clone() });
        }
        let said = self.view.node(node.id).and_then(|node| node.view());
        let (owns, keys) = said.map_or((false, 0), |said| (!said.myself.slots.is_empty(), said.server.keys()));
        if !owns && keys > 0 {
            changes.push(Change::Keys { address: node.address.clone(), keys });
        }
        self.owners.extend(slots.iter().map(|slot| (slot, node.id)));
        changes
    }

    fn must_be_primary(&self, node: &NodeRef) -> Option<Change> {
        self.primaries.contains_key(&node.id).then(|| self.role(node, "a primary".to_owned()))
    }

    fn role(&self, node: &NodeRef, expected: String) -> Change {
        let owned = self.owners.values().filter(|owner| **owner == node.id).count();
        let role = match self.primaries.get(&node.id) {
            Some(primary) => format!("is a replica of {}", self.view.name(*primary)),
            None if owned > 0 => format!("is a primary with {owned} slots"),
            None => "is a primary".to_owned(),
        };
        Change::Role { address: node.address.clone(), role, expected }
    }
}
