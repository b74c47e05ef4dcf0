//! Whether a cluster keeps all data and goes on when it loses nodes with what they hold.

use crate::{ClusterView, Member, NodeAddr, NodeId, Shard, SlotSet};
use std::collections::BTreeSet;

/// Why a cluster would not outlive the loss of some of its nodes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotSurvived {
    /// No copy of these slots would be left.
    #[error("no copy of slots {slots} would be left: no other node that answers is in sync with {primary}")]
    LastCopy {
        /// Their primary.
        primary: NodeAddr,
        /// The slots.
        slots: SlotSet,
    },
    /// A shard is without its primary already.
    #[error("{primary} does not answer: which of its replicas has most is not decided yet")]
    Undecided {
        /// The primary.
        primary: NodeAddr,
    },
    /// Too few primaries would be left to elect others.
    #[error("{left} of {all} primaries would be left to elect another one, which takes a majority")]
    NoMajority {
        /// How many.
        left: usize,
        /// Of how many.
        all: usize,
    },
}

/// Proves that all data stays and that each lost primary can be replaced by an election when these nodes go all at once.
///
/// # Errors
/// The first reason why not.
pub fn survives_loss(view: &ClusterView, lost: &BTreeSet<NodeId>) -> Result<(), NotSurvived> {
    let shards = view.shards();
    let is_lost = |member: &Member<'_>| lost.contains(&member.account.id);
    let owners = || shards.iter().filter(|shard| !shard.slots().is_empty());
    for shard in owners().filter(|shard| shard.members().any(is_lost)) {
        let primary = || shard.primary.node.address.clone();
        if !shard.primary.answers() {
            return Err(NotSurvived::Undecided { primary: primary() });
        }
        if is_lost(&shard.primary)
            && !shard.replicas.iter().any(|replica| !is_lost(replica) && is_in_sync(shard, replica))
        {
            return Err(NotSurvived::LastCopy { primary: primary(), slots: shard.slots().clone() });
        }
    }
    let (all, left) =
        (owners().count(), owners().filter(|shard| shard.primary.answers() && !is_lost(&shard.primary)).count());
    if owners().any(|shard| is_lost(&shard.primary)) && left * 2 <= all {
        return Err(NotSurvived::NoMajority { left, all });
    }
    Ok(())
}

/// Whether a replica has, by its own word, what its primary has.
pub fn is_in_sync(shard: &Shard<'_>, replica: &Member<'_>) -> bool {
    replica.node.view().is_some_and(|said| {
        said.myself.primary == Some(shard.primary.account.id)
            && said.server.primary_link_up == Some(true)
            && !said.server.sync_in_progress
            && !said.server.loading
    })
}
