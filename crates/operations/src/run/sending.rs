//! Keys that go from one node to another, at a pace that others can bear, and what is told of them.

use super::{Moved, Progress, RunError, Runner};
use crate::moving::{Moves, keys::Sent, pace::Governor, probe::Probe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use topology::plan::NodeRef;

/// What is sent from one node to another.
pub(super) struct Sending<'a> {
    from: &'a NodeRef,
    to: &'a NodeRef,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
    probe: Option<Probe>,
    moved: Mutex<Moved>,
    /// How much of it goes at once.
    pub(super) governor: Mutex<Governor>,
}

impl<'a> Sending<'a> {
    /// Measures what others wait now, and goes on until it is dropped; `moved` has arrived already.
    pub(super) async fn start(
        runner: &Runner<'a>,
        moves: &Moves,
        from: &'a NodeRef,
        to: &'a NodeRef,
        moved: Moved,
    ) -> Result<Self, RunError> {
        let probe = match moves.pace.budget {
            Some(_) => {
                Some(Probe::start(Arc::clone(&moves.dialer), vec![from.address.clone(), to.address.clone()]).await?)
            }
            None => None,
        };
        let round_trip = probe.as_ref().map(Probe::round_trip).unwrap_or_default();
        let governor = Mutex::new(Governor::new(moves.pace, round_trip));
        Ok(Self { from, to, progress: runner.progress, probe, moved: Mutex::new(moved), governor })
    }

    /// Tells what was sent, and lets the pace follow what others waited.
    pub(super) fn tell(&self, sent: Sent) {
        let now = match sent {
            Sent::Large(key, bytes) => return (self.progress)(Progress::LargeKey { key, bytes }),
            Sent::Closed(slots) => {
                let mut now = locked(&self.moved);
                now.slots += slots.len();
                (self.progress)(Progress::SlotsMoved { from: self.from.clone(), to: self.to.clone(), slots });
                *now
            }
            Sent::Keys(keys, bytes) => {
                let mut now = locked(&self.moved);
                now.keys += keys;
                now.bytes += bytes;
                if let Some(latency) = self.probe.as_ref().and_then(Probe::latency) {
                    locked(&self.governor).others_wait(latency);
                    now.latency = Some(latency);
                }
                *now
            }
        };
        (self.progress)(Progress::Moving { from: self.from.clone(), to: self.to.clone(), moved: now });
    }
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
