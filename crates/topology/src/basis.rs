//! What a plan that moves slots begins from: a cluster whose nodes agree, its interrupted moves taken as done.

use crate::{
    ClusterView, NodeAddr, NodeEntry, NodeId, NodeView, ObservedNode, SlotMap, SlotSet,
    findings::{agreement::difference, count, entry_point, slot_list},
    open_moves::{interrupted, unclear},
    plan::{NodeRef, PlannedShard},
    rebalance::{Holding, SlotMove},
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Why no slot of a cluster may be moved yet; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotYet {
    /// A node that owns slots does not answer.
    #[error("{address} owns {} and {reason}", count(*slots, "slot"))]
    OwnerSilent {
        /// The node.
        address: NodeAddr,
        /// How many it owns.
        slots: usize,
        /// Why it said nothing.
        reason: String,
        /// What helps where it is up all the same.
        cure: Option<String>,
    },
    /// Two nodes claim the same slots.
    #[error("{} claimed by {first} and by {second}", slot_list(slots))]
    SeveralOwners {
        /// The slots.
        slots: SlotSet,
        /// One of the nodes.
        first: NodeAddr,
        /// The other.
        second: NodeAddr,
    },
    /// Slots that no node serves.
    #[error("{} of 16384 not served: {}", count(slots.len(), "slot"), slot_list(slots))]
    Unserved {
        /// The slots.
        slots: SlotSet,
        /// A node of the cluster, for the remedy.
        entry_point: String,
    },
    /// A node holds another slot map than the rest.
    #[error("{address} disagrees with {} about {}", count(*others, "node"), slot_list(slots))]
    Disagreement {
        /// The node.
        address: NodeAddr,
        /// How many nodes hold the slot map that most hold.
        others: usize,
        /// The slots that they disagree about.
        slots: SlotSet,
    },
    /// A slot that is open, and not by a move that could be finished.
    #[error("slot {} is open on {}: it {}", .0.slot, .0.address, .0.problem)]
    Open(crate::open_moves::Unclear),
}

impl NotYet {
    /// What the user can do about it.
    pub fn advice(&self) -> String {
        match self {
            Self::OwnerSilent { cure: Some(cure), .. } => cure.clone(),
            Self::OwnerSilent { address, .. } => format!("start {address} again, or let a replica take over"),
            Self::SeveralOwners { first: address, .. } => {
                format!(
                    "wait a few seconds for the newest claim to prevail; if it lasts: tribune fix {}",
                    address.bare()
                )
            }
            Self::Disagreement { address, .. } => {
                format!(
                    "wait a few seconds for the nodes to tell each other; if it lasts: tribune fix {}",
                    address.bare()
                )
            }
            Self::Unserved { entry_point, .. } => format!("tribune fix {entry_point}"),
            Self::Open(open) => open.advice(&open.address.bare()),
        }
    }
}

/// Why a node cannot give or take slots.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAPrimary {
    /// No node of the cluster has the id.
    #[error("no node of the cluster has the id {id}")]
    Unknown {
        /// The id.
        id: NodeId,
    },
    /// It is a replica.
    #[error("{address} is a replica, whose primary is {primary}")]
    Replica {
        /// The node.
        address: NodeAddr,
        /// Its primary, by address or else by id.
        primary: String,
    },
    /// It does not answer.
    #[error("{address} {reason}")]
    Silent {
        /// The node.
        address: NodeAddr,
        /// Why it said nothing.
        reason: String,
    },
}

/// A cluster in which slots can be moved.
#[derive(Clone, Debug)]
pub(crate) struct Basis {
    /// The nodes that answer.
    pub(crate) nodes: Vec<NodeRef>,
    /// The shards as they are once the interrupted moves are done; those without slots last.
    pub(crate) shards: Vec<PlannedShard>,
    /// The moves that stopped half-way.
    pub(crate) interrupted: Vec<SlotMove>,
    /// Nodes that know no other, though others know them: a detachment that was interrupted leaves such.
    pub(crate) alone: Vec<NodeRef>,
    /// Nodes whose `cluster_state` is not `ok`.
    pub(crate) not_serving: BTreeSet<NodeId>,
}

