//! The step that waits until nodes serve.

use super::{
    RunError, Runner,
    together::{Look, not_serving},
    unless_stopped,
};
use crate::port::{Command, NodeLink};
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;
use topology::{NodeView, Reply, plan::NodeRef};

const NODE_TIMEOUT: &str = "cluster-node-timeout";
/// A primary that joins refuses clients for as long as its `cluster-node-timeout`, at least 0.5 s and at most 5 s (Redis and Valkey
/// 7.0 to 9.1), so that others can tell it meanwhile that it is no primary any more.
const SHORT: &str = "500";

/// A node whose `cluster-node-timeout` is short for the while, and what it was.
struct Hurried<'a> {
    link: &'a dyn NodeLink,
    before: String,
}

impl Runner<'_> {
    /// Waits until every node serves. Primaries without slots are let in sooner: whatever they believe of others, they neither
    /// own a key nor have a vote.
    pub(super) async fn await_service(&self, nodes: &[NodeRef], stop: &CancellationToken) -> Result<(), RunError> {
        let hurried = self.hurry(nodes).await;
        let outcome = unless_stopped(stop, self.await_all(nodes, not_serving)).await;
        join_all(hurried.iter().map(|node| set_timeout(node.link, &node.before))).await;
        outcome
    }

    /// Shortens the node timeout of those that are about to be let in. A server that does not let it be set takes its time.
    async fn hurry(&self, nodes: &[NodeRef]) -> Vec<Hurried<'_>> {
        let Ok(look) = self.look(nodes).await else { return Vec::new() };
        let Some(usual) = self.usual_timeout(&look).await else { return Vec::new() };
        let hurry = |(node, view): &(NodeRef, NodeView)| {
            let (link, serves, before) = (self.link(node).ok(), view.cluster.state_ok, usual.clone());
            async move {
                let link = link?;
                // A run that was killed may have left the short one.
                let short = if serves { timeout(link).await? == SHORT } else { set_timeout(link, SHORT).await };
                short.then_some(Hurried { link, before })
            }
        };
        join_all(look.iter().filter(|(_, view)| owns_nothing(view)).map(hurry)).await.into_iter().flatten().collect()
    }

    /// The node timeout of the cluster, by the word of a node that is not about to be let in.
    async fn usual_timeout(&self, look: &Look) -> Option<String> {
        let joins = |id| look.iter().any(|(node, view)| node.id == id && owns_nothing(view));
        let (_, link) = self.links.iter().find(|(id, _)| !joins(**id))?;
        timeout(link.as_ref()).await
    }
}

async fn timeout(link: &dyn NodeLink) -> Option<String> {
    let replies = link.send(vec![Command::ConfigGet(NODE_TIMEOUT.to_owned())]).await.ok()?;
    Some(replies.first()?.field(NODE_TIMEOUT)?.as_text()?.into_owned())
}

fn owns_nothing(view: &NodeView) -> bool {
    view.myself.is_primary() && view.myself.slots.is_empty()
}

/// Whether the node has taken it.
async fn set_timeout(link: &dyn NodeLink, milliseconds: &str) -> bool {
    let command = Command::ConfigSet(NODE_TIMEOUT.to_owned(), milliseconds.to_owned());
    let replies = link.send(vec![command]).await;
    replies.is_ok_and(|replies| !matches!(replies.first(), None | Some(Reply::Error(_))))
}
