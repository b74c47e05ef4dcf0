//! Slots that servers move by themselves: `CLUSTER MIGRATESLOTS` (Valkey 9.0) and `CLUSTER MIGRATION IMPORT` (Redis 8.4).
//!
//! Of what the servers do step by step the model has: a while for the copy, a moment in which writers of these slots wait, and the new owner
//! with a new epoch, which copies what the old one holds then. A step fails when one end is gone, cannot be reached, or is no primary.

use crate::{
    bus::{At, Event, Millis},
    schedule::{Place, chance},
    stream::Change,
    world::World,
};
use topology::{NodeId, SlotSet};

/// How long writers wait at most (`cluster-manual-failover-timeout`, `cluster-slot-migration-write-pause-timeout`).
const PAUSE: Millis = 5000;
/// Time between two looks at whether the old owner has heard of the new one.
const LOOK: Millis = 5;
/// Time after which Redis begins anew with what has failed.
const RETRY: Millis = 500;

/// What a server tells of a migration.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) is_export: bool,
    pub(crate) slots: SlotSet,
    pub(crate) source: NodeId,
    pub(crate) target: NodeId,
    pub(crate) state: &'static str,
    pub(crate) message: String,
    pub(crate) retries: i64,
    pub(crate) created: Millis,
}

impl Job {
    pub(crate) fn is_over(&self) -> bool {
        ["success", "failed", "cancelled", "completed", "canceled"].contains(&self.state)
    }
}

/// How far a migration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Connecting,
    Copying,
    Streaming,
    Holding,
    /// The new owner has taken the slots; the old one is to hear of it.
    Taken(Millis),
}

