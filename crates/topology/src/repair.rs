//! The planner that repairs slots: open ones, uncovered ones, those that several nodes claim, and keys in wrong places.
//!
//! It takes three steps, so that each can be looked at: [`doubtful`] says of which slots the primaries have to be asked for
//! their keys, [`decide()`] says of each slot who is to own it and why, and [`plan`] makes one plan of some or all decisions.

mod cover;
mod decide;
mod found;
mod refusal;
mod steps;

pub use decide::{decide, has_takeovers};
pub use found::{Found, doubtful, unreachable_primaries};
pub use refusal::{RepairRefusal, Unreachable};
pub use steps::plan;

use crate::{NodeId, Slot, plan::NodeRef};
use std::collections::BTreeMap;

/// How many keys each primary holds of slots in doubt; primaries and slots without keys are left out.
pub type Held = BTreeMap<NodeId, BTreeMap<Slot, u64>>;

/// How far a repair may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Whether slots of primaries that do not answer may be given to others: what only those hold is given up.
    pub with_unreachable: bool,
}

/// A slot that is not as it should be, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The slot.
    pub slot: Slot,
    /// What was found.
    pub found: Found,
    /// What mends it.
    pub remedy: Remedy,
}

/// What is done about a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// Who owns it afterwards.
    pub owner: NodeRef,
    /// Who owns it now, where an interrupted move to the owner-to-be is finished.
    pub from: Option<NodeRef>,
    /// Whether the owner has to be given the slot, or an epoch by which all nodes take its word.
    pub settle: bool,
    /// Others that claim it and have to give it up.
    pub yields: Vec<NodeRef>,
    /// Others that hold keys of it, which go to the owner.
    pub gathers: Vec<NodeRef>,
    /// Nodes on which it is open, and is closed before keys move; who gives keys away opens it for that, and closes it.
    pub closes: Vec<NodeRef>,
    /// Why it is mended in this way.
    pub reason: &'static str,
}
