//! The planner that makes a replica the primary of its shard.

use crate::{
    ClusterView, Member, NodeAddr, NodeId, Shard,
    plan::{Action, Cost, FORMAT, FailoverKind, NodeRef, Plan, PlannedShard, Step},
    repurpose::{NotAReplica, replica_named},
};

/// Why a replica cannot become the primary in this way; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FailoverRefusal {
    /// The node is no replica that could be used.
    #[error(transparent)]
    NotAReplica(#[from] NotAReplica),
    /// The primary cannot hand over.
    #[error("{primary}, the primary of {replica}, cannot hand over: it {reason}")]
    PrimarySilent {
        /// The replica.
        replica: NodeAddr,
        /// Its primary.
        primary: NodeAddr,
        /// Why the primary said nothing.
        reason: String,
    },
    /// The replica has no link to its primary, over which that would hand over.
    #[error("{replica} has no link to its primary {primary}, and would lose what that has written meanwhile")]
    LinkDown {
        /// The replica.
        replica: NodeAddr,
        /// Its primary.
        primary: NodeAddr,
    },
}

impl FailoverRefusal {
    /// What the user can do about it, where it does not speak for itself.
    pub fn advice(&self) -> Option<String> {
        Some(match self {
            Self::NotAReplica(_) => return None,
            Self::PrimarySilent { replica, .. } => {
                format!("without its consent, losing what {replica} does not have yet: --force")
            }
            Self::LinkDown { .. } => "wait for the link, take another replica, or accept the loss: --force".to_owned(),
        })
    }
}

/// Plans that a replica becomes the primary of its shard.
///
/// # Errors
/// When the node is no replica that answers; of a planned failover also when its primary does not answer or the link between
/// them is down.
pub fn plan(view: &ClusterView, replica: NodeId, kind: FailoverKind) -> Result<Plan, FailoverRefusal> {
    let replica = replica_named(view, replica)?;
    let shards = view.shards();
    let follows = |shard: &&Shard<'_>| shard.replicas.iter().any(|member| member.account.id == replica.id);
    let orphan = || NotAReplica::Orphan { address: replica.address.clone() };
    let shard = shards.iter().find(follows).ok_or_else(orphan)?;
    if kind == FailoverKind::Planned {
        refuse_unplanned(shard, &replica)?;
    }
    let primary = shard.primary.reference();
    let nodes: Vec<NodeRef> = view.references().collect();
    let expected: Vec<PlannedShard> = shards.iter().map(|shard| expected(shard, &replica)).collect();
    let led = |shard: &&PlannedShard| shard.primary == replica;
    let mut followers = expected.iter().find(led).map(|shard| shard.replicas.clone()).unwrap_or_default();
    followers.retain(|follower| nodes.contains(follower));
    let goal = format!("{} becomes the primary in place of {}", replica.address, primary.address);
    let reasons = reasons(view, shard, &replica, kind);
    let action = Action::Failover { replica, primary, kind };
    let mut steps = vec![Step { stage: 1, action, reason: consent(kind).to_owned() }];
    let action = Action::AwaitAgreement { nodes: nodes.clone() };
    steps.push(Step { stage: 2, action, reason: "clients may ask any node".to_owned() });
    if !followers.is_empty() {
        let action = Action::AwaitReplicas { nodes: followers };
        steps.push(Step { stage: 3, action, reason: "a replica counts once it has its data".to_owned() });
    }
    Ok(Plan {
        format: FORMAT,
        goal,
        based_on: nodes,
        steps,
        reasons,
        expected_after: expected,
        placement: None,
        cost: Cost::default(),
    })
}

fn refuse_unplanned(shard: &Shard<'_>, replica: &NodeRef) -> Result<(), FailoverRefusal> {
    let primary = shard.primary.node.address.clone();
    if let Err(silence) = &shard.primary.node.said {
        let (replica, reason) = (replica.address.clone(), silence.reason.clone());
        return Err(FailoverRefusal::PrimarySilent { replica, primary, reason });
    }
    let linked = shard.replicas.iter().any(|member| member.account.id == replica.id && member.in_service());
    if linked { Ok(()) } else { Err(FailoverRefusal::LinkDown { replica: replica.address.clone(), primary }) }
}

/// The shard afterwards: if it is the replica's, its old primary and the other replicas follow it.
fn expected(shard: &Shard<'_>, replica: &NodeRef) -> PlannedShard {
    let mut members: Vec<NodeRef> = shard.members().map(Member::reference).collect();
    let primary = members.iter().position(|member| member == replica).unwrap_or_default();
    members.swap(0, primary);
    let mut members = members.into_iter();
    let primary = members.next().unwrap_or_else(|| replica.clone());
    PlannedShard { slots: shard.slots().clone(), primary, replicas: members.collect() }
}

const fn consent(kind: FailoverKind) -> &'static str {
    match kind {
        FailoverKind::Planned => "the primary hands over when the replica has all that it wrote",
        FailoverKind::Forced => "a majority of primaries is to vote for it; the primary is not asked",
        FailoverKind::Takeover => "it takes over without a vote",
    }
}

fn reasons(view: &ClusterView, shard: &Shard<'_>, replica: &NodeRef, kind: FailoverKind) -> Vec<String> {
    let primary = &shard.primary.node.address;
    let mut reasons = Vec::new();
    match kind {
        FailoverKind::Planned => reasons.push("no write that was answered is lost".to_owned()),
        FailoverKind::Forced | FailoverKind::Takeover => {
            reasons.push(format!("what {primary} has written and the replica does not have is lost"));
            if refuse_unplanned(shard, replica).is_ok() {
                reasons.push(format!("{primary} answers: without force it would hand over, and nothing would be lost"));
            }
        }
    }
    if kind == FailoverKind::Takeover {
        reasons.push(format!("nobody votes: where {primary} still serves, both do until they hear of each other"));
    } else {
        let shards = view.shards();
        let owners = shards.iter().filter(|shard| !shard.slots().is_empty());
        let (answering, all) =
            owners.fold((0, 0), |(here, all), shard| (here + usize::from(shard.primary.answers()), all + 1));
        if answering * 2 <= all {
            reasons.push(format!("{answering} of {all} primaries answer here: without a majority nobody is elected"));
        }
    }
    reasons
}
