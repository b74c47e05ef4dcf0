//! Why nothing is repaired.

use crate::{NodeAddr, findings::count};

/// Why nothing is repaired; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RepairRefusal {
    /// A primary does not answer that slots belong to, or that may hold keys of open ones.
    #[error(transparent)]
    Unreachable(Box<Unreachable>),
    /// No primary answers.
    #[error("no primary answers: nobody could own the slots")]
    NoPrimary,
}

/// A primary without which nothing can be decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} {} and {reason}", owns(*slots))]
pub struct Unreachable {
    /// The primary.
    pub address: NodeAddr,
    /// How many slots it owns, as far as others know.
    pub slots: usize,
    /// Why it said nothing.
    pub reason: String,
    /// A replica of it that answers.
    pub successor: Option<NodeAddr>,
    /// Whether a majority of primaries is left to elect the replica.
    pub majority: bool,
    /// A node of the cluster, for the remedy.
    pub entry_point: String,
}

fn owns(slots: usize) -> String {
    match slots {
        0 => "may hold keys of an open slot".to_owned(),
        slots => format!("owns {}", count(slots, "slot")),
    }
}

impl RepairRefusal {
    /// Why that matters.
    pub const fn why(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable(_) => {
                Some("a repair without it could give its slots, and with them its data, away to others")
            }
            Self::NoPrimary => None,
        }
    }

    /// What the user can do about it.
    pub fn advice(&self) -> String {
        match self {
            Self::Unreachable(unreachable) => unreachable.advice(),
            Self::NoPrimary => "make one of the replicas a primary: tribune failover REPLICA --takeover".to_owned(),
        }
    }
}

impl Unreachable {
    fn advice(&self) -> String {
        let Self { address, successor, entry_point, .. } = self;
        let way = if self.majority { "--force" } else { "--takeover" };
        let first = successor.as_ref().map_or_else(
            || format!("start {address} again"),
            |successor| format!("let its replica take over: tribune failover {} {way}", successor.bare()),
        );
        format!(
            "{first}      or, where it is lost for good: tribune fix {entry_point} --fix-with-unreachable-primaries"
        )
    }
}
