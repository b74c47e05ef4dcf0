//! When to start a server again that ended by itself.

use std::time::Duration;

/// The first pause.
const SHORTEST: Duration = Duration::from_millis(100);
/// No pause is longer; in a crash loop each is this long.
const LONGEST: Duration = Duration::from_secs(10);
/// A server that ran for this long was well: what comes next is a new trouble.
const WELL_AFTER: Duration = Duration::from_secs(30);
/// A run that ends earlier counts toward a crash loop.
pub(crate) const SHORT_RUN: Duration = Duration::from_secs(10);
/// This many short runs in a row are a crash loop.
const CRASH_LOOP: u32 = 5;

/// What follows the end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Start again after a pause.
    StartAfter(Duration),
    /// Starting again has not helped so far: try again after a pause, and say so.
    CrashLoop(Duration),
}

/// Decides on pauses from how long the runs lasted.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    /// The next pause.
    pause: Duration,
    /// Short runs in a row, up to now.
    short_runs: u32,
}

impl Backoff {
    /// Before the first run.
    pub(crate) const fn new() -> Self {
        Self { pause: SHORTEST, short_runs: 0 }
    }

    /// What follows a run that lasted for `ran_for`.
    pub(crate) fn ended(&mut self, ran_for: Duration) -> Next {
        if ran_for >= WELL_AFTER {
            self.pause = SHORTEST;
        }
        self.short_runs = if ran_for < SHORT_RUN { self.short_runs.saturating_add(1) } else { 0 };
        if self.in_crash_loop() {
            self.pause = LONGEST;
            return Next::CrashLoop(LONGEST);
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST);
        Next::StartAfter(pause)
    }

    /// Whether so many short runs followed each other that starting again does not seem to help.
    pub(crate) const fn in_crash_loop(&self) -> bool {
        self.short_runs >= CRASH_LOOP
    }

    /// Forgets all runs: somebody did something about the trouble.
    pub(crate) fn reset(&mut self) {
        *self = Self::new();
    }
}

impl Next {
    /// The pause before the next start.
    pub(crate) const fn pause(self) -> Duration {
        match self {
            Self::StartAfter(pause) | Self::CrashLoop(pause) => pause,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Next::{CrashLoop, StartAfter};
    use proptest::prelude::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn after(runs: &[Duration]) -> Vec<Next> {
        let mut backoff = Backoff::new();
        runs.iter().map(|run| backoff.ended(*run)).collect()
    }

    #[test]
    fn pauses_double_and_the_fifth_short_run_is_a_crash_loop() {
        let milliseconds = |number| StartAfter(Duration::from_millis(number));
        let expected = [100, 200, 400, 800].map(milliseconds);
        let next = after(&[Duration::ZERO; 7]);
        assert_eq!(next[..4], expected);
        assert_eq!(next[4..], [CrashLoop(LONGEST); 3]);
    }

    #[test]
    fn runs_of_middle_length_double_the_pause_up_to_the_longest_without_a_crash_loop() {
        let next = after(&[seconds(10); 9]);
        assert_eq!(next[6..], [StartAfter(Duration::from_millis(6400)), StartAfter(LONGEST), StartAfter(LONGEST)]);
    }

    #[test]
    fn a_long_run_begins_anew() {
        let mut runs = vec![Duration::ZERO; 6];
        runs.push(seconds(30));
        assert_eq!(after(&runs).last(), Some(&StartAfter(SHORTEST)));
    }

    #[test]
    fn a_run_of_middle_length_ends_a_crash_loop_and_keeps_the_pause() {
        let mut runs = vec![Duration::ZERO; 6];
        runs.push(seconds(12));
        assert_eq!(after(&runs).last(), Some(&StartAfter(LONGEST)));
    }

    #[test]
    fn a_reset_forgets_everything() {
        let mut backoff = Backoff::new();
        for _ in 0..6 {
            backoff.ended(Duration::ZERO);
        }
        backoff.reset();
        assert!(!backoff.in_crash_loop());
        assert_eq!(backoff.ended(Duration::ZERO), StartAfter(SHORTEST));
    }

    proptest! {
        #[test]
        fn whatever_the_runs(runs in prop::collection::vec((0_u64..40_000).prop_map(Duration::from_millis), 1..60)) {
            let next = after(&runs);
            for (at, run) in runs.iter().enumerate() {
                let pause = next[at].pause();
                prop_assert!((SHORTEST..=LONGEST).contains(&pause));
                if *run >= WELL_AFTER {
                    prop_assert_eq!(next[at], StartAfter(SHORTEST));
                } else if at > 0 {
                    prop_assert!(pause >= next[at - 1].pause(), "a pause only becomes shorter after a long run");
                }
                let short = at >= 4 && runs[at - 4..=at].iter().all(|run| *run < SHORT_RUN);
                prop_assert_eq!(matches!(next[at], CrashLoop(_)), short);
            }
        }
    }
}
