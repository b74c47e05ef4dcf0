//! How much a node is asked to send at once, so that others who talk to it do not wait for long.

use super::Pace;
use std::time::Duration;

/// What a key costs beside its bytes, in bytes that cost as much.
const KEY: u64 = 256;
/// What parcels are taken for before there was any: so many units, seconds. Slower than most.
const FIRST: (f64, f64) = (25_000.0, 1.25e-3);
/// No parcel costs more than this, however fast it may go: replies and memory stay small.
const MOST: f64 = 4e6;
/// No parcel is smaller, however slow it goes.
const LEAST: f64 = 8_000.0;
/// Parcels of one key at the beginning: they tell what a parcel takes whatever is in it, such as the way between the two nodes.
/// The first opens a connection as well.
const SINGLE: u32 = 3;
/// Slots that are open at the same time, at least and at most: as many as that between far nodes.
pub(super) const SLOTS: std::ops::RangeInclusive<usize> = 24..=128;
/// The part of the budget that others may wait without anything being slowed down.
const TOLERATED: f64 = 0.8;
/// The part of the budget that a parcel may take: others wait for it, for what the node does between two, and for their own
/// answer.
const SHARES: std::ops::RangeInclusive<f64> = 0.25..=0.5;

/// Decides how large a parcel is and how many are on their way at once.
///
/// A node that sends a parcel serves nobody else meanwhile. So parcels shrink and grow with what they take, and with what
/// others are seen to wait.
#[derive(Clone, Debug)]
pub(crate) struct Governor {
    pace: Pace,
    /// How many parcels of one key went.
    singles: u32,
    cost: Cost,
    /// The part of the budget that a parcel may take now.
    share: f64,
    /// How long a node was told of slots at the last time, seconds; and at most since the last figure of what others wait.
    told: f64,
    longest_told: f64,
    /// Slots that are open at the same time.
    slots: usize,
    /// Whether the nodes would stand still for longer than others notice between two parcels, were only one on its way.
    is_far: bool,
    /// Parcels on their way at once.
    window: usize,
}

impl Governor {
    /// For nodes whose answers take so long while they are idle.
    pub(crate) fn new(pace: Pace, round_trip: Duration) -> Self {
        let is_far = pace.budget.is_none_or(|budget| round_trip > budget / 10);
        let window = if pace.budget.is_none() { 4 } else { 2 };
        let slots = if is_far { *SLOTS.end() } else { *SLOTS.start() };
        Self {
            pace,
            singles: 0,
            cost: Cost::default(),
            share: 0.4,
            told: 0.0,
            longest_told: 0.0,
            slots,
            is_far,
            window,
        }
    }

    /// What so many keys with so many bytes count for.
    pub(crate) const fn units(keys: u64, bytes: u64) -> u64 {
        keys.saturating_mul(KEY).saturating_add(bytes)
    }

    /// Units in one parcel at most. Others wait for what is the same for each parcel, too; but to spend less on keys than on that
    /// makes the move longer, and nobody waits less.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "always in a small positive range")]
    pub(crate) fn most_units(&self) -> u64 {
        let units = self.pace.budget.map_or(MOST, |budget| {
            let fixed = self.cost.fixed();
            (budget.as_secs_f64() * self.share - fixed).max(fixed) / self.cost.slope()
        });
        units.clamp(LEAST, MOST) as u64
    }

    /// Whether the way between the nodes has been measured, with parcels of one key that go one by one.
    pub(crate) const fn is_settled(&self) -> bool {
        self.singles >= SINGLE
    }

    /// Keys in one parcel at most.
    pub(crate) const fn most_keys(&self) -> u32 {
        if self.pace.pipeline == 0 || !self.is_settled() { 1 } else { self.pace.pipeline }
    }

    /// Parcels on their way at once: while one is sent, the next is there already. Others wait for all of them.
    pub(crate) const fn window(&self) -> usize {
        self.window
    }

    /// Slots that are open at the same time at most. Opening and closing takes one trip to each end, however many there are; but
    /// others wait for all of them.
    pub(crate) const fn slots(&self) -> usize {
        self.slots
    }

