//! How much a node is asked to send at once, so that others who talk to it do not wait for long.

use super::Pace;
use std::time::Duration;

/// What a key costs beside its bytes, in bytes that cost as much.
const KEY: u64 = 256;
/// Until something was measured: what a unit costs on a slow machine.
const FIRST_GUESS: f64 = 60e-9;
/// No parcel costs more than this, however fast it may go: replies and memory stay small.
const MOST_UNITS: f64 = 4e6;
/// No parcel is smaller, however slow it goes.
const LEAST_UNITS: f64 = 2_000.0;

/// Decides how large a parcel is and how many are on their way at once.
///
/// A node that sends a parcel serves nobody else meanwhile. So a parcel may take a part of the budget only, and that part
/// grows and shrinks with what others are seen to wait.
#[derive(Clone, Debug)]
pub(crate) struct Governor {
    pace: Pace,
    /// Seconds that a parcel may take.
    share: f64,
    /// Seconds that a unit takes: a byte, or a part of what each key costs.
    unit: f64,
}

impl Governor {
    pub(crate) fn new(pace: Pace) -> Self {
        let share = pace.budget.map_or(f64::INFINITY, |budget| budget.as_secs_f64() / 4.0);
        Self { pace, share, unit: FIRST_GUESS }
    }

    /// What so many keys with so many bytes count for.
    pub(crate) const fn units(keys: u64, bytes: u64) -> u64 {
        keys.saturating_mul(KEY).saturating_add(bytes)
    }

    /// Units in one parcel at most.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a small positive range")]
    pub(crate) fn most_units(&self) -> u64 {
        (self.share / self.unit).clamp(LEAST_UNITS, MOST_UNITS) as u64
    }

    /// Keys in one parcel at most.
    pub(crate) const fn most_keys(&self) -> u32 {
        if self.pace.pipeline == 0 { 1 } else { self.pace.pipeline }
    }

    /// Parcels on their way at once: while one is sent, the next is there already.
    pub(crate) const fn window(&self) -> usize {
        if self.pace.budget.is_some() { 2 } else { 4 }
    }

    /// Learns from what was sent since the last time.
    pub(crate) fn sent(&mut self, units: u64, took: Duration) {
        if units >= KEY {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let measured = took.as_secs_f64() / units as f64;
            self.unit += (measured - self.unit) * 0.1;
        }
    }

    /// Learns from what others wait beyond what they wait without the move, 99 times of 100.
    pub(crate) fn others_wait(&mut self, latency: Duration) {
        let Some(budget) = self.pace.budget.map(|budget| budget.as_secs_f64()) else { return };
        let latency = latency.as_secs_f64();
        if latency > budget * 0.9 {
            self.share *= 0.8;
        } else if latency < budget * 0.6 {
            self.share *= 1.05;
        }
        // Smaller parcels than that are not what others wait for.
        self.share = self.share.clamp(budget / 10.0, budget / 2.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn governor(budget: Option<u64>) -> Governor {
        Governor::new(Pace { budget: budget.map(Duration::from_millis), ..Pace::default() })
    }

    #[test]
    fn parcels_shrink_while_others_wait_too_long_and_grow_back_when_they_do_not() {
        let mut governor = governor(Some(3));
        let before = governor.most_units();
        for _ in 0..20 {
            governor.others_wait(Duration::from_millis(5));
        }
        let slow = governor.most_units();
        assert!(slow < before / 2, "{slow} of {before}");
        for _ in 0..100 {
            governor.others_wait(Duration::from_millis(1));
        }
        assert!(governor.most_units() > before);
    }

    #[test]
    fn a_slow_node_gets_small_parcels() {
        let mut governor = governor(Some(3));
        let before = governor.most_units();
        for _ in 0..50 {
            governor.sent(10_000, Duration::from_millis(500));
        }
        assert!(governor.most_units() < before / 5, "{} of {before}", governor.most_units());
        assert!(governor.most_units() > 0);
    }

    #[test]
    fn without_a_budget_nothing_slows_it_down() {
        let mut governor = governor(None);
        governor.others_wait(Duration::from_secs(1));
        assert_eq!(governor.most_units(), 4_000_000);
    }
}
