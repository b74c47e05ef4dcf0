//! Rehearsing failures at random, under a client that knows what was acknowledged.
//!
//! Events are drawn from a seed, and only such as the cluster has to outlive: at most one member of a shard is disturbed, and only when its
//! shard is whole. What happens in between depends on the machine: the same seed draws the same numbers, and is not the same course.

mod act;
mod client;
mod draw;
mod event;
mod gaps;
mod ledger;
mod report;
mod sight;

pub use event::Kind;
pub use report::{ChaosReport, Happened, KindReport, LostWrite, WriteReport};

use crate::{Cluster, CutOff, LocalError, Settings};
use act::Actor;
use client::Client;
use draw::Draw;
use ledger::Ledger;
use operations::port::Dialer;
use report::Course;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

/// How long the cluster may take to be healthy at the end.
const HEALS: Duration = Duration::from_mins(4);
/// Time between two looks until then.
const LOOK: Duration = Duration::from_millis(250);
/// So many writers, each with keys and connections of its own.
const WRITERS: usize = 12;
/// Writes go on for so long before the first event and after the cluster is healthy again.
const CALM: Duration = Duration::from_secs(2);

/// How servers are reached. Neither should wait for long: members that are cut off do not answer.
#[derive(Clone)]
pub struct Dialers {
    /// For looks at the cluster.
    pub looks: Arc<dyn Dialer>,
    /// For the client. Another one, since looks would wait for as long as what the client has asked a server may take.
    pub client: Arc<dyn Dialer>,
}

/// What to rehearse.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// What events are drawn from.
    pub seed: u64,
    /// For how long they are.
    pub lasts: Duration,
    /// Which kinds are drawn; all of them when none is named.
    pub kinds: BTreeSet<Kind>,
}

/// Rehearses failures until the time is over or it is stopped, then has the cluster heal, and reads back what was written. `tell` is told each event as it begins.
///
/// # Errors
/// When the cluster is not healthy before the first event, or its files cannot be used.
pub async fn rehearse(
    cluster: &Cluster,
    dialers: Dialers,
    rehearsal: &Rehearsal,
    stop: &CancellationToken,
    tell: &dyn Fn(&Happened),
) -> Result<ChaosReport, LocalError> {
    let begin = Instant::now();
    let Dialers { looks, client } = dialers;
    let settings = cluster.settings()?;
    let ledger = Arc::new(Ledger::new(begin));
    let ended = CancellationToken::new();
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let client = Client::new(Arc::clone(&client), cluster.clone());
        writers.spawn(ledger::write((number, WRITERS), client, rehearsal.seed, Arc::clone(&ledger), ended.clone()));
    }
    let course = Mutex::new(Course::default());
    let mut actor = Actor::new(cluster.clone(), Arc::clone(&looks), begin, &course, tell);
    let draw = Draw::new(rehearsal.seed, &rehearsal.kinds, &settings);
    let outcome = tokio::select! {
        outcome = actor.disturb(draw, begin + CALM, begin + CALM + rehearsal.lasts) => outcome,
        () = stop.cancelled() => Ok(()),
    };
    actor.put_back(&settings).await?;
    outcome?;
    let over = Instant::now();
    let healthy = until_healthy(cluster, &looks, &settings).await;
    let healed_after = over.elapsed();
    sleep(CALM).await;
    ended.cancel();
    while writers.join_next().await.is_some() {}
    let found = ledger::read_back(&ledger, &Client::new(client, cluster.clone())).await;
    let course = course.into_inner().unwrap_or_default();
    Ok(report::of(rehearsal, &course, &ledger, found, healthy.then_some(healed_after), begin.elapsed()))
}

/// Whether the cluster becomes what it was: whole, and nothing left to do for its loop.
async fn until_healthy(cluster: &Cluster, dialer: &Arc<dyn Dialer>, settings: &Settings) -> bool {
    let deadline = Instant::now() + HEALS;
    while Instant::now() < deadline {
        if is_healthy(cluster, dialer, settings).await {
            return true;
        }
        sleep(LOOK).await;
    }
    false
}

async fn is_healthy(cluster: &Cluster, dialer: &Arc<dyn Dialer>, settings: &Settings) -> bool {
    let is_settled = cluster
        .loop_report()
        .is_ok_and(|report| report.is_some_and(|report| report.settled && report.desired == settings.desired()));
    let nobody_cut = cluster.cut_off().is_ok_and(|cuts: Vec<CutOff>| cuts.is_empty());
    is_settled && nobody_cut && sight::look(cluster, dialer.as_ref()).await.is_some_and(|sight| sight.is_healthy())
}