    /// Questions on their way at once: a far node would stand still between two. A near one serves others in between; but what is
    /// looked at ahead has to be known before the keys before it have gone.
    pub(crate) const fn questions(&self) -> usize {
        if self.is_far { 8 } else { 2 }
    }

    /// Learns how long a parcel of so many units took.
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    pub(crate) fn sent(&mut self, units: u64, took: Duration) {
        let (units, took) = (units as f64, took.as_secs_f64());
        if self.singles < SINGLE {
            self.singles += 1;
            self.cost.single = self.cost.single.min(took);
            return;
        }
        // A single large key goes faster than many small ones, and tells nothing of these.
        if units > 0.0 && units <= MOST {
            self.cost.learn(units, took);
        }
    }

    /// Learns how long a node was told of slots: others wait for that as well, and not less where parcels are small.
    pub(crate) fn told(&mut self, took: Duration) {
        self.told = took.as_secs_f64();
        self.longest_told = self.longest_told.max(self.told);
        let Some(budget) = self.pace.budget.filter(|_| !self.is_far) else { return };
        if took < budget.mul_f64(0.7) {
            self.set_slots(self.slots + self.slots / 3);
        } else if took > budget.mul_f64(0.95) {
            self.set_slots(self.slots - self.slots / 4);
        }
    }

    fn set_slots(&mut self, slots: usize) {
        self.slots = slots.clamp(*SLOTS.start(), *SLOTS.end());
    }

    /// Learns from what others waited lately beyond what they wait without the move, 99 times of 100.
    pub(crate) fn others_wait(&mut self, latency: Duration) {
        let Some(budget) = self.pace.budget else { return };
        let (waited, tolerated) = (latency.as_secs_f64(), budget.as_secs_f64() * TOLERATED);
        // Nothing is sent while a node is told of slots: others wait for the one or for the other.
        let is_told = waited <= std::mem::replace(&mut self.longest_told, self.told) * 1.25;
        // Parcels that are over soon are not what others wait for.
        let is_ours = !is_told && self.cost.took > waited / 4.0;
        if waited > tolerated && self.window == 2 && !self.is_far && !is_told {
            self.window = 1;
        } else if waited > tolerated && is_ours {
            self.share *= 0.8;
        } else if waited > tolerated && !self.is_far {
            self.set_slots(self.slots - self.slots / 4);
        } else if self.window == 1 && self.cost.took + if is_told { self.cost.took } else { waited } < tolerated {
            self.window = 2;
        } else if latency < budget.mul_f64(0.5) {
            self.share *= 1.15;
        }
        self.share = self.share.clamp(*SHARES.start(), *SHARES.end());
    }
}

/// What parcels take: something fixed, and so much for each unit. A line through the last of them, which counts newer ones more.
///
/// What a busy machine adds to each parcel does not make the units dearer: smaller parcels would only make it worse.
#[derive(Clone, Debug)]
struct Cost {
    /// The least that a parcel of one key took, seconds.
    single: f64,
    /// Parcels of more keys.
    parcels: f64,
    /// Averages: units, seconds, and how both scatter.
    units: f64,
    took: f64,
    variance: f64,
    covariance: f64,
}

impl Cost {
    /// How much one parcel weighs in the averages when there were many.
    const WEIGHT: f64 = 0.04;
    /// How much the parcels of one key weigh beside them: parcels that are all alike tell nothing of what is fixed.
    const SINGLES: f64 = 0.01;
    /// One that took longer than this many usual ones was held up by something else.
    const HELD_UP: f64 = 10.0;

    fn learn(&mut self, units: f64, took: f64) {
        let took = if self.parcels > 0.0 { took.min(self.took * Self::HELD_UP) } else { took };
        self.parcels += 1.0;
        let weight = Self::WEIGHT.max(self.parcels.recip());
        let (beyond, longer) = (units - self.units, took - self.took);
        self.units += beyond * weight;
        self.took += longer * weight;
        self.variance = (1.0 - weight) * weight.mul_add(beyond * beyond, self.variance);
        self.covariance = (1.0 - weight) * weight.mul_add(beyond * longer, self.covariance);
    }

