//! How far a backup has come: one line that is written over, or lines of JSON.

use crate::{
    native::{
        telling::{Telling, per_second, seconds_left},
        units,
    },
    printer::Printer,
};
use operations::backup::Progress;
use serde::Serialize;
use std::time::Instant;
use topology::backup::Source;

/// The line that tells how far a backup has come.
pub(super) struct Line<'a> {
    printer: &'a mut Printer,
    telling: Telling,
    begin: Instant,
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
        let mut line =
            Self { printer, telling: Telling::new(json), begin: Instant::now(), shards: vec![None; sources.len()] };
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
        if self.telling.is_due() {
            let report = self.report();
            self.telling.tell(self.printer, &report, &text(&report));
        }
    }

    fn report(&self) -> Report {
        let seconds = self.begin.elapsed().as_secs_f64();
        let begun: Vec<&Progress> = self.shards.iter().flatten().collect();
        let bytes: u64 = begun.iter().map(|progress| progress.bytes).sum();
        let of: Option<u64> = self.shards.iter().map(|shard| shard.and_then(|progress| progress.of)).sum();
        Report {
            shards_begun: begun.len(),
            shards: self.shards.len(),
            bytes,
            of,
            bytes_per_second: per_second(bytes, seconds),
            seconds,
            seconds_left: of.and_then(|of| seconds_left(bytes, of, seconds)),
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
