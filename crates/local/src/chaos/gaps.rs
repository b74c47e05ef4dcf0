//! How long nothing was acknowledged.

use std::{collections::BTreeMap, time::Duration};

/// Shorter ones are not kept: they are as between any two writes.
const SHORTEST: Duration = Duration::from_millis(100);

/// An event is the cause of what begins so soon after it.
const RECENTLY: Duration = Duration::from_secs(2);

/// The times without an acknowledged write, by writer: one that waits for a shard writes nothing else meanwhile.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    last: BTreeMap<usize, Duration>,
    gaps: Vec<(Duration, Duration)>,
}

impl Gaps {
    /// A write of this writer was acknowledged at this time.
    pub(super) fn written(&mut self, writer: usize, at: Duration) {
        if let Some(last) = self.last.insert(writer, at)
            && let Some(gap) = at.checked_sub(last).filter(|gap| *gap >= SHORTEST)
        {
            self.gaps.push((last, gap));
        }
    }

    /// When each began, and how long it was.
    pub(super) fn all(&self) -> Vec<(Duration, Duration)> {
        self.gaps.clone()
    }
}

/// The event that a gap is put down to: the last before it began, an answer that was on its way counted in. Where none was for a while the first that began while
/// it lasted is meant, and without one the last before.
pub(super) fn cause((begin, length): (Duration, Duration), events: &[Duration]) -> Option<usize> {
    let before = events.iter().rposition(|at| *at <= begin + SHORTEST);
    let just_before = before.filter(|at| events.get(*at).is_some_and(|event| *event + RECENTLY >= begin));
    let meanwhile = || events.iter().position(|at| *at > begin && *at <= begin + length);
    just_before.or_else(meanwhile).or(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_gap_is_between_two_writes_of_one_writer() {
        let mut gaps = Gaps::default();
        for (writer, time) in [(0, 0), (1, 10), (0, 50), (1, 400), (0, 60)] {
            gaps.written(writer, at(time));
        }
        assert_eq!(gaps.all(), [(at(10), at(390))]);
    }

    #[test]
    fn a_gap_is_put_down_to_the_event_that_it_began_with() {
        let events = [at(1000), at(5000), at(5200)];
        assert_eq!(cause((at(4990), at(700)), &events), Some(1));
        assert_eq!(cause((at(5050), at(700)), &events), Some(1), "an answer was on its way");
        assert_eq!(cause((at(5150), at(700)), &events), Some(2));
        assert_eq!(cause((at(3500), at(200)), &events), Some(0), "something that came later of it");
        assert_eq!(cause((at(4000), at(1100)), &events), Some(1), "the one before is long ago");
        assert_eq!(cause((at(100), at(200)), &events), None);
    }
}