    /// Seconds for each unit: more than none, and no more than the average comes to.
    fn slope(&self) -> f64 {
        let average = self.took.max(1e-9) / self.units;
        let single = if self.single.is_finite() { self.single } else { 0.0 };
        let singles = Self::SINGLES * self.units;
        let covariance = singles.mul_add(self.took - single, self.covariance);
        let variance = singles.mul_add(self.units, self.variance);
        (covariance / variance).clamp(average / 10.0, average)
    }

    /// Seconds for a parcel whatever is in it.
    fn fixed(&self) -> f64 {
        self.units.mul_add(-self.slope(), self.took)
    }
}

impl Default for Cost {
    fn default() -> Self {
        let (units, took) = FIRST;
        Self { single: f64::INFINITY, parcels: 0.0, units, took, variance: 0.0, covariance: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: Duration = Duration::from_nanos(100);

    fn governor(budget: Option<u64>) -> Governor {
        let pace = Pace { budget: budget.map(Duration::from_millis), ..Pace::default() };
        let mut governor = Governor::new(pace, Duration::ZERO);
        (0..3).for_each(|_| governor.sent(300, Duration::ZERO));
        (0..200).for_each(|_| governor.sent(20_000, UNIT * 20_000));
        governor
    }

    /// What the next parcel takes, microseconds.
    fn parcel(governor: &Governor) -> u64 {
        governor.most_units() / 10
    }

    #[test]
    fn a_parcel_takes_a_part_of_the_budget_however_fast_the_nodes_are() {
        let mut governor = governor(Some(3));
        assert!((1000..1500).contains(&parcel(&governor)), "{governor:?}");
        (0..200).for_each(|_| governor.sent(10_000, UNIT * 1000));
        assert!((10_000..15_000).contains(&parcel(&governor)), "ten times as much: {governor:?}");
    }

    #[test]
    fn parcels_shrink_while_others_wait_too_long_and_grow_back_when_they_do_not() {
        let mut governor = governor(Some(3));
        let before = governor.most_units();
        (0..4).for_each(|_| governor.others_wait(Duration::from_millis(5)));
        let slow = governor.most_units();
        assert!(slow * 4 < before * 3, "{slow} of {before}");
        (0..10).for_each(|_| governor.others_wait(Duration::from_millis(1)));
        assert!(governor.most_units() > before);
    }

    #[test]
    fn what_others_wait_for_anyhow_does_not_stop_the_move() {
        let mut governor = governor(Some(3));
        let before = governor.most_units();
        (0..100).for_each(|_| governor.others_wait(Duration::from_millis(500)));
        assert_eq!(governor.most_units(), before);
        (0..100).for_each(|_| governor.others_wait(Duration::ZERO));
        assert!((1400..=1500).contains(&parcel(&governor)), "{governor:?}");
    }

    #[test]
    fn what_others_wait_for_while_a_node_is_told_of_slots_does_not_make_parcels_smaller() {
        let mut governor = governor(Some(3));
        let before = governor.most_units();
        governor.told(Duration::from_millis(3));
        (0..4).for_each(|_| governor.others_wait(Duration::from_micros(3_500)));
        assert_eq!(governor.most_units(), before);
        (0..4).for_each(|_| governor.others_wait(Duration::from_millis(4)));
        assert!(governor.most_units() < before);
    }

    #[test]
    fn a_large_key_does_not_tell_how_long_small_ones_take() {
        let mut governor = governor(Some(3));
        let before = governor.most_units();
        governor.sent(30_000_000, Duration::from_millis(300));
        assert_eq!(governor.most_units(), before);
    }

    #[test]
    fn a_parcel_carries_at_least_as_much_as_its_way_costs() {
        let mut governor = Governor::new(Pace::default(), Duration::from_millis(1));
        assert_eq!(governor.most_keys(), 1, "the way is measured first");
        let way = Duration::from_millis(2);
        for took in [way * 2, way, way] {
            governor.sent(300, took);
        }
        for _ in 0..200 {
            let units = governor.most_units();
            governor.sent(units, way + UNIT * u32::try_from(units).unwrap());
        }
        assert!((1900..=2100).contains(&parcel(&governor)), "{governor:?}");
    }

    #[test]
    fn what_a_busy_machine_adds_to_each_parcel_does_not_make_them_smaller() {
        let mut governor = Governor::new(Pace::default(), Duration::from_millis(1));
        (0..3).for_each(|_| governor.sent(300, Duration::from_millis(1)));
        for at in 0..200_u32 {
            let units = u32::try_from(governor.most_units()).unwrap().min(20_000) / 10 * (6 + at % 5);
            governor.sent(units.into(), Duration::from_micros(1900) + UNIT * units);
        }
        assert!((1300..=2000).contains(&parcel(&governor)), "{governor:?}");
    }

    #[test]
    fn parcels_stay_within_bounds() {
        let mut governor = governor(Some(3));
        (0..200).for_each(|_| governor.sent(10_000, Duration::from_secs(5)));
        assert_eq!(governor.most_units(), 8_000);
        (0..1000).for_each(|_| governor.sent(10_000, Duration::ZERO));
        assert_eq!(governor.most_units(), 4_000_000);
    }

    #[test]
    fn two_parcels_are_on_their_way_unless_others_wait_too_long_for_them() {
        // Parcels of 1.2 ms.
        let mut governor = governor(Some(3));
        let mut window = |waited| {
            governor.others_wait(Duration::from_micros(waited));
            governor.window()
        };
        assert_eq!([1500, 2500, 2500, 1500, 300, 300].map(&mut window), [2, 1, 1, 1, 2, 2]);
    }

    #[test]
    fn who_waits_while_a_node_is_told_of_slots_does_not_wait_less_for_one_parcel_than_for_two() {
        let mut governor = governor(Some(3));
        governor.others_wait(Duration::from_micros(2500));
        (0..200).for_each(|_| governor.sent(6_000, UNIT * 6_000));
        governor.told(Duration::from_millis(2));
        let mut window = |waited| {
            governor.others_wait(Duration::from_micros(waited));
            governor.window()
        };
        assert_eq!([2300, 2450, 2600, 2450].map(&mut window), [2, 2, 1, 1]);
    }

    #[test]
    fn who_waited_while_a_node_was_told_of_many_slots_did_not_wait_for_parcels_though_it_was_told_of_few_since() {
        let mut governor = governor(Some(3));
        governor.told(Duration::from_millis(3));
        governor.told(Duration::from_millis(1));
        governor.others_wait(Duration::from_micros(3_500));
        assert_eq!(governor.window(), 2);
        governor.others_wait(Duration::from_micros(3_500));
        assert_eq!(governor.window(), 1, "it was told of few all the time");
    }

    #[test]
    fn more_slots_are_open_at_the_same_time_where_nodes_are_told_of_them_soon() {
        let mut governor = governor(Some(3));
        let mut slots = |told| {
            governor.told(Duration::from_micros(told));
            governor.slots()
        };
        assert_eq!(
            [2500, 500, 500, 500, 500, 500, 500, 500, 2900, 9000].map(&mut slots),
            [24, 32, 42, 56, 74, 98, 128, 128, 96, 72]
        );
        governor.told(Duration::from_micros(2400));
        (0..5).for_each(|_| governor.others_wait(Duration::from_micros(2500)));
        assert_eq!(governor.slots(), 24, "others wait for them");
        let mut far = Governor::new(Pace::default(), Duration::from_millis(1));
        far.told(Duration::from_millis(9));
        assert_eq!(far.slots(), 128);
    }

    #[test]
    fn without_a_budget_nothing_slows_it_down() {
        let mut governor = governor(None);
        governor.others_wait(Duration::from_secs(1));
        assert_eq!(governor.most_units(), 4_000_000);
    }
}
