//! Runs that have begun and not ended: what to go on with when the program was killed.

use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use std::{fs, path::PathBuf};
use topology::{ClusterView, plan::Plan, remaining::remaining};

/// A run that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unfinished {
    /// What was asked for, so that the same command is known again.
    pub(crate) request: String,
    /// The process that runs it, or ran it.
    pub(crate) pid: u32,
    /// What it does. Every step looks first whether it is done.
    pub(crate) plan: Plan,
}

/// The record of a run on disk.
pub(crate) struct Record(Option<PathBuf>);

impl Record {
    /// Notes that a run begins; in place of an earlier one of the same cluster. Without a place to write it, only what is open
    /// in the cluster itself can be gone on with.
    pub(crate) fn begin(request: &str, plan: &Plan) -> Self {
        Self(write(request, plan))
    }

    /// Notes that there is nothing to go on with.
    pub(crate) fn end(self) {
        if let Some(path) = self.0 {
            // Whoever finds it again finds every step done.
            let _ = fs::remove_file(path);
        }
    }
}

/// The run of this cluster that has not ended, by the nodes that both know.
pub(crate) fn of(view: &ClusterView) -> Option<(Unfinished, Record)> {
    let known = |run: &Unfinished| run.plan.based_on.iter().any(|node| view.node(node.id).is_some());
    for entry in fs::read_dir(directory()?).ok()?.flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        if let Some(run) = serde_json::from_str(&text).ok().filter(known) {
            return Some((run, Record(Some(entry.path()))));
        }
    }
    None
}

/// What is left to do of an earlier run of this same request, if one was interrupted and nobody has changed the cluster since.
///
/// # Errors
/// When that run still goes on, in another process of this machine.
pub(crate) fn rest_of(request: &str, view: &ClusterView) -> Result<Option<Plan>, Failure> {
    let Some((run, record)) = of(view) else { return Ok(None) };
    if run.is_running() {
        return Err(Failure::new(format!("process {} is changing this cluster", run.pid))
            .because(format!("it runs: {}", run.plan.goal))
            .advice("wait for it, or stop it: tribune cancel HOST:PORT"));
    }
    if run.request != request {
        return Ok(None);
    }
    let rest = remaining(&run.plan, view);
    if rest.as_ref().is_some_and(|rest| !rest.changes_anything()) {
        // It was interrupted when all was done: whoever asks again after this time asks for more.
        record.end();
    }
    Ok(rest)
}

impl Unfinished {
    /// Whether the process that runs it is alive: one of this program with its number.
    pub(crate) fn is_running(&self) -> bool {
        let program = |pid: u32| fs::read_link(format!("/proc/{pid}/exe")).ok();
        self.pid != std::process::id()
            && program(self.pid).is_some()
            && program(self.pid) == program(std::process::id())
    }
}

fn write(request: &str, plan: &Plan) -> Option<PathBuf> {
    let first = plan.based_on.iter().map(|node| node.id).min()?;
    let directory = directory()?;
    fs::create_dir_all(&directory).ok()?;
    let run = Unfinished { request: request.to_owned(), pid: std::process::id(), plan: plan.clone() };
    let path = directory.join(format!("{first}.json"));
    let new = directory.join(format!("{first}.{}", run.pid));
    fs::write(&new, serde_json::to_vec_pretty(&run).ok()?).ok()?;
    fs::rename(&new, &path).ok()?;
    Some(path)
}

fn directory() -> Option<PathBuf> {
    Some(local::data_directory()?.join("unfinished"))
}
