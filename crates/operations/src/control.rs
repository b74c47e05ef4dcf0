//! The loop that keeps a cluster in its shape: look, decide, begin what is safe, look again.
//!
//! It is level-triggered: nothing that it remembers is needed, and it can be dropped at any await. What runs is dropped with it, and
//! whoever begins anew finds from the world what is left to do.

mod eyes;
mod fence;
mod giving_up;
mod heirs;
mod how_far;
mod past;
mod report;
mod work;

pub use report::{Doing, Failure, Proposed, Report};

use crate::{
    moving::{Moves, Pace},
    observe::Observation,
    port::{Dialer, Fleet, FleetError},
    run::Patience,
    stray::stray_keys,
};
use eyes::Eyes;
use how_far::Updates;
use past::Past;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use topology::{
    FleetMember, NodeAddr,
    control::{Decision, Desired, Loss, World, decide},
    plan::Action,
};
use work::{Work, moves_keys};

/// How long servers may take to answer a look; those that take longer are told of as silent.
const LOOK: Duration = Duration::from_secs(1);
/// How long the platform may take to tell of its members.
const PLATFORM: Duration = Duration::from_secs(10);
/// Between two looks while something is under way or waited for, unless that takes long.
const SOON: Duration = Duration::from_millis(100);
/// Between two looks at a cluster that is as it should be, or for which nothing more can be done for long.
const CALM: Duration = Duration::from_secs(1);
/// How long a cluster that is as it should be is only asked whether it still is what it was: at least, and at most.
const QUIET: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(1));
/// And how many times as long as a look at the whole of it takes, which grows with the square of its nodes.
const QUIET_TIMES: u32 = 100;
/// Just long enough for what has ended to show.
const AT_ONCE: Duration = Duration::from_millis(10);

/// What the loop works with.
#[derive(Clone)]
pub struct Means {
    /// How servers are reached.
    pub dialer: Arc<dyn Dialer>,
    /// What runs them.
    pub fleet: Arc<dyn Fleet>,
    /// How fast slots are moved.
    pub pace: Pace,
    /// How long one step may wait for what the servers do on their own.
    pub patience: Patience,
}

/// The loop of one cluster.
pub struct Control<'a> {
    means: Means,
    desired: watch::Receiver<Desired>,
    tell: &'a (dyn Fn(&Report) + Send + Sync),
    eyes: Eyes,
    past: Past,
    work: Work,
    updates: Updates,
    quiet: Option<Quiet>,
    same: Option<Same>,
    /// What was told last that was something else than before, and when.
    told: Option<(Report, Instant)>,
}

/// What there is to do, what is waited for and what is under way, and since when.
struct Same {
    begun: Instant,
    steps: Vec<(Action, String)>,
    waits: Vec<String>,
    under_way: Vec<Action>,
}

/// What a whole look was about that left nothing to do.
struct Quiet {
    until: Instant,
    desired: Desired,
    members: Vec<FleetMember>,
    held: Option<String>,
}

impl<'a> Control<'a> {
    /// A loop that has not looked yet. It follows what is desired, and tells of itself whenever that changes.
    pub fn new(means: Means, desired: watch::Receiver<Desired>, tell: &'a (dyn Fn(&Report) + Send + Sync)) -> Self {
        let eyes = Eyes::new(Arc::clone(&means.dialer));
        let (past, work, updates) = (Past::default(), Work::default(), Updates::default());
        Self { means, desired, tell, eyes, past, work, updates, quiet: None, same: None, told: None }
    }

    /// Keeps the cluster in its shape, for ever. To end it, drop it: what runs ends between two commands.
    pub async fn keep(mut self) {
        loop {
            let pause = self.pass().await;
            let Self { work, desired, .. } = &mut self;
            work.while_it_goes_on(sleep(pause.min(AT_ONCE))).await;
            work.until_one_ends(async {
                tokio::select! {
                    biased;
                    Ok(()) = desired.changed() => {}
                    () = sleep(pause.saturating_sub(AT_ONCE)) => {}
                }
            })
            .await;
        }
    }

    /// Looks once, decides and begins; gives how long to wait before the next look.
    async fn pass(&mut self) -> Duration {
        let desired = self.desired.borrow_and_update().clone();
        let fleet = Arc::clone(&self.means.fleet);
        let told = self.work.while_it_goes_on(timeout(PLATFORM, fleet.members())).await;
        let members = match told.unwrap_or_else(|_| Err(silent())) {
            Ok(members) => members,
            Err(error) => {
                (self.tell)(&Report::blind(desired, &error));
                return CALM;
            }
        };
        let held = fleet.held();
        if self.is_quiet(&desired, &members, held.as_ref()).await {
            return CALM;
        }
        let addresses: Vec<NodeAddr> = members.iter().filter_map(|member| member.address.clone()).collect();
        let begun = Instant::now();
        let Self { eyes, work, .. } = self;
        let observation = work.while_it_goes_on(eyes.look(&addresses, LOOK)).await;
        self.take_in(&members, &observation).await;
        let memory = self.past.memory(Instant::now(), self.work.under_way());
        let world = World { desired: &desired, members: &members, view: &observation.view, memory: &memory };
        let decision = decide(&world);
        if held.is_none() {
            self.act(&decision, observation);
        } else {
            self.work.stop_moves();
        }
        let (report, pause) = self.report(desired, decision, held, fleet.losses());
        let report = self.since(report);
        (self.tell)(&report);
        let Report { settled, desired, held, .. } = report;
        let until = Instant::now() + (begun.elapsed() * QUIET_TIMES).clamp(QUIET.0, QUIET.1);
        self.quiet = settled.then_some(Quiet { until, desired, members, held });
        pause
    }

