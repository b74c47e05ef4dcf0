//! Checking a cluster one of whose servers takes connections and never answers.

use super::figures;
use crate::{
    figures::Requirement,
    note,
    problem::Problem,
    row::{Reading, Row},
    servers::{self, is_complete},
    setting::{Setting, Tool},
    stopwatch::{Run, run},
    unit::Unit,
};
use std::time::Duration;
use testservers::{Servers, wait_until};

const NODES: usize = 6;
/// For the reference, which has no read timeout.
const LIMIT: Duration = Duration::from_secs(10);
/// What a check may take beyond its read timeout, in seconds.
const MARGIN: f64 = 0.2;

/// The reference once, then the program under test: with a read timeout of 1 s, and with its default of 5 s.
pub(crate) fn stopped(setting: &Setting, rounds: usize) -> Result<Vec<Row>, Problem> {
    let servers = servers::cluster(setting, NODES)?;
    let entry = servers.addresses().into_iter().next().unwrap_or_default();
    let as_reference = ["--cluster", "check", &entry];
    let natively = ["check", "--read-timeout", "1", &entry];

    let reference = with_one_stopped(&servers, || run(setting, Tool::Reference, &as_reference, LIMIT))?;
    let reference = match reference.status {
        Some(_) => Reading::Took(figures(vec![reference.took.as_secs_f64()])?),
        None => Reading::Hangs(LIMIT.as_secs_f64()),
    };
    let row = |name: &str, words: &[&str], read_timeout: f64| {
        let mut ours = Vec::new();
        for round in 0..rounds {
            // Whether a node that does not answer is an error differs between the native words and the reference's.
            let check = with_one_stopped(&servers, || run(setting, Tool::Tribune, words, LIMIT)?.ended())?;
            note(&format!("  {name}, round {} of {rounds}: {:.3} s", round + 1, check.took.as_secs_f64()));
            ours.push(check.took.as_secs_f64());
        }
        Ok(Row {
            name: name.to_owned(),
            unit: Unit::Seconds,
            reference: reference.clone(),
            ours: figures(ours)?,
            until_complete: None,
            required: Requirement::Below(read_timeout + MARGIN),
        })
    };
    Ok(vec![
        row("check-stopped-6, native, read timeout 1 s", &natively, 1.0)?,
        row("check-stopped-6, read timeout 5 s", &as_reference, 5.0)?,
    ])
}

/// Acts while the last server, a replica, stands still, and returns when the cluster is whole again.
fn with_one_stopped(servers: &Servers, act: impl FnOnce() -> Result<Run, Problem>) -> Result<Run, Problem> {
    let stopped = servers.last();
    if let Some(server) = stopped {
        server.stop_process();
    }
    let ran = act();
    if let Some(server) = stopped {
        server.continue_process();
    }
    wait_until("the cluster is whole again", Duration::from_secs(30), || is_complete(servers));
    ran
}
