//! Holding back a primary that is gone, before a replica takes its place without a vote.

use super::Means;
use crate::{
    observe::{NoEntry, Observation, look},
    port::{Fenced, FleetError, NotFenced},
};
use topology::{NodeAddr, control::Votes, plan::NodeRef};

/// Why no replica takes over without a vote.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoTakeover {
    #[error(transparent)]
    Blind(#[from] NoEntry),
    #[error(transparent)]
    Fleet(#[from] FleetError),
    #[error("{0} answers again")]
    Answers(NodeAddr),
    #[error("a majority of primaries answers again, and can elect one")]
    Majority,
    #[error("{0} is no member")]
    NoMember(NodeAddr),
    #[error(transparent)]
    NotFenced(#[from] NotFenced),
}

/// Has the platform hold the primary back, and proves that it does not run: by a look at servers and platform that is made after that.
pub(super) async fn fence(means: &Means, observation: &Observation, primary: &NodeRef) -> Result<Fenced, NoTakeover> {
    let members = means.fleet.members().await?;
    let member = members.into_iter().find(|member| member.may_be(primary.id, &primary.address));
    let member = member.ok_or_else(|| NoTakeover::NoMember(primary.address.clone()))?.name;
    let hold = means.fleet.fence(&member).await?;
    let fresh = look(means.dialer.as_ref(), &observation.answering()).await?.view;
    if fresh.node(primary.id).is_some_and(|node| node.said.is_ok()) {
        return Err(NoTakeover::Answers(primary.address.clone()));
    }
    // Nodes without a known address are not in a fresh look, and have a vote all the same.
    let votes = Votes { all: Votes::of(&observation.view).all, answering: Votes::of(&fresh).answering };
    if votes.are_enough() {
        return Err(NoTakeover::Majority);
    }
    Ok(Fenced::by(hold, &means.fleet.members().await?, &member)?)
}
