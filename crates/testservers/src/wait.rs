//! Waiting for conditions and for moments.

use rustix::{
    event::{Timespec, poll},
    thread::set_current_timer_slack,
};
use std::{
    num::NonZeroU64,
    time::{Duration, Instant},
};

const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// Returns once `condition` holds, and panics with `what` where it does not within `deadline`.
#[track_caller]
pub fn wait_until(what: &str, deadline: Duration, condition: impl FnMut() -> bool) {
    assert!(comes_true(deadline, condition), "waited {deadline:?} in vain until {what}");
}

/// Whether `condition` holds within `deadline`; asks every 5 milliseconds, and at least once.
///
/// With `pause_until` the only place that lets time pass.
pub fn comes_true(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
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

/// Returns at `moment`, some 0.05 ms late at most where [`be_punctual`] was called on this thread: for what is to happen
/// at a rate, never for what somebody else has to have done by then.
pub(crate) fn pause_until(moment: Instant) {
    loop {
        let left = moment.saturating_duration_since(Instant::now());
        match Timespec::try_from(left) {
            // Interrupted or not, the clock is looked at again.
            Ok(left) if left.tv_sec > 0 || left.tv_nsec > 0 => drop(poll(&mut [], Some(&left))),
            _ => return,
        }
    }
}

/// Lets the kernel end this thread's waits on time, instead of up to 0.05 ms late to save power.
pub(crate) fn be_punctual() {
    // Waits are a little late where that is refused.
    let _ = set_current_timer_slack(NonZeroU64::new(1));
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
