//! Steps that one server carries out.

use super::{RunError, Runner};
use crate::{
    everywhere::configure,
    exchange::accepted,
    observe::ask,
    port::{Command, NodeLink, NothingToLose},
};
use futures_util::future::try_join_all;
use topology::{NodeView, SlotSet, findings::count, plan::NodeRef};

impl Runner<'_> {
    /// The node's link and what it says now; fails when another node answers there.
    pub(crate) async fn fresh(&self, node: &NodeRef) -> Result<(&dyn NodeLink, NodeView), RunError> {
        let link = self.link(node)?;
        let view = ask(link).await?;
        if view.myself.id != node.id {
            return Err(changed(node, format!("its id is {} now", view.myself.id.short())));
        }
        Ok((link, view))
    }

    pub(super) async fn set_epoch(&self, node: &NodeRef, epoch: u64) -> Result<(), RunError> {
        let (link, view) = self.fresh(node).await?;
        if view.myself.config_epoch == epoch {
            return Ok(());
        }
        if view.myself.config_epoch != 0 || !view.peers.is_empty() {
            return Err(changed(node, "it has met other nodes"));
        }
        command(link, Command::SetConfigEpoch(epoch)).await
    }

    pub(super) async fn add_slots(&self, node: &NodeRef, slots: &SlotSet) -> Result<(), RunError> {
        let (link, view) = self.fresh(node).await?;
        let missing = slots.difference(&view.myself.slots);
        if missing.is_empty() {
            return Ok(());
        }
        if view.server.keys() > 0 {
            return Err(changed(node, "it holds keys now"));
        }
        command(link, Command::AddSlots(missing)).await
    }

    pub(super) async fn give_up_slots(&self, node: &NodeRef) -> Result<(), RunError> {
        let (link, view) = self.fresh(node).await?;
        let proof = NothingToLose::by(&view.server).map_err(|keys| changed(node, keys.to_string()))?;
        if view.myself.slots.is_empty() {
            return Ok(());
        }
        command(link, Command::GiveUpSlots(proof)).await
    }

    pub(super) async fn configure(&self, nodes: &[NodeRef], setting: &str, value: &str) -> Result<(), RunError> {
        try_join_all(nodes.iter().map(|node| self.fresh(node))).await?;
        let outcomes = configure(&self.links, nodes, setting, value).await.into_iter();
        let failures: Vec<_> = outcomes.filter_map(|(_, outcome)| outcome.err()).collect();
        if failures.is_empty() { Ok(()) } else { Err(RunError::NotConfigured(failures)) }
    }

    pub(super) async fn reset(&self, node: &NodeRef) -> Result<(), RunError> {
        let (link, view) = self.fresh(node).await?;
        let proof = NothingToLose::by(&view.server).map_err(|keys| changed(node, keys.to_string()))?;
        if !view.myself.slots.is_empty() {
            return Err(changed(node, format!("it owns {}", count(view.myself.slots.len(), "slot"))));
        }
        command(link, Command::ResetHard(proof)).await
    }
}

pub(crate) fn changed(node: &NodeRef, change: impl Into<String>) -> RunError {
    RunError::Changed { address: node.address.clone(), change: change.into() }
}

/// Sends one command and takes a refusal as an error.
pub(super) async fn command(link: &dyn NodeLink, command: Command) -> Result<(), RunError> {
    accepted(link, vec![command]).await?;
    Ok(())
}