impl Basis {
    /// Checks that slots can be moved.
    pub(crate) fn of(view: &ClusterView) -> Result<Self, NotYet> {
        owners_answer(view)?;
        one_owner_each(view)?;
        all_served(view)?;
        all_agree(view)?;
        if let Some(open) = unclear(view).into_iter().next() {
            return Err(NotYet::Open(open));
        }
        let interrupted = interrupted(view);
        let is_alone = |said: &NodeView| knows_nobody(said) && view.nodes.len() > 1;
        // One that does not know who owns slots that it imports does not serve before the move tells it: it believes no word of others about them.
        let owned: HashMap<NodeId, &SlotSet> =
            view.answering().map(|(_, said)| (said.myself.id, &said.myself.slots)).collect();
        let is_misled = |said: &NodeView| {
            let imported: SlotSet = said.myself.importing.keys().copied().collect();
            let right = |entry: &NodeEntry| owned.get(&entry.id).map(|own| own.intersection(&entry.slots));
            let known = || said.entries().filter_map(right).fold(SlotSet::new(), |all, slots| all.union(&slots));
            !imported.is_empty() && !imported.difference(&known()).is_empty()
        };
        let states = view.answering().filter(|(_, said)| !said.cluster.state_ok && !is_misled(said));
        Ok(Self {
            nodes: view.references().collect(),
            shards: shards_after(view, &interrupted),
            interrupted,
            alone: view.answering().filter(|(_, said)| is_alone(said)).map(reference).collect(),
            not_serving: states.map(|(_, said)| said.myself.id).collect(),
        })
    }

    /// The slots that the interrupted moves bring to their place; they are not to move on if others can.
    pub(crate) fn settled(&self) -> SlotSet {
        self.interrupted.iter().fold(SlotSet::new(), |all, interrupted| all.union(&interrupted.slots))
    }

    /// The primaries with their slots.
    pub(crate) fn holdings(&self) -> Vec<Holding> {
        self.shards.iter().map(|shard| Holding { node: shard.primary.clone(), slots: shard.slots.clone() }).collect()
    }

    /// The shard of this primary.
    pub(crate) fn shard_of(&self, view: &ClusterView, id: NodeId) -> Result<&PlannedShard, NotAPrimary> {
        match self.shards.iter().find(|shard| shard.primary.id == id) {
            Some(shard) => Ok(shard),
            None => Err(not_a_primary(view, id)),
        }
    }

    /// What becomes of the primaries that give all their slots away, in words.
    pub(crate) fn drained(&self, expected: &[PlannedShard]) -> Vec<String> {
        let had: BTreeSet<NodeId> =
            self.shards.iter().filter(|shard| !shard.slots.is_empty()).map(|shard| shard.primary.id).collect();
        let drained = expected.iter().filter(|shard| shard.slots.is_empty() && had.contains(&shard.primary.id));
        let reason = |shard: &PlannedShard| {
            let address = &shard.primary.address;
            let (who, whose) = match shard.replicas.len() {
                0 => ("it".to_owned(), String::new()),
                1 => ("it and its replica".to_owned(), " with its replica".to_owned()),
                more => (format!("it and its {more} replicas"), " with its replicas".to_owned()),
            };
            format!(
                "{address} owns no slot then: the servers make {who} follow the primary that takes its last slot; with \
                 cluster-allow-replica-migration no it stays an empty primary{whose}"
            )
        };
        drained.map(reason).collect()
    }
}

/// Why a node is no primary that could give or take slots.
fn not_a_primary(view: &ClusterView, id: NodeId) -> NotAPrimary {
    let Some(node) = view.node(id) else { return NotAPrimary::Unknown { id } };
    let address = node.address.clone();
    let silence = |reason: &str| NotAPrimary::Silent { address: address.clone(), reason: reason.to_owned() };
    match (view.account(node).and_then(|account| account.primary), &node.said) {
        (Some(primary), _) => NotAPrimary::Replica { address, primary: view.name(primary) },
        (None, Err(said)) => silence(&said.reason),
        (None, Ok(_)) => silence("is no primary"),
    }
}

fn reference((node, said): (&ObservedNode, &NodeView)) -> NodeRef {
    NodeRef { id: said.myself.id, address: node.address.clone() }
}

/// A silent node in whose place another answers owns nothing, whoever still says so: nodes believe no new owner of slots that
/// they import.
fn owners_answer(view: &ClusterView) -> Result<(), NotYet> {
    for (node, silence) in view.silent() {
        let slots = view.account(node).map_or(0, |account| view.unclaimed(&account.slots).len());
        if slots > 0 {
            let (address, reason) = (node.address.clone(), silence.reason.clone());
            let cure = silence.advice.clone().filter(|_| silence.answers);
            return Err(NotYet::OwnerSilent { address, slots, reason, cure });
        }
    }
    Ok(())
}

