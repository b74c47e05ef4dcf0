//! What is seen, put in order: which nodes are the cluster, which members are in it, which are not.

use super::{Desired, Memory, World, roll, shape::Shape};
use crate::{
    ClusterView, Data, Flag, FleetMember, NodeEntry, NodeId, NodeView, ObservedNode, SlotSet, Update, findings::count,
    plan::NodeRef,
};
use std::{
    borrow::Cow,
    cell::OnceCell,
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A member that has not answered for so long is given up: another one is to do its work.
pub(super) const GIVEN_UP: Duration = Duration::from_mins(1);

/// After so long nodes have told each other of whoever they know.
const GOSSIP: Duration = Duration::from_secs(15);

/// The world, put in order.
pub(super) struct Situation<'a> {
    /// What the cluster is to be, with the members beyond that which an update takes.
    pub(super) desired: Desired,
    /// How many these are.
    pub(super) surge: usize,
    pub(super) memory: &'a Memory,
    /// The nodes that know each other and own slots: the cluster. Empty before there is one.
    pub(super) view: Cow<'a, ClusterView>,
    /// All members.
    pub(super) members: Vec<Placed<'a>>,
    /// Which of them is which node.
    by_id: BTreeMap<NodeId, usize>,
    shape: OnceCell<Shape>,
}

/// A member, and which node it is.
pub(super) struct Placed<'a> {
    pub(super) member: &'a FleetMember,
    /// The node that it is now, or was when it last answered.
    pub(super) node: Option<NodeRef>,
    pub(super) standing: Standing<'a>,
    /// Whether it has been silent for too long to be waited for.
    pub(super) is_given_up: bool,
}

impl Placed<'_> {
    /// Whether it is to run with something else than it does.
    pub(super) fn is_behind(&self) -> bool {
        self.member.update != Update::Current
    }
}

/// How a member stands to the cluster.
#[derive(Clone, Copy)]
pub(super) enum Standing<'a> {
    /// It answers, and is of the cluster.
    In,
    /// It answers, and is of no cluster or of another one.
    Outside(&'a NodeView),
    /// It does not answer; whether it is of the cluster is what others know.
    Silent {
        /// Whether nodes of the cluster know it.
        known: bool,
    },
}

impl<'a> Situation<'a> {
    pub(super) fn of(world: &World<'a>) -> Self {
        let cluster = cluster(world.view);
        let of_cluster = |node: &&ObservedNode| node.id.is_some_and(|id| cluster.contains(&id));
        let view = if world.view.nodes.iter().all(|node| of_cluster(&node)) {
            Cow::Borrowed(world.view)
        } else {
            Cow::Owned(ClusterView { nodes: world.view.nodes.iter().filter(of_cluster).cloned().collect() })
        };
        let members: Vec<Placed<'_>> = world.members.iter().map(|member| placed(world, &cluster, member)).collect();
        let ids = members.iter().enumerate().filter_map(|(at, placed)| Some((placed.node.as_ref()?.id, at)));
        let by_id = ids.collect();
        let (desired, memory) = (world.desired.clone(), world.memory);
        let mut situation = Self { desired, surge: 0, memory, view, members, by_id, shape: OnceCell::new() };
        situation.surge = roll::surge(&situation);
        situation.desired.extra += situation.surge;
        situation
    }

    /// What each node is to be.
    pub(super) fn shape(&self) -> &Shape {
        self.shape.get_or_init(|| Shape::of(self))
    }

    /// Whether there is a cluster: nodes that own slots.
    pub(super) fn has_cluster(&self) -> bool {
        !self.view.nodes.is_empty()
    }

    /// The nodes of the cluster that answer.
    pub(super) fn answering(&self) -> Vec<NodeRef> {
        self.view.references().collect()
    }

