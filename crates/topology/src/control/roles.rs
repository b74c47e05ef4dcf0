//! Who follows whom.

use super::{Decision, Next, Situation};
use crate::{findings::count, plan::Action};
use std::{ops::ControlFlow, time::Duration};

/// Servers drop the keys of slots that have left them within this time.
pub(super) const SERVERS_TIDY: Duration = Duration::from_secs(20);

pub(super) fn decide(situation: &Situation<'_>, decision: &mut Decision) -> Next {
    if !situation.has_cluster() {
        return ControlFlow::Break(());
    }
    let shape = situation.shape();
    for (node, from) in &shape.detach {
        let reason = format!("{} are to be, and this node is to spare", count(situation.desired.shards, "shard"));
        decision.step(Action::Detach { node: node.clone(), from: from.clone() }, reason);
    }
    for (replica, primary) in &shape.attach {
        if shape.detach.iter().any(|(node, _)| node == primary) {
            continue;
        }
        if situation.memory.littered.get(&replica.id).is_some_and(|time| *time >= SERVERS_TIDY) {
            let reason = format!("{} holds keys of slots that it does not own", replica.address);
            decision.step(Action::Repair { nodes: situation.answering() }, reason);
            continue;
        }
        let reason = format!("a copy of the data of {}", primary.address);
        decision.step(Action::Replicate { replica: replica.clone(), primary: primary.clone() }, reason);
    }
    for (node, said) in situation.view.answering() {
        if said.server.primary_link_up == Some(false) {
            let what = format!("a copy of its primary's data on {}", node.address);
            let why =
                if said.server.sync_in_progress { "it is being copied" } else { "its link to the primary is down" };
            decision.wait_as_far(what, why, said.server.sync_read_bytes.map(|bytes| format!("{bytes} bytes copied")));
        } else if !said.cluster.state_ok && !said.myself.slots.is_empty() {
            decision.wait(format!("service by {}", node.address), "its cluster_state is fail");
        }
    }
    let coming = situation.members.iter().filter(|placed| placed.node.is_none()).count() + situation.missing();
    for (primary, lacks) in &shape.lacking {
        let what = format!("{} for {}", count(*lacks, "replica"), primary.address);
        decision.wait(what, expected(coming));
    }
    if shape.primaries_missing > 0 {
        decision.wait(format!("{} more", count(shape.primaries_missing, "shard")), expected(coming));
    }
    ControlFlow::Continue(())
}

fn expected(coming: usize) -> String {
    match coming {
        0 => "no node is free for it yet".to_owned(),
        coming => format!("{} still to come", count(coming, "member")),
    }
}
