//! The platform: what runs the servers.

use super::Hold;
use futures_util::future::BoxFuture;
use topology::{
    ClusterView, Flag, FleetMember, NodeEntry, NodeId,
    control::Loss,
    findings::count,
    membership::{MembershipRefusal, owns_nothing},
};

/// Whatever runs the servers of a cluster: processes of a machine, pods, a simulation.
pub trait Fleet: Send + Sync {
    /// All members, also those that do not run.
    ///
    /// # Errors
    /// When the platform does not tell.
    fn members(&self) -> BoxFuture<'_, Result<Vec<FleetMember>, FleetError>>;

    /// Has so many more members run. Those that it has made show in [`members`](Self::members) from then on, before they run.
    ///
    /// # Errors
    /// When the platform has no room for them, or does not do it; then it has made none of them.
    fn add(&self, count: usize) -> BoxFuture<'_, Result<(), FleetError>>;

    /// Why nothing of the cluster may be changed now, if so: somebody else works on it, or it is held.
    fn held(&self) -> Option<String> {
        None
    }

    /// Lets a member's server take what it is to run with, as far as it does so while it runs. What has become of it shows in
    /// [`members`](Self::members).
    ///
    /// # Errors
    /// When the platform does not do it.
    fn update<'a>(&'a self, member: &'a str) -> BoxFuture<'a, Result<(), FleetError>>;

    /// Ends a member's server orderly and has it started again with what it is to run with. Done when the old one has ended.
    ///
    /// # Errors
    /// When the platform does not do it.
    fn restart<'a>(&'a self, member: &'a str, proof: MayRestart) -> BoxFuture<'a, Result<(), FleetError>>;

    /// Keeps a member's server from being started, for as long as what is given back lives; that goes with this process, too.
    ///
    /// # Errors
    /// When a server of it runs, and when the platform cannot do that.
    fn fence<'a>(&'a self, member: &'a str) -> BoxFuture<'a, Result<Hold, FleetError>>;

    /// Keeps that a shard was lost, for as long as the platform can: it is told from then on, also by loops to come. It is asked before the
    /// shard's slots are given away.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn keep_loss<'a>(&'a self, loss: &'a Loss) -> BoxFuture<'a, Result<(), FleetError>>;

    /// The losses that were kept.
    fn losses(&self) -> Vec<Loss>;

    /// Ends a member for good, with its data. One that is gone already is no error.
    ///
    /// # Errors
    /// When the platform does not do it.
    fn remove<'a>(&'a self, member: &'a str, proof: MayGo) -> BoxFuture<'a, Result<(), FleetError>>;
}

/// Why a platform did not do what it was asked to: a sentence without its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FleetError(pub String);

/// Proof that a member can be ended for good: no node of the cluster knows it as one of theirs, it owns nothing, and nobody follows it.
///
/// It is as fresh as the look at the cluster that it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MayGo(());

/// Why there is no [`MayGo`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StillNeeded {
    /// Nodes of the cluster know it.
    #[error("{} still {} it", count(*nodes, "node"), if *nodes == 1 { "knows" } else { "know" })]
    Known {
        /// How many.
        nodes: usize,
    },
    /// Slots are not served, and it may hold their data.
    #[error("{} of the cluster are not served, and it may hold what is theirs", count(*slots, "slot"))]
    Unserved {
        /// How many slots.
        slots: usize,
    },
    /// It owns slots by its own word.
    #[error("it owns {}", count(*slots, "slot"))]
    OwnsSlots {
        /// How many.
        slots: usize,
    },
    /// The cluster does not prove that it owns nothing.
    #[error(transparent)]
    Unproved(#[from] MembershipRefusal),
}

/// Proof that a member's server can be restarted: it owns no slots by its own word; or it does not answer, and the others do not know it for an
/// owner of slots that they hear.
///
/// It is as fresh as the look that it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MayRestart(());

impl MayRestart {
    /// The proof, from a fresh look at the cluster.
    ///
    /// # Errors
    /// When it owns slots: nobody would serve them meanwhile.
    pub fn by(view: &ClusterView, node: Option<NodeId>) -> Result<Self, StillNeeded> {
        let Some(node) = node.and_then(|id| view.node(id)) else { return Ok(Self(())) };
        let fails = |entry: &NodeEntry| entry.flags.has(&Flag::Failing);
        let is_heard = |id| !view.answering().filter_map(|(_, said)| said.entry(id)).any(fails);
        let slots = match (node.view(), view.account(node)) {
            (Some(said), _) => said.myself.slots.len(),
            (None, Some(account)) if is_heard(account.id) => account.slots.len(),
            (None, _) => 0,
        };
        if slots == 0 { Ok(Self(())) } else { Err(StillNeeded::OwnsSlots { slots }) }
    }
}

impl MayGo {
    /// The proof, from a fresh look at the cluster and at the member.
    ///
    /// # Errors
    /// Says what it is still needed for, or why that is not sure.
    pub fn by(view: &ClusterView, node: Option<NodeId>) -> Result<Self, StillNeeded> {
        let slots = view.served().complement().len();
        if slots > 0 {
            return Err(StillNeeded::Unserved { slots });
        }
        let Some(id) = node else { return Ok(Self(())) };
        let own = view.node(id).and_then(|node| node.view()).map_or(0, |said| said.myself.slots.len());
        if own > 0 {
            return Err(StillNeeded::OwnsSlots { slots: own });
        }
        let nodes = view.sightings(id).count();
        if nodes > 0 {
            return Err(StillNeeded::Known { nodes });
        }
        owns_nothing(view, id)?;
        Ok(Self(()))
    }
}
