//! Who owns slots, and which are open.

use super::{Outcome, error, ok};
use crate::{
    bus::{At, Millis},
    replication::set_mark,
    server::Server,
    stream::Change,
    world::World,
};
use operations::port::{Command, SlotState};
use topology::{NodeId, Reply, Slot, SlotSet};

/// How long a primary waits for its replicas to carry out `CLUSTER SETSLOT`.
const PATIENCE: Millis = 2000;

impl World {
    pub(super) fn change_slots(&mut self, at: At, command: &Command) -> Option<Outcome> {
        let server = self.servers.get_mut(at)?;
        let (me, bus) = (server.me, &mut self.bus);
        Some(match command {
            Command::AddSlots(slots) => {
                let served = server.nodes.values().fold(SlotSet::new(), |all, known| all.union(&known.slots));
                if let Some(slot) = served.intersection(slots).iter().next() {
                    error(format!("ERR Slot {slot} is already busy")).into()
                } else {
                    server.importing.retain(|slot, _| !slots.contains(*slot));
                    server.assign(bus, slots, Some(me));
                    server.note(bus, format_args!("is given {slots}"));
                    ok().into()
                }
            }
            Command::RemoveSlots(slots) => {
                let served = server.nodes.values().fold(SlotSet::new(), |all, known| all.union(&known.slots));
                if let Some(slot) = slots.difference(&served).iter().next() {
                    error(format!("ERR Slot {slot} is already unassigned")).into()
                } else {
                    server.assign(bus, slots, None);
                    server.note(bus, format_args!("is relieved of {slots}"));
                    ok().into()
                }
            }
            Command::GiveUpSlots(_) if server.data.len() > 0 => {
                error("ERR DB must be empty to perform CLUSTER FLUSHSLOTS.").into()
            }
            Command::GiveUpSlots(_) => {
                let slots = server.slots();
                server.assign(bus, &slots, None);
                ok().into()
            }
            Command::SetSlot(slot, state) => self.set_slot(at, *slot, *state),
            _ => return None,
        })
    }

    fn set_slot(&mut self, at: At, slot: Slot, state: SlotState) -> Outcome {
        let Some(server) = self.servers.get(at) else { return error("ERR").into() };
        if let Some(refusal) = server.refusal_of_state(slot, state) {
            return refusal.into();
        }
        let mut wait = 0;
        if server.profile.replicates_set_slot {
            let replicas: Vec<At> = self
                .followers(at)
                .filter(|replica| replica.upstream.as_ref().is_some_and(|up| up.is_linked))
                .map(|replica| replica.at)
                .collect();
            if !replicas.is_empty() {
                let follows = |replica: &At| {
                    self.bus.reaches(at, *replica) && self.servers.get(*replica).is_some_and(Server::runs)
                };
                // They carry it out all the same, as soon as they can.
                let all_follow = replicas.iter().all(follows);
                self.replicate_state(at, slot, state, &replicas);
                if !all_follow {
                    return Outcome::After(PATIENCE, error("NOREPLICAS Not enough good replicas to write."));
                }
                wait = 1;
            }
        }
        if let Some(server) = self.servers.get_mut(at) {
            server.take_state(&mut self.bus, slot, state);
        }
        if wait > 0 { Outcome::After(wait, ok()) } else { ok().into() }
    }

    /// Lets replicas carry it out before the primary does.
    fn replicate_state(&mut self, at: At, slot: Slot, state: SlotState, replicas: &[At]) {
        let change = match state {
            SlotState::Importing(from) => Change::Mark(slot, Some(from), None),
            SlotState::Migrating(to) => Change::Mark(slot, None, Some(to)),
            SlotState::Stable => Change::Mark(slot, None, None),
            SlotState::Node(owner) => Change::Owner(slot, owner),
        };
        if let Some(server) = self.servers.get_mut(at) {
            server.stream.write(change);
        }
        for replica in replicas {
            self.pull(*replica);
        }
    }
}

impl Server {
    /// Why a slot cannot be made this; the servers' own words.
    fn refusal_of_state(&self, slot: Slot, state: SlotState) -> Option<Reply> {
        if !self.is_primary() {
            return Some(error("ERR Please use SETSLOT only with masters."));
        }
        let is_own = self.owner(slot) == Some(self.me);
        let known = |id: NodeId| self.nodes.get(&id).filter(|known| !known.in_handshake);
        let unusable = |id: NodeId| match known(id) {
            None => Some(error(format!("ERR I don't know about node {id}"))),
            Some(node) if node.is_replica => Some(error("ERR Target node is not a master")),
            Some(_) => None,
        };
        match state {
            SlotState::Migrating(_) if !is_own => Some(error(format!("ERR I'm not the owner of hash slot {slot}"))),
            SlotState::Importing(_) if is_own => Some(error(format!("ERR I'm already the owner of hash slot {slot}"))),
            SlotState::Migrating(id) | SlotState::Importing(id) => unusable(id),
            SlotState::Stable => None,
            SlotState::Node(id) => match known(id) {
                None => Some(error(format!("ERR Unknown node {id}"))),
                Some(node) if node.is_replica => Some(error("ERR Target node is not a master")),
                Some(_) if is_own && id != self.me && self.data.count(slot) > 0 => Some(error(format!(
                    "ERR Can't assign hashslot {slot} to a different node while I still hold keys for this hash slot."
                ))),
                Some(_) => None,
            },
        }
    }

    fn take_state(&mut self, bus: &mut crate::bus::Bus, slot: Slot, state: SlotState) {
        match state {
            SlotState::Importing(from) => set_mark(&mut self.importing, slot, Some(from)),
            SlotState::Migrating(to) => set_mark(&mut self.migrating, slot, Some(to)),
            SlotState::Stable => {
                set_mark(&mut self.importing, slot, None);
                set_mark(&mut self.migrating, slot, None);
            }
            SlotState::Node(owner) => self.take_owner(bus, slot, owner),
        }
    }

    fn take_owner(&mut self, bus: &mut crate::bus::Bus, slot: Slot, owner: NodeId) {
        let was_own = self.owner(slot) == Some(self.me);
        if self.data.count(slot) == 0 {
            set_mark(&mut self.migrating, slot, None);
        }
        self.assign(bus, &SlotSet::from(slot..=slot), Some(owner));
        self.note(bus, format_args!("is told that {} owns {slot}", owner.short()));
        let is_bare = !self.myself().is_some_and(crate::server::Known::owns_slots);
        if was_own && owner != self.me && is_bare && self.settings.replica_migration {
            self.follow(bus, owner);
        } else if owner == self.me && self.importing.remove(&slot).is_some() {
            self.raise_epoch(bus);
            self.announce(bus, false);
        }
    }
}
