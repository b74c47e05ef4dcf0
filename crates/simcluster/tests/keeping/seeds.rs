//! Trying many courses of events, and making those short that fail.

use simcluster::{Happened, Platform, Profile, Simulation, run_again, shrink};
use std::{
    any::type_name,
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, Once,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long a schedule that fails is made shorter at most.
const SHRINKING: Duration = Duration::from_mins(1);
/// Lines of the trace that are told of a course that fails.
const LINES: usize = 4_000;

/// The profile for a seed.
pub(crate) fn profile(seed: u64) -> &'static Profile {
    let all = Profile::ALL;
    all[usize::try_from(seed).unwrap() % all.len()]
}

/// A platform on which nothing goes wrong, without agents: what the loop and the servers do is all that happens.
pub(crate) fn calm(profile: &'static Profile) -> Platform {
    Platform { agents: false, ..Platform::calm(profile) }
}

/// The seeds to try where a course is not one for [`all`]: these, and so many more; `SEED` gives one, `SEEDS` how many.
pub(crate) fn some(found: &[u64], count: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match number("SEED") {
        Some(seed) => vec![seed],
        None => found.iter().copied().chain(0..number("SEEDS").unwrap_or(count)).collect(),
    }
}

/// Tries a course with each of these seeds, which found something once, and with so many more. `SEEDS` asks for another number of them, on
/// all cores; `SEED` for one, with its trace; `SCHEDULE` beside it for what is to happen in that one.
pub(crate) fn all<C: AsyncFn(Simulation, u64) + Sync>(found: &[u64], count: u64, course: C) {
    all_named(type_name::<C>(), found, count, course);
}

/// The same under the name of this type, which is that of what is tried there.
pub(crate) fn all_named<C: AsyncFn(Simulation, u64) + Sync>(name: &'static str, found: &[u64], count: u64, course: C) {
    let trial = Trial { name: name.trim_end_matches("::{{closure}}").trim_start_matches("keeping::"), course };
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("SEED") {
        let given = std::env::var("SCHEDULE").ok().map(|text| parsed(&text));
        let outcome = trial.attempt(seed, given.as_deref(), LINES);
        eprintln!("{}\n{}: seed {seed} {outcome:?}", outcome.trace, trial.name);
        assert!(outcome.failure.is_none(), "it fails");
        return;
    }
    let wanted = number("SEEDS");
    let seeds: Vec<u64> = found.iter().copied().chain(0..wanted.unwrap_or(count)).collect();
    let threads = if wanted.is_some() { thread::available_parallelism().map_or(1, usize::from) } else { 1 };
    let begin = Instant::now();
    if let Some(failed) = trial.first_to_fail(&seeds, threads) {
        panic!("{}", trial.explain(failed));
    }
    if wanted.is_some() {
        tell_speed(trial.name, seeds.len(), begin.elapsed());
    }
}

/// As it is written in `SCHEDULE`: entries with commas between them.
fn parsed(text: &str) -> Vec<Happened> {
    text.split(',').filter(|entry| !entry.is_empty()).map(|entry| entry.trim().parse().unwrap()).collect()
}

/// How many courses there were, and how many a second: of this test and of all until now.
fn tell_speed(name: &str, courses: usize, took: Duration) {
    static ALL: AtomicU64 = AtomicU64::new(0);
    static TOOK: AtomicU64 = AtomicU64::new(0);
    let courses = courses as u64;
    let all = ALL.fetch_add(courses, Ordering::Relaxed) + courses;
    let millis = u64::try_from(took.as_millis()).unwrap().max(1);
    let all_millis = TOOK.fetch_add(millis, Ordering::Relaxed) + millis;
    let (speed, mean) = (courses * 1000 / millis, all * 1000 / all_millis);
    eprintln!("{name}: {courses} schedules, {speed} a second; {all} in all, {mean} a second");
}

/// What can be tried again and again.
struct Trial<C> {
    name: &'static str,
    course: C,
}

