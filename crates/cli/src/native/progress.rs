//! How far a run that moves slots has come: a line for each pair of nodes, written over, or lines of JSON.

use super::{
    change::tell_step,
    plan_text::{self, Names},
    telling::{Telling, per_second, seconds_left},
    units,
};
use crate::{moving::Shown, printer::Printer};
use operations::run::{Moved, Progress};
use serde::Serialize;
use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};
use topology::{
    NodeId,
    plan::{Action, NodeRef, Plan},
};

/// Pairs that are shown one by one.
const SHOWN: usize = 8;

/// Tells how far a run has come.
pub(crate) struct Board<'a> {
    printer: &'a mut Printer,
    telling: Telling,
    begin: Instant,
    names: Names,
    /// What each stage does.
    stages: Vec<String>,
    /// Which stage is under way, and of how many.
    stage: (u32, u32),
    pairs: Vec<Pair>,
}

/// The move of slots from one node to another.
struct Pair {
    /// The stage that it belongs to, by its place among the stages, from 1.
    stage: u32,
    from: NodeId,
    to: NodeId,
    name: String,
    slots: usize,
    keys: u64,
    moved: Moved,
    /// When the first of it was heard.
    begin: Option<Instant>,
}

/// What a line of JSON tells.
#[derive(Clone, Debug, Serialize)]
struct Report {
    slots_moved: usize,
    slots: usize,
    keys_moved: u64,
    keys: u64,
    keys_per_second: u64,
    bytes_moved: u64,
    bytes_per_second: u64,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_left: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
}

impl<'a> Board<'a> {
    pub(crate) fn new(printer: &'a mut Printer, plan: &Plan, json: bool) -> Self {
        let names = Names::of(plan);
        let mut pairs = Vec::new();
        for (steps, stage) in plan.stages().zip(1..) {
            for step in steps {
                if let Action::MoveSlots { slots, from, to, keys, .. } = &step.action {
                    pairs.push(Pair {
                        stage,
                        from: from.id,
                        to: to.id,
                        name: names.pair(from, ">", to),
                        slots: slots.len(),
                        keys: *keys,
                        moved: Moved::default(),
                        begin: None,
                    });
                }
            }
        }
        Self {
            printer,
            telling: Telling::new(json),
            begin: Instant::now(),
            names,
            stages: plan_text::stages(plan),
            stage: (0, 0),
            pairs,
        }
    }

    /// How many slots have arrived.
    pub(crate) fn slots(&self) -> usize {
        self.pairs.iter().map(|pair| pair.moved.slots).sum()
    }

    pub(crate) fn show(&mut self, shown: Shown) {
        match shown {
            Shown::Stopping => {
                self.printer.note("  finishing the batch in flight, then stopping (Ctrl-C again to stop hard)\n");
            }
            Shown::Unrecorded(reason) => self.printer.note(&format!(
                "no other command will know of this run, and resume only finishes what is open: {reason}\n"
            )),
            Shown::Progress(Progress::Stage { stage, of, .. }) => {
                self.stage = (stage, of);
                self.telling.begin_anew();
                tell_step(self.printer, &format!("step {stage} of {of}"), &self.stages, stage);
                self.tell();
            }
            Shown::Progress(Progress::Waiting { missing }) if !self.telling.json => {
                let (stage, of) = self.stage;
                let missing = self.names.shortened(&missing);
                self.printer.progress(&format!("waiting {stage} of {of}   {missing}"));
            }
            Shown::Progress(Progress::Moving { from, to, moved }) => {
                self.take(&from, &to, moved);
                self.tell();
            }
            Shown::Progress(Progress::LargeKey { key, bytes }) => {
                let name = key.escape_ascii();
                self.printer.note(&format!("moving a large key alone: {name}, {}\n", units::bytes(bytes)));
            }
            Shown::Progress(Progress::FallsBack { from, to, reason }) => {
                let way = self.names.pair(&from, ">", &to);
                self.printer
                    .note(&format!("{way}: the servers could not move the slots themselves ({reason}); by MIGRATE\n"));
            }
            Shown::Progress(_) => {}
        }
    }

