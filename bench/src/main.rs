//! Development only: runs `tribune` and the tool that came with a server side by side, and prints ratios.
//!
//! The two take turns within one run on one machine, so that what else the machine does meets both: ratios of medians
//! say something there, single figures do not.

mod arguments;
mod benches;
mod complete;
mod figures;
mod kept;
mod loaded;
mod measured;
mod mend;
mod page;
mod problem;
mod report;
mod row;
mod servers;
mod setting;
mod stopwatch;
mod table;
mod unit;

use arguments::Arguments;
use benches::{BENCHES, Bench};
use clap::Parser;
use problem::Problem;
use report::{Outcome, Report};
use serde_json::json;
use setting::Setting;
use std::{
    fs,
    io::{Write, stderr, stdout},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::ExitCode,
};
use testservers::ENGINES;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            note(&format!("error: {problem}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether everything required is met.
fn run(arguments: &Arguments) -> Result<bool, Problem> {
    if arguments.list {
        print(&benches::list());
        return Ok(true);
    }
    let mut reports = Vec::new();
    for engine in ENGINES {
        let chosen: Vec<&Bench> = BENCHES.iter().filter(|bench| arguments.wants(bench, engine)).collect();
        if !chosen.is_empty() {
            reports.push(report(arguments, engine, &chosen)?);
        }
    }
    let is_met = reports.iter().all(Report::is_met);
    if let Some(file) = &arguments.json {
        let json = json!({"reports": reports.iter().map(Report::json).collect::<Vec<_>>(), "met": is_met});
        write(file, &(format!("{json:#}\n")))?;
    }
    if let Some(file) = &arguments.page {
        write(file, &page::page(&reports))?;
    }
    Ok(is_met)
}

/// Runs benches with one engine.
fn report(arguments: &Arguments, engine: &str, chosen: &[&Bench]) -> Result<Report, Problem> {
    let setting = Setting::new(arguments, engine)?;
    let mut report = Report::new(&setting.engine.name);
    print(&report.heading());
    for bench in chosen {
        report.outcomes.push(outcome(bench, &setting, arguments.rounds.unwrap_or(bench.rounds)));
    }
    print(&report.text());
    Ok(report)
}

fn write(file: &Path, text: &str) -> Result<(), Problem> {
    let written = fs::write(file, text);
    written.map_err(|source| Problem::System { what: format!("cannot write {}", file.display()), source })
}

/// Runs one bench; whatever goes wrong there leaves the others alone.
fn outcome(bench: &Bench, setting: &Setting, rounds: usize) -> Outcome {
    note(&format!("{}: {}", bench.name, bench.about));
    // Servers that cannot be started panic, and so do conditions that do not come true. The message is on standard error.
    let ran = catch_unwind(AssertUnwindSafe(|| (bench.run)(setting, rounds)));
    match ran {
        Ok(Ok(rows)) => Outcome::Rows(rows),
        Ok(Err(problem)) => Outcome::Failed { bench: bench.name, problem: problem.to_string() },
        Err(_) => Outcome::Failed { bench: bench.name, problem: "its servers failed: see above".to_owned() },
    }
}

/// Results, on standard output. Whoever closed it does not want them.
fn print(text: &str) {
    let _ = write!(stdout(), "{text}").and_then(|()| stdout().flush());
}

/// How it goes, on standard error.
fn note(text: &str) {
    let _ = writeln!(stderr(), "{text}");
}
