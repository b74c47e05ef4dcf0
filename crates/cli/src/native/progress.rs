//! How far a run that moves slots has come: one line that is written over, or lines of JSON.

use super::units;
use crate::{moving::Shown, printer::Printer};
use operations::run::{Moved, Progress};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use topology::{NodeId, plan::Plan};

/// Time between two lines.
const LINES: Duration = Duration::from_millis(100);
/// Time between two lines of JSON.
const JSON_LINES: Duration = Duration::from_millis(500);

/// The line that tells how far a run has come.
pub(crate) struct Line<'a> {
    printer: &'a mut Printer,
    json: bool,
    begin: Instant,
    last: Option<Instant>,
    stage: String,
    all_slots: usize,
    all_keys: u64,
    moves: BTreeMap<(NodeId, NodeId), Moved>,
}

/// What a line of JSON tells.
#[derive(Serialize)]
struct Report {
    slots_moved: usize,
    slots: usize,
    keys_moved: u64,
    keys: u64,
    keys_per_second: u64,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_left: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
}

impl<'a> Line<'a> {
    pub(crate) fn new(printer: &'a mut Printer, plan: &Plan, json: bool) -> Self {
        let (all_slots, all_keys) = (plan.cost.slots_moved, plan.cost.keys_moved);
        let (begin, stage) = (Instant::now(), String::new());
        Self { printer, json, begin, last: None, stage, all_slots, all_keys, moves: BTreeMap::new() }
    }

    /// How many slots have arrived.
    pub(crate) fn slots(&self) -> usize {
        self.moves.values().map(|moved| moved.slots).sum()
    }

    pub(crate) fn show(&mut self, shown: Shown) {
        match shown {
            Shown::Stopping => {
                self.printer.note("finishing the batch in flight, then stopping (again to stop hard)\n");
            }
            Shown::Progress(Progress::Stage { stage, of, .. }) => self.stage = format!("step {stage} of {of}"),
            Shown::Progress(Progress::Waiting { missing }) => {
                self.printer.progress(&format!("{}   {missing}", self.stage));
            }
            Shown::Progress(Progress::Moving { from, to, moved }) => {
                self.moves.insert((from.id, to.id), moved);
                self.tell();
            }
            Shown::Progress(Progress::LargeKey { key, bytes }) => {
                let name = key.escape_ascii();
                self.printer.note(&format!("moving a large key alone: {name}, {}\n", units::bytes(bytes)));
            }
            Shown::Progress(Progress::FallsBack { from, to, reason }) => {
                let way = format!("{} > {}", from.address, to.address);
                self.printer
                    .note(&format!("{way}: the servers could not move the slots themselves ({reason}); by MIGRATE\n"));
            }
            Shown::Progress(_) => {}
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
            let line = format!("{}   {}", self.stage, text(&report));
            self.printer.progress(&line);
        }
    }

    fn report(&self) -> Report {
        let seconds = self.begin.elapsed().as_secs_f64();
        let (slots_moved, keys_moved) = (self.slots(), self.moves.values().map(|moved| moved.keys).sum::<u64>());
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "shown to people"
        )]
        let (keys_per_second, done) =
            ((keys_moved as f64 / seconds) as u64, slots_moved as f64 / self.all_slots.max(1) as f64);
        let latency = self.moves.values().filter_map(|moved| moved.latency).max();
        Report {
            slots_moved,
            slots: self.all_slots,
            keys_moved,
            keys: self.all_keys,
            keys_per_second,
            seconds,
            seconds_left: (done > 0.02).then(|| seconds / done * (1.0 - done)),
            latency_ms: latency.map(|latency| latency.as_secs_f64() * 1000.0),
        }
    }
}

fn text(report: &Report) -> String {
    const BAR: usize = 24;
    let share = |of: usize| report.slots_moved * of / report.slots.max(1);
    let full = share(BAR).min(BAR);
    let bar = format!("{}{}", "━".repeat(full), "╌".repeat(BAR - full));
    let mut parts = vec![
        format!("{bar} {:>3} %", share(100).min(100)),
        units::count(report.keys_moved, "key"),
        format!("{} keys/s", units::grouped(report.keys_per_second)),
    ];
    parts.extend(report.latency_ms.map(|latency| format!("p99 {latency:.1} ms")));
    parts.extend(report.seconds_left.map(|left| format!("{left:.0} s left")));
    parts.join("   ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_share_speed_latency_and_what_is_left() {
        let report = Report {
            slots_moved: 71,
            slots: 100,
            keys_moved: 233_000,
            keys: 330_000,
            keys_per_second: 58_000,
            seconds: 4.0,
            seconds_left: Some(1.6),
            latency_ms: Some(1.24),
        };
        assert_eq!(
            text(&report),
            "━━━━━━━━━━━━━━━━━╌╌╌╌╌╌╌  71 %   233 000 keys   58 000 keys/s   p99 1.2 ms   2 s left"
        );
    }
}
