//! The loop that keeps a cluster of this machine in its shape, inside the supervisor.

use crate::{Cluster, LocalFleet, supervise::log};
use agent::file::{self, Survives};
use operations::{
    control::{Control, Means, Report},
    moving::Pace,
    port::Dialer,
    run::Patience,
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, watch};
use topology::control::Desired;

/// How long a step may wait for what the servers do on their own.
const PATIENCE: Duration = Duration::from_mins(1);

/// Keeps the cluster in its shape from the time on when it is formed. What it is to be is read again whenever that is asked.
pub(crate) async fn keep_shape(cluster: &Cluster, dialer: Arc<dyn Dialer>, changed: Arc<Notify>, asked: Arc<Notify>) {
    let first = loop {
        match desired(cluster) {
            Some(desired) => break desired,
            None => asked.notified().await,
        }
    };
    let (send, receive) = watch::channel(first);
    let means = Means {
        dialer,
        fleet: Arc::new(LocalFleet::new(cluster.clone(), changed)),
        pace: Pace::default(),
        patience: Patience { agreement: PATIENCE, service: PATIENCE },
    };
    let last = Mutex::new(None);
    let tell = |report: &Report| tell(cluster, &last, report);
    let follow = async {
        loop {
            asked.notified().await;
            if let Some(desired) = desired(cluster) {
                send.send_if_modified(|before| std::mem::replace(before, desired.clone()) != desired);
            }
        }
    };
    tokio::join!(Control::new(means, receive, &tell).keep(), follow);
}

/// What the cluster is to be, once it is formed.
fn desired(cluster: &Cluster) -> Option<Desired> {
    let settings = cluster.settings().ok().filter(|settings| settings.formed)?;
    Some(settings.desired())
}

/// Writes down what the loop is at, when that is something else than before.
fn tell(cluster: &Cluster, last: &Mutex<Option<Report>>, report: &Report) {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    if last.as_ref() == Some(report) {
        return;
    }
    if report.settled
        && let Err(error) = cluster.end_approval()
    {
        log(cluster, &format!("the loop cannot be held again: {error}"));
    }
    if let Err(error) = file::write(&cluster.loop_file(), report, Survives::Processes) {
        log(cluster, &format!("what the loop is at cannot be written down: {error}"));
    }
    for doing in &report.doing {
        let is_known = |before: &Report| before.doing.iter().any(|other| other.action == doing.action);
        if !last.as_ref().is_some_and(is_known) {
            let action = serde_json::to_string(&doing.action).unwrap_or_default();
            log(cluster, &format!("begins: {action}: {}", doing.reason));
        }
    }
    for loss in report.losses.iter().filter(|loss| !last.as_ref().is_some_and(|before| before.losses.contains(loss))) {
        log(
            cluster,
            &format!("lost: slots {} with all copies of their data; {} begins them anew", loss.slots, loss.got.address),
        );
    }
    for failure in report.failures.iter().filter(|failure| {
        !last.as_ref().is_some_and(|before| {
            before.failures.iter().any(|other| other.times == failure.times && other.error == failure.error)
        })
    }) {
        log(cluster, &format!("failed: {}", failure.error));
    }
    *last = Some(report.clone());
}
