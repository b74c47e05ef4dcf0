//! What was written, and whether it is there.

use super::WriterOptions;
use crate::{
    cluster::{Cluster, Layout},
    latencies::Latencies,
};
use redis::{Commands, RedisError, RedisResult};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::{Duration, Instant},
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// One write: a key's number, and a value that no other write has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    Set(usize, u64),
    Delete(usize),
    Increment(usize),
    Push(usize, u64),
}

impl Operation {
    pub(super) fn key(self, name: &str) -> String {
        match self {
            Self::Set(key, _) | Self::Delete(key) => text_key(name, key),
            Self::Increment(key) => counter_key(name, key),
            Self::Push(key, _) => list_key(name, key),
        }
    }
}

/// What a [`Writer`](super::Writer) has written: what was acknowledged, what was not, and how long it took.
#[derive(Clone, Debug)]
pub struct Ledger {
    seed: u64,
    name: String,
    texts: BTreeMap<usize, Text>,
    counters: BTreeMap<usize, Counter>,
    lists: BTreeMap<usize, List>,
    took: Vec<Duration>,
    owners: Layout,
    /// Since when nothing was acknowledged of the slots of each that was an owner at the beginning.
    last: BTreeMap<String, Instant>,
    worst_gap: Duration,
    failures: u64,
    last_failure: Option<String>,
}

/// A string that is set and deleted. No value is that of a key that is not there.
#[derive(Clone, Debug, Default)]
struct Text {
    /// None before the first as well, because it is not there then.
    acknowledged: Option<u64>,
    /// What may have happened all the same, even after what was acknowledged later.
    unacknowledged: BTreeSet<Option<u64>>,
}

#[derive(Clone, Debug, Default)]
struct Counter {
    acknowledged: u64,
    highest: u64,
}

#[derive(Clone, Debug, Default)]
struct List {
    acknowledged: BTreeSet<u64>,
    unacknowledged: BTreeSet<u64>,
}

/// An acknowledged write that is not there, or something that was never written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The key.
    pub key: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.what)
    }
}

impl Ledger {
    pub(super) fn new(options: &WriterOptions, owners: Layout) -> Self {
        let last = owners.primaries.keys().map(|owner| (owner.clone(), Instant::now())).collect();
        Self {
            owners,
            seed: options.seed,
            name: options.name.clone(),
            texts: BTreeMap::new(),
            counters: BTreeMap::new(),
            lists: BTreeMap::new(),
            took: Vec::new(),
            last,
            worst_gap: Duration::ZERO,
            failures: 0,
            last_failure: None,
        }
    }

    pub(super) fn acknowledged(&mut self, operation: Operation, reply: u64, took: Duration) {
        self.took.push(took);
        self.gap_ends(operation);
        match operation {
            Operation::Set(key, value) => self.texts.entry(key).or_default().acknowledged = Some(value),
            Operation::Delete(key) => self.texts.entry(key).or_default().acknowledged = None,
            Operation::Increment(key) => {
                let counter = self.counters.entry(key).or_default();
                counter.acknowledged += 1;
                counter.highest = counter.highest.max(reply);
            }
            Operation::Push(key, value) => {
                self.lists.entry(key).or_default().acknowledged.insert(value);
            }
        }
    }

    pub(super) fn failed(&mut self, operation: Operation, error: &RedisError) {
        self.failures += 1;
        self.last_failure = Some(error.to_string());
        match operation {
            Operation::Set(key, value) => {
                self.texts.entry(key).or_default().unacknowledged.insert(Some(value));
            }
            Operation::Delete(key) => {
                self.texts.entry(key).or_default().unacknowledged.insert(None);
            }
            Operation::Increment(_) => {}
            Operation::Push(key, value) => {
                self.lists.entry(key).or_default().unacknowledged.insert(value);
            }
        }
    }

    fn gap_ends(&mut self, operation: Operation) {
        let owner = self.owners.owner(operation.key(&self.name).as_bytes());
        if let Some(last) = owner.and_then(|owner| self.last.get_mut(owner)) {
            self.worst_gap = self.worst_gap.max(last.elapsed());
            *last = Instant::now();
        }
    }