/// What keeps a migration from going on. Redis tries again what may pass, and gives up where the cluster has changed.
enum Hindrance {
    Passing(&'static str),
    ForGood(&'static str),
}

/// A migration under way.
#[derive(Clone, Debug)]
pub(crate) struct Move {
    pub(crate) source: (At, u32),
    pub(crate) target: (At, u32),
    pub(crate) slots: SlotSet,
    pub(crate) is_task: bool,
    stage: Stage,
}

impl World {
    /// Begins a migration, and lists it at the end that was asked; the other end hears of it with the first step.
    pub(crate) fn begin_move(&mut self, source: At, target: At, slots: &SlotSet, is_task: bool) -> String {
        self.moves_begun += 1;
        let (number, name) = (self.moves_begun, self.bus.new_name());
        let process = |at: At| (at, self.servers.get(at).map_or(0, |server| server.incarnation));
        let begun = Move {
            source: process(source),
            target: process(target),
            slots: slots.clone(),
            is_task,
            stage: Stage::Connecting,
        };
        let id = |at: At| self.servers.get(at).map(|server| server.me);
        let (Some(from), Some(to)) = (id(source), id(target)) else { return name };
        for (at, is_export) in [(source, true), (target, false)] {
            let job = Job {
                number,
                name: name.clone(),
                is_export,
                slots: slots.clone(),
                source: from,
                target: to,
                state: "connecting",
                message: String::new(),
                retries: 0,
                created: self.bus.now,
            };
            if let Some(server) = self.servers.get_mut(at) {
                server.jobs.push(job);
            }
        }
        self.bus.note(format_args!("{} moves {slots} to {} by themselves", from.short(), to.short()));
        self.moves.insert(number, begun);
        let delay = self.bus.random.u64(1..=3);
        self.bus.after(delay, Event::Migration(number));
        name
    }

    /// The next step of a migration.
    pub(crate) fn step_move(&mut self, number: u64) {
        let Some(now) = self.moves.get(&number).cloned() else { return };
        match self.hindrance(&now) {
            Some(Hindrance::Passing(reason)) => return self.fail_move(number, reason),
            Some(Hindrance::ForGood(reason)) => {
                let state = if now.is_task { "canceled" } else { "failed" };
                return self.end_move(number, state, reason);
            }
            None => {}
        }
        let Move { source: (source, process), target: (target, _), slots, is_task, stage } = now;
        let random = &mut self.bus.random;
        let (next, state, delay) = match stage {
            Stage::Connecting => {
                let state = if is_task { "accumulate-buffer" } else { "snapshotting" };
                (Stage::Copying, state, random.u64(2..=20))
            }
            Stage::Copying => {
                let state = if is_task { "streaming-buffer" } else { "replicating" };
                (Stage::Streaming, state, random.u64(1..=10))
            }
            Stage::Streaming => {
                if let Some(server) = self.servers.get_mut(source) {
                    server.held_slots = server.held_slots.union(&slots);
                }
                (Stage::Holding, if is_task { "handoff" } else { "failover-paused" }, random.u64(1..=4))
            }
            Stage::Holding => {
                self.take_moved(source, target, &slots);
                let until = self.bus.now + PAUSE;
                (Stage::Taken(until), if is_task { "takeover" } else { "failover-granted" }, LOOK)
            }
            Stage::Taken(until) => {
                let to = self.servers.get(target).map(|server| server.me);
                let believes = |id: NodeId| {
                    let server = self.servers.get(source)?;
                    Some(slots.difference(&server.nodes.get(&id)?.slots).is_empty())
                };
                let is_gone = self.servers.get(source).is_none_or(|server| server.incarnation != process);
                if is_gone || to.and_then(believes) == Some(true) {
                    return self.end_move(number, if is_task { "completed" } else { "success" }, "");
                }
                if self.bus.now >= until {
                    // The slots have their new owner all the same: whoever asks for them hears so.
                    let state = if is_task { "completed" } else { "failed" };
                    return self.end_move(number, state, "the new owner was not heard");
                }
                (stage, if is_task { "takeover" } else { "failover-granted" }, LOOK)
            }
        };
        if let Some(under_way) = self.moves.get_mut(&number) {
            under_way.stage = next;
        }
        self.tell_state(number, state, "");
        self.bus.after(delay, Event::Migration(number));
    }

    /// What keeps a migration from going on, before the slots have their new owner.
    fn hindrance(&mut self, now: &Move) -> Option<Hindrance> {
        if matches!(now.stage, Stage::Taken(_)) {
            return None;
        }
        for (at, incarnation) in [now.source, now.target] {
            let server = self.servers.get(at)?;
            if server.incarnation != incarnation || !server.runs() {
                return Some(Hindrance::Passing("connection lost"));
            }
            if !server.is_primary() {
                return Some(Hindrance::ForGood("one of the nodes is a replica now"));
            }
        }
        if !self.bus.reaches(now.source.0, now.target.0) {
            return Some(Hindrance::Passing("connection timed out"));
        }
        let owned = self.servers.get(now.source.0)?.slots();
        if !now.slots.difference(&owned).is_empty() {
            return Some(Hindrance::ForGood("slots are not served by the source any more"));
        }
        let fails = self.faults.migration_fails;
        let fails = now.stage == Stage::Copying
            && fails > 0.0
            && self.happens(
                Place::Move,
                now.source.0,
                |random| chance(random, fails).into(),
                |_| format!("a move by server-{} fails", now.source.0),
            ) > 0;
        fails.then_some(Hindrance::Passing("child process failed"))
    }

    /// The new owner gets the keys as they are now, and the slots.
    fn take_moved(&mut self, source: At, target: At, slots: &SlotSet) {
        let keys = self.servers.get(source).map(|server| server.data.part(slots)).unwrap_or_default();
        self.write(target, Change::DropSlots(slots.clone()));
        for (key, value) in keys {
            self.write(target, Change::Set(key, value));
        }
        if let Some(server) = self.servers.get_mut(target) {
            server.importing.retain(|slot, _| !slots.contains(*slot));
            server.assign(&mut self.bus, slots, Some(server.me));
            server.raise_epoch(&mut self.bus);
            server.note(&mut self.bus, format_args!("takes {slots} with epoch {}", server.config_epoch()));
            server.announce(&mut self.bus, false);
            server.finish(&mut self.bus);
        }
    }

    fn tell_state(&mut self, number: u64, state: &'static str, message: &str) {
        let Some(now) = self.moves.get(&number).cloned() else { return };
        for (at, incarnation) in [now.source, now.target] {
            let server = self.servers.get_mut(at).filter(|server| server.incarnation == incarnation);
            let jobs = server.into_iter().flat_map(|server| &mut server.jobs);
            for job in jobs.filter(|job| job.number == number) {
                job.state = state;
                message.clone_into(&mut job.message);
            }
        }
    }

    /// It ends, in whatever way.
    pub(crate) fn end_move(&mut self, number: u64, state: &'static str, message: &str) {
        self.tell_state(number, state, message);
        if let Some(ended) = self.moves.remove(&number) {
            if let Some(server) = self.servers.get_mut(ended.source.0) {
                server.held_slots = server.held_slots.difference(&ended.slots);
            }
            self.bus.note(format_args!("the move of {} by the servers ends: {state} {message}", ended.slots));
        }
    }

    /// It has failed. Redis begins anew on its own until it is cancelled, as long as the one that asked runs.
    fn fail_move(&mut self, number: u64, reason: &'static str) {
        let Some(now) = self.moves.get(&number).cloned() else { return };
        if let Some(server) = self.servers.get_mut(now.source.0) {
            server.held_slots = server.held_slots.difference(&now.slots);
        }
        let runs = self.servers.get(now.target.0).is_some_and(|server| server.incarnation == now.target.1);
        if !now.is_task || !runs {
            return self.end_move(number, "failed", reason);
        }
        self.tell_state(number, "failed", reason);
        let source = self.servers.get(now.source.0).map_or(0, |server| server.incarnation);
        if let Some(server) = self.servers.get_mut(now.target.0) {
            for job in server.jobs.iter_mut().filter(|job| job.number == number) {
                job.retries += 1;
            }
        }
        if let Some(under_way) = self.moves.get_mut(&number) {
            (under_way.stage, under_way.source.1) = (Stage::Connecting, source);
        }
        self.bus.after(RETRY, Event::Migration(number));
    }
}
