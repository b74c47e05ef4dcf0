//! The program itself.

use super::figures;
use crate::{
    figures::{Requirement, turns},
    problem::Problem,
    row::{Reading, Row},
    setting::{Setting, Tool},
    stopwatch::run,
    unit::Unit,
};
use std::{fs, time::Duration};

/// A start that a person does not notice, in seconds.
const START: f64 = 0.010;
/// In millions of bytes.
const SIZE: f64 = 15.0;

/// Both tools in turn.
pub(crate) fn start(setting: &Setting, rounds: usize) -> Result<Vec<Row>, Problem> {
    let (mut reference, mut ours) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for tool in turns(&[Tool::Reference, Tool::Tribune], round) {
            let help = run(setting, tool, &["--help"], Duration::from_secs(10))?;
            match tool {
                // Some versions of the reference say that they have helped by exit code 1.
                Tool::Reference => reference.push(help.took.as_secs_f64()),
                Tool::Tribune => ours.push(help.done()?.took.as_secs_f64()),
            }
        }
    }
    row("start", Unit::Seconds, reference, ours, START)
}

/// The files, stripped or not, as they are.
pub(crate) fn size(setting: &Setting, _rounds: usize) -> Result<Vec<Row>, Problem> {
    let megabytes = |tool| {
        let file = &setting.invocation(tool).file;
        let bytes = fs::metadata(file).map(|metadata| metadata.len());
        let kilobytes = bytes.map(|bytes| u32::try_from(bytes / 1000).unwrap_or(u32::MAX));
        kilobytes
            .map(|kilobytes| vec![f64::from(kilobytes) / 1000.0])
            .map_err(|source| Problem::System { what: format!("cannot look at {}", file.display()), source })
    };
    row("size", Unit::Megabytes, megabytes(Tool::Reference)?, megabytes(Tool::Tribune)?, SIZE)
}

fn row(name: &str, unit: Unit, reference: Vec<f64>, ours: Vec<f64>, limit: f64) -> Result<Vec<Row>, Problem> {
    Ok(vec![Row {
        name: name.to_owned(),
        unit,
        reference: Reading::Took(figures(reference)?),
        ours: figures(ours)?,
        until_complete: None,
        required: Requirement::Below(limit),
    }])
}
