//! What an agent has done since it began, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers that only grow.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) starts: AtomicU64,
    pub(crate) exits: AtomicU64,
    pub(crate) failovers_begun: AtomicU64,
    pub(crate) failovers_done: AtomicU64,
    pub(crate) handovers_begun: AtomicU64,
    pub(crate) handovers_done: AtomicU64,
    pub(crate) introductions: AtomicU64,
}

impl Counters {
    /// Counts one more.
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub(crate) fn of(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
