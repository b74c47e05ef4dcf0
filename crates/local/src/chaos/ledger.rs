//! What was written, what of that was acknowledged, and what a replica has confirmed.

use super::{
    client::{Client, NoAnswer},
    gaps::Gaps,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use topology::{NodeAddr, Reply, Slot};

/// So many keys each writer has, all of them in its own part of the slots: it is one shard's as a rule, and waits for no other.
const KEYS: usize = 64;
/// Time between two writes of a writer.
const PACE: Duration = Duration::from_millis(15);
/// How long a replica may take to confirm, milliseconds.
const CONFIRM: &[u8] = b"100";
/// Reading back is tried again for so long.
const READ: Duration = Duration::from_mins(1);

/// All that was written. Each write appends a number of its own to a list, once, so that none hides the loss of another.
pub(super) struct Ledger {
    begin: Instant,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    /// By key.
    written: BTreeMap<String, Vec<Written>>,
    gaps: Gaps,
    unknown: u64,
    errors: BTreeMap<String, u64>,
}

/// A write that was acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) number: u64,
    /// Whether a replica has it, by the word of the primary.
    pub(super) is_confirmed: bool,
    pub(super) at: Duration,
    pub(super) by: NodeAddr,
}

/// What was found at the end.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Acknowledged writes that are not there, with their keys.
    pub(super) lost: Vec<(String, Written)>,
    /// Keys that could not be read.
    pub(super) unread: Vec<String>,
}

impl Ledger {
    pub(super) fn new(begin: Instant) -> Self {
        Self { begin, books: Mutex::default() }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acknowledged(&self, writer: usize, key: String, number: u64, is_confirmed: bool, by: NodeAddr) {
        let at = self.begin.elapsed();
        let mut books = self.books();
        books.gaps.written(writer, at);
        books.written.entry(key).or_default().push(Written { number, is_confirmed, at, by });
    }

    fn failed(&self, error: &NoAnswer) {
        let mut books = self.books();
        books.unknown += 1;
        // What differs from one to the next, such as a slot or an address, is left out.
        let kind = error.0.split(|letter: char| letter.is_ascii_digit()).next().unwrap_or_default().trim_end();
        *books.errors.entry(kind.to_owned()).or_default() += 1;
    }

    /// How many writes were acknowledged, how many of them a replica has confirmed, and how many had no answer.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        let books = self.books();
        let all = || books.written.values().flatten();
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        (count(all().count()), count(all().filter(|written| written.is_confirmed).count()), books.unknown)
    }

    /// The times without an acknowledged write, by when they began and how long they were.
    pub(super) fn gaps(&self) -> Vec<(Duration, Duration)> {
        self.books().gaps.all()
    }

    /// What writes failed of, with how often.
    pub(super) fn errors(&self) -> BTreeMap<String, u64> {
        self.books().errors.clone()
    }
}

/// The keys of a writer, of so many.
fn keys(writer: usize, of: usize, seed: u64) -> Vec<String> {
    let is_own =
        |key: &String| usize::from(Slot::of_key(key.as_bytes()).number()) * of / usize::from(Slot::COUNT) == writer;
    (0_u64..).map(|number| format!("chaos:{seed}:{number}")).filter(is_own).take(KEYS).collect()
}

/// Writes until that is ended.
pub(super) async fn write(
    (writer, of): (usize, usize),
    mut client: Client,
    seed: u64,
    ledger: Arc<Ledger>,
    ended: CancellationToken,
) {
    let word = |text: &str| text.as_bytes().to_vec();
    let keys = keys(writer, of, seed);
    for (number, key) in (0_u64..).zip(keys.iter().cycle().cloned()) {
        if ended.is_cancelled() {
            return;
        }
        let append = vec![word("RPUSH"), word(&key), word(&number.to_string())];
        let confirm = vec![word("WAIT"), word("1"), CONFIRM.to_vec()];
        match client.ask(&key, &[append, confirm]).await {
            Ok((replies, by)) => {
                let is_confirmed = matches!(replies.get(1), Some(Reply::Integer(replicas)) if *replicas >= 1);
                ledger.acknowledged(writer, key, number, is_confirmed, by);
            }
            Err(error) => ledger.failed(&error),
        }
        sleep(PACE).await;
    }
}

/// Reads all back.
pub(super) async fn read_back(ledger: &Ledger, client: &Client) -> Found {
    let written = ledger.books().written.clone();
    let mut client = client.another();
    let mut found = Found::default();
    let deadline = Instant::now() + READ;
    for (key, writes) in written {
        let Some(there) = read(&mut client, &key, deadline).await else {
            found.unread.push(key);
            continue;
        };
        let lost = writes.into_iter().filter(|write| !there.contains(&write.number));
        found.lost.extend(lost.map(|write| (key.clone(), write)));
    }
    found
}

async fn read(client: &mut Client, key: &str, deadline: Instant) -> Option<BTreeSet<u64>> {
    let words: Vec<Vec<u8>> = ["LRANGE", key, "0", "-1"].map(|word| word.as_bytes().to_vec()).into();
    loop {
        if let Ok((replies, _)) = client.ask(key, std::slice::from_ref(&words)).await {
            let numbers = replies.first()?.as_list()?.iter();
            return Some(numbers.filter_map(|number| number.as_integer()?.try_into().ok()).collect());
        }
        if Instant::now() >= deadline {
            return None;
        }
        sleep(PACE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_writer_has_keys_in_its_own_part_of_the_slots() {
        let all: Vec<Vec<String>> = (0..12).map(|writer| keys(writer, 12, 7)).collect();
        let different: BTreeSet<&String> = all.iter().flatten().collect();
        assert_eq!(different.len(), 12 * KEYS);
        let slots = |writer: usize| all[writer].iter().map(|key| Slot::of_key(key.as_bytes()).number());
        assert!(slots(0).max() < slots(1).min() && slots(10).max() < slots(11).min());
    }
}
