//! Keys that have changed on a source that is followed, and were not copied again yet.

use super::lock;
use crate::port::Key;
use std::{collections::HashSet, sync::Mutex, time::Duration};
use tokio::{sync::Notify, time::timeout};

/// Noted keys may take so much memory, bytes; then they are copied before more are noted.
const MOST: usize = 16 << 20;
/// What a noted key takes beside its name, bytes, about.
const EACH: usize = 64;

/// A key of a database.
pub(super) type Place = (u32, Key);

/// What the stream has told, for whoever reads it and whoever copies.
#[derive(Default)]
pub(super) struct Notes {
    noted: Mutex<Noted>,
    /// Something was noted, or was taken.
    news: Notify,
}

#[derive(Default)]
struct Noted {
    keys: HashSet<Place>,
    bytes: usize,
    /// Up to where the stream was read; none before its snapshot is.
    offset: Option<u64>,
}

impl Notes {
    /// Whether no more is to be noted before something is taken.
    pub(super) fn are_full(&self) -> bool {
        lock(&self.noted).bytes >= MOST
    }

    /// Adds what the stream has told up to this offset.
    pub(super) fn note(&self, keys: Vec<Place>, offset: u64) {
        self.add(keys, Some(offset));
    }

    fn add(&self, keys: Vec<Place>, offset: Option<u64>) {
        let mut noted = lock(&self.noted);
        for place in keys {
            let bytes = place.1.len() + EACH;
            if noted.keys.insert(place) {
                noted.bytes += bytes;
            }
        }
        noted.offset = offset.or(noted.offset);
        drop(noted);
        self.news.notify_waiters();
    }

    /// Adds keys that have to be copied once more, whatever the stream tells.
    pub(super) fn again(&self, keys: Vec<Place>) {
        self.add(keys, None);
    }

    /// Takes all that was noted. A key that changes from now on is noted again.
    pub(super) fn take(&self) -> HashSet<Place> {
        let mut noted = lock(&self.noted);
        noted.bytes = 0;
        let keys = std::mem::take(&mut noted.keys);
        drop(noted);
        self.news.notify_waiters();
        keys
    }

    /// How many keys are noted.
    pub(super) fn pending(&self) -> usize {
        lock(&self.noted).keys.len()
    }

    /// Up to where the stream was read, its offset; none before its snapshot is.
    pub(super) fn offset(&self) -> Option<u64> {
        lock(&self.noted).offset
    }

    /// Whether the stream was read up to this offset and nothing is left to copy.
    pub(super) fn are_empty_at(&self, offset: u64) -> bool {
        let noted = lock(&self.noted);
        noted.keys.is_empty() && noted.offset.is_some_and(|read| read >= offset)
    }

    /// Waits until something was noted or taken, for so long at most.
    pub(super) async fn news(&self, most: Duration) {
        let _ = timeout(most, self.news.notified()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_noted_once_until_it_is_taken_and_memory_is_bounded() {
        let notes = Notes::default();
        notes.note(vec![(0, b"a".to_vec()), (1, b"a".to_vec())], 10);
        notes.note(vec![(0, b"a".to_vec())], 20);
        assert_eq!((notes.pending(), notes.offset()), (2, Some(20)));
        assert!(!notes.are_empty_at(20) && !notes.are_full());
        assert_eq!(notes.take().len(), 2);
        assert!(notes.are_empty_at(20) && !notes.are_empty_at(21));
        let key = |number: usize| (0, vec![u8::try_from(number % 256).unwrap(); 1 << 20]);
        notes.note((0..16).map(key).collect(), 30);
        assert!(notes.are_full());
        notes.take();
        assert!(!notes.are_full());
    }
}