    /// The member that is this node.
    pub(super) fn member_of(&self, id: NodeId) -> Option<&Placed<'a>> {
        self.members.get(*self.by_id.get(&id)?)
    }

    /// Whether this node is a member that is still counted on.
    pub(super) fn is_counted_on(&self, id: NodeId) -> bool {
        self.member_of(id).is_some_and(|placed| !placed.is_given_up && !self.has_left(placed))
    }

    /// Whether nodes that answer take this one for failed: a majority of primaries has not heard it for the node timeout.
    pub(super) fn is_failing(&self, id: NodeId) -> bool {
        let fails = |said: &NodeView| said.entry(id).is_some_and(|entry| entry.flags.has(&Flag::Failing));
        self.view.answering().any(|(_, said)| fails(said))
    }

    /// Whether only a restart gives this node what it is to run with.
    pub(super) fn needs_restart(&self, id: NodeId) -> bool {
        self.member_of(id).is_some_and(|placed| placed.member.update == Update::NeedsRestart)
    }

    /// Members that are counted on, whether they answer or not.
    pub(super) fn counted(&self) -> usize {
        self.members.iter().filter(|placed| !placed.is_given_up && !self.has_left(placed)).count()
    }

    /// Whether a member has left the cluster, whole or in part: it owns nothing, knows the others, and not all of them know it. Servers
    /// refuse for 60 s to take back whom they were told to forget, and since 7.2 tell each other to, so that it would come and go
    /// with all that it had got meanwhile. Another one takes less time.
    pub(super) fn has_left(&self, placed: &Placed<'_>) -> bool {
        let Some(id) = placed.node.as_ref().map(|node| node.id) else { return false };
        match placed.standing {
            Standing::Outside(said) => {
                let is_known =
                    |peer: &NodeEntry| !peer.flags.has(&Flag::Handshake) && self.view.node(peer.id).is_some();
                said.peers.iter().any(is_known)
            }
            Standing::In => self.is_passing(id) && self.memory.estranged.get(&id).is_some_and(|time| *time >= GOSSIP),
            Standing::Silent { .. } => false,
        }
    }

    /// Whether a node owns nothing and not all know it, or did not a moment ago: it is coming or going, and gets nothing meanwhile.
    pub(super) fn is_passing(&self, id: NodeId) -> bool {
        let owns = |said: &NodeView| !said.myself.slots.is_empty();
        self.memory.estranged.contains_key(&id) && !self.view.node(id).and_then(|node| node.view()).is_some_and(owns)
    }

    /// Whether nothing is left of what a silent node had: its member has lost its data, or it is no member any more and has been silent for
    /// long, so that nobody starts it again.
    pub(super) fn has_nothing(&self, id: NodeId) -> bool {
        if let Some(placed) = self.member_of(id) {
            return placed.member.data == Data::Nothing && placed.member.is_fenced();
        }
        let may_be_it = |placed: &Placed<'_>| placed.node.is_none() && placed.member.data != Data::Nothing;
        self.memory.silent_for(id) >= GIVEN_UP && !self.members.iter().any(may_be_it)
    }

    /// How many members there are to be beyond those that are counted on.
    pub(super) fn missing(&self) -> usize {
        self.desired.members().saturating_sub(self.counted())
    }

    /// How many members there are beyond those that are to be.
    pub(super) fn surplus(&self) -> usize {
        self.counted().saturating_sub(self.desired.members())
    }

    /// The host and the zone of a node: what falls with it.
    pub(super) fn place(&self, id: NodeId) -> (Option<&str>, Option<&str>) {
        match self.member_of(id) {
            Some(placed) => (Some(&placed.member.host), placed.member.zone.as_deref()),
            None => (None, None),
        }
    }

    /// Why a member that answers cannot be taken into the cluster; none when it can.
    pub(super) fn unfit(&self, placed: &Placed<'_>) -> Option<String> {
        let Standing::Outside(said) = placed.standing else { return None };
        let stranger = |peer: &&NodeEntry| !peer.slots.is_empty() && self.view.node(peer.id).is_none();
        let strangers = said.peers.iter().filter(stranger).count();
        if strangers > 0 {
            return Some(format!("it is of another cluster, of {}", count(strangers + 1, "node")));
        }
        let is_copy = said.myself.primary.is_some_and(|primary| self.view.node(primary).is_some());
        let keys = said.server.keys();
        (keys > 0 && !is_copy).then(|| format!("it holds {}", count(keys, "key")))
    }
}

