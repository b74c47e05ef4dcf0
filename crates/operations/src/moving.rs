//! Moving slots with their keys from one primary to another.

mod allowed;
pub(crate) mod both;
pub(crate) mod keys;
pub(crate) mod migrate;
pub(crate) mod pace;
mod parcels;
pub(crate) mod probe;
pub(crate) mod servers;
pub(crate) mod short;
pub(crate) mod slots;
mod too_large;
pub(crate) mod weigher;

use crate::port::{Dialer, Key};
use std::{sync::Arc, time::Duration};
use topology::{NodeAddr, Slot, findings::count};

/// How slots are moved.
#[derive(Clone)]
pub struct Moves {
    /// Opens further links: what others wait for an answer is measured over a link of its own.
    pub dialer: Arc<dyn Dialer>,
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
    #[error("{from} and {to} hold different values of {}: {}", count(keys.len(), "key"), shown(keys))]
    DifferentValues {
        /// The owner.
        from: NodeAddr,
        /// The other.
        to: NodeAddr,
        /// The keys.
        keys: Vec<Key>,
    },
    /// The destination holds keys that the owner of the slot does not: with the move they would come to light.
    #[error("{to} holds keys of slot {slot}, which {from} owns and knows nothing of: {}", shown(keys))]
    Stray {
        /// The owner.
        from: NodeAddr,
        /// The other.
        to: NodeAddr,
        /// The slot.
        slot: Slot,
        /// The keys.
        keys: Vec<Key>,
    },
    /// Values are larger than the destination takes at once, so that nothing can send them there.
    #[error("{from} holds values that {to} does not take, because they are over {} MB: {}", in_megabytes(*most), sized(keys))]
    TooLarge {
        /// The source.
        from: NodeAddr,
        /// The destination.
        to: NodeAddr,
        /// The keys, with the bytes of their values as they would be sent.
        keys: Vec<(Key, u64)>,
        /// What the destination takes, bytes (`proto-max-bulk-len`).
        most: u64,
    },
    /// A node does not let the user run what a move needs.
    #[error("{address} does not let {} run {}", user_named(user.as_ref()), commands.join(", "))]
    NotAllowed {
        /// The node.
        address: NodeAddr,
        /// The user; none where the node does not tell.
        user: Option<String>,
        /// The commands, by the names that `ACL SETUSER` knows.
        commands: Vec<&'static str>,
    },
    /// The source cannot send keys.
    #[error("{from} cannot send keys to {to}: {line}")]
    NotSent {
        /// The source.
        from: NodeAddr,
        /// The destination.
        to: NodeAddr,
        /// What the source says.
        line: String,
    },
    /// A node has replicas that do not carry out what it is told of slots (Valkey 8.0 and newer).
    #[error("the replicas of {address} have not followed for {} s", waited.as_secs())]
    ReplicasLag {
        /// The node.
        address: NodeAddr,
        /// For how long.
        waited: std::time::Duration,
    },
}

impl MoveError {
    /// What the user can do about it, where there is something.
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::DifferentValues { .. } => {
                Some("look at them on both; where the owner's may stay: the same command with --replace".to_owned())
            }
            Self::NotAllowed { user, commands, .. } => {
                let user = user.as_deref().unwrap_or("USER");
                Some(format!("on each node: ACL SETUSER {user} +{}", commands.join(" +")))
            }
            Self::ReplicasLag { address, .. } => Some(format!(
                "see which: tribune check {}      then start it again, or remove it: tribune del-node",
                address.bare()
            )),
            _ => None,
        }
    }
}

fn user_named(user: Option<&String>) -> String {
    user.map_or_else(|| "the user given".to_owned(), |user| format!("user {user}"))
}

/// How many of several keys an error names.
pub const SHOWN_KEYS: usize = 3;

/// The first keys, as far as they are text.
fn shown(keys: &[Key]) -> String {
    listed(keys.iter().map(|key| key.escape_ascii().to_string()))
}

/// The same with their sizes.
fn sized(keys: &[(Key, u64)]) -> String {
    listed(keys.iter().map(|(key, bytes)| format!("{} ({} MB)", key.escape_ascii(), in_megabytes(*bytes))))
}

fn listed(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = if names.len() > SHOWN_KEYS { ", …" } else { "" };
    names.take(SHOWN_KEYS).collect::<Vec<_>>().join(", ") + more
}

const fn in_megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}
