//! Development only: runs `tribune` and the tool that came with a server side by side, and prints ratios.
//!
//! The two take turns within one run on one machine, so that what else the machine does meets both: ratios of medians
//! say something there, single figures do not.

mod arguments;
mod benches;
mod complete;
mod figures;
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
use setting::Setting;
use std::{
    fs,
    io::{Write, stderr, stdout},
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

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
    let setting = Setting::new(arguments)?;
    let mut report = Report::new(&setting.engine.name);
    print(&report.heading());
    let chosen =
        BENCHES.iter().filter(|bench| arguments.only.is_empty() || arguments.only.contains(&bench.name.into()));
    for bench in chosen {
        let outcome = outcome(bench, &setting, arguments.rounds.unwrap_or(bench.rounds));
        report.outcomes.push(outcome);
    }
    print(&report.text());
    if let Some(file) = &arguments.json {
        let written = serde_json::to_string_pretty(&report.json()).map_err(std::io::Error::from);
        let written = written.and_then(|text| fs::write(file, text + "\n"));
        written.map_err(|source| Problem::System { what: format!("cannot write {}", file.display()), source })?;
    }
    Ok(report.is_met())
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