    /// All gaps end: nothing more is written. Slots that had no owner count for nothing, nor do owners without slots.
    pub(super) fn ended(&mut self) {
        let open = self.last.iter().filter(|(owner, _)| self.owners.has_slots(owner));
        let longest = open.map(|(_, last)| last.elapsed()).max();
        self.worst_gap = self.worst_gap.max(longest.unwrap_or_default());
    }

    /// How many writes were acknowledged.
    pub const fn writes(&self) -> usize {
        self.took.len()
    }

    /// How many were not: the client gave up on them, or the cluster refused them.
    pub const fn failures(&self) -> u64 {
        self.failures
    }

    /// The last error, in the client's words.
    pub fn last_failure(&self) -> Option<&str> {
        self.last_failure.as_deref()
    }

    /// The longest time without an acknowledged write to the slots that one node owned at the beginning, also at the beginning and at the
    /// end: what the clients of one shard wait for while the others are served.
    pub const fn worst_gap(&self) -> Duration {
        self.worst_gap
    }

    /// How long acknowledged writes took, with all that the client did for them, such as following redirections.
    pub fn latencies(&self) -> Latencies {
        self.took.clone().into()
    }

    /// Reads everything back: what was acknowledged and is not there, and what is there without having been written. What
    /// was not acknowledged may be there or not. Empty where all is well; panics where the cluster cannot be read.
    #[track_caller]
    pub fn check(&self, cluster: &Cluster) -> Vec<Loss> {
        self.read_back(cluster).unwrap_or_else(|error| panic!("the cluster cannot be read: {error}"))
    }

    /// Panics with what [`check`](Self::check) finds, where that is anything, and with the seed.
    #[track_caller]
    pub fn assert_kept(&self, cluster: &Cluster) {
        let lost = self.check(cluster);
        let first: Vec<String> = lost.iter().take(20).map(ToString::to_string).collect();
        assert!(
            lost.is_empty(),
            "{} of {} writes lost with seed {}:\n{}",
            lost.len(),
            self.writes(),
            self.seed,
            first.join("\n")
        );
    }

    fn read_back(&self, cluster: &Cluster) -> RedisResult<Vec<Loss>> {
        let mut client = cluster.enter(TIMEOUT)?;
        let mut lost = Vec::new();
        for (key, text) in &self.texts {
            let key = text_key(&self.name, *key);
            let found: Option<u64> = client.get(&key)?;
            lost.extend(text.problem(found).map(|what| Loss { key, what }));
        }
        for (key, counter) in &self.counters {
            let key = counter_key(&self.name, *key);
            let found: Option<u64> = client.get(&key)?;
            lost.extend(counter.problem(found.unwrap_or_default()).map(|what| Loss { key, what }));
        }
        for (key, list) in &self.lists {
            let key = list_key(&self.name, *key);
            let found: Vec<u64> = client.lrange(&key, 0, -1)?;
            lost.extend(list.problem(&found).map(|what| Loss { key, what }));
        }
        Ok(lost)
    }
}

impl Text {
    fn problem(&self, found: Option<u64>) -> Option<String> {
        let expected = self.acknowledged;
        let is_right = found == expected || self.unacknowledged.contains(&found);
        (!is_right).then(|| format!("is {found:?}, and {expected:?} was acknowledged last"))
    }
}

impl Counter {
    /// More may be there: a client repeats what was not acknowledged.
    fn problem(&self, found: u64) -> Option<String> {
        let least = self.acknowledged.max(self.highest);
        (found < least).then(|| format!("is {found}, and {least} was acknowledged"))
    }
}

impl List {
    fn problem(&self, found: &[u64]) -> Option<String> {
        let found: BTreeSet<u64> = found.iter().copied().collect();
        let lost: Vec<_> = self.acknowledged.difference(&found).collect();
        let written = |value: &&u64| self.acknowledged.contains(value) || self.unacknowledged.contains(value);
        let strange: Vec<_> = found.iter().filter(|value| !written(value)).collect();
        let problem = || format!("has {} elements, without {lost:?} and with {strange:?}", found.len());
        (!lost.is_empty() || !strange.is_empty()).then(problem)
    }
}

fn text_key(name: &str, key: usize) -> String {
    format!("{name}:text:{key}")
}

fn counter_key(name: &str, key: usize) -> String {
    format!("{name}:counter:{key}")
}

fn list_key(name: &str, key: usize) -> String {
    format!("{name}:list:{key}")
}
