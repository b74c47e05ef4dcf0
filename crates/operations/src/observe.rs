//! Asking servers what they see: one of them, or all that can be found.

use crate::port::{Command, Dialer, NodeError, NodeLink, Trouble};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, future::join_all, stream::FuturesUnordered};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use topology::{
    ClusterInfo, ClusterView, Flag, Host, NodeAddr, NodeEntry, NodeId, NodeView, ObservedNode, Reply, ServerInfo,
    Silence, create::NewNode,
};

/// What was seen of a cluster, and the links over which it was seen.
pub struct Observation {
    /// What was seen.
    pub view: ClusterView,
    /// Links to the nodes that answered.
    pub links: BTreeMap<NodeId, Arc<dyn NodeLink>>,
    /// What was wrong with those that did not.
    pub troubles: Vec<NodeError>,
}

/// None of the addresses given leads into a cluster.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{first}")]
pub struct NoEntry {
    /// What was wrong with the first address.
    pub first: NodeError,
    /// What was wrong with the others.
    pub others: Vec<NodeError>,
}

/// A node that answered, and what it said.
pub struct Answer {
    /// The link.
    pub link: Arc<dyn NodeLink>,
    /// What it said.
    pub view: NodeView,
}

/// Asks one server for its whole view, in one round trip.
pub async fn ask(link: &dyn NodeLink) -> Result<NodeView, NodeError> {
    ask_with(link, Command::Info).await
}

/// As [`ask`], at less cost: of `INFO` only what process the server is, whether it loads, whom it follows, and how many keys it holds.
pub async fn ask_for_standing(link: &dyn NodeLink) -> Result<NodeView, NodeError> {
    ask_with(link, Command::Standing).await
}

/// Asks a server that said this before whether it still is what it was, in words whose number does not grow with the cluster's. Whatever
/// else it says, or that it says nothing, is no.
pub(crate) async fn is_still(link: &dyn NodeLink, view: &NodeView) -> bool {
    let Ok(replies) = link.send(vec![Command::ClusterInfo, Command::Standing]).await else { return false };
    let texts: Option<Vec<_>> = replies.iter().map(Reply::as_text).collect();
    let Some([cluster, server]) = texts.as_deref() else { return false };
    view.is_still(&ClusterInfo::parse(cluster), &ServerInfo::parse(server))
}

async fn ask_with(link: &dyn NodeLink, info: Command) -> Result<NodeView, NodeError> {
    let replies = link.send(vec![Command::ClusterNodes, Command::ClusterInfo, info]).await?;
    let fail = |trouble| NodeError::new(link.address().clone(), trouble);
    let [nodes, cluster, server] = &replies[..] else {
        return Err(fail(Trouble::Protocol(format!("{} replies to 3 commands", replies.len()))));
    };
    let text = |reply: &Reply| match reply {
        Reply::Error(line) => Err(fail(Trouble::from_refusal(line))),
        reply => reply
            .as_text()
            .map(std::borrow::Cow::into_owned)
            .ok_or_else(|| fail(Trouble::Protocol("a reply is no text".into()))),
    };
    let view = || {
        NodeView::parse(&text(nodes)?, &text(cluster)?, &text(server)?)
            .map_err(|error| fail(Trouble::Protocol(error.to_string())))
    };
    match view() {
        // Valkey answers these commands while it loads; what it says of its keys is not true yet.
        Ok(view) if view.server.loading => Err(fail(Trouble::Loading { percent: view.server.loaded_percent })),
        // Redis refuses them then, but for INFO.
        Err(NodeError { trouble: Trouble::Loading { .. }, .. }) => {
            let percent = text(server).ok().and_then(|text| ServerInfo::parse(&text).loaded_percent);
            Err(fail(Trouble::Loading { percent }))
        }
        view => view,
    }
}

/// Dials one address and asks for its view.
pub async fn dial_and_ask(dialer: &dyn Dialer, address: &NodeAddr) -> Result<Answer, NodeError> {
    let link = dialer.dial(address).await?;
    let view = ask(link.as_ref()).await?;
    Ok(Answer { link, view })
}

/// Dials these addresses, all at the same time, and asks each for its view. The answers are in the order of the addresses.
pub async fn ask_all(dialer: &dyn Dialer, addresses: &[NodeAddr]) -> Vec<Result<Answer, NodeError>> {
    join_all(addresses.iter().map(|address| dial_and_ask(dialer, address))).await
}

/// What answers are for a planner and for the runner of its plan: new nodes, each in the zone that its server tells, and links.
pub fn new_nodes(
    answers: impl IntoIterator<Item = (NodeAddr, Answer)>,
) -> (Vec<NewNode>, BTreeMap<NodeId, Arc<dyn NodeLink>>) {
    let (mut nodes, mut links) = (Vec::new(), BTreeMap::new());
    for (address, Answer { link, view }) in answers {
        links.insert(view.myself.id, link);
        nodes.push(NewNode { address, zone: view.server.zone.clone(), view });
    }
    (nodes, links)
}

/// Looks at a whole cluster: asks the nodes at these addresses, every node that one of them knows, and so on, all at the same
/// time. It takes no longer than the timeouts of one connection after the addresses given have answered.
///
/// # Errors
/// When none of the addresses given answers as a cluster node.
pub async fn look(dialer: &dyn Dialer, addresses: &[NodeAddr]) -> Result<Observation, NoEntry> {
    let mut search = Search::default();
    let mut asked = FuturesUnordered::new();
    for address in addresses {
        if let Some(question) = search.question(dialer, address.clone(), None) {
            asked.push(question);
        }
    }
    while let Some((address, expected, answer)) = asked.next().await {
        let found = search.take(address, expected, answer);
        asked.extend(found.into_iter().filter_map(|(address, id)| search.question(dialer, address, Some(id))));
    }
    search.finish(addresses)
}

