//! How far a backup has come: one line that is written over, or lines of JSON.

use crate::{native::units, printer::Printer};
use operations::backup::Progress;
use serde::Serialize;
use std::time::{Duration, Instant};
use topology::backup::Source;

/// Time between two lines.
const LINES: Duration = Duration::from_millis(100);
/// Time between two lines of JSON.
const JSON_LINES: Duration = Duration::from_millis(500);

/// The line that tells how far a backup has come.
pub(super) struct Line<'a> {
    printer: &'a mut Printer,
    json: bool,
    begin: Instant,
    last: Option<Instant>,
    shards: Vec<Option<Progress>>,
}

/// What a line tells.
#[derive(Serialize)]
struct Report {
    shards_begun: usize,
    shards: usize,
    bytes: u64,
    /// Bytes of all snapshots, once all servers have said how long theirs is.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<u64>,
    bytes_per_second: u64,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_left: Option<f64>,
}

impl<'a> Line<'a> {
    pub(super) fn new(printer: &'a mut Printer, sources: &[Source], json: bool) -> Self {
        let mut line = Self { printer, json, begin: Instant::now(), last: None, shards: vec![None; sources.len()] };
        line.tell();
        line
    }

    pub(super) fn show(&mut self, progress: Progress) {
        if let Some(shard) = self.shards.get_mut(progress.source) {
            *shard = Some(progress);
            self.tell();
        }
    }

    fn tell(&mut self) {
        let period = if self.json { JSON_LINES } else { LINES };
        if self.last.is_some_and(|last| last.elapsed() < period) {
            return;
        }
        self.last = Some(Instant::now());
        let report = self.report();
        if self.json {
            if let Ok(line) = serde_json::to_string(&report) {
                self.printer.note(&format!("{line}\n"));
            }
        } else {
            self.printer.progress(&text(&report));
        }
    }

    fn report(&self) -> Report {
        let seconds = self.begin.elapsed().as_secs_f64();
        let begun: Vec<&Progress> = self.shards.iter().flatten().collect();
        let bytes: u64 = begun.iter().map(|progress| progress.bytes).sum();
        let of: Option<u64> = self.shards.iter().map(|shard| shard.and_then(|progress| progress.of)).sum();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "shown to people"
        )]
        let (bytes_per_second, done) =
            ((bytes as f64 / seconds) as u64, of.map_or(0.0, |of| bytes as f64 / of.max(1) as f64));
        let seconds_left = (done > 0.02).then(|| seconds / done * (1.0 - done));
        Report {
            shards_begun: begun.len(),
            shards: self.shards.len(),
            bytes,
            of,
            bytes_per_second,
            seconds,
            seconds_left,
        }
    }
}

fn text(report: &Report) -> String {
    let Report { shards_begun, shards, bytes, .. } = report;
    let waiting = shards - shards_begun;
    let mut parts = vec![match report.of {
        Some(of) => format!("saving {} of {}", units::bytes(*bytes), units::bytes(of)),
        None => format!("saving {}", units::bytes(*bytes)),
    }];
    if *bytes > 0 {
        parts.push(format!("{}/s", units::bytes(report.bytes_per_second)));
    }
    if waiting > 0 {
        parts.push(format!("waiting for {}", units::count(waiting, "snapshot")));
    }
    parts.extend(report.seconds_left.map(|left| format!("{left:.0} s left")));
    parts.join("   ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_bytes_speed_and_what_is_left() {
        let mut report = Report {
            shards_begun: 3,
            shards: 3,
            bytes: 233_000_000,
            of: Some(330_000_000),
            bytes_per_second: 58_000_000,
            seconds: 4.0,
            seconds_left: Some(1.6),
        };
        assert_eq!(text(&report), "saving 233 MB of 330 MB   58 MB/s   2 s left");
        report = Report { shards_begun: 1, bytes: 0, of: None, seconds_left: None, ..report };
        assert_eq!(text(&report), "saving 0.0 MB   waiting for 2 snapshots");
    }
}
