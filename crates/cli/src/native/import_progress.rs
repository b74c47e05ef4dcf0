//! How far an import has come: one line that is written over, or lines of JSON.

use super::{
    import_follow::{self, Words},
    telling::{Telling, per_second, seconds_left},
    units,
};
use crate::{
    importing::{Tally, shown},
    moving::Shown,
    printer::Printer,
};
use operations::{
    importing::{FollowPhase, Followed},
    run::Progress,
};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Time between two lines on how far a source is followed, where there is no terminal.
const LOG_LINES: Duration = Duration::from_secs(10);

/// The line that tells how far an import has come.
pub(crate) struct Line<'a> {
    printer: &'a mut Printer,
    telling: Telling,
    begin: Instant,
    keys: u64,
    tally: Tally,
    words: Option<Words>,
    followed: Option<Followed>,
    /// When that was last told where there is no terminal.
    logged: Option<Instant>,
}

/// What a line of JSON tells.
#[derive(Serialize)]
struct Report {
    keys_imported: u64,
    keys_seen: u64,
    keys: u64,
    keys_per_second: u64,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_left: Option<f64>,
}

impl<'a> Line<'a> {
    pub(crate) fn new(printer: &'a mut Printer, keys: u64, json: bool, words: Option<Words>) -> Self {
        let (telling, begin, tally) = (Telling::new(json), Instant::now(), Tally::default());
        Self { printer, telling, begin, keys, tally, words, followed: None, logged: None }
    }

    /// What became of the keys, and how far the source was followed at last.
    pub(crate) fn ended(self) -> (Tally, Option<Followed>) {
        (self.tally, self.followed)
    }

    pub(crate) fn show(&mut self, what: Shown) {
        match what {
            Shown::Stopping if self.words.is_some() => {
                self.printer.note("cutting over: the changes so far first (Ctrl-C again gives it up)\n");
            }
            Shown::Stopping => {
                self.printer.note("finishing the parcels on their way, then stopping (again to stop hard)\n");
            }
            Shown::Progress(Progress::Imported(imported)) => {
                self.tally.take(&imported);
                if self.followed.is_none() {
                    self.tell();
                }
            }
            Shown::Progress(Progress::Followed(followed)) => self.follow(&followed),
            Shown::Progress(Progress::Waiting { missing }) => self.printer.progress(&format!("waiting: {missing}")),
            Shown::Progress(Progress::LargeKey { key, bytes }) => {
                self.printer.note(&format!("a large key goes alone: {}, {}\n", shown(&key), units::bytes(bytes)));
            }
            Shown::Progress(Progress::Relays { to, reason }) => {
                let to = to.map_or_else(|| "keys".to_owned(), |to| format!("keys for {to}"));
                self.printer
                    .note(&format!("{to} go through this machine, the source cannot send them itself: {reason}\n"));
            }
            Shown::Progress(_) | Shown::Unrecorded(_) => {}
        }
    }

    fn follow(&mut self, followed: &Followed) {
        let before = self.followed.replace(*followed).map(|before| before.phase);
        // After an attempt that was too slow it goes on as before.
        let goes_on = before.is_some() && followed.phase == FollowPhase::Following;
        let words = self.words.as_ref().and_then(|words| words.of_phase(followed.phase));
        if let Some(words) = words.filter(|_| !goes_on) {
            self.logged = Some(Instant::now());
            self.printer.note(&words);
            return;
        }
        let text = import_follow::line(followed);
        if self.telling.is_due() {
            self.telling.tell(self.printer, &import_follow::Report::of(followed), &text);
        }
        let is_log = !self.telling.json && !self.printer.is_live();
        if is_log && self.logged.is_none_or(|logged| logged.elapsed() >= LOG_LINES) {
            self.logged = Some(Instant::now());
            self.printer.note(&format!("{text}\n"));
        }
    }

    fn tell(&mut self) {
        if self.telling.is_due() {
            let report = self.report();
            self.telling.tell(self.printer, &report, &text(&report));
        }
    }

    fn report(&self) -> Report {
        let seconds = self.begin.elapsed().as_secs_f64();
        let seen = self.tally.seen();
        Report {
            keys_imported: self.tally.done(),
            keys_seen: seen,
            keys: self.keys,
            keys_per_second: per_second(seen, seconds),
            seconds,
            seconds_left: seconds_left(seen, self.keys, seconds),
        }
    }
}

fn text(report: &Report) -> String {
    const BAR: u64 = 24;
    let share = |of: u64| (report.keys_seen.saturating_mul(of) / report.keys.max(1)).min(of);
    let (full, empty) = (share(BAR), BAR - share(BAR));
    let bar = "━".repeat(usize::try_from(full).unwrap_or_default());
    let rest = "╌".repeat(usize::try_from(empty).unwrap_or_default());
    let mut parts = vec![
        format!("{bar}{rest} {:>3} %", share(100)),
        units::count(report.keys_imported, "key"),
        format!("{} keys/s", units::grouped(report.keys_per_second)),
    ];
    parts.extend(report.seconds_left.map(|left| format!("{left:.0} s left")));
    parts.join("   ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_share_speed_and_what_is_left() {
        let report = Report {
            keys_imported: 50_000,
            keys_seen: 51_000,
            keys: 100_000,
            keys_per_second: 80_000,
            seconds: 0.6,
            seconds_left: Some(0.6),
        };
        assert_eq!(text(&report), "━━━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌  51 %   50 000 keys   80 000 keys/s   1 s left");
        // Keys may come while it goes on.
        assert!(text(&Report { keys: 10, ..report }).contains("100 %"));
    }
}
