//! Who owns which slot, as a server believes.

use super::Server;
use crate::{
    bus::Bus,
    message::{Kind, Message},
};
use topology::{NodeId, SlotSet};

impl Server {
    /// What a header tells of slots.
    pub(super) fn hear_slots(&mut self, bus: &mut Bus, message: &Message) {
        let Some(sender) = self.nodes.get(&message.sender) else { return };
        let teller = if sender.is_replica { sender.primary.and_then(|id| self.nodes.get(&id)) } else { Some(sender) };
        if teller.is_none_or(|teller| teller.slots == message.slots) {
            // What it names and is taken for its own is in no doubt, which the servers look at only where something differs.
            return;
        }
        if !sender.is_replica {
            self.update_slots(bus, message.sender, message.config_epoch, &message.slots);
        }
        // The reverse: it claims what belongs to somebody with a higher epoch.
        let outdone = |known: &&super::Known| {
            known.id != message.sender
                && known.epoch > message.config_epoch
                && !known.slots.intersection(&message.slots).is_empty()
        };
        let newer = self.nodes.values().filter(outdone);
        // The servers tell of the owner of the first such slot, once for each message.
        let first = newer.min_by_key(|known| known.slots.intersection(&message.slots).iter().next());
        if let Some(owner) = first {
            let told = owner.slots.difference(&self.unclaimed);
            let update = Kind::Update(owner.id, owner.epoch, told);
            self.tell(bus, message.sender, update);
        }
    }

    pub(super) fn hear_update(&mut self, bus: &mut Bus, node: NodeId, epoch: u64, slots: &SlotSet) {
        let Some(known) = self.nodes.get_mut(&node).filter(|known| known.epoch < epoch) else { return };
        known.epoch = epoch;
        self.note(bus, format_args!("is told of {} with epoch {epoch}", node.short()));
        self.make_primary(bus, node);
        self.update_slots(bus, node, epoch, slots);
    }

    /// `clusterUpdateSlotsConfigWith`
    fn update_slots(&mut self, bus: &mut Bus, sender: NodeId, epoch: u64, claimed: &SlotSet) {
        let me = self.me;
        let Some(bound) = self.nodes.get(&sender).map(|known| known.slots.clone()).filter(|_| sender != me) else {
            return;
        };
        let ours = if self.is_primary() { Some(me) } else { self.primary() };
        self.unclaimed = self.unclaimed.difference(&claimed.intersection(&bound));
        let mut wanted = claimed.difference(&bound);
        if !self.profile.knows_shards {
            wanted = wanted.difference(&self.importing.keys().copied().collect());
        }
        let (mut taken, mut of_ours, mut lost) = (wanted.clone(), 0, SlotSet::new());
        for known in self.nodes.values_mut().filter(|known| known.id != sender) {
            let both = known.slots.intersection(&wanted);
            if both.is_empty() {
                continue;
            }
            let given = if known.epoch < epoch { both.clone() } else { both.intersection(&self.unclaimed) };
            taken = taken.difference(&both.difference(&given));
            known.slots = known.slots.difference(&given);
            if Some(known.id) == ours {
                of_ours = given.len();
            }
            if known.id == me {
                lost = given;
            }
        }
        if let Some(known) = self.nodes.get_mut(&sender) {
            known.slots = known.slots.union(&taken);
        }
        let let_go = bound.difference(claimed);
        self.unclaimed = self.unclaimed.difference(&taken).union(&let_go);
        if !taken.is_empty() {
            self.later.state = true;
            self.note(bus, format_args!("believes that {} owns {taken}", sender.short()));
            bus.changed();
        }
        if self.profile.knows_shards {
            self.change_marks(sender, epoch, claimed, &taken);
            self.take_let_go(bus, sender, claimed);
        }
        self.obey(bus, sender, claimed, of_ours, &lost);
    }

    /// What a server does that has lost slots, or whose primary has.
    fn obey(&mut self, bus: &mut Bus, sender: NodeId, claimed: &SlotSet, of_ours: usize, lost: &SlotSet) {
        let me = self.me;
        let ours = self.primary().unwrap_or(me);
        let is_bare = self.nodes.get(&ours).is_some_and(|known| !known.owns_slots());
        let (may_follow, is_one_of_two) = if self.profile.knows_shards {
            let is_older = self
                .nodes
                .get(&ours)
                .is_some_and(|known| self.nodes.get(&sender).is_some_and(|other| known.epoch < other.epoch));
            let both_bare = claimed.is_empty() && ours != sender && is_older && self.is_in_shard_of(me, sender);
            (self.settings.replica_migration || self.is_in_shard_of(me, sender), both_bare)
        } else {
            (self.settings.replica_migration || claimed.len() == of_ours, false)
        };
        if (of_ours > 0 || is_one_of_two) && is_bare && may_follow {
            self.note(bus, format_args!("follows {}, which has taken the last slots", sender.short()));
            self.follow(bus, sender);
        } else if !self.follow_upwards(bus) && !lost.is_empty() {
            self.drop_keys(bus, lost);
        }
    }

