//! How much a node is asked to send at once, so that others who talk to it do not wait for long.

use super::Pace;
use std::time::Duration;

/// What a key costs beside its bytes, in bytes that cost as much.
const KEY: u64 = 256;
/// The first parcels: less than a millisecond's work, as a rule.
const FIRST: f64 = 30_000.0;
/// No parcel costs more than this, however fast it may go: replies and memory stay small.
const MOST: f64 = 4e6;
/// No parcel is smaller, however slow it goes.
const LEAST: f64 = 2_000.0;

/// Decides how large a parcel is and how many are on their way at once.
///
/// A node that sends a parcel serves nobody else meanwhile. So parcels shrink and grow with what others are seen to wait.
#[derive(Clone, Debug)]
pub(crate) struct Governor {
    pace: Pace,
    /// What a parcel may cost.
    units: f64,
    /// Seconds that the last parcels took, about.
    parcel: f64,
    /// Whether a node that is idle takes longer for an answer than others notice: it would stand still between two parcels.
    is_far: bool,
    /// Parcels on their way at once.
    window: usize,
}

impl Governor {
    /// For nodes whose answers take so long while they are idle.
    pub(crate) const fn new(pace: Pace, round_trip: Duration) -> Self {
        let (units, window, is_far) = match pace.budget {
            Some(budget) => (FIRST, 2, round_trip.as_nanos() > budget.as_nanos() / 10),
            None => (MOST, 4, false),
        };
        Self { pace, units, parcel: 0.0, is_far, window }
    }

    /// What so many keys with so many bytes count for.
    pub(crate) const fn units(keys: u64, bytes: u64) -> u64 {
        keys.saturating_mul(KEY).saturating_add(bytes)
    }

    /// Units in one parcel at most.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "always in a small positive range")]
    pub(crate) const fn most_units(&self) -> u64 {
        self.units as u64
    }

    /// Keys in one parcel at most.
    pub(crate) const fn most_keys(&self) -> u32 {
        if self.pace.pipeline == 0 { 1 } else { self.pace.pipeline }
    }

    /// Parcels on their way at once: while one is sent, the next is there already.
    pub(crate) const fn window(&self) -> usize {
        self.window
    }

    /// The least time between two parcels: a node that finds both at once sends both before it serves anybody else.
    pub(crate) fn apart(&self) -> Duration {
        let apart = if self.pace.budget.is_some() { self.parcel / 2.0 } else { 0.0 };
        Duration::from_secs_f64(apart)
    }

    /// Learns how long a parcel took.
    pub(crate) fn sent(&mut self, took: Duration) {
        self.parcel += (took.as_secs_f64() - self.parcel) * 0.1;
    }

    /// Learns from what others waited lately beyond what they wait without the move, 99 times of 100.
    pub(crate) fn others_wait(&mut self, latency: Duration) {
        let Some(budget) = self.pace.budget.map(|budget| budget.as_secs_f64()) else { return };
        let latency = latency.as_secs_f64();
        // Parcels that are over soon are not what others wait for; and whatever they are seen to wait, some wait for a parcel.
        let (is_short, is_long) = (self.parcel < budget / 5.0, self.parcel > budget);
        if (latency > budget * 0.8 && !is_short) || is_long {
            // First it has time for others between two parcels.
            if self.window > 1 && !self.is_far {
                self.window = 1;
            } else {
                self.units *= 0.7;
            }
        } else if latency < budget * 0.4 && self.parcel < budget / 2.0 {
            self.window = 2;
            self.units *= 1.3;
        }
        self.units = self.units.clamp(LEAST, MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARCEL: Duration = Duration::from_millis(1);

    fn governor(budget: Option<u64>) -> Governor {
        let mut governor =
            Governor::new(Pace { budget: budget.map(Duration::from_millis), ..Pace::default() }, Duration::ZERO);
        (0..50).for_each(|_| governor.sent(PARCEL));
        governor
    }

    #[test]
    fn parcels_shrink_while_others_wait_too_long_and_grow_back_when_they_do_not() {
        let mut governor = governor(Some(3));
        let before = governor.most_units();
        (0..4).for_each(|_| governor.others_wait(Duration::from_millis(5)));
        let slow = governor.most_units();
        assert!(slow < before / 2, "{slow} of {before}");
        (0..10).for_each(|_| governor.others_wait(Duration::from_millis(1)));
        assert!(governor.most_units() > before);
    }

    #[test]
    fn parcels_stay_within_bounds_however_long_others_wait_or_do_not() {
        let mut governor = governor(Some(3));
        (0..100).for_each(|_| governor.others_wait(Duration::from_millis(500)));
        assert_eq!(governor.most_units(), 2_000);
        (0..100).for_each(|_| governor.others_wait(Duration::ZERO));
        assert_eq!(governor.most_units(), 4_000_000);
    }

    #[test]
    fn parcels_that_are_short_do_not_shrink_when_others_wait_for_something_else() {
        let mut governor = governor(Some(3));
        (0..50).for_each(|_| governor.sent(Duration::from_micros(200)));
        let before = governor.most_units();
        governor.others_wait(Duration::from_millis(500));
        assert_eq!(governor.most_units(), before);
    }

    #[test]
    fn parcels_that_take_longer_than_the_budget_shrink_whatever_is_measured() {
        let mut governor = governor(Some(3));
        (0..50).for_each(|_| governor.sent(Duration::from_millis(8)));
        let before = governor.most_units();
        (0..2).for_each(|_| governor.others_wait(Duration::ZERO));
        assert!(governor.most_units() < before);
    }

    #[test]
    fn two_parcels_are_not_sent_at_once() {
        assert!(governor(Some(3)).apart() > PARCEL / 3);
        assert_eq!(governor(None).apart(), Duration::ZERO);
    }

    #[test]
    fn a_near_node_gets_time_for_others_between_two_parcels_and_a_far_one_need_not_stand_still() {
        let window = |round_trip| {
            let mut governor = Governor::new(Pace::default(), Duration::from_micros(round_trip));
            (0..50).for_each(|_| governor.sent(PARCEL));
            governor.others_wait(Duration::from_millis(5));
            governor.window()
        };
        assert_eq!([window(100), window(1000)], [1, 2]);
    }

    #[test]
    fn without_a_budget_nothing_slows_it_down() {
        let mut governor = governor(None);
        governor.others_wait(Duration::from_secs(1));
        assert_eq!(governor.most_units(), 4_000_000);
    }
}
