//! Figures of several rounds, and what they say together. Pure.

use serde::Serialize;

/// What the rounds of one command came to, all in the same unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Figures {
    /// The middle one, or half-way between the two in the middle.
    pub(crate) median: f64,
    /// The least.
    pub(crate) least: f64,
    /// The most.
    pub(crate) most: f64,
    /// All, in the order of the rounds.
    pub(crate) rounds: Vec<f64>,
}

impl Figures {
    /// None without rounds.
    pub(crate) fn of(rounds: Vec<f64>) -> Option<Self> {
        let mut sorted = rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let upper = sorted.len() / 2;
        let lower = (sorted.len() - 1) / 2;
        let median = f64::midpoint(*sorted.get(lower)?, *sorted.get(upper)?);
        Some(Self { median, least, most, rounds })
    }

    /// How many times less this takes than `reference`, by the medians. None where either is nothing.
    pub(crate) fn times_less_than(&self, reference: &Self) -> Option<f64> {
        (self.median > 0.0 && reference.median > 0.0).then(|| reference.median / self.median)
    }
}

/// What is required of a result.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Requirement {
    /// The reference takes at least so many times as long as ours.
    TimesFaster(f64),
    /// Ours takes at most so many times as long as the reference.
    Within(f64),
    /// Our median is below this, in the unit of the figures.
    Below(f64),
    /// Nothing: it is there to be read.
    Nothing,
}

/// Whether what is required is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// It is.
    Met,
    /// It is not.
    NotMet,
    /// Nothing is required.
    Information,
}

impl Requirement {
    /// The verdict on our figures, given their ratio to the reference's, if there is one.
    pub(crate) fn verdict(self, ratio: Option<f64>, ours: &Figures) -> Verdict {
        let met = match self {
            Self::Nothing => return Verdict::Information,
            Self::TimesFaster(least) => ratio.is_some_and(|ratio| ratio >= least),
            Self::Within(most) => ratio.is_some_and(|ratio| ratio * most >= 1.0),
            Self::Below(limit) => ours.median < limit,
        };
        if met { Verdict::Met } else { Verdict::NotMet }
    }
}

/// The contenders of a round in the order of their turns: each round another begins.
pub(crate) fn turns<T: Copy>(contenders: &[T], round: usize) -> Vec<T> {
    let first = round.checked_rem(contenders.len()).unwrap_or_default();
    contenders.iter().cycle().skip(first).take(contenders.len()).copied().collect()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these come out exactly")]
mod tests {
    use super::*;

    fn figures(rounds: &[f64]) -> Figures {
        Figures::of(rounds.to_vec()).unwrap()
    }

    #[test]
    fn the_median_is_the_middle_or_half_way_between_two() {
        assert_eq!(figures(&[5.0, 1.0, 3.0]).median, 3.0);
        assert_eq!(figures(&[4.0, 1.0, 2.0, 50.0]).median, 3.0);
        assert_eq!(figures(&[7.0]).median, 7.0);
        assert_eq!(Figures::of(Vec::new()), None);
    }

    #[test]
    fn the_rounds_stay_in_their_order() {
        let figures = figures(&[5.0, 1.0, 3.0]);
        assert_eq!((figures.least, figures.most), (1.0, 5.0));
        assert_eq!(figures.rounds, [5.0, 1.0, 3.0]);
    }

    #[test]
    fn the_ratio_says_how_many_times_faster_ours_is() {
        let (reference, ours) = (figures(&[8.0, 9.0, 1.0]), figures(&[2.0]));
        assert_eq!(ours.times_less_than(&reference), Some(4.0));
        assert_eq!(reference.times_less_than(&ours), Some(0.25));
        assert_eq!(figures(&[0.0]).times_less_than(&reference), None);
    }

    #[test]
    fn a_ratio_is_met_from_exactly_what_is_required() {
        let ours = figures(&[1.0]);
        let verdict = |ratio| Requirement::TimesFaster(4.0).verdict(ratio, &ours);
        assert_eq!(verdict(Some(4.0)), Verdict::Met);
        assert_eq!(verdict(Some(3.99)), Verdict::NotMet);
        assert_eq!(verdict(None), Verdict::NotMet);
    }

    #[test]
    fn within_so_many_times_of_the_reference_is_the_other_way_round() {
        let verdict = |ratio| Requirement::Within(2.0).verdict(ratio, &figures(&[1.0]));
        assert_eq!(verdict(Some(0.5)), Verdict::Met);
        assert_eq!(verdict(Some(0.49)), Verdict::NotMet);
        assert_eq!(verdict(None), Verdict::NotMet);
    }

    #[test]
    fn a_limit_is_met_only_below_it() {
        let verdict = |rounds| Requirement::Below(1.2).verdict(None, &figures(rounds));
        assert_eq!(verdict(&[1.1, 1.1, 9.0]), Verdict::Met);
        assert_eq!(verdict(&[1.2]), Verdict::NotMet);
        assert_eq!(Requirement::Nothing.verdict(None, &figures(&[9.0])), Verdict::Information);
    }

    #[test]
    fn each_round_another_contender_begins() {
        let orders: Vec<_> = (0..3).map(|round| turns(&['a', 'b'], round)).collect();
        assert_eq!(orders, [['a', 'b'], ['b', 'a'], ['a', 'b']]);
        assert_eq!(turns(&['a', 'b', 'c'], 2), ['c', 'a', 'b']);
        assert!(turns::<char>(&[], 2).is_empty());
    }
}