fn placed<'a>(world: &World<'a>, cluster: &BTreeSet<NodeId>, member: &'a FleetMember) -> Placed<'a> {
    let is_at =
        |node: &&ObservedNode| member.address.as_ref().is_some_and(|address| address.same_endpoint(&node.address));
    let answering = world.view.answering().find(|(node, _)| is_at(node));
    if let Some((node, said)) = answering {
        let id = said.myself.id;
        let standing = if cluster.contains(&id) { Standing::In } else { Standing::Outside(said) };
        let node = Some(NodeRef { id, address: node.address.clone() });
        return Placed { member, node, standing, is_given_up: false };
    }
    let silent = || world.view.nodes.iter().filter(|node| node.said.is_err());
    // Another one may have its address by now, but not its id.
    let node = silent().find(|node| node.id.is_some() && node.id == member.id).or_else(|| silent().find(is_at));
    let node = node.and_then(|node| Some(NodeRef { id: node.id?, address: node.address.clone() }));
    let known = node.as_ref().is_some_and(|node| cluster.contains(&node.id));
    let is_given_up = world.memory.absent_for(&member.name) >= GIVEN_UP;
    Placed { member, node, standing: Standing::Silent { known }, is_given_up }
}

/// Of the groups of nodes that know each other the one that owns most slots; nobody where no slot is owned.
fn cluster(view: &ClusterView) -> BTreeSet<NodeId> {
    let mut groups: Vec<BTreeSet<NodeId>> = Vec::new();
    for (_, said) in view.answering() {
        let known = || said.entries().filter(|entry| !entry.flags.has(&Flag::Handshake)).map(|entry| entry.id);
        // As a rule all know the same.
        if groups.iter().any(|group| known().all(|id| group.contains(&id))) {
            continue;
        }
        let mut group: BTreeSet<NodeId> = known().collect();
        let (with, without): (Vec<_>, Vec<_>) = groups.into_iter().partition(|other| !other.is_disjoint(&group));
        group.extend(with.into_iter().flatten());
        groups = without;
        groups.push(group);
    }
    let mut weights: BTreeMap<usize, (SlotSet, usize)> = BTreeMap::new();
    for (_, said) in view.answering() {
        let Some(at) = groups.iter().position(|group| group.contains(&said.myself.id)) else { continue };
        let (slots, answering) = weights.entry(at).or_default();
        *slots = said.entries().map(|entry| &entry.slots).chain([&std::mem::take(slots)]).collect();
        *answering += 1;
    }
    let weight = |at: usize| weights.get(&at).map_or((0, 0), |(slots, answering)| (slots.len(), *answering));
    let best = (0..groups.len()).filter(|at| weight(*at).0 > 0);
    let best = best.max_by_key(|at| (weight(*at), Reverse(groups.get(*at).and_then(BTreeSet::first).copied())));
    let mut cluster = best.map(|at| groups.swap_remove(at)).unwrap_or_default();
    let alone = alone(view, &cluster);
    cluster.retain(|id| !alone.contains(id));
    cluster
}

/// Those of a group whom no other one of it knows, and who own nothing: they have been forgotten, or were never known.
fn alone(view: &ClusterView, group: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
    let of_group = || view.answering().map(|(_, said)| said).filter(|said| group.contains(&said.myself.id));
    // The only replica of the only primary is known to nobody who answers, when that does not.
    let is_last = |said: &NodeView| said.myself.is_replica() && of_group().count() == 1;
    let bare = of_group().filter(|said| said.myself.slots.is_empty() && !is_last(said));
    let mut alone: BTreeSet<NodeId> = bare.map(|said| said.myself.id).collect();
    for peer in of_group().flat_map(|said| said.peers.iter()) {
        if alone.is_empty() {
            break;
        }
        if !peer.flags.has(&Flag::Handshake) {
            alone.remove(&peer.id);
        }
    }
    alone
}
