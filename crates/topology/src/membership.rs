//! The planner for nodes that join a cluster or leave it.

use crate::{
    ClusterView, Flag, Member, NodeAddr, NodeId, Shard,
    create::NewNode,
    findings::count,
    plan::{Action, Cost, FORMAT, NodeRef, Plan, Step},
};
use std::collections::BTreeSet;

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

/// Why a node cannot join or leave; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipRefusal {
    /// The new node holds keys.
    #[error("{address} holds {}: a new node must be empty", count(*keys, "key"))]
    HoldsKeys {
        /// The new node.
        address: NodeAddr,
        /// How many.
        keys: u64,
    },
    /// The new node knows nodes that are not of this cluster.
    #[error("{address} already belongs to another cluster")]
    InAnotherCluster {
        /// The new node.
        address: NodeAddr,
    },
    /// The cluster has no primary that could be followed.
    #[error("no primary {}answers", wanted.map_or_else(|| "with slots ".to_owned(), |id| format!("{} ", id.short())))]
    NoSuchPrimary {
        /// Which one was asked for; none for any.
        wanted: Option<NodeId>,
    },
    /// No node of the cluster knows this one.
    #[error("no node of the cluster knows the id {id}")]
    Unknown {
        /// The id.
        id: NodeId,
    },
    /// The node owns slots.
    #[error("{address} owns {}", count(*slots, "slot"))]
    OwnsSlots {
        /// The node.
        address: NodeAddr,
        /// How many.
        slots: usize,
        /// A replica of it that could take over.
        successor: Option<NodeAddr>,
    },
    /// Replicas follow the node.
    #[error("{replica} is a replica of {address}")]
    HasReplica {
        /// The node.
        address: NodeAddr,
        /// A replica of it.
        replica: NodeAddr,
    },
    /// Too few primaries answer to be sure.
    #[error("{answering} of {primaries} primaries answer: not enough to be sure that {address} owns nothing")]
    NoMajority {
        /// The node.
        address: NodeAddr,
        /// How many primaries answer.
        answering: usize,
        /// How many there are.
        primaries: usize,
    },
}

/// A plan by which a new node joins the cluster.
pub fn plan_join(view: &ClusterView, new: &NewNode, role: Role) -> Result<Plan, MembershipRefusal> {
    let own = &new.view.myself;
    if new.view.server.keys() > 0 && view.node(own.id).is_none() {
        return Err(MembershipRefusal::HoldsKeys { address: new.address.clone(), keys: new.view.server.keys() });
    }
    let stranger = |peer: &crate::NodeEntry| !peer.flags.has(&Flag::Handshake) && view.node(peer.id).is_none();
    if new.view.peers.iter().any(stranger) {
        return Err(MembershipRefusal::InAnotherCluster { address: new.address.clone() });
    }
    let shards = view.shards();
    let primary = match role {
        Role::Primary => None,
        Role::ReplicaOf(id) => {
            Some(shards.iter().find(|shard| shard.primary.account.id == id).filter(|shard| shard.primary.answers()))
        }
        Role::ReplicaWhereFewest => {
            let able = shards.iter().filter(|shard| shard.primary.answers() && !shard.slots().is_empty());
            Some(able.min_by_key(|shard| shard.replicas.iter().filter(|replica| replica.answers()).count()))
        }
    };
    let primary = match primary {
        None => None,
        Some(Some(shard)) => {
            Some(NodeRef { id: shard.primary.account.id, address: shard.primary.node.address.clone() })
        }
        Some(None) => {
            let wanted = if let Role::ReplicaOf(id) = role { Some(id) } else { None };
            return Err(MembershipRefusal::NoSuchPrimary { wanted });
        }
    };
    let new = NodeRef { id: own.id, address: new.address.clone() };
    let mut nodes = answering(view);
    nodes.retain(|node| node.id != new.id);
    nodes.push(new.clone());
    let mut steps = vec![Step {
        stage: 1,
        action: Action::Meet { nodes: nodes.clone() },
        reason: "every node is to know the new one".to_owned(),
    }];
    let follows = primary.is_some();
    let goal = match primary {
        None => format!("{} joins as a primary without slots", new.address),
        Some(primary) => {
            let goal = format!("{} joins as a replica of {}", new.address, primary.address);
            let reason = format!("a copy of the data of {}", primary.address);
            steps.push(Step { stage: 2, action: Action::Replicate { replica: new.clone(), primary }, reason });
            goal
        }
    };
    let await_agreement = Action::AwaitAgreement { nodes: nodes.clone() };
    steps.push(Step { stage: 3, action: await_agreement, reason: "clients may ask any node".to_owned() });
    if follows {
        let action = Action::AwaitReplicas { nodes: vec![new] };
        steps.push(Step { stage: 4, action, reason: "a replica counts once it has its data".to_owned() });
    }
    Ok(plan(goal, nodes, steps, Vec::new()))
}

