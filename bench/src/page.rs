//! The ratios of a run as a page. Pure but for the date and the machine's description.

use crate::{
    figures::{Requirement, Verdict},
    report::Report,
    row::Row,
    unit::times,
};
use std::{fs, time::SystemTime};

/// What a reader needs to know before the figures.
const ABOUT: &str = "# Benches

Us and the client that came with the servers, in turn, in one run on one machine. Single figures say little on a shared machine, so
here are ratios only; `make bench` prints all of it for yours.
";

/// The page of a run.
pub(crate) fn page(reports: &[Report]) -> String {
    let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let date = date.split('T').next().unwrap_or_default();
    let cores = reports.first().map_or(0, |report| report.cores);
    let mut page = format!("{ABOUT}\nMade by `make bench` on {date}: {cores} cores{}.\n", memory());
    for report in reports {
        page += &["\n## ", &report.engine, "\n\n| bench | ratio | required | |\n|---|---|---|---|\n"].concat();
        page.extend(report.rows().map(line));
    }
    page
}

fn line(row: &Row) -> String {
    let verdict = match row.verdict() {
        Verdict::Met => "met",
        Verdict::NotMet => "not met",
        Verdict::Information => "",
    };
    let required = match row.required {
        Requirement::TimesFaster(least) => format!("at least {}", times(least)),
        Requirement::Within(most) => format!("at least {:.2} x", 1.0 / most),
        Requirement::Below(limit) => format!("below {}", row.unit.text(limit)),
        Requirement::Nothing => String::new(),
    };
    let ratio = row.ratio().map_or_else(String::new, |ratio| format!("{ratio:.2} x"));
    // What was idle meanwhile is a figure of that machine.
    let name = row.name.split(" (idle").next().unwrap_or_default();
    format!("| {name} | {ratio} | {required} | {verdict} |\n")
}

/// How much memory the machine has.
fn memory() -> String {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map_or_else(String::new, |kib| format!(", {} GB of memory", kib * 1024 / 1_000_000_000))
}
