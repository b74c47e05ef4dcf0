//! A course of events: a cluster under the loop, what happens to it, and how it ends.

use operations::{
    control::{Control, Means, Report},
    moving::Pace,
    observe::dial_and_ask,
    run::Patience,
};
use simcluster::{
    Faults, Lost, Platform, Profile, SimulatedFleet, Simulation, Timeouts, Violation, Writer, WriterOptions,
};
use std::{
    fmt::Write as _,
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use topology::control::Desired;

/// A cluster under the loop.
pub(crate) struct Course {
    pub(crate) simulation: Simulation,
    pub(crate) fleet: SimulatedFleet,
    means: Means,
    desired: watch::Sender<Desired>,
    last: Arc<Mutex<Option<Report>>>,
    /// Whether the network and the servers fail, too.
    pub(crate) is_partitioned: bool,
}

/// What the loop lives through before it dies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Life {
    /// It does not die.
    Whole,
    /// It dies when it has been woken so many times, and the next begins; so often.
    Short { wakes: u64, deaths: u32 },
}

impl Course {
    pub(crate) fn new(simulation: &Simulation, platform: Platform, shards: usize, replicas: usize) -> Self {
        let fleet = SimulatedFleet::new(simulation, platform);
        let timeouts = Timeouts { connect: Duration::from_secs(1), read: Duration::from_secs(2) };
        let patience = Duration::from_secs(20);
        let means = Means {
            dialer: simulation.dialer("loop", timeouts),
            fleet: Arc::new(fleet.clone()),
            pace: Pace { budget: None, ..Pace::default() },
            patience: Patience { agreement: patience, service: patience },
        };
        let (desired, _) = watch::channel(Desired { shards, replicas, ..Desired::default() });
        Self { simulation: simulation.clone(), fleet, means, desired, last: Arc::default(), is_partitioned: false }
    }

    pub(crate) fn want(&self, shards: usize, replicas: usize) {
        self.simulation.note(&format!("wanted: {shards} shards with {replicas} replicas each"));
        self.change(|desired| (desired.shards, desired.replicas, desired.extra) = (shards, replicas, 0));
    }

    /// Lets something else be wanted.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Desired)) {
        self.desired.send_modify(change);
    }

    /// What the loop said last.
    pub(crate) fn report(&self) -> Option<Report> {
        self.last.lock().unwrap().clone()
    }

    /// Lets a loop run beside something else until that ends.
    pub(crate) async fn beside<T>(&self, life: Life, other: impl Future<Output = T>) -> T {
        let mut other = pin!(other);
        let mut deaths = if let Life::Short { deaths, .. } = life { deaths } else { 0 };
        loop {
            let last = Arc::clone(&self.last);
            let tell = move |report: &Report| *last.lock().unwrap() = Some(report.clone());
            let mut keeping = pin!(Control::new(self.means.clone(), self.desired.subscribe(), &tell).keep());
            let mut wakes = 0;
            let ended = poll_fn(|context| {
                if let Poll::Ready(outcome) = other.as_mut().poll(context) {
                    return Poll::Ready(Some(outcome));
                }
                wakes += 1;
                if matches!(life, Life::Short { wakes: most, .. } if deaths > 0 && wakes > most) {
                    return Poll::Ready(None);
                }
                let _ = keeping.as_mut().poll(context);
                Poll::Pending
            })
            .await;
            if let Some(outcome) = ended {
                return outcome;
            }
            self.simulation.note("the loop dies, and another one begins");
            *self.last.lock().unwrap() = None;
            deaths -= 1;
        }
    }

    /// Waits until the loop says that all is as it should be; panics when it does not within this virtual time.
    pub(crate) async fn settled(&self, within: Duration) -> Duration {
        let begin = Instant::now();
        // What it says now it may have seen a second ago.
        sleep(Duration::from_secs(2)).await;
        *self.last.lock().unwrap() = None;
        loop {
            let wanted = self.desired.borrow().clone();
            let report = self.last.lock().unwrap().clone();
            if report.as_ref().is_some_and(|report| report.settled && report.desired == wanted) {
                return begin.elapsed();
            }
            if begin.elapsed() > within {
                let views = self.views().await;
                panic!("not settled after {within:?}: {report:#?}\n{}\n{views}", self.simulation.trace());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// What each server says of all.
    async fn views(&self) -> String {
        let mut text = String::new();
        for number in self.fleet.numbers() {
            let Ok(answer) = dial_and_ask(self.means.dialer.as_ref(), &self.simulation.address(number)).await else {
                continue;
            };
            let state = if answer.view.cluster.state_ok { "ok" } else { "fail" };
            writeln!(text, "server-{number} {} {state}", answer.view.myself.id.short()).unwrap();
            for entry in answer.view.entries() {
                let flags: Vec<String> = entry.flags.iter().map(|flag| format!("{flag:?}")).collect();
                let follows = entry.primary.map_or_else(String::new, |primary| format!(" follows {}", primary.short()));
                let (id, flags) = (entry.id.short(), flags.join(","));
                writeln!(text, "    {id} {flags}{follows} epoch {} {}", entry.config_epoch, entry.slots).unwrap();
            }
        }
        text
    }

    /// Panics unless what must hold has held, and all slots are served.
    pub(crate) fn check(&self) {
        let mut violations = self.simulation.violations();
        // A server that takes slots gives itself an epoch without asking anybody: where others do not hear of it in time, two may have the
        // same for a while, and settle that when they hear each other.
        violations.retain(|violation| !(self.is_partitioned && matches!(violation, Violation::SameEpoch { .. })));
        assert!(violations.is_empty(), "{violations:#?}\n{}", self.simulation.trace());
        let unserved = self.simulation.unserved_slots();
        assert!(unserved.is_empty(), "nobody serves {unserved}\n{}", self.simulation.trace());
        let wanted = self.desired.borrow().clone();
        assert_eq!(self.fleet.numbers().len(), wanted.members(), "{}", self.simulation.trace());
    }

    pub(crate) fn writer(&self) -> Writer {
        Writer::start(&self.simulation, &WriterOptions::default())
    }

    pub(crate) fn assert_kept(&self, lost: &[Lost]) {
        assert!(lost.is_empty(), "lost: {lost:?}\n{}", self.simulation.trace());
    }

    pub(crate) fn set_faults(&self, percent: f64) {
        let rate = percent / 100.0;
        self.simulation.set_faults(Faults {
            dial_fails: rate,
            dial_hangs: rate / 4.0,
            send_fails: rate,
            answer_lost: rate,
            delay: 1..=20,
            migration_fails: rate,
        });
    }
}

/// A platform of six machines in three zones on which nothing goes wrong.
pub(crate) fn calm(profile: &'static Profile) -> Platform {
    Platform { profile, hosts: 6, zones: 3, late: 0, faults: 0 }
}

/// The profile for a seed.
pub(crate) fn profile(seed: u64) -> &'static Profile {
    let all = Profile::ALL;
    all[usize::try_from(seed).unwrap() % all.len()]
}

/// The seeds to try: those with which something was found once, and so many more. `SEED` gives one, `SEEDS` how many.
pub(crate) fn seeds(found: &[u64], count: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match number("SEED") {
        Some(seed) => vec![seed],
        None => found.iter().copied().chain(0..number("SEEDS").unwrap_or(count)).collect(),
    }
}
