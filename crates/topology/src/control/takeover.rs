//! Replicas that take over without a vote, where no majority is left that could elect them.

use super::{Situation, Takeover, situation::GIVEN_UP};
use crate::{
    ClusterView, Process,
    plan::{Action, FailoverKind, NodeRef},
};

/// Of how many primaries with slots how many answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Votes {
    /// All.
    pub all: usize,
    /// Those that answer.
    pub answering: usize,
}

impl Votes {
    /// The votes of a cluster.
    pub fn of(view: &ClusterView) -> Self {
        let shards = view.shards();
        let owners = || shards.iter().filter(|shard| !shard.slots().is_empty());
        Self { all: owners().count(), answering: owners().filter(|shard| shard.primary.answers()).count() }
    }

    /// Whether somebody can be elected.
    pub const fn are_enough(self) -> bool {
        self.answering * 2 > self.all
    }
}

/// Why no replica takes over without a vote from a primary that is gone; none when one may. Its process must be known not to run; and
/// it must not be expected back with its data, since that costs nothing and is over in seconds as a rule.
pub(super) fn refusal(situation: &Situation<'_>, primary: &NodeRef) -> Option<String> {
    let Some(placed) = situation.member_of(primary.id) else {
        return Some(format!("{} is no member, so that nobody can tell whether it runs", primary.address));
    };
    let name = &placed.member.name;
    match placed.member.process {
        Process::Runs => Some(format!("the process of member {name} runs")),
        Process::Unknown => Some(format!("whether member {name} runs cannot be told: its machine is not reached")),
        _ if situation.desired.takeover == Takeover::Never => {
            Some("takeovers without a vote are not wanted".to_owned())
        }
        _ if situation.has_nothing(primary.id) || placed.is_given_up => None,
        _ => Some(format!(
            "member {name} is waited for, which has its data; a replica takes over when it has been away for {} s",
            GIVEN_UP.as_secs()
        )),
    }
}

/// Whether a replica is taking over without a vote just now. There is one at a time: with each there may be a majority again.
pub(super) fn is_under_way(situation: &Situation<'_>) -> bool {
    let is_takeover = |action: &Action| matches!(action, Action::Failover { kind: FailoverKind::Takeover, .. });
    situation.memory.under_way.iter().any(is_takeover)
}