    fn take(&mut self, from: &NodeRef, to: &NodeRef, moved: Moved) {
        let stage = self.stage.0;
        let pair = self.pairs.iter_mut().find(|pair| (pair.stage, pair.from, pair.to) == (stage, from.id, to.id));
        if let Some(pair) = pair {
            pair.moved = moved;
            pair.begin.get_or_insert_with(Instant::now);
        }
    }

    fn tell(&mut self) {
        if !self.pairs.iter().any(|pair| self.is_now(pair)) || !self.telling.is_due() {
            return;
        }
        let report = Self::report(self.pairs.iter(), self.begin.elapsed());
        let picture = self.picture(self.printer.width_now());
        self.telling.tell(self.printer, &report, &picture);
    }

    fn is_now(&self, pair: &Pair) -> bool {
        pair.stage == self.stage.0
    }

    /// The pairs of this stage, those under way first, and below them how many more there are.
    fn picture(&self, width: usize) -> String {
        let now: Vec<&Pair> = self.pairs.iter().filter(|pair| self.is_now(pair)).collect();
        let whole = Self::report(now.iter().copied(), self.begin_of_stage().elapsed());
        let is_done = |pair: &&&Pair| pair.moved.slots >= pair.slots;
        let (mut shown, done): (Vec<&Pair>, Vec<&Pair>) = if now.len() > SHOWN {
            (now.iter().filter(|pair| !is_done(pair)).copied().collect(), now.iter().filter(is_done).copied().collect())
        } else {
            (now, Vec::new())
        };
        let hidden = shown.len().saturating_sub(SHOWN);
        shown.truncate(SHOWN);
        let head = format!("moving {} of {}  ", self.stage.0, self.stage.1);
        let mut text = String::new();
        for (at, pair) in shown.iter().enumerate() {
            let report =
                Self::report(std::iter::once(*pair), pair.begin.map_or(Duration::ZERO, |begin| begin.elapsed()));
            // What only the first line has takes its room from the bars of all.
            let tail = latency_and_rest(&whole);
            let head = if at == 0 { head.clone() } else { " ".repeat(head.len()) };
            let line = line(&head, &pair.name, &report, &tail, width);
            let _ = writeln!(text, "{}", if at == 0 { &line } else { line.strip_suffix(&tail).unwrap_or(&line) });
        }
        if hidden > 0 || !done.is_empty() {
            let what =
                format!("{} of {} slots", units::grouped(whole.slots_moved as u64), units::grouped(whole.slots as u64));
            let _ = writeln!(text, "{:1$}{what}: {2} done, {hidden} more to come", "", head.len(), done.len());
        }
        text
    }

    fn begin_of_stage(&self) -> Instant {
        self.pairs.iter().filter(|pair| self.is_now(pair)).filter_map(|pair| pair.begin).min().unwrap_or(self.begin)
    }

    /// What these pairs come to, after so much time.
    fn report<'p>(pairs: impl Iterator<Item = &'p Pair>, took: Duration) -> Report {
        let (mut slots_moved, mut slots, mut latency) = (0, 0, None);
        let (mut keys_moved, mut keys, mut bytes_moved) = (0_u64, 0_u64, 0_u64);
        for pair in pairs {
            slots_moved += pair.moved.slots;
            slots += pair.slots;
            keys_moved = keys_moved.saturating_add(pair.moved.keys);
            keys = keys.saturating_add(pair.keys);
            bytes_moved = bytes_moved.saturating_add(pair.moved.bytes);
            latency = latency.max(pair.moved.latency);
        }
        let seconds = took.as_secs_f64();
        Report {
            slots_moved,
            slots,
            keys_moved,
            keys,
            keys_per_second: per_second(keys_moved, seconds),
            bytes_moved,
            bytes_per_second: per_second(bytes_moved, seconds),
            seconds,
            seconds_left: seconds_left(slots_moved as u64, slots as u64, seconds),
            latency_ms: latency.map(|latency| latency.as_secs_f64() * 1000.0),
        }
    }
}

