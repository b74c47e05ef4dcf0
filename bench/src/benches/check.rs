//! Checking a whole cluster.

use super::figures;
use crate::{
    figures::{Requirement, turns},
    problem::Problem,
    row::{Reading, Row},
    servers,
    setting::{Setting, Tool},
    stopwatch::run,
    unit::Unit,
};
use std::time::Duration;

const NODES: usize = 60;
/// The reference asks every primary for every slot, one after the other, when it searches for owners.
const LIMIT: Duration = Duration::from_mins(5);

/// Both tools in turn.
pub(crate) fn check(setting: &Setting, rounds: usize) -> Result<Vec<Row>, Problem> {
    compare(setting, "check-60", &[], rounds, rounds, 1.0)
}

/// The reference once, because it takes half a minute.
pub(crate) fn owners(setting: &Setting, rounds: usize) -> Result<Vec<Row>, Problem> {
    compare(setting, "owners-60", &["--cluster-search-multiple-owners"], 1, rounds, 60.0)
}

fn compare(
    setting: &Setting,
    name: &str,
    options: &[&str],
    reference_rounds: usize,
    rounds: usize,
    required: f64,
) -> Result<Vec<Row>, Problem> {
    let servers = servers::cluster(setting, NODES)?;
    let entry = servers.addresses().into_iter().next().unwrap_or_default();
    let words = [&["--cluster", "check", &entry], options].concat();
    let (mut reference, mut ours) = (Vec::new(), Vec::new());
    for round in 0..rounds.max(reference_rounds) {
        for tool in turns(&[Tool::Reference, Tool::Tribune], round) {
            let (times, wanted) = match tool {
                Tool::Reference => (&mut reference, reference_rounds),
                Tool::Tribune => (&mut ours, rounds),
            };
            if times.len() < wanted {
                times.push(run(setting, tool, &words, LIMIT)?.done()?.took.as_secs_f64());
            }
        }
    }
    Ok(vec![Row {
        name: name.to_owned(),
        unit: Unit::Seconds,
        reference: Reading::Took(figures(reference)?),
        ours: figures(ours)?,
        until_complete: None,
        required: Requirement::TimesFaster(required),
    }])
}
