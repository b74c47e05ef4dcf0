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
        let importing: SlotSet = self.importing.keys().copied().collect();
        let wanted = claimed.difference(&bound).difference(&importing);
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
        if self.profile.gossip_clears_marks {
            self.migrating.retain(|slot, _| !lost.contains(*slot));
        }
        if self.profile.takes_what_is_let_go && self.is_primary() {
            self.take_let_go(bus, sender, &let_go);
        }
        let is_bare = ours.and_then(|ours| self.nodes.get(&ours)).is_some_and(|known| !known.owns_slots());
        if of_ours > 0 && is_bare && (self.settings.replica_migration || claimed.len() == of_ours) {
            self.note(bus, format_args!("follows {}, which has taken the last slots", sender.short()));
            self.follow(bus, sender);
        } else if !self.follow_upwards(bus) && !lost.is_empty() {
            self.drop_keys(bus, &lost);
        }
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

    /// Takes slots that it imports from a node which does not name them any more.
    fn take_let_go(&mut self, bus: &mut Bus, from: NodeId, let_go: &SlotSet) {
        let importing = self.importing.iter().filter(|(_, source)| **source == from).map(|(slot, _)| *slot);
        let taken = importing.collect::<SlotSet>().intersection(let_go);
        let bound = self.nodes.get(&from).map(|known| known.slots.intersection(&taken)).unwrap_or_default();
        if bound.is_empty() {
            return;
        }
        self.note(bus, format_args!("takes {bound}, which {} has let go", from.short()));
        self.importing.retain(|slot, _| !bound.contains(*slot));
        self.assign(bus, &bound, Some(self.me));
        self.raise_epoch(bus);
        self.announce(bus, false);
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
            self.stream.write(crate::replication::Change::DropSlots(slots.clone()));
        }
    }
}
