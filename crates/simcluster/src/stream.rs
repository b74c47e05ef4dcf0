//! The stream of changes that replicas follow.

use crate::data::Value;
use std::collections::VecDeque;
use topology::{NodeId, Slot, SlotSet};

/// Changes that a primary keeps for replicas that come back (`repl-backlog-size`).
const KEPT: usize = 10_000;
/// A change in a replication stream.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Set(Vec<u8>, Value),
    Delete(Vec<u8>),
    DropSlots(SlotSet),
    Function(String),
    /// `CLUSTER SETSLOT`: importing from, migrating to (Valkey 8.0).
    Mark(Slot, Option<NodeId>, Option<NodeId>),
    /// `CLUSTER SETSLOT … NODE` (Valkey 8.0).
    Owner(Slot, NodeId),
    /// A word that changes nothing: `PING`, `REPLCONF GETACK`.
    Word(u64),
}

impl Change {
    /// About what it has in the stream.
    const fn bytes(&self) -> u64 {
        match self {
            Self::Set(key, _) => 40 + key.len() as u64,
            Self::Delete(key) => 25 + key.len() as u64,
            Self::Word(bytes) => *bytes,
            _ => 60,
        }
    }
}

/// The replication stream of a server, its own or that of its primary.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    pub(crate) id: String,
    pub(crate) earlier_id: Option<String>,
    pub(crate) earlier_end: u64,
    pub(crate) offset: u64,
    /// Changes, each with the offset behind it.
    kept: VecDeque<(u64, Change)>,
    /// What is in front of the first of them.
    pub(crate) first: u64,
}

impl Stream {
    pub(crate) fn new(id: String) -> Self {
        Self { id, ..Self::default() }
    }

    pub(crate) fn write(&mut self, change: Change) {
        self.offset += change.bytes();
        self.kept.push_back((self.offset, change));
        if self.kept.len() > KEPT
            && let Some((offset, _)) = self.kept.pop_front()
        {
            self.first = offset;
        }
    }

    /// Goes on as a primary does that was a replica: `shiftReplicationId`.
    pub(crate) fn begin_anew(&mut self, id: String) {
        self.earlier_id = Some(std::mem::replace(&mut self.id, id));
        self.earlier_end = self.offset + 1;
    }

    /// Whether a replica that has this of that history can go on from there.
    pub(crate) fn continues(&self, replica: &Self) -> bool {
        let is_shared =
            replica.id == self.id || self.earlier_id.as_ref() == Some(&replica.id) && replica.offset < self.earlier_end;
        is_shared && replica.offset >= self.first && replica.offset <= self.offset
    }

    pub(crate) fn after(&self, offset: u64) -> impl Iterator<Item = &(u64, Change)> {
        let at = self.kept.partition_point(|(end, _)| *end <= offset);
        self.kept.range(at..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(id: &str, words: usize) -> Stream {
        let mut stream = Stream::new(id.to_owned());
        (0..words).for_each(|_| stream.write(Change::Word(10)));
        stream
    }

    #[test]
    fn a_replica_goes_on_where_it_stopped_in_the_same_history() {
        let primary = stream("one", 10);
        assert!(primary.continues(&stream("one", 4)));
        assert_eq!(primary.after(40).count(), 6);
        assert!(!primary.continues(&stream("other", 4)));
        assert!(!primary.continues(&stream("one", 11)), "it has more");
    }

    #[test]
    fn a_new_primary_is_followed_only_up_to_where_it_took_over() {
        let mut primary = stream("one", 10);
        primary.begin_anew("two".to_owned());
        primary.write(Change::Word(10));
        assert!(primary.continues(&stream("one", 10)));
        assert!(!primary.continues(&stream("one", 11)));
        assert!(primary.continues(&stream("two", 11)));
    }

    #[test]
    fn what_was_long_ago_is_not_kept() {
        let primary = stream("one", KEPT + 5);
        assert!(!primary.continues(&stream("one", 4)));
        assert!(primary.continues(&stream("one", 5)));
    }
}