fn latency_and_rest(report: &Report) -> String {
    let latency = report.latency_ms.map(|latency| format!("  p99 {latency:.1} ms"));
    let left = report.seconds_left.map(|left| format!("  {left:.0} s left"));
    format!("{}{}", latency.unwrap_or_default(), left.unwrap_or_default())
}

/// The least bar that says anything.
const LEAST: usize = 6;

/// The line of one pair; where it is narrow the numbers of keys and of bytes are left out, the bar is shorter, and then left out, too.
fn line(head: &str, name: &str, report: &Report, tail: &str, width: usize) -> String {
    let share = |of: usize| (report.slots_moved * of / report.slots.max(1)).min(of);
    let mut numbers = format!("{:>3} %", share(100));
    let narrow = width < 100;
    let room = |numbers: &str, more: &str| {
        let around = [head, name, numbers, more, tail].map(|part| part.chars().count()).iter().sum::<usize>() + 5;
        width.saturating_sub(around)
    };
    if report.keys_moved > 0 {
        let speed = units::short(report.keys_per_second);
        let _ = if narrow {
            write!(numbers, "  {speed:>5} keys/s")
        } else {
            write!(numbers, "  {:>10}  {speed:>5}/s", units::many(report.keys_moved, "key"))
        };
        let bytes = format!("  {}/s", units::bytes(report.bytes_per_second));
        if room(&numbers, &bytes) >= LEAST {
            numbers += &bytes;
        }
    }
    let bar = match room(&numbers, "") {
        0..LEAST => String::new(),
        room => bar(report.slots_moved, report.slots, room.min(24)) + "  ",
    };
    format!("{head}{name}  {bar}{numbers}{tail}")
}

/// A bar of so many characters.
fn bar(part: usize, whole: usize, length: usize) -> String {
    let full = (part * length / whole.max(1)).min(length);
    format!("{}{}", "━".repeat(full), "╌".repeat(length - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            slots_moved: 71,
            slots: 100,
            keys_moved: 233_000,
            keys: 330_000,
            keys_per_second: 58_000,
            bytes_moved: 26_400_000,
            bytes_per_second: 6_600_000,
            seconds: 4.0,
            seconds_left: Some(1.6),
            latency_ms: Some(1.24),
        }
    }

    #[test]
    fn a_line_tells_share_speed_latency_and_what_is_left() {
        let tail = latency_and_rest(&report());
        assert_eq!(
            line("moving 2 of 4  ", "7000 > 7001", &report(), &tail, 120),
            "moving 2 of 4  7000 > 7001  ━━━━━━━━━━━━━━━━━╌╌╌╌╌╌╌   71 %  233 k keys   58 k/s  6.6 MB/s  p99 1.2 ms  2 s left"
        );
    }

    #[test]
    fn a_narrow_terminal_gets_a_shorter_bar() {
        let tail = latency_and_rest(&report());
        for width in [80, 90, 100, 120] {
            let line = line("moving 2 of 4  ", "7000 > 7001", &report(), &tail, width);
            assert!(line.chars().count() < width, "{width}: {line}");
        }
    }

    #[test]
    fn an_ordinary_terminal_has_room_for_what_is_left() {
        let slow = Report { latency_ms: Some(13.4), seconds_left: Some(143.0), ..report() };
        let line = line("moving 4 of 8  ", "21840 > 21843", &slow, &latency_and_rest(&slow), 80);
        assert!(line.ends_with("p99 13.4 ms  143 s left") && line.chars().count() < 80, "{line}");
    }

    #[test]
    fn a_bar_is_never_longer_than_its_room() {
        assert_eq!([bar(0, 0, 4), bar(1, 2, 4), bar(9, 2, 4)], ["╌╌╌╌", "━━╌╌", "━━━━"]);
    }
}
