//! Which node is to be what: the nearest to what is there of all shapes that are wanted.

use super::Situation;
use crate::{ClusterView, Member, NodeId, Shard, SlotSet, plan::NodeRef, rebalance::Holding};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// What each node is to be.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// Those that are to own slots, with what they own now.
    pub(super) keep: Vec<Holding>,
    /// Those that own slots and are to own none.
    pub(super) drain: Vec<Holding>,
    /// Replicas that are to become primaries of their own, and whom they follow.
    pub(super) detach: Vec<(NodeRef, NodeRef)>,
    /// Nodes that are to follow a primary, and that one.
    pub(super) attach: Vec<(NodeRef, NodeRef)>,
    /// Primaries that have too few replicas, and how many they lack.
    pub(super) lacking: Vec<(NodeRef, usize)>,
    /// Nodes that have nothing to do, those first that are missed least.
    pub(super) spare: Vec<NodeRef>,
    /// How many primaries are to be found yet.
    pub(super) primaries_missing: usize,
}

/// The nodes while they are dealt out.
struct Deal<'a> {
    situation: &'a Situation<'a>,
    shape: Shape,
    /// The replicas of each primary that is kept.
    replicas: BTreeMap<NodeId, Vec<NodeRef>>,
    /// Nodes without a part yet.
    free: Vec<NodeRef>,
    in_sync: BTreeSet<NodeId>,
    answers: BTreeSet<NodeId>,
}

impl Shape {
    pub(super) fn of(situation: &Situation<'_>) -> Self {
        let shards = situation.view.shards();
        let mut deal = Deal {
            situation,
            shape: Self::default(),
            replicas: BTreeMap::new(),
            free: Vec::new(),
            in_sync: in_sync(&situation.view),
            answers: situation.view.answering().map(|(_, said)| said.myself.id).collect(),
        };
        let (owners, empty): (Vec<_>, Vec<_>) = shards.iter().partition(|shard| !shard.slots().is_empty());
        deal.choose_owners(owners);
        deal.choose_among_empty(empty);
        deal.choose_among_replicas();
        deal.orphans(&shards);
        deal.deal_replicas();
        deal.shape
    }
}

