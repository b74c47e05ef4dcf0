//! Waiting for conditions, never for time to pass.

use rustix::event::{Timespec, poll};
use std::time::{Duration, Instant};

const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// Returns once `condition` holds, and panics with `what` where it does not within `deadline`.
#[track_caller]
pub fn wait_until(what: &str, deadline: Duration, condition: impl FnMut() -> bool) {
    assert!(comes_true(deadline, condition), "waited {deadline:?} in vain until {what}");
}

/// Whether `condition` holds within `deadline`; asks every 5 milliseconds, and at least once.
///
/// The only place that lets time pass.
pub(crate) fn comes_true(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + deadline;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        // Interrupted or not, the condition is looked at again.
        let _ = poll(&mut [], Some(&PAUSE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_comes_true_ends_the_wait() {
        let mut asked = 0;
        wait_until("the third question", Duration::from_secs(5), || {
            asked += 1;
            asked == 3
        });
        assert_eq!(asked, 3);
    }

    #[test]
    #[should_panic(expected = "until pigs fly")]
    fn the_deadline_panics_with_what_was_waited_for() {
        wait_until("pigs fly", Duration::from_millis(20), || false);
    }
}
