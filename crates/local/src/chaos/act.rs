//! Doing to a cluster what was drawn, and putting it back.

use super::{
    draw::Draw,
    event::{Event, Kind},
    report::{Course, Happened},
    sight,
};
use crate::{Cluster, LocalError, Settings};
use agent::lock::Signal;
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use operations::port::Dialer;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::{sleep, sleep_until};

/// A supervisor that does not start is tried again after this time, so many times.
const AGAIN: Duration = Duration::from_secs(1);
const TRIES: u32 = 10;
/// What was killed may need so long until others see it: until then it counts as disturbed.
const SEEN: Duration = Duration::from_secs(2);

/// Does to a cluster what was drawn.
pub(super) struct Actor<'a> {
    cluster: Cluster,
    dialer: Arc<dyn Dialer>,
    begin: Instant,
    course: &'a Mutex<Course>,
    tell: &'a dyn Fn(&Happened),
}

/// The end of an event: the members that are themselves again.
type End = BoxFuture<'static, Result<BTreeSet<u16>, LocalError>>;

impl<'a> Actor<'a> {
    pub(super) fn new(
        cluster: Cluster,
        dialer: Arc<dyn Dialer>,
        begin: Instant,
        course: &'a Mutex<Course>,
        tell: &'a dyn Fn(&Happened),
    ) -> Self {
        Self { cluster, dialer, begin, course, tell }
    }

    /// Disturbs the cluster from one time to another.
    pub(super) async fn disturb(&mut self, mut draw: Draw, from: Instant, until: Instant) -> Result<(), LocalError> {
        let mut disturbed: BTreeSet<u16> = BTreeSet::new();
        let mut ends: FuturesUnordered<End> = FuturesUnordered::new();
        let mut has_supervisor = true;
        let mut next = from;
        loop {
            tokio::select! {
                () = sleep_until(next.min(until).into()) => {}
                Some(ended) = ends.next() => {
                    let ports = ended?;
                    has_supervisor |= ports.is_empty();
                    disturbed.retain(|port| !ports.contains(port));
                    continue;
                }
            }
            if Instant::now() >= until {
                return Ok(());
            }
            next = Instant::now() + draw.pause();
            let Some(sight) = sight::look(&self.cluster, self.dialer.as_ref()).await else { continue };
            let is_settled = self.cluster.loop_report()?.is_some_and(|report| report.settled);
            let Some(event) = draw.event(&sight, &disturbed, is_settled) else { continue };
            if !has_supervisor && !matches!(event, Event::Members { .. }) {
                continue;
            }
            self.tell(&event);
            has_supervisor &= !matches!(event, Event::Supervisor { .. });
            if let Event::Members { ports, .. } = &event {
                disturbed.extend(ports);
            }
            ends.push(self.act(event).await?);
        }
    }

    /// Puts the cluster back: nobody is paused or cut off any more, there is a supervisor, and it is to have this shape.
    pub(super) async fn put_back(&mut self, settings: &Settings) -> Result<(), LocalError> {
        for port in self.cluster.ports()? {
            // A member that was removed just now is as well.
            self.cluster.signal_server(port, Signal::CONT).ok();
        }
        self.cluster.heal(None).await?;
        // Members that were started anew are not to be started anew again.
        let round = self.cluster.settings()?.round;
        self.cluster.keep(&Settings { round, ..settings.clone() })?;
        start_supervisor(&self.cluster).await
    }

    fn tell(&self, event: &Event) {
        let happened =
            Happened { at_seconds: self.begin.elapsed().as_secs_f64(), kind: event.kind(), what: event.words() };
        (self.tell)(&happened);
        self.course.lock().unwrap_or_else(PoisonError::into_inner).events.push(happened);
    }

    /// Begins an event; what comes of it is its end. A member that is gone by now, because the cluster got smaller, is left out.
    async fn act(&self, event: Event) -> Result<End, LocalError> {
        let cluster = self.cluster.clone();
        Ok(match event {
            Event::Members { kind, ports, lasts } => {
                match kind {
                    Kind::Partition => match cluster.partition(&ports, None).await {
                        // An agent that was killed a moment ago; nobody was cut off.
                        Err(LocalError::DoesNotFollow { .. }) => {}
                        outcome => outcome?,
                    },
                    _ => ports.iter().for_each(|port| disturb_one(&cluster, kind, *port)),
                }
                Box::pin(async move {
                    sleep(lasts).await;
                    match kind {
                        Kind::Partition => drop(cluster.heal(Some(&ports)).await?),
                        Kind::Pause => ports.iter().for_each(|port| drop(cluster.signal_server(*port, Signal::CONT))),
                        _ => {}
                    }
                    sleep(SEEN).await;
                    Ok(ports)
                })
            }
            Event::Supervisor { absent } => {
                cluster.signal_supervisor(Signal::KILL)?;
                Box::pin(async move {
                    sleep(absent).await;
                    start_supervisor(&cluster).await?;
                    Ok(BTreeSet::new())
                })
            }
            Event::Shape { shards, replicas, .. } => {
                self.want(&Settings { shards, replicas, extra: 0, ..cluster.settings()? })?
            }
            Event::Roll => {
                let settings = cluster.settings()?;
                self.want(&Settings { round: settings.round + 1, ..settings })?
            }
        })
    }

    /// Lets the loop work on other settings.
    fn want(&self, settings: &Settings) -> Result<End, LocalError> {
        self.cluster.keep(settings)?;
        self.cluster.signal_supervisor(Signal::HUP)?;
        Ok(Box::pin(async { Ok(BTreeSet::new()) }))
    }
}

/// A member that is gone by now is no trouble.
fn disturb_one(cluster: &Cluster, kind: Kind, port: u16) {
    let done = match kind {
        Kind::KillAgent => cluster.signal_agent(port, Signal::KILL).map(drop),
        Kind::StopAgent => cluster.signal_agent(port, Signal::TERM).map(drop),
        Kind::Pause => cluster.signal_server(port, Signal::STOP).map(drop),
        Kind::Wipe => cluster.wipe(port),
        _ => cluster.signal_server(port, Signal::KILL).map(drop),
    };
    done.ok();
}

/// Starts a supervisor, or lets the one that runs look again.
async fn start_supervisor(cluster: &Cluster) -> Result<(), LocalError> {
    for tries in 1.. {
        let starting = cluster.clone();
        // It waits without letting others run.
        match tokio::task::spawn_blocking(move || starting.start()).await {
            Ok(Err(error)) if tries >= TRIES => return Err(error),
            Ok(Ok(())) | Err(_) => break,
            // The one that was killed may not be gone yet, and a server may be about to take its port.
            Ok(Err(_)) => sleep(AGAIN).await,
        }
    }
    Ok(())
}
