//! The planners for nodes that join a cluster or leave it.

mod join;
mod leave;
mod refusal;

pub use join::{Role, plan_join};
pub use leave::{owns_nothing, plan_delete, plan_leave};
pub use refusal::MembershipRefusal;

use crate::{
    ClusterView, Host, Member, NodeAddr, NodeId,
    plan::{Cost, FORMAT, NodeRef, Plan, PlannedShard, Step},
};

/// The shards as they are, without one node.
fn shards_without(view: &ClusterView, without: NodeId) -> Vec<PlannedShard> {
    let shards = view.shards().into_iter().filter(|shard| shard.primary.account.id != without);
    let others = |replicas: Vec<Member<'_>>| {
        replicas.iter().map(Member::reference).filter(|replica| replica.id != without).collect::<Vec<NodeRef>>()
    };
    shards
        .map(|shard| PlannedShard {
            slots: shard.slots().clone(),
            primary: shard.primary.reference(),
            replicas: others(shard.replicas),
        })
        .collect()
}

/// Stands for the address of a node whose address no node knows any more: its short id, port 0.
fn unknown(id: NodeId) -> NodeAddr {
    NodeAddr::new(Host::Name(id.short()), 0)
}

fn plan(
    goal: String,
    based_on: Vec<NodeRef>,
    steps: Vec<Step>,
    reasons: Vec<String>,
    expected_after: Vec<PlannedShard>,
) -> Plan {
    Plan { format: FORMAT, goal, based_on, steps, reasons, expected_after, placement: None, cost: Cost::default() }
}