type Question<'a> = BoxFuture<'a, (NodeAddr, Option<NodeId>, Result<Answer, NodeError>)>;

/// What is known while the search goes on.
#[derive(Default)]
struct Search {
    asked: BTreeSet<(Host, u16)>,
    answers: BTreeMap<NodeId, (NodeAddr, Answer)>,
    failures: Vec<(Option<NodeId>, NodeError)>,
    /// Ids in the order in which they were heard of, with the address that was told.
    heard: Vec<(NodeId, NodeAddr)>,
    known: BTreeSet<NodeId>,
}

impl Search {
    fn question<'a>(&mut self, dialer: &'a dyn Dialer, address: NodeAddr, id: Option<NodeId>) -> Option<Question<'a>> {
        let new = self.asked.insert((address.host.clone(), address.port));
        new.then(|| {
            async move {
                let answer = dial_and_ask(dialer, &address).await;
                (address, id, answer)
            }
            .boxed()
        })
    }

    /// Takes in an answer and returns the nodes that it tells of for the first time.
    fn take(
        &mut self,
        address: NodeAddr,
        expected: Option<NodeId>,
        answer: Result<Answer, NodeError>,
    ) -> Vec<(NodeAddr, NodeId)> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.failures.push((expected, error));
                return Vec::new();
            }
        };
        let id = answer.view.myself.id;
        let mut found = Vec::new();
        for entry in answer.view.peers.iter() {
            if let Some(address) = dialable(entry).filter(|_| self.known.insert(entry.id)) {
                self.heard.push((entry.id, address.clone()));
                found.push((address, entry.id));
            }
        }
        // A node that answers under two addresses counts once, under the address that was given.
        self.answers.entry(id).or_insert((address, answer));
        found
    }

    fn finish(self, addresses: &[NodeAddr]) -> Result<Observation, NoEntry> {
        let Self { mut answers, mut failures, heard, .. } = self;
        let entry = answers.iter().filter_map(|(id, (address, _))| {
            let at = addresses.iter().position(|given| given.same_endpoint(address))?;
            Some((at, *id))
        });
        let Some((_, first)) = entry.min() else {
            let mut errors = failures.into_iter().map(|(_, error)| error);
            let none = || NodeError::new(NodeAddr::new(Host::Name(String::new()), 0), Trouble::Closed);
            return Err(NoEntry { first: errors.next().unwrap_or_else(none), others: errors.collect() });
        };
        let mut order = vec![first];
        let first_peers = answers.get(&first).into_iter().flat_map(|(_, answer)| answer.view.peers.iter());
        order.extend(first_peers.filter(|peer| dialable(peer).is_some()).map(|peer| peer.id));
        order.extend(heard.iter().map(|(id, _)| *id));
        order.extend(answers.keys());
        let mut placed = BTreeSet::new();
        order.retain(|id| placed.insert(*id));

        let troubles = failures.iter().map(|(_, error)| error.clone()).collect();
        let mut observation = Observation { view: ClusterView::default(), links: BTreeMap::new(), troubles };
        for id in order {
            if let Some((address, answer)) = answers.remove(&id) {
                observation.links.insert(id, answer.link);
                observation.view.nodes.push(ObservedNode { address, id: Some(id), said: Ok(answer.view) });
            } else if let Some((_, address)) = heard.iter().find(|(heard, _)| *heard == id) {
                let failure = failures
                    .iter()
                    .position(|(of, error)| *of == Some(id) || (of.is_none() && error.address.same_endpoint(address)));
                let said = Err(match failure.map(|at| failures.swap_remove(at)) {
                    Some((_, error)) => silence(&error),
                    None => Silence {
                        reason: "answers under the id of another node".into(),
                        advice: None,
                        answers: false,
                        progress: None,
                    },
                });
                observation.view.nodes.push(ObservedNode { address: address.clone(), id: Some(id), said });
            }
        }
        for (_, error) in failures.iter().filter(|(of, _)| of.is_none()) {
            let said = Err(silence(error));
            observation.view.nodes.push(ObservedNode { address: error.address.clone(), id: None, said });
        }
        Ok(observation)
    }
}

/// Where a node can be dialled, as another one tells it; none for those in handshake or without address.
pub(crate) fn dialable(entry: &NodeEntry) -> Option<NodeAddr> {
    entry.endpoint.address().filter(|_| !entry.flags.has(&Flag::Handshake) && !entry.flags.has(&Flag::NoAddress))
}

pub(crate) fn silence(error: &NodeError) -> Silence {
    Silence {
        reason: error.trouble.to_string(),
        advice: error.trouble.advice().map(str::to_owned),
        answers: error.trouble.answers(),
        progress: error.trouble.progress(),
    }
}

impl Observation {
    /// Where those listen that answered.
    pub(crate) fn answering(&self) -> Vec<NodeAddr> {
        self.view.answering().map(|(node, _)| node.address.clone()).collect()
    }
}

/// Of a node that was never asked.
pub(crate) fn not_asked() -> Silence {
    Silence { reason: "has not been asked yet".into(), advice: None, answers: false, progress: None }
}

/// Of a node that was asked so long ago.
pub(crate) fn late(since: Duration) -> Silence {
    Silence {
        reason: format!("has not answered for {:.1} s", since.as_secs_f64()),
        advice: None,
        answers: false,
        progress: None,
    }
}
