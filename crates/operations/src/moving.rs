//! Moving slots with their keys from one primary to another.

use crate::port::{Dialer, Key};
use std::time::Duration;
use topology::{NodeAddr, SlotSet};

/// How slots are moved.
#[derive(Clone, Copy)]
pub struct Moves<'a> {
    /// Opens further links: what others wait for an answer is measured over a link of its own.
    pub dialer: &'a dyn Dialer,
    /// How fast.
    pub pace: Pace,
    /// Whether a key that is on both nodes with different values is replaced by the owner's.
    pub replace: bool,
}

/// How fast slots are moved by `MIGRATE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// What others may wait for an answer of the two nodes beyond what they wait without the move, 99 times of 100; none for
    /// as fast as possible.
    pub budget: Option<Duration>,
    /// Keys in one `MIGRATE` at most.
    pub pipeline: u32,
    /// How long a node may be silent to the other during `MIGRATE`, milliseconds.
    pub timeout: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { budget: Some(Duration::from_millis(3)), pipeline: 1000, timeout: 60_000 }
    }
}

/// Why slots were not moved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MoveError {
    /// Keys are on both nodes with different values, and neither may be lost.
    #[error("{to} holds other values of {} of {from}, the first is {:?}", keys.len(), keys.first().map(|key| String::from_utf8_lossy(key)).unwrap_or_default())]
    DifferentValues {
        /// The owner.
        from: NodeAddr,
        /// The other.
        to: NodeAddr,
        /// The keys.
        keys: Vec<Key>,
    },
    /// The servers' own migration has failed.
    #[error("the servers could not move the slots {slots} from {from} to {to}: {reason}")]
    ServersFailed {
        /// The owner.
        from: NodeAddr,
        /// The other.
        to: NodeAddr,
        /// The slots.
        slots: SlotSet,
        /// What they say.
        reason: String,
    },
}
