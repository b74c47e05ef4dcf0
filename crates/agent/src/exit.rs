//! How a process ended, in words.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

/// How a process ended, in words that follow its name.
pub(crate) fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => format!("ended: {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_and_a_signal_are_told_apart() {
        assert_eq!(in_words(ExitStatus::from_raw(1 << 8)), "ended with status 1");
        assert_eq!(in_words(ExitStatus::from_raw(0)), "ended with status 0");
        assert_eq!(in_words(ExitStatus::from_raw(9)), "was killed by signal 9");
    }
}
