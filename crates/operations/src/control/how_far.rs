//! How far what the loop has begun has come, and how long the rest takes.

use crate::run::{Moved, Progress, seconds_left};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;
use topology::{FleetMember, NodeId, Update, plan::Action};

/// What has gone on for less time tells nothing of its speed.
const ENOUGH: Duration = Duration::from_secs(1);

/// How far steps that were begun together have come.
#[derive(Default)]
pub(super) struct HowFar {
    moves: BTreeMap<(NodeId, NodeId), Moving>,
    words: Option<String>,
    /// How long all of them take, by what is to be moved.
    pub(super) expected: Duration,
}

/// A move: what was moved when that was told first, and last.
struct Moving {
    since: Instant,
    first: Moved,
    last: Moved,
}

impl HowFar {
    /// Takes in what a run tells.
    pub(super) fn note(&mut self, now: Instant, told: &Progress) {
        match told {
            Progress::Moving { from, to, moved } => {
                let moving =
                    self.moves.entry((from.id, to.id)).or_insert(Moving { since: now, first: *moved, last: *moved });
                moving.last = *moved;
            }
            Progress::Waiting { missing } => self.words = Some(missing.clone()),
            Progress::FallsBack { reason, .. } => {
                self.words = Some(format!("by MIGRATE, since the servers' own way failed: {reason}"));
            }
            _ => {}
        }
    }

    fn of(&self, action: &Action) -> Option<&Moving> {
        let Action::MoveSlots { from, to, .. } = action else { return None };
        self.moves.get(&(from.id, to.id))
    }

    /// The same in words.
    pub(super) fn words(&self, action: &Action) -> Option<String> {
        let moved = |moving: &Moving| format!("{} slots, {} keys", moving.last.slots, moving.last.keys);
        let is_begun = |moving: &&Moving| moving.last.slots > 0 || moving.last.keys > 0;
        self.of(action).filter(is_begun).map(moved).or_else(|| self.words.clone())
    }

    /// How many seconds the rest of a move takes at the speed so far, or as long as that is not known by what is to be moved; none for
    /// what nobody can say.
    pub(super) fn seconds_left(&self, action: &Action, begun: Instant, now: Instant) -> Option<f64> {
        let Action::MoveSlots { slots, .. } = action else { return None };
        let at_this_speed = |moving: &Moving| {
            let all = slots.len().saturating_sub(moving.first.slots);
            let done = moving.last.slots.saturating_sub(moving.first.slots);
            left(done, all, now.duration_since(moving.since))
        };
        let expected = || self.expected.checked_sub(now.duration_since(begun)).map(|left| left.as_secs_f64());
        self.of(action).and_then(at_this_speed).or_else(expected)
    }
}

/// How far an update of all members has come.
#[derive(Default)]
pub(super) struct Updates {
    /// Since when, and how many were behind then; how many are now.
    course: Option<(Instant, usize)>,
    behind: usize,
}

impl Updates {
    /// Takes in what the platform tells of its members.
    pub(super) fn see(&mut self, now: Instant, members: &[FleetMember]) {
        self.behind = members.iter().filter(|member| member.update != Update::Current).count();
        let course = self.course.filter(|(_, from)| self.behind > 0 && self.behind <= *from);
        self.course = course.or_else(|| (self.behind > 0).then_some((now, self.behind)));
    }

    /// How many seconds the rest takes at the speed so far; none before a member has got it.
    pub(super) fn seconds_left(&self, now: Instant) -> Option<f64> {
        let (since, from) = self.course?;
        left(from - self.behind.min(from), from, now.duration_since(since))
    }
}

fn left(done: usize, of: usize, took: Duration) -> Option<f64> {
    if took < ENOUGH {
        return None;
    }
    seconds_left(done as u64, of as u64, took.as_secs_f64())
}