    /// Whether the last whole look left nothing to do, and nothing has changed since as far as few words tell. Nothing is begun by such
    /// words: whatever differs is looked at whole.
    async fn is_quiet(&self, desired: &Desired, members: &[FleetMember], held: Option<&String>) -> bool {
        let is_same = |quiet: &Quiet| {
            Instant::now() < quiet.until
                && (&quiet.desired, &quiet.members[..], quiet.held.as_ref()) == (desired, members, held)
        };
        self.quiet.as_ref().is_some_and(is_same) && self.eyes.is_still(LOOK).await
    }

    async fn take_in(&mut self, members: &[FleetMember], observation: &Observation) {
        for finished in self.work.finished() {
            self.past.take(Instant::now(), finished);
        }
        self.count_strays(observation).await;
        self.updates.see(Instant::now(), members);
        self.past.see(Instant::now(), members, &observation.view, &self.work.under_way());
    }

    /// Counts keys that primaries hold of slots that are not theirs, where that is not known. While slots are moved these are on their way.
    async fn count_strays(&mut self, observation: &Observation) {
        let is_moving = self.work.under_way().iter().any(moves_keys);
        if is_moving || !self.past.is_to_count(Instant::now(), &observation.view) {
            return;
        }
        if let Ok(Ok(strays)) = timeout(LOOK, stray_keys(observation)).await {
            self.past.count(Instant::now(), &observation.view, strays.into_keys().collect());
        }
    }

    /// Begins the steps that are to be done, but for those that have just failed.
    fn act(&mut self, decision: &Decision, observation: Observation) {
        self.work.cancel(&decision.cancel);
        let now = Instant::now();
        let mut steps = decision.steps.clone();
        steps.retain(|(action, _)| self.past.may_try(now, action));
        self.work.begin(&self.means, steps, &Arc::new(observation), self.past.keys());
    }

    /// What the loop is at, and how long to wait before the next look.
    fn report(
        &mut self,
        desired: Desired,
        decision: Decision,
        held: Option<String>,
        losses: Vec<Loss>,
    ) -> (Report, Duration) {
        let now = Instant::now();
        let settled = decision.is_settled() && self.work.is_empty();
        self.past.rest(now, settled);
        let pause = self.pause(now, settled, &decision);
        let steps = if held.is_some() { decision.steps.clone() } else { Vec::new() };
        let report = Report {
            desired,
            settled,
            doing: self.work.doing(now),
            proposed: steps.into_iter().map(|(action, reason)| Proposed { action, reason }).collect(),
            waits: decision.waits,
            losses,
            update_seconds_left: self.updates.seconds_left(now),
            unchanged_seconds: None,
            failures: self.past.failures(now),
            held,
            trouble: None,
        };
        (report, pause)
    }

    /// A report with for how long nothing has come further.
    fn since(&mut self, mut report: Report) -> Report {
        let now = Instant::now();
        let same = self.told.take().filter(|(before, _)| report.is_no_further_than(before));
        if !report.settled {
            let (before, begun) = same.unwrap_or_else(|| (report.clone(), now));
            self.told = Some((before, begun));
            report.unchanged_seconds = Some(now.duration_since(begun).as_secs());
        }
        report
    }

    /// How long to wait before the next look: a tenth of the time for which there has been the same to do and to wait for.
    fn pause(&mut self, now: Instant, settled: bool, decision: &Decision) -> Duration {
        let under_way = self.work.under_way();
        let waits: Vec<String> = decision.waits.iter().map(|wait| wait.what.clone()).collect();
        let is_same = |same: &Same| same.steps == decision.steps && same.waits == waits && same.under_way == under_way;
        let same = self.same.take().filter(is_same);
        let begun = same.map_or(now, |same| same.begun);
        self.same = Some(Same { begun, steps: decision.steps.clone(), waits, under_way });
        if settled { CALM } else { (now.duration_since(begun) / 10).clamp(SOON, CALM) }
    }
}

impl Means {
    fn moves(&self) -> Moves {
        Moves { dialer: Arc::clone(&self.dialer), pace: self.pace, replace: false }
    }
}

fn silent() -> FleetError {
    FleetError(format!("the platform has not answered for {} s", PLATFORM.as_secs()))
}
