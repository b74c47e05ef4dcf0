//! A shard whose primary is gone gets another one.
//!
//! The agents see to that within milliseconds, and the servers within some seconds. What is decided here is for when neither has.

use super::{Advice, Decision, Next, Situation, age::is_stale, lost, takeover, takeover::Votes};
use crate::{
    Data, NodeView, Shard,
    plan::{Action, FailoverKind, NodeRef},
};
use std::{cmp::Reverse, ops::ControlFlow, time::Duration};

/// Whoever sees a death at once has acted after this time.
const AGENTS_ACT: Duration = Duration::from_secs(2);

pub(super) fn decide(situation: &Situation<'_>, decision: &mut Decision) -> Next {
    let shards = situation.view.shards();
    let owners = || shards.iter().filter(|shard| !shard.slots().is_empty());
    let votes = Votes::of(&situation.view);
    let mut takes_over = takeover::is_under_way(situation);
    for shard in owners().filter(|shard| !shard.primary.answers()) {
        let primary = shard.primary.reference();
        let silent = situation.memory.silent_for(primary.id);
        let what = format!("a primary for slots {}", shard.slots());
        let address = &primary.address;
        if let Some(why) = may_live(situation, shard) {
            decision.wait(what, why);
            continue;
        }
        let heir = match heir(situation, shard) {
            Ok(heir) => heir,
            Err(NoHeir::Late { replica, member }) => {
                let why = format!(
                    "{address} does not answer, and {} had lost its link to it before that: it lacks what {address} has on its disk",
                    replica.address
                );
                decision.wait_for(what, why, Some(Advice::StartMemberOrFailOver { member, replica }));
                continue;
            }
            Err(NoHeir::None(why)) => {
                lost::decide(situation, shard, &why, decision);
                continue;
            }
        };
        let reason = format!("{address} has not answered for {} s", silent.as_secs());
        if !votes.are_enough() {
            let Votes { all, answering } = votes;
            let why = format!("{answering} of {all} primaries answer: without a majority nobody is elected");
            let refusal = takeover::refusal(situation, &primary);
            let refusal = refusal.or_else(|| takes_over.then(|| "another replica takes over first".to_owned()));
            match refusal {
                Some(refusal) => decision.wait(what, format!("{why}; {refusal}")),
                None if silent < AGENTS_ACT => decision.wait(what, why),
                None => {
                    takes_over = true;
                    let reason = format!("{reason}, and no process of it runs; {why}");
                    decision.step(Action::Failover { replica: heir, primary, kind: FailoverKind::Takeover }, reason);
                }
            }
        } else if silent < AGENTS_ACT {
            decision.wait(what, format!("{address} has just stopped answering; {} is to take its place", heir.address));
        } else {
            decision.step(Action::Failover { replica: heir, primary, kind: FailoverKind::Forced }, reason);
        }
    }
    ControlFlow::Continue(())
}

/// Why no replica is told to take a primary's place.
enum NoHeir {
    /// The best one lacks what this member has on its disk.
    Late { replica: NodeRef, member: String },
    /// None has a copy.
    None(String),
}

/// The replica that has most of what the primary had; or why none of them is told to take its place. One that has never got a copy would
/// win an election that is forced all the same, and the data would be gone.
///
/// A replica that was started again has its copy from its disk, under another history. That counts where the primary itself has nothing any
/// more: whatever is there is more than that. A loop that has just begun has heard no history; when a primary has been away for long, it counts that the
/// replica was linked to it in this run, which servers forget when they follow another one.
///
/// One whose link was down before the primary died lacks what that has on its disk, and what a primary finds there when it comes back as a
/// replica is dropped. So it takes over only where the primary's data is gone.
fn heir(situation: &Situation<'_>, shard: &Shard<'_>) -> Result<NodeRef, NoHeir> {
    let (primary, address) = (shard.primary.account.id, &shard.primary.node.address);
    let answering = || shard.replicas.iter().filter_map(|replica| Some((replica, replica.node.view()?)));
    let has_copied = |said: &NodeView| situation.memory.has_copied(&said.server, primary);
    let has_nothing = situation.has_nothing(primary);
    let is_given_up = situation.member_of(primary).is_some_and(|placed| placed.is_given_up);
    let was_linked = |said: &NodeView| said.server.primary_link_down_seconds.is_some();
    let is_able = |said: &NodeView| {
        let counts = has_nothing && said.server.keys() > 0 || is_given_up && was_linked(said);
        has_copied(said) == Some(true) || counts && is_at_rest(situation, said)
    };
    let keeper = situation.member_of(primary).filter(|placed| placed.member.data == Data::Kept);
    let late = |said: &NodeView| keeper.filter(|_| is_stale(situation, said, primary));
    let able = answering().filter(|(_, said)| is_able(said));
    let best = able.max_by_key(|(_, said)| {
        (late(said).is_none(), has_copied(said) == Some(true), said.server.replication_offset, Reverse(said.myself.id))
    });
    if let Some((replica, said)) = best {
        let replica = replica.reference();
        return match late(said) {
            None => Ok(replica),
            Some(keeper) => Err(NoHeir::Late { replica, member: keeper.member.name.clone() }),
        };
    }
    Err(NoHeir::None(match answering().next() {
        None => format!("{address} does not answer, and no replica of it does"),
        Some((_, said)) if has_copied(said).is_none() => {
            format!(
                "{address} has never answered this loop, so that it cannot tell which replica has its data: the servers elect one if one has"
            )
        }
        Some(_) => format!("{address} does not answer, and those of its replicas that do have no copy of its data yet"),
    }))
}

/// Why a primary that does not answer this loop may serve others all the same, if so: a replica is linked to it, and no majority has missed it.
fn may_live(situation: &Situation<'_>, shard: &Shard<'_>) -> Option<String> {
    let (primary, address) = (shard.primary.account.id, &shard.primary.node.address);
    let is_linked = |said: &NodeView| said.server.primary_link_up == Some(true);
    let linked = shard.replicas.iter().find(|replica| replica.node.view().is_some_and(is_linked));
    let linked = &linked.filter(|_| !situation.is_failing(primary))?.node.address;
    Some(format!("{address} does not answer this loop, and {linked} is linked to it: it may serve others"))
}

/// Whether what a replica holds can only be its primary's: neither is it getting it just now, nor is it that of another primary, which it
/// followed before.
fn is_at_rest(situation: &Situation<'_>, said: &NodeView) -> bool {
    let (info, primary) = (&said.server, said.myself.primary);
    let mut others = situation.memory.histories.iter().filter(|(id, _)| Some(**id) != primary);
    let is_of_another = others.any(|(_, history)| Some(history) == info.replication_id.as_ref());
    !info.sync_in_progress && !info.loading && !is_of_another
}
