//! The same for many nodes, all at the same time.

use crate::{
    observe::Observation,
    port::{Command, NodeError, NodeLink, Trouble},
};
use futures_util::future::join_all;
use std::{collections::BTreeMap, fmt, sync::Arc};
use topology::{NodeAddr, NodeId, Reply, plan::NodeRef};

/// The links of a run, by node.
pub type Links = BTreeMap<NodeId, Arc<dyn NodeLink>>;

/// What a node made of the commands, in the order of the nodes.
pub type Answers = Vec<(NodeRef, Result<Vec<Reply>, NodeError>)>;

impl Observation {
    /// The nodes that answer and for which this holds, in the order in which they were found.
    pub fn nodes(&self, wanted: impl Fn(&topology::NodeView) -> bool) -> Vec<NodeRef> {
        let answering = self.view.answering().filter(|(_, said)| wanted(said));
        answering.map(|(node, said)| NodeRef { id: said.myself.id, address: node.address.clone() }).collect()
    }
}

/// Sends these commands to each of the nodes; one that fails keeps no other from being asked.
pub async fn send_to_each(links: &Links, nodes: &[NodeRef], commands: &[Command]) -> Answers {
    let ask = |node: &NodeRef| {
        let (node, link) = (node.clone(), links.get(&node.id).cloned());
        async move {
            let answer = match link {
                Some(link) => link.send(commands.to_vec()).await,
                None => Err(NodeError::new(node.address.clone(), Trouble::Closed)),
            };
            (node, answer)
        }
    };
    join_all(nodes.iter().map(ask)).await
}

/// The node timeout of each node that answers and tells it, milliseconds (`CONFIG GET cluster-node-timeout`). A user may not be allowed to
/// ask for it.
pub async fn node_timeouts(observation: &Observation) -> BTreeMap<NodeId, u64> {
    const NAME: &str = "cluster-node-timeout";
    let ask = [Command::ConfigGet(NAME.to_owned())];
    let answers = send_to_each(&observation.links, &observation.nodes(|_| true), &ask).await;
    let told = |(node, answer): (NodeRef, Result<Vec<Reply>, NodeError>)| {
        let reply = answer.ok()?.pop()?;
        Some((node.id, reply.field(NAME)?.as_text()?.parse().ok()?))
    };
    answers.into_iter().filter_map(told).collect()
}

/// Why a node does not have a setting, or not for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotConfigured {
    /// The node.
    pub address: NodeAddr,
    /// Whether it has the setting, but not in its file: only until it starts again.
    pub until_restart: bool,
    /// What went wrong.
    pub trouble: Trouble,
}

impl fmt::Display for NotConfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, until_restart, trouble } = self;
        let only = if *until_restart { " has it until it starts again only: writing its file, it" } else { "" };
        write!(f, "{address}{only} {trouble}")
    }
}

/// Gives each of these nodes a setting, now and in its file (`CONFIG SET`, `CONFIG REWRITE`).
pub async fn configure(
    links: &Links,
    nodes: &[NodeRef],
    setting: &str,
    value: &str,
) -> Vec<(NodeRef, Result<(), NotConfigured>)> {
    let commands = [Command::ConfigSet(setting.to_owned(), value.to_owned()), Command::ConfigRewrite];
    let answers = send_to_each(links, nodes, &commands).await.into_iter();
    answers.map(|(node, answer)| (node.clone(), configured(&node, answer))).collect()
}

fn configured(node: &NodeRef, answer: Result<Vec<Reply>, NodeError>) -> Result<(), NotConfigured> {
    let failed = |until_restart, trouble| NotConfigured { address: node.address.clone(), until_restart, trouble };
    let replies = answer.map_err(|error| failed(false, error.trouble))?;
    let refused = replies.iter().enumerate().find_map(|(at, reply)| match reply {
        Reply::Error(line) => Some((at, line)),
        _ => None,
    });
    refused.map_or(Ok(()), |(at, line)| Err(failed(at > 0, Trouble::from_refusal(line))))
}