fn one_owner_each(view: &ClusterView) -> Result<(), NotYet> {
    let mut once = SlotSet::new();
    for (second, said) in view.answering() {
        let own = &said.myself.slots;
        let twice = once.intersection(own);
        let claims = |(_, other): &(&ObservedNode, &NodeView)| !twice.intersection(&other.myself.slots).is_empty();
        let other = if twice.is_empty() { None } else { view.answering().find(claims) };
        if let Some((first, other)) = other {
            let slots = twice.intersection(&other.myself.slots);
            let (first, second) = (first.address.clone(), second.address.clone());
            return Err(NotYet::SeveralOwners { slots, first, second });
        }
        once = once.union(own);
    }
    Ok(())
}

fn all_served(view: &ClusterView) -> Result<(), NotYet> {
    let served = view.answering().map(|(_, said)| &said.myself.slots).collect::<SlotSet>();
    let slots = served.complement();
    if slots.is_empty() { Ok(()) } else { Err(NotYet::Unserved { slots, entry_point: entry_point(view) }) }
}

fn knows_nobody(said: &NodeView) -> bool {
    said.peers.is_empty() && said.myself.slots.is_empty()
}

/// Every node is compared with what the owners say of themselves, which is quick; only if one differs, all maps are compared.
fn all_agree(view: &ClusterView) -> Result<(), NotYet> {
    let owned = view.answering().map(|(_, said)| (said.myself.id, &said.myself.slots));
    let owned: HashMap<NodeId, &SlotSet> = owned.filter(|(_, slots)| !slots.is_empty()).collect();
    let agrees = |said: &NodeView| {
        let owners = said.entries().filter(|entry| !entry.slots.is_empty());
        let right = |entry: &&NodeEntry| owned.get(&entry.id).is_some_and(|slots| **slots == entry.slots);
        let (known, right) = owners.fold((0, 0), |(all, so), entry| (all + 1, so + usize::from(right(&entry))));
        known == owned.len() && right == known
    };
    // Of slots that it imports a node believes no new owner before it is told.
    let agrees_but_for_open = |said: &NodeView| {
        let open: SlotSet = said.myself.importing.keys().copied().collect();
        let right = |entry: &NodeEntry| {
            let slots = entry.slots.difference(&open);
            slots.is_empty() || owned.get(&entry.id).is_some_and(|own| own.difference(&open) == slots)
        };
        !open.is_empty() && said.entries().all(right)
    };
    if view.answering().all(|(_, said)| knows_nobody(said) || agrees(said) || agrees_but_for_open(said)) {
        return Ok(());
    }
    let mut maps: Vec<(SlotMap, Vec<&ObservedNode>)> = view.slot_maps();
    maps.retain(|(map, _)| !map.is_empty());
    let mut maps = maps.into_iter();
    let (Some((most, majority)), Some((other, holders))) = (maps.next(), maps.next()) else { return Ok(()) };
    let Some(address) = holders.first().map(|node| node.address.clone()) else { return Ok(()) };
    let (slots, _) = difference(view, &other, &most);
    Err(NotYet::Disagreement { address, others: majority.len(), slots })
}

/// The shards as they are when these moves are done.
fn shards_after(view: &ClusterView, moves: &[SlotMove]) -> Vec<PlannedShard> {
    let shards = view.shards().into_iter().map(|shard| PlannedShard {
        slots: shard.slots().clone(),
        primary: shard.primary.reference(),
        replicas: shard.replicas.iter().map(crate::Member::reference).collect(),
    });
    after(shards.collect(), moves)
}

/// These shards with the slots as the moves leave them, by their first slot; those without slots last.
pub(crate) fn after(mut shards: Vec<PlannedShard>, moves: &[SlotMove]) -> Vec<PlannedShard> {
    let mut change: BTreeMap<NodeId, (SlotSet, SlotSet)> = BTreeMap::new();
    for SlotMove { slots, from, to } in moves {
        let given = &mut change.entry(from.id).or_default().0;
        *given = given.union(slots);
        let taken = &mut change.entry(to.id).or_default().1;
        *taken = taken.union(slots);
    }
    for shard in &mut shards {
        if let Some((given, taken)) = change.get(&shard.primary.id) {
            shard.slots = shard.slots.difference(given).union(taken);
        }
    }
    shards.sort_by_key(|shard| shard.slots.ranges().next().map_or(u16::MAX, |range| range.start().number()));
    shards
}
