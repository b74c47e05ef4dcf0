//! A shard whose primary is gone gets another one.
//!
//! The agents see to that within milliseconds, and the servers within some seconds. What is decided here is for when neither has.

use super::{Decision, Next, Situation};
use crate::{
    Shard,
    plan::{Action, FailoverKind, NodeRef},
};
use std::{cmp::Reverse, ops::ControlFlow, time::Duration};

/// Whoever sees a death at once has acted after this time.
const AGENTS_ACT: Duration = Duration::from_secs(2);

pub(super) fn decide(situation: &Situation<'_>, decision: &mut Decision) -> Next {
    let shards = situation.view.shards();
    let owners = || shards.iter().filter(|shard| !shard.slots().is_empty());
    let (all, answering) = (owners().count(), owners().filter(|shard| shard.primary.answers()).count());
    for shard in owners().filter(|shard| !shard.primary.answers()) {
        let primary = NodeRef { id: shard.primary.account.id, address: shard.primary.node.address.clone() };
        let silent = situation.memory.silent_for(primary.id);
        let what = format!("a primary for slots {}", shard.slots());
        let address = &primary.address;
        let Some(heir) = heir(shard) else {
            decision.wait(what, format!("{address} does not answer, and no replica of it does"));
            continue;
        };
        if answering * 2 <= all {
            decision.wait(what, format!("{answering} of {all} primaries answer: without a majority nobody is elected"));
        } else if silent < AGENTS_ACT {
            decision.wait(what, format!("{address} has just stopped answering; {} is to take its place", heir.address));
        } else {
            let reason = format!("{address} has not answered for {} s", silent.as_secs());
            decision.step(Action::Failover { replica: heir, primary, kind: FailoverKind::Forced }, reason);
        }
    }
    ControlFlow::Continue(())
}

/// The replica that has most of what the primary had.
fn heir(shard: &Shard<'_>) -> Option<NodeRef> {
    let able = shard.replicas.iter().filter_map(|replica| Some((replica, replica.node.view()?)));
    let best = able.max_by_key(|(_, said)| (said.server.replication_offset, Reverse(said.myself.id)));
    best.map(|(replica, said)| NodeRef { id: said.myself.id, address: replica.node.address.clone() })
}