/// What became of a course.
#[derive(Default)]
struct Outcome {
    /// Where and how it failed.
    failure: Option<Failure>,
    happened: Vec<Happened>,
    trace: String,
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.failure {
            Some(failure) => write!(f, "fails at {}: {}", failure.place, failure.words),
            None => write!(f, "is well"),
        }
    }
}

#[derive(Clone, Debug)]
struct Failure {
    place: String,
    words: String,
}

impl<C: AsyncFn(Simulation, u64) + Sync> Trial<C> {
    /// Tries one course, with so many lines of its trace.
    fn attempt(&self, seed: u64, given: Option<&[Happened]>, lines: usize) -> Outcome {
        catch_quietly();
        let mut simulation = None;
        let course = |made: Simulation| {
            made.keep_trace(lines);
            simulation = Some(made.clone());
            (self.course)(made, seed)
        };
        QUIET.set(Some(String::new()));
        let ended = catch_unwind(AssertUnwindSafe(|| run_again(seed, given, course).unwrap()));
        let place = QUIET.take().unwrap_or_default();
        let words = |panic: Box<dyn std::any::Any + Send>| {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default()
        };
        let failure = ended.err().map(|panic| Failure { place, words: words(panic) });
        let (happened, trace) = simulation.map_or_else(Default::default, |made| (made.happened(), made.trace()));
        Outcome { failure, happened, trace }
    }

    /// Tries all seeds until one fails.
    fn first_to_fail(&self, seeds: &[u64], threads: usize) -> Option<(u64, Outcome)> {
        let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
        let work = || {
            while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                let outcome = self.attempt(*seed, None, 0);
                if outcome.failure.is_some() {
                    next.store(seeds.len(), Ordering::Relaxed);
                    *failed.lock().unwrap() = Some((*seed, outcome));
                }
            }
        };
        if threads == 1 {
            work();
        } else {
            thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
        }
        failed.into_inner().unwrap()
    }

    /// The shortest list found with which a seed fails as it did.
    fn shortest(&self, seed: u64, outcome: &Outcome) -> Vec<Happened> {
        let place = outcome.failure.as_ref().map(|failure| failure.place.clone());
        let begin = Instant::now();
        shrink(
            outcome.happened.clone(),
            || begin.elapsed() < SHRINKING,
            |list| self.attempt(seed, Some(list), 0).failure.map(|failure| failure.place) == place,
        )
    }

    /// What there is to say of a course that fails.
    fn explain(&self, (seed, outcome): (u64, Outcome)) -> String {
        let shortest = self.shortest(seed, &outcome);
        let again = self.attempt(seed, Some(&shortest), LINES);
        let told: Vec<String> = again.happened.iter().map(|entry| format!("    {}", entry.told())).collect();
        let list: Vec<String> = shortest.iter().map(ToString::to_string).collect();
        let (name, list) = (self.name, list.join(","));
        format!(
            "{}\n{name}: seed {seed} {again:?}\n  of {} that happened, these are enough:\n{}\n  once more:  make sim TEST={name} SEED={seed} SCHEDULE={list}",
            again.trace,
            outcome.happened.len(),
            told.join("\n"),
        )
    }
}

thread_local! {
    /// Where this thread panicked while its panics are caught.
    static QUIET: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Lets panics of courses go into the outcome rather than onto the screen.
fn catch_quietly() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let is_caught = QUIET.with_borrow_mut(|place| {
                let at = panic.location().map_or_else(String::new, ToString::to_string);
                place.as_mut().map(|place| *place = at).is_some()
            });
            if !is_caught {
                usual(panic);
            }
        }));
    });
}

/// What the list is made short to of a course that fails.
pub(crate) fn shortest_of_first<C: AsyncFn(Simulation, u64) + Sync>(seeds: &[u64], course: C) -> Option<Vec<Happened>> {
    let trial = Trial { name: "", course };
    let (seed, outcome) = trial.first_to_fail(seeds, 1)?;
    let shortest = trial.shortest(seed, &outcome);
    let again = trial.attempt(seed, Some(&shortest), 0);
    assert!(again.failure.is_some(), "it fails again");
    Some(again.happened)
}
