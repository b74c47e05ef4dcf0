//! The planner for a node that joins.

use super::{MembershipRefusal, plan, shards_without};
use crate::{
    ClusterView, Flag, NodeEntry, NodeId, SlotSet,
    create::NewNode,
    findings::count,
    plan::{Action, NodeRef, Plan, PlannedShard},
    stages::Stages,
};

/// What a new node is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A replica of this primary.
    ReplicaOf(NodeId),
    /// A replica of the shard that has the fewest, the first of several.
    ReplicaWhereFewest,
    /// A primary without slots.
    Primary,
}

/// A plan by which a new node joins the cluster. One that was interrupted on its way goes on from where it is.
///
/// A new primary first gets the functions of `functions_of`, where one is given, and counts as joined once it serves.
pub fn plan_join(
    view: &ClusterView,
    new: &NewNode,
    role: Role,
    functions_of: Option<NodeRef>,
) -> Result<Plan, MembershipRefusal> {
    refuse_occupied(view, new)?;
    let role = role_of_member(view, new, role)?;
    let primary = primary(view, role)?;
    let new = NodeRef { id: new.view.myself.id, address: new.address.clone() };
    let mut nodes: Vec<NodeRef> = view.references().collect();
    nodes.retain(|node| node.id != new.id);
    nodes.push(new.clone());
    let meet = (Action::Meet { nodes: nodes.clone() }, "every node is to know the new one".to_owned());
    let agree = (Action::AwaitAgreement { nodes: nodes.clone() }, "clients may ask any node".to_owned());
    let mut expected = shards_without(view, new.id);
    let mut stages = Stages::default();
    let goal = match primary {
        None => {
            stages.add(functions_of.map(|from| {
                let reason = format!("it is to know the functions that {} knows", from.address);
                (Action::CopyFunctions { from, to: new.clone() }, reason)
            }));
            stages.add([meet]);
            stages.add([agree]);
            let serve = Action::AwaitService { nodes: vec![new.clone()] };
            stages.add([(serve, "a primary that does not serve takes no slots".to_owned())]);
            let goal = format!("{} joins as a primary without slots", new.address);
            expected.push(PlannedShard { slots: SlotSet::new(), primary: new, replicas: Vec::new() });
            goal
        }
        Some(primary) => {
            let goal = format!("{} joins as a replica of {}", new.address, primary.address);
            if let Some(shard) = expected.iter_mut().find(|shard| shard.primary.id == primary.id) {
                shard.replicas.push(new.clone());
            }
            stages.add([meet]);
            let reason = format!("a copy of the data of {}", primary.address);
            stages.add([(Action::Replicate { replica: new.clone(), primary }, reason)]);
            stages.add([agree]);
            let wait = Action::AwaitReplicas { nodes: vec![new] };
            stages.add([(wait, "a replica counts once it has its data".to_owned())]);
            goal
        }
    };
    Ok(plan(goal, nodes, stages.into_steps(), Vec::new(), expected))
}

/// Refuses a node that holds something, or knows nodes that this cluster does not know.
fn refuse_occupied(view: &ClusterView, new: &NewNode) -> Result<(), MembershipRefusal> {
    let (own, address) = (&new.view.myself, || new.address.clone());
    let is_new = view.node(own.id).is_none();
    if is_new && new.view.server.keys() > 0 {
        return Err(MembershipRefusal::HoldsKeys { address: address(), keys: new.view.server.keys() });
    }
    let stranger = |peer: &NodeEntry| !peer.flags.has(&Flag::Handshake) && view.node(peer.id).is_none();
    if new.view.peers.iter().any(stranger) {
        return Err(MembershipRefusal::InAnotherCluster { address: address() });
    }
    if is_new && !own.slots.is_empty() {
        return Err(MembershipRefusal::HasSlots { address: address(), slots: own.slots.len() });
    }
    Ok(())
}

/// The role of a node that may be a member already: it stays what it is.
fn role_of_member(view: &ClusterView, new: &NewNode, role: Role) -> Result<Role, MembershipRefusal> {
    let own = &new.view.myself;
    if view.node(own.id).is_none() {
        return Ok(role);
    }
    let refuse = |what| Err(MembershipRefusal::AlreadyMember { address: new.address.clone(), what });
    match (own.primary, role) {
        _ if !own.slots.is_empty() => refuse(format!("a primary with {}", count(own.slots.len(), "slot"))),
        (Some(primary), Role::ReplicaWhereFewest) => Ok(Role::ReplicaOf(primary)),
        (Some(primary), Role::ReplicaOf(wanted)) if wanted == primary => Ok(role),
        (Some(primary), _) => refuse(format!("a replica of {}", view.name(primary))),
        (None, Role::ReplicaOf(wanted)) if wanted == own.id => refuse("a primary without slots".to_owned()),
        (None, _) => Ok(role),
    }
}

/// The primary to follow; none for one that follows nobody.
fn primary(view: &ClusterView, role: Role) -> Result<Option<NodeRef>, MembershipRefusal> {
    let shards = view.shards();
    let answering = shards.iter().filter(|shard| shard.primary.answers());
    let (wanted, found) = match role {
        Role::Primary => return Ok(None),
        Role::ReplicaOf(id) => (Some(id), answering.clone().find(|shard| shard.primary.account.id == id)),
        Role::ReplicaWhereFewest => {
            let able = answering.filter(|shard| !shard.slots().is_empty());
            (None, able.min_by_key(|shard| shard.replicas.iter().filter(|replica| replica.answers()).count()))
        }
    };
    let found = found.map(|shard| shard.primary.reference());
    found.map(Some).ok_or(MembershipRefusal::NoSuchPrimary { wanted })
}
