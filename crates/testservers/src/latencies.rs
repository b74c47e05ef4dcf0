//! What many durations come to.

use std::{fmt, time::Duration};

/// Durations of many events, every one kept, so that percentiles are exact.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    sorted: Vec<Duration>,
}

impl Latencies {
    /// How many there are.
    pub const fn count(&self) -> usize {
        self.sorted.len()
    }

    /// The median.
    pub fn p50(&self) -> Duration {
        self.quantile(0.5)
    }

    /// What 99 % do not exceed.
    pub fn p99(&self) -> Duration {
        self.quantile(0.99)
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        self.quantile(1.0)
    }

    /// The shortest that at least `share` of all, from 0 to 1, do not exceed; nothing where there are none.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "counts are far below 2^52, and shares are not negative"
    )]
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = (self.count() as f64 * share).ceil() as usize;
        let index = rank.clamp(1, self.count().max(1)) - 1;
        self.sorted.get(index).copied().unwrap_or_default()
    }
}

impl From<Vec<Duration>> for Latencies {
    fn from(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self { sorted: durations }
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:?}, p99 {:?}, max {:?} of {}", self.p50(), self.p99(), self.max(), self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let latencies = Latencies::from((1..=200).rev().map(Duration::from_millis).collect::<Vec<_>>());
        let expected = [100, 198, 200].map(Duration::from_millis);
        assert_eq!([latencies.p50(), latencies.p99(), latencies.max()], expected);
        assert_eq!(latencies.quantile(0.0), Duration::from_millis(1));
    }

    #[test]
    fn of_nothing_every_percentile_is_nothing() {
        assert_eq!(Latencies::default().max(), Duration::ZERO);
    }
}
