//! A course of events: a cluster under the loop, what happens to it, and how it ends.

use crate::seeds::profile;
use operations::{
    control::{Control, Means, Report},
    moving::Pace,
    observe::dial_and_ask,
    run::Patience,
};
use simcluster::{
    Faults, Lost, Number, Platform, SimulatedFleet, Simulation, Timeouts, Violation, Writer, WriterOptions,
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
use topology::{NodeView, control::Desired};

/// A cluster under the loop.
pub(crate) struct Course {
    pub(crate) simulation: Simulation,
    pub(crate) fleet: SimulatedFleet,
    means: Means,
    desired: watch::Sender<Desired>,
    last: Arc<Mutex<Option<Report>>>,
    /// When loops stop dying: one that dies all the time never waits as long as it has to before it mends what servers may settle.
    calm: Mutex<Option<Instant>>,
    /// Whether two servers may have the same epoch for a while: where the network fails.
    pub(crate) epochs_meet: bool,
}

/// What the loop lives through before it dies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Life {
    /// It does not die.
    Whole,
    /// It does not die, and another one does the same beside it, which nobody meant to run.
    Twice,
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
        Self {
            simulation: simulation.clone(),
            fleet,
            means,
            desired,
            last: Arc::default(),
            calm: Mutex::default(),
            epochs_meet: false,
        }
    }

    /// A cluster that is in this shape already.
    pub(crate) async fn made(simulation: &Simulation, platform: Platform, shards: usize, replicas: usize) -> Self {
        let course = Self::new(simulation, platform, shards, replicas);
        course.fleet.form(shards, replicas);
        sleep(Duration::from_millis(300)).await;
        course
    }

    /// How many servers have become primaries in the place of another one.
    pub(crate) fn takeovers(&self) -> u64 {
        self.simulation.takeovers()
    }

    /// A member by a number that was drawn.
    pub(crate) fn member(&self, drawn: u64) -> Number {
        let members = self.fleet.numbers();
        members[usize::try_from(drawn).unwrap() % members.len()]
    }

    /// The members that own slots by their own word.
    pub(crate) fn primaries(&self) -> Vec<Number> {
        let owns = |number: &Number| self.said(*number).is_some_and(|said| !said.myself.slots.is_empty());
        self.fleet.numbers().into_iter().filter(owns).collect()
    }

    /// The members that follow this one.
    pub(crate) fn replicas_of(&self, primary: Number) -> Vec<Number> {
        let id = self.simulation.id(primary);
        let follows = |number: &Number| self.said(*number).is_some_and(|said| said.myself.primary == Some(id));
        self.fleet.numbers().into_iter().filter(follows).collect()
    }

    fn said(&self, number: Number) -> Option<NodeView> {
        self.simulation.said(number)
    }

    /// Waits until something is so; panics when it is not within this virtual time.
    pub(crate) async fn until(&self, what: &str, within: Duration, is_so: impl Fn() -> bool) -> Duration {
        let begin = Instant::now();
        while !is_so() {
            assert!(begin.elapsed() < within, "after {within:?} still not: {what}");
            sleep(Duration::from_millis(100)).await;
        }
        begin.elapsed()
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
            let tell_nobody = |_: &Report| {};
            let mut twin = pin!(Control::new(self.means.clone(), self.desired.subscribe(), &tell_nobody).keep());
            let mut wakes = 0;
            let ended = poll_fn(|context| {
                if let Poll::Ready(outcome) = other.as_mut().poll(context) {
                    return Poll::Ready(Some(outcome));
                }
                wakes += 1;
                let is_calm = || self.calm.lock().unwrap().is_some_and(|calm| Instant::now() >= calm);
                if matches!(life, Life::Short { wakes: most, .. } if deaths > 0 && wakes > most && !is_calm()) {
                    (wakes, deaths) = (0, deaths - 1);
                    if self.simulation.occurs("the loop dies, and another one begins") {
                        return Poll::Ready(None);
                    }
                }
                let _ = keeping.as_mut().poll(context);
                if matches!(life, Life::Twice) {
                    let _ = twin.as_mut().poll(context);
                }
                Poll::Pending
            })
            .await;
            if let Some(outcome) = ended {
                return outcome;
            }
            *self.last.lock().unwrap() = None;
        }
    }

    /// Waits until the loop says that all is as it should be; panics when it does not within this virtual time.
    pub(crate) async fn settled(&self, within: Duration) -> Duration {
        let begin = Instant::now();
        *self.calm.lock().unwrap() = Some(begin + within / 2);
        // What it says now it may have seen a second ago.
        sleep(Duration::from_secs(2)).await;
        *self.last.lock().unwrap() = None;
        loop {
            let wanted = self.desired.borrow().clone();
            let report = self.last.lock().unwrap().clone();
            if report.as_ref().is_some_and(|report| report.settled && report.desired == wanted) {
                *self.calm.lock().unwrap() = None;
                return begin.elapsed();
            }
            if begin.elapsed() > within {
                let views = self.views().await;
                panic!("not settled after {within:?}: {report:#?}\n{views}");
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
        violations.retain(|violation| !(self.epochs_meet && matches!(violation, Violation::SameEpoch { .. })));
        assert!(violations.is_empty(), "{violations:#?}");
        let unserved = self.simulation.unserved_slots();
        assert!(unserved.is_empty(), "nobody serves {unserved}");
        let wanted = self.desired.borrow().clone();
        assert_eq!(self.fleet.numbers().len(), wanted.members(), "members");
    }

    pub(crate) fn writer(&self) -> Writer {
        Writer::start(
            &self.simulation,
            &WriterOptions { interval: Duration::from_millis(20), ..WriterOptions::default() },
        )
    }

    /// Lets things happen to a cluster of three shards with a replica each while links break, the platform is late and loops die. At the end nothing
    /// goes wrong any more, `end` may want something else, and the cluster becomes what is wanted within this time; nothing is lost.
    pub(crate) async fn among_faults(
        simulation: Simulation,
        seed: u64,
        within: Duration,
        happens: impl AsyncFnOnce(&Self),
        end: impl FnOnce(&Self),
    ) -> Self {
        let course = Self::new(&simulation, Platform::calm(profile(seed)), 3, 1);
        course.beside(Life::Whole, course.settled(within)).await;
        let writer = course.writer();
        course.set_faults(3.0);
        course.fleet.misbehave(1_000, 10);
        let life = Life::Short { wakes: 20 + simulation.draw(400), deaths: 20 };
        let life_ends = async {
            happens(&course).await;
            course.set_faults(0.0);
            course.fleet.behave();
            end(&course);
            course.settled(within).await;
        };
        course.beside(life, life_ends).await;
        course.check();
        let (_, lost) = writer.stop().await;
        Self::assert_kept(&lost);
        course
    }

    /// Lets something happen while a client writes. The shape is reached before and after it, within this virtual time, nothing that must not be has
    /// been, and nothing is lost.
    pub(crate) async fn under_writes(&self, within: Duration, happens: &impl AsyncFn(&Self)) {
        self.settled(within).await;
        let writer = self.writer();
        happens(self).await;
        self.settled(within).await;
        self.check();
        let (ledger, lost) = writer.stop().await;
        Self::assert_kept(&lost);
        assert!(ledger.done > 0, "{ledger:?}");
    }

    pub(crate) fn assert_kept(lost: &[Lost]) {
        assert!(lost.is_empty(), "lost: {lost:?}");
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
