//! Runs that have begun and not ended: what to go on with when the program was killed, and whom to ask to stop.

use crate::failure::Failure;
use agent::lock::{LockError, RecordLock, Signal, holder, signal_holder, wait_released};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use topology::{ClusterView, plan::Plan, remaining::remaining};

/// A run that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unfinished {
    /// What was asked for, so that the same command is known again.
    pub(crate) request: String,
    /// What it does. Every step looks first whether it is done.
    pub(crate) plan: Plan,
}

/// The record of a run of this process.
pub(crate) struct Record {
    path: Option<PathBuf>,
    /// Why there is none on disk.
    pub(crate) trouble: Option<String>,
    /// Held as long as the run goes on; others tell by it who runs it.
    _lock: Option<RecordLock>,
}

impl Record {
    /// Notes that a run begins; in place of an earlier one of the same cluster. Without a place to write it, only what is open
    /// in the cluster itself can be gone on with.
    ///
    /// # Errors
    /// The process that changes this cluster already.
    pub(crate) fn begin(request: &str, plan: &Plan) -> Result<Self, i32> {
        let path = match path_of(plan) {
            Ok(path) => path,
            Err(trouble) => return Ok(Self { path: None, trouble: Some(trouble), _lock: None }),
        };
        let lock = match RecordLock::acquire(&lock_of(&path)) {
            Ok(lock) => Ok(lock),
            Err(LockError::Held { pid, .. }) => return Err(pid),
            Err(error) => Err(error.to_string()),
        };
        let written = write(&path, &Unfinished { request: request.to_owned(), plan: plan.clone() });
        let written = written.map_err(|error| format!("{} cannot be written: {error}", path.display()));
        let trouble = lock.as_ref().err().or_else(|| written.as_ref().err()).cloned();
        Ok(Self { path: written.is_ok().then_some(path), trouble, _lock: lock.ok() })
    }

    /// Notes that there is nothing to go on with.
    pub(crate) fn end(self) {
        if let Some(path) = self.path {
            // Whoever finds it again finds every step done.
            let _ = fs::remove_file(path);
        }
    }
}

/// The record of a run, found on disk.
pub(crate) struct Found {
    /// The run.
    pub(crate) run: Unfinished,
    path: PathBuf,
}

/// The run of this cluster that has not ended, by the nodes that both know; one that goes on now before others.
pub(crate) fn of(view: &ClusterView) -> Option<Found> {
    let known = |run: &Unfinished| run.plan.based_on.iter().any(|node| view.node(node.id).is_some());
    let entries = fs::read_dir(directory()?).ok()?.flatten().map(|entry| entry.path());
    let read = |path: PathBuf| {
        let run = serde_json::from_str(&fs::read_to_string(&path).ok()?).ok().filter(known)?;
        Some(Found { run, path })
    };
    let found: Vec<Found> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "json")).filter_map(read).collect();
    let running = found.iter().position(|found| found.runner().is_some()).unwrap_or_default();
    found.into_iter().nth(running)
}

/// Refuses while a run of this cluster goes on, in another process of this machine.
pub(crate) fn none_goes_on(view: &ClusterView) -> Result<(), Failure> {
    let found = of(view);
    let runner = found.as_ref().and_then(|found| Some((found.runner()?, &found.run.plan.goal)));
    runner.map_or(Ok(()), |(pid, goal)| Err(busy(pid, Some(goal))))
}

/// What is left to do of an earlier run of this same request, if one was interrupted and nobody has changed the cluster since.
///
/// # Errors
/// When that run still goes on, in another process of this machine.
pub(crate) fn rest_of(request: &str, view: &ClusterView) -> Result<Option<Plan>, Failure> {
    let Some(found) = of(view) else { return Ok(None) };
    if let Some(pid) = found.runner() {
        return Err(busy(pid, Some(&found.run.plan.goal)));
    }
    if found.run.request != request {
        return Ok(None);
    }
    let rest = remaining(&found.run.plan, view);
    if rest.as_ref().is_some_and(|rest| !rest.changes_anything()) {
        // It was interrupted when all was done: whoever asks again after this time asks for more.
        found.forget();
    }
    Ok(rest)
}

/// Refuses when a run of this cluster still goes on, in another process of this machine.
///
/// # Errors
/// When it does.
pub(crate) fn refuse_beside_another(view: &ClusterView) -> Result<(), Failure> {
    let Some(found) = of(view) else { return Ok(()) };
    found.runner().map_or(Ok(()), |pid| Err(busy(pid, Some(&found.run.plan.goal))))
}

/// That another process changes the cluster.
pub(crate) fn busy(pid: i32, goal: Option<&str>) -> Failure {
    let failure = Failure::new(format!("process {pid} is changing this cluster"))
        .advice("wait for it, or stop it: tribune cancel HOST:PORT");
    match goal {
        Some(goal) => failure.because(format!("it runs: {goal}")),
        None => failure,
    }
}

impl Found {
    /// The process that runs it: the one that holds its lock.
    pub(crate) fn runner(&self) -> Option<i32> {
        holder(&lock_of(&self.path)).ok().flatten()
    }

    /// Asks the process that runs it to stop where no slot is open, and waits until it has ended. Blocks this thread.
    ///
    /// # Errors
    /// When it may not be asked, or has not ended in time.
    pub(crate) fn interrupt(&self, patience: Duration) -> Result<(), Failure> {
        let lock = lock_of(&self.path);
        let asked = signal_holder(&lock, Signal::INT).and_then(|_| wait_released(&lock, Instant::now() + patience));
        asked.map_err(|error| match error {
            LockError::Held { pid, .. } => {
                Failure::new(format!("process {pid} has not stopped after {} s", patience.as_secs()))
                    .because("it closes the slots that are open first, and a server may be slow to answer")
                    .advice(format!("the same command waits on; kill -INT {pid} stops it hard, then: tribune resume"))
            }
            other => Failure::new(other.to_string()),
        })
    }

    /// Forgets it: there is nothing to go on with.
    pub(crate) fn forget(self) {
        let _ = fs::remove_file(self.path);
    }
}

fn write(path: &Path, run: &Unfinished) -> io::Result<()> {
    let new = path.with_extension(std::process::id().to_string());
    let text = serde_json::to_vec_pretty(run)?;
    fs::write(&new, text).and_then(|()| fs::rename(&new, path))
}

/// Where the record of a run of this plan is, or why there is no place for it.
fn path_of(plan: &Plan) -> Result<PathBuf, String> {
    let first = plan.based_on.iter().map(|node| node.id).min().ok_or("the plan is for no node")?;
    let directory = directory().ok_or("neither TRIBUNE_HOME nor HOME is set")?;
    fs::create_dir_all(&directory).map_err(|error| format!("{} cannot be made: {error}", directory.display()))?;
    Ok(directory.join(format!("{first}.json")))
}

fn lock_of(record: &Path) -> PathBuf {
    record.with_extension("lock")
}

fn directory() -> Option<PathBuf> {
    Some(local::data_directory()?.join("unfinished"))
}