/// A plan by which all nodes forget one that owns nothing; the node itself must be stopped before it runs.
///
/// # Errors
/// Unless a majority of the primaries with slots answer and all that answer say that it owns no slot, and no node that
/// answers is a replica of it.
pub fn plan_leave(view: &ClusterView, id: NodeId) -> Result<Plan, MembershipRefusal> {
    if !view.answering().any(|(_, said)| said.entry(id).is_some()) {
        return Err(MembershipRefusal::Unknown { id });
    }
    let address = view.node(id).map_or_else(|| unknown(id), |node| node.address.clone());
    owns_nothing(view, id)?;
    let mut by = answering(view);
    by.retain(|node| node.id != id);
    let node = NodeRef { id, address };
    let goal = format!("{} leaves", node.address);
    let left = view.shards().into_iter().find(|shard| shard.replicas.iter().any(|replica| replica.account.id == id));
    let reasons = left.map(|shard| reason_of(&shard)).into_iter().collect();
    let reason = "it owns no slot, and no replica follows it".to_owned();
    let steps = vec![Step { stage: 1, action: Action::Forget { node, by: by.clone() }, reason }];
    Ok(plan(goal, by, steps, reasons))
}

/// Proves by a majority of primaries that a node owns no slot and that no live replica references it.
pub fn owns_nothing(view: &ClusterView, id: NodeId) -> Result<(), MembershipRefusal> {
    let address = || view.node(id).map_or_else(|| unknown(id), |node| node.address.clone());
    for (_, said) in view.answering() {
        let slots = said.entry(id).map_or(0, |entry| entry.slots.len());
        if slots > 0 {
            let shard = view.shards().into_iter().find(|shard| shard.primary.account.id == id);
            let successor = shard.and_then(|shard| {
                let able = |replica: &&Member<'_>| {
                    if shard.primary.answers() { replica.in_service() } else { replica.answers() }
                };
                shard.replicas.iter().find(able).map(|replica| replica.node.address.clone())
            });
            return Err(MembershipRefusal::OwnsSlots { address: address(), slots, successor });
        }
    }
    if let Some((node, _)) = view.answering().find(|(_, said)| said.myself.primary == Some(id)) {
        return Err(MembershipRefusal::HasReplica { address: address(), replica: node.address.clone() });
    }
    let told = view.answering().flat_map(|(_, said)| said.entries());
    let primaries: BTreeSet<NodeId> = told.filter(|entry| !entry.slots.is_empty()).map(|entry| entry.id).collect();
    let answering = view.answering().filter(|(_, said)| primaries.contains(&said.myself.id)).count();
    if answering * 2 <= primaries.len() {
        return Err(MembershipRefusal::NoMajority { address: address(), answering, primaries: primaries.len() });
    }
    Ok(())
}

fn reason_of(shard: &Shard<'_>) -> String {
    let primary = &shard.primary.node.address;
    match shard.replicas.len() {
        1 => format!("{primary} has no replica then: losing it loses its data"),
        replicas => format!("{primary} keeps {} of {replicas} replicas", replicas - 1),
    }
}

fn answering(view: &ClusterView) -> Vec<NodeRef> {
    view.answering().map(|(node, said)| NodeRef { id: said.myself.id, address: node.address.clone() }).collect()
}

/// Stands for the address of a node whose address no node knows any more: its short id, port 0.
fn unknown(id: NodeId) -> NodeAddr {
    NodeAddr::new(crate::Host::Name(id.short()), 0)
}

fn plan(goal: String, based_on: Vec<NodeRef>, steps: Vec<Step>, reasons: Vec<String>) -> Plan {
    let (expected_after, placement) = (Vec::new(), None);
    Plan { format: FORMAT, goal, based_on, steps, reasons, expected_after, placement, cost: Cost::default() }
}
