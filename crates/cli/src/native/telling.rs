//! How often a long run tells how far it is: one picture that is written over, or lines of JSON.

pub(super) use operations::run::seconds_left;

use crate::printer::Printer;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Time between two pictures.
const PICTURES: Duration = Duration::from_millis(100);
/// Time between two lines of JSON.
const JSON_LINES: Duration = Duration::from_millis(500);

/// Says when it is time to tell, and tells.
pub(super) struct Telling {
    /// Whether programs read it.
    pub(super) json: bool,
    last: Option<Instant>,
}

impl Telling {
    pub(super) const fn new(json: bool) -> Self {
        Self { json, last: None }
    }

    /// Whether it is time to tell again; the answer counts as done.
    pub(super) fn is_due(&mut self) -> bool {
        let period = if self.json { JSON_LINES } else { PICTURES };
        let due = self.last.is_none_or(|last| last.elapsed() >= period);
        if due {
            self.last = Some(Instant::now());
        }
        due
    }

    /// Lets the next picture come at once: it shows something else.
    pub(super) const fn begin_anew(&mut self) {
        self.last = None;
    }

    /// Tells how far it is.
    pub(super) fn tell<R: Serialize>(&self, printer: &mut Printer, report: &R, text: &str) {
        if !self.json {
            printer.progress(text);
        } else if let Ok(line) = serde_json::to_string(report) {
            printer.note(&format!("{line}\n"));
        }
    }
}

/// How many a second.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shown to people; what is no number becomes 0"
)]
pub(super) fn per_second(count: u64, seconds: f64) -> u64 {
    if seconds > 0.0 { (count as f64 / seconds) as u64 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_once_enough_is_done() {
        assert_eq!(seconds_left(0, 0, 1.0), None);
        assert_eq!(seconds_left(1, 100, 1.0), None);
        assert_eq!(seconds_left(25, 100, 1.0), Some(3.0));
        // More came while it went on.
        assert_eq!(seconds_left(300, 100, 1.0), Some(0.0));
        assert_eq!([per_second(10, 0.0), per_second(10, 4.0)], [0, 2]);
    }

    #[test]
    fn the_next_picture_waits_unless_it_shows_something_else() {
        let mut telling = Telling::new(true);
        assert!(telling.is_due());
        assert!(!telling.is_due());
        telling.begin_anew();
        assert!(telling.is_due());
    }
}