    fn is_in_shard_of(&self, one: NodeId, other: NodeId) -> bool {
        let shard = |id| self.nodes.get(&id).map(|known| known.shard);
        shard(one).is_some() && shard(one) == shard(other)
    }

    /// What a message changes of open slots (Valkey 8.0).
    fn change_marks(&mut self, sender: NodeId, epoch: u64, claimed: &SlotSet, taken: &SlotSet) {
        if self.migrating.is_empty() && self.importing.is_empty() {
            return;
        }
        if !self.is_in_shard_of(self.me, sender) {
            self.migrating.retain(|slot, _| !taken.contains(*slot));
        }
        let mut migrating = self.migrating.clone();
        for (_, target) in migrating.iter_mut().filter(|(slot, _)| !claimed.contains(**slot)) {
            let is_replaced = |known: &super::Known| known.is_replica || known.epoch < epoch;
            let replaced = self.nodes.get(target).is_some_and(is_replaced);
            if *target != sender && replaced && self.is_in_shard_of(*target, sender) {
                *target = sender;
            }
        }
        self.migrating = migrating;
        let mut importing = self.importing.clone();
        let stays = |slot: &topology::Slot, source: &mut NodeId| {
            if !taken.contains(*slot) || *source == sender {
                return true;
            }
            let is_failover = self.is_in_shard_of(*source, sender);
            *source = sender;
            is_failover
        };
        importing.retain(stays);
        self.importing = importing;
    }

    /// A replica whose primary follows another node follows that one.
    fn follow_upwards(&mut self, bus: &mut Bus) -> bool {
        let primary = self.primary().and_then(|id| self.nodes.get(&id)).filter(|known| known.is_replica);
        let Some(above) = primary.and_then(|known| known.primary).filter(|above| *above != self.me) else {
            return false;
        };
        self.follow(bus, above);
        true
    }

    /// Takes slots that it imports from a node which does not name them any more (Valkey 8.0).
    fn take_let_go(&mut self, bus: &mut Bus, from: NodeId, claimed: &SlotSet) {
        let is_let_go = |slot: topology::Slot, source: NodeId| source == from && !claimed.contains(slot);
        let slots: SlotSet =
            self.importing.iter().filter(|(slot, source)| is_let_go(**slot, **source)).map(|(slot, _)| *slot).collect();
        if slots.is_empty() || !self.is_primary() {
            return;
        }
        self.importing.retain(|slot, _| !slots.contains(*slot));
        let taken = slots.difference(&self.slots());
        if !taken.is_empty() {
            self.note(bus, format_args!("takes {taken}, which {} has let go", from.short()));
            self.assign(bus, &taken, Some(self.me));
            self.raise_epoch(bus);
        }
    }

    /// Gives slots to a node, whoever has them.
    pub(crate) fn assign(&mut self, bus: &mut Bus, slots: &SlotSet, owner: Option<NodeId>) {
        for known in self.nodes.values_mut() {
            let is_owner = Some(known.id) == owner;
            if is_owner {
                known.slots = known.slots.union(slots);
            } else if known.owns_slots() {
                known.slots = known.slots.difference(slots);
            }
        }
        // Before 8.0 the note stays, although the slot has another owner: see `operations::run::doubts`.
        if !self.profile.keeps_notes {
            self.unclaimed = self.unclaimed.difference(slots);
        }
        self.later.state = true;
        bus.changed();
    }

    /// `clusterBumpConfigEpochWithoutConsensus`: none where it has the highest already.
    pub(crate) fn raise_epoch(&mut self, bus: &mut Bus) -> Option<u64> {
        let highest = self.nodes.values().map(|known| known.epoch).max().unwrap_or_default().max(self.current_epoch);
        if self.config_epoch() != 0 && self.config_epoch() == highest {
            return None;
        }
        self.current_epoch = highest + 1;
        let epoch = self.current_epoch;
        self.change_myself(|myself| myself.epoch = epoch);
        bus.changed();
        Some(epoch)
    }

    /// Drops keys of slots that others own now.
    pub(crate) fn drop_keys(&mut self, bus: &mut Bus, slots: &SlotSet) {
        let dropped = self.data.drop_slots(slots);
        if dropped > 0 {
            self.note(bus, format_args!("drops {dropped} keys of {slots}"));
            self.stream.write(crate::stream::Change::DropSlots(slots.clone()));
        }
    }
}