impl Deal<'_> {
    /// Those of the primaries with slots that own most keep them; the others are to give theirs away.
    fn choose_owners(&mut self, mut owners: Vec<&Shard<'_>>) {
        // One that is no member leaves before one that is.
        let is_stranger = |shard: &Shard<'_>| self.situation.member_of(shard.primary.account.id).is_none();
        owners
            .sort_by_key(|shard| (is_stranger(shard), Reverse(shard.slots().len()), shard.primary.reference().address));
        for (at, shard) in owners.into_iter().enumerate() {
            let holding = Holding { node: shard.primary.reference(), slots: shard.slots().clone() };
            if at < self.situation.desired.shards {
                self.keep(holding, shard.replicas.iter().map(Member::reference));
            } else {
                self.shape.drain.push(holding);
            }
        }
    }

    fn keep(&mut self, holding: Holding, replicas: impl IntoIterator<Item = NodeRef>) {
        let counted = replicas.into_iter().filter(|replica| self.situation.is_counted_on(replica.id));
        self.replicas.insert(holding.node.id, counted.collect());
        self.shape.keep.push(holding);
    }

    /// Primaries without slots get some where there are too few with; the others are free.
    fn choose_among_empty(&mut self, mut empty: Vec<&Shard<'_>>) {
        let (counted, passing) = (|id| self.situation.is_counted_on(id), |id| self.situation.is_passing(id));
        empty.retain(|shard| counted(shard.primary.account.id) && !passing(shard.primary.account.id));
        while self.missing() > 0 && !empty.is_empty() {
            let best =
                (0..empty.len()).min_by_key(|at| empty.get(*at).map(|shard| self.crowd(shard.primary.account.id)));
            let shard = empty.remove(best.unwrap_or_default());
            let holding = Holding { node: shard.primary.reference(), slots: SlotSet::new() };
            self.keep(holding, shard.replicas.iter().map(Member::reference));
        }
        self.free.extend(empty.iter().map(|shard| shard.primary.reference()));
        for replica in empty.iter().flat_map(|shard| &shard.replicas) {
            if self.situation.is_counted_on(replica.account.id) && replica.answers() {
                self.free.push(replica.reference());
            }
        }
    }

    fn missing(&self) -> usize {
        self.situation.desired.shards.saturating_sub(self.shape.keep.len())
    }

    /// How many primaries are in the zone and on the host of this node.
    fn crowd(&self, id: NodeId) -> (usize, usize) {
        let (host, zone) = self.situation.place(id);
        let places = || self.shape.keep.iter().map(|kept| self.situation.place(kept.node.id));
        (places().filter(|place| place.1 == zone).count(), places().filter(|place| place.0 == host).count())
    }

    /// Replicas of those that have more than they need become primaries, once no other node can be expected to.
    fn choose_among_replicas(&mut self) {
        let all_are_in = self.answers.len() >= self.situation.desired.members() && self.situation.missing() == 0;
        while self.missing() > 0 {
            let spare = |replicas: &Vec<NodeRef>| replicas.len() > self.situation.desired.replicas;
            let richest = self.replicas.iter().filter(|(_, replicas)| spare(replicas) && all_are_in);
            let Some((primary, replicas)) = richest.max_by_key(|(id, replicas)| (replicas.len(), Reverse(**id))) else {
                break;
            };
            let primary = *primary;
            let best = replicas.iter().filter(|replica| self.in_sync.contains(&replica.id));
            let Some(best) = best.min_by_key(|replica| (self.crowd(replica.id), replica.address.clone())).cloned()
            else {
                break;
            };
            let Some(from) = self.shape.keep.iter().find(|kept| kept.node.id == primary) else { break };
            self.shape.detach.push((best.clone(), from.node.clone()));
            if let Some(replicas) = self.replicas.get_mut(&primary) {
                replicas.retain(|replica| replica.id != best.id);
            }
            self.keep(Holding { node: best, slots: SlotSet::new() }, []);
        }
        self.shape.primaries_missing = self.missing();
    }

    /// Replicas whose primary is none any more.
    fn orphans(&mut self, shards: &[Shard<'_>]) {
        let primaries: BTreeSet<NodeId> = shards.iter().map(|shard| shard.primary.account.id).collect();
        for member in self.situation.view.members() {
            let Some(primary) = member.account.primary.filter(|_| member.account.is_replica() && member.answers())
            else {
                continue;
            };
            if !primaries.contains(&primary) && self.situation.is_counted_on(member.account.id) {
                self.free.push(member.reference());
            }
        }
    }

    /// Gives each primary its replicas: those without a part, and those that others have too many of.
    fn deal_replicas(&mut self) {
        let rooms = self.rooms();
        let room = |primary: &NodeId| rooms.get(primary).copied().unwrap_or_default();
        let mut pool = std::mem::take(&mut self.free);
        pool.retain(|node| self.answers.contains(&node.id) && !self.situation.is_passing(node.id));
        let mut order: Vec<NodeId> = self.replicas.keys().copied().collect();
        for primary in &order {
            let Some(mut replicas) = self.replicas.remove(primary) else { continue };
            replicas.sort_by_key(|replica| (self.is_missed_less(*primary, replica), replica.address.clone()));
            // Of those whose primary is silent one may be the only one that has its data.
            let stay = if self.answers.contains(primary) { room(primary) } else { replicas.len() };
            let surplus = replicas.split_off(replicas.len().min(stay));
            pool.extend(surplus.into_iter().rev());
            self.replicas.insert(*primary, replicas);
        }
        order.sort_by_key(|primary| self.replicas.get(primary).map_or(0, Vec::len));
        for primary in order {
            let Some(kept) = self.shape.keep.iter().find(|kept| kept.node.id == primary).map(|kept| kept.node.clone())
            else {
                continue;
            };
            let mut lacks = room(&primary).saturating_sub(self.replicas.get(&primary).map_or(0, Vec::len));
            while lacks > 0 && self.answers.contains(&primary) {
                let best = (0..pool.len()).min_by_key(|at| pool.get(*at).map(|node| self.beside(primary, node.id)));
                let Some(best) = best else { break };
                let replica = pool.remove(best);
                self.replicas.entry(primary).or_default().push(replica.clone());
                self.shape.attach.push((replica, kept.clone()));
                lacks -= 1;
            }
            if lacks > 0 {
                self.shape.lacking.push((kept, lacks));
            }
        }
        self.shape.spare = pool;
        self.exchange();
    }

    /// Exchanges new replicas where that takes both away from the machine or the zone of others: whoever chooses first takes what the last
    /// one needs.
    fn exchange(&mut self) {
        let mut attach = std::mem::take(&mut self.shape.attach);
        for one in 1..attach.len() {
            for other in 0..one {
                let Some([(replica, primary), (second, of_second)]) = attach.get_disjoint_mut([one, other]).ok() else {
                    continue;
                };
                let before = self.crowding([(primary.id, replica.id), (of_second.id, second.id)]);
                self.give(primary.id, replica.id, second);
                self.give(of_second.id, second.id, replica);
                let after = self.crowding([(primary.id, second.id), (of_second.id, replica.id)]);
                if after < before {
                    std::mem::swap(replica, second);
                } else {
                    self.give(primary.id, second.id, replica);
                    self.give(of_second.id, replica.id, second);
                }
            }
        }
        self.shape.attach = attach;
    }

    /// How many nodes of their shards are in the zones of these replicas, and how many on their hosts.
    fn crowding(&self, pairs: [(NodeId, NodeId); 2]) -> (usize, usize) {
        let beside = pairs.map(|(primary, replica)| self.beside(primary, replica));
        beside.iter().fold((0, 0), |sum, (zone, host)| (sum.0 + zone, sum.1 + host))
    }

    /// Gives a primary this replica in the place of another one.
    fn give(&mut self, primary: NodeId, instead_of: NodeId, replica: &NodeRef) {
        let replicas = self.replicas.get_mut(&primary).into_iter().flatten();
        if let Some(place) = replicas.into_iter().find(|node| node.id == instead_of) {
            place.clone_from(replica);
        }
    }

    /// How many replicas each primary gets: those that are there beyond the number for each stay as far as there may be more.
    fn rooms(&self) -> BTreeMap<NodeId, usize> {
        let wanted = self.situation.desired.replicas;
        let has = |primary: &NodeId| self.replicas.get(primary).map_or(0, Vec::len);
        let mut rooms: BTreeMap<NodeId, usize> = self.replicas.keys().map(|primary| (*primary, wanted)).collect();
        let is_updated = |primary: &NodeId| {
            let needs = |id: &NodeId| self.situation.needs_restart(*id);
            needs(primary) || self.replicas.get(primary).into_iter().flatten().any(|replica| needs(&replica.id))
        };
        for _ in 0..self.situation.desired.extra {
            let best = rooms.iter_mut().max_by_key(|(primary, room)| {
                let is_first = self.situation.surge > 0 && is_updated(primary);
                (is_first, has(primary).saturating_sub(**room), Reverse(**room))
            });
            if let Some((_, room)) = best {
                *room += 1;
            }
        }
        rooms
    }

    /// What is to be small for a replica that stays.
    fn is_missed_less(&self, primary: NodeId, replica: &NodeRef) -> (bool, bool, bool, (usize, usize)) {
        let is_synced = self.in_sync.contains(&replica.id);
        let is_behind = self.situation.needs_restart(replica.id);
        (!self.answers.contains(&replica.id), !is_synced, is_behind, self.beside(primary, replica.id))
    }

    /// How many nodes of a primary's shard are in the zone and on the host of a node.
    fn beside(&self, primary: NodeId, node: NodeId) -> (usize, usize) {
        let (host, zone) = self.situation.place(node);
        let replicas = self.replicas.get(&primary).into_iter().flatten().map(|replica| replica.id);
        let others = || std::iter::once(primary).chain(replicas.clone()).filter(|other| *other != node);
        let places = || others().map(|other| self.situation.place(other));
        (places().filter(|place| place.1 == zone).count(), places().filter(|place| place.0 == host).count())
    }
}

fn in_sync(view: &ClusterView) -> BTreeSet<NodeId> {
    let linked = view.answering().filter(|(_, said)| said.server.primary_link_up == Some(true));
    linked.map(|(_, said)| said.myself.id).collect()
}
