//! Steps that take all nodes: getting to know each other, agreeing, serving.

use super::{Progress, RunError, Runner, steps::command};
use crate::{
    observe::ask,
    port::{Command, NodeLink, OwnsNothing, Trouble},
};
use futures_util::future::{join_all, try_join_all};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, slice,
    time::Duration,
};
use tokio::time::{Instant, sleep};
use topology::{ClusterView, Engine, Flag, Host, NodeAddr, NodeId, NodeView, ObservedNode, Reply, plan::NodeRef};

/// Shortest time between two looks at all nodes.
pub(super) const LOOK: Duration = Duration::from_millis(10);
/// Longest time between two looks while nodes get to know each other.
const MOST_PAUSE: Duration = Duration::from_millis(50);
/// A handshake takes up to two turns of the servers' cluster clock, 100 ms each; before that, meeting again does nothing.
const MEET_AGAIN: Duration = Duration::from_millis(250);

/// Among more nodes than this the handshakes of both sides at once cost the servers more than they save.
const CROWD: usize = 40;

/// A node that does not know another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estranged {
    /// The node that does not know the other.
    pub node: NodeAddr,
    /// The other.
    pub other: NodeAddr,
    /// The other's cluster bus port, which must be open to all nodes.
    pub bus_port: u16,
}

impl fmt::Display for Estranged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} does not reach {} on its cluster bus port {}", self.node, self.other, self.bus_port)
    }
}

/// What all nodes said in one look.
pub(super) type Look = Vec<(NodeRef, NodeView)>;

impl Runner<'_> {
    pub(super) async fn meet(&self, nodes: &[NodeRef]) -> Result<(), RunError> {
        self.introduce_until(nodes, |witness, about| witness.entry(about.myself.id).is_some_and(known)).await
    }

    pub(super) async fn await_agreement(&self, nodes: &[NodeRef]) -> Result<(), RunError> {
        self.introduce_until(nodes, agrees).await
    }

    /// Looks until all nodes of the run know what this one is and owns.
    pub(super) async fn await_known(&self, node: &NodeRef) -> Result<(), RunError> {
        self.introduce_until(&self.all(), |witness, about| about.myself.id != node.id || agrees(witness, about)).await
    }

    /// Looks until the node that takes slots knows the config epoch of the one that gives them, and has another one itself.
    /// Otherwise the epoch that it takes with them may be outdone by the next word of the old owner.
    pub(super) async fn await_epoch(&self, from: &NodeRef, to: &NodeRef) -> Result<(), RunError> {
        self.introduce_until(&[from.clone(), to.clone()], |witness, about| {
            let epoch = about.myself.config_epoch;
            // A node that was reset may be remembered with a higher one.
            let knows = |entry: &topology::NodeEntry| entry.config_epoch >= epoch;
            witness.myself.id != to.id
                || witness.entry(from.id).is_some_and(knows) && witness.myself.config_epoch != epoch
        })
        .await
    }

    /// Waits until one node has read what the other had written to it on the cluster bus until now.
    ///
    /// A primary of Valkey 8.0 and newer that imports a slot takes it over, with an epoch above all others, as soon as the node that it
    /// imports from does not name it. A message that is older than the slot's owner does so too, and one may be under way for long: these
    /// links wait for the acknowledgement of what went before, 40 ms and more. The owner would drop the slot's keys.
    ///
    /// A message that is published goes the same way behind the others. Where that is refused, or others publish much, nothing is waited for.
    pub(super) async fn await_heard(&self, from: &NodeRef, by: &NodeRef) -> Result<(), RunError> {
        let (talker, listener) = (self.link(from)?, ask(self.link(by)?).await?);
        if listener.server.engine != Engine::Valkey || !listener.server.is_since(8, 0) {
            return Ok(());
        }
        let heard = listener.cluster.published_received;
        let begin = Instant::now();
        while begin.elapsed() < self.patience.agreement {
            if talker.send(vec![Command::Publish]).await?.iter().any(|reply| matches!(reply, Reply::Error(_))) {
                return Ok(());
            }
            // One that is published while the link is set up anew is lost.
            let published = Instant::now();
            while published.elapsed() < MEET_AGAIN {
                if ask(self.link(by)?).await?.cluster.published_received > heard {
                    return Ok(());
                }
                sleep(LOOK).await;
            }
        }
        let missing = format!("{} does not hear {} on the cluster bus", by.address, from.address);
        Err(RunError::NotInTime { waited: begin.elapsed(), missing })
    }

    /// Lets all these nodes forget one, with the proof made from what all of them say now.
    pub(super) async fn forget(&self, node: &NodeRef, by: &[NodeRef]) -> Result<(), RunError> {
        self.await_handshakes(node, by).await?;
        let look = self.look(by).await?;
        // Those that have forgotten it already have a word in that, too.
        let others = self.views(|id| by.iter().all(|by| by.id != id)).await;
        let told = look.iter().map(|(by, said)| (by.address.clone(), by.id, said));
        let others = others.iter().filter_map(|(id, said)| Some((self.links.get(id)?.address().clone(), *id, said)));
        let told = told.chain(others);
        let view = ClusterView {
            nodes: told
                .map(|(address, id, said)| ObservedNode { address, id: Some(id), said: Ok(said.clone()) })
                .collect(),
        };
        let proof = OwnsNothing::by(&view, node.id)
            .map_err(|refusal| RunError::Changed { address: node.address.clone(), change: refusal.to_string() })?;
        let knows = look.iter().filter(|(_, said)| said.entry(node.id).is_some());
        let forget = |(by, _): &(NodeRef, NodeView)| {
            let (by, proof) = (by.clone(), proof.clone());
            async move { command(self.link(&by)?, Command::Forget(proof)).await }
        };
        try_join_all(knows.map(forget)).await.map(drop)
    }

    /// Looks until neither these nodes nor this one are still meeting each other: servers have a node under a random id until
    /// then, so that one who has just forgotten it would come to know it again. They give a handshake up themselves after the node
    /// timeout, at least 1 s; where they begin it again and again, because the bus is closed, waiting longer would not help.
    async fn await_handshakes(&self, node: &NodeRef, with: &[NodeRef]) -> Result<(), RunError> {
        let others = |by: &NodeRef| if by.id == node.id { with } else { slice::from_ref(node) };
        let begin = Instant::now();
        while begin.elapsed() < self.patience.agreement {
            let mut look = self.look(with).await?;
            // It meets nobody when it has been stopped.
            look.extend(self.look(slice::from_ref(node)).await.unwrap_or_default());
            let meeting = look.iter().find(|(by, said)| {
                let mut met = said.peers.iter().filter(|entry| !known(entry));
                met.any(|entry| others(by).iter().any(|other| self.is_at(entry, other)))
            });
            let Some((by, _)) = meeting else { return Ok(()) };
            (self.progress)(Progress::Waiting { missing: format!("{} is still meeting other nodes", by.address) });
            sleep(MOST_PAUSE).await;
        }
        Ok(())
    }

    /// Whether an entry without a known id has the address of this node.
    fn is_at(&self, entry: &topology::NodeEntry, node: &NodeRef) -> bool {
        let ip = self.links.get(&node.id).map(|link| Host::Ip(link.ip()));
        let host = entry.endpoint.host.as_ref();
        entry.endpoint.port == node.address.port && (host == Some(&node.address.host) || host == ip.as_ref())
    }

    /// Looks until nothing is missing any more.
    pub(super) async fn await_all(
        &self,
        nodes: &[NodeRef],
        missing: fn(&Look) -> Option<String>,
    ) -> Result<(), RunError> {
        let begin = Instant::now();
        let mut pause = LOOK;
        loop {
            let missing = match self.look(nodes).await {
                // A replica that gets a whole copy answers when it has loaded it.
                Err(RunError::Node(error)) if matches!(error.trouble, Trouble::Loading { .. }) => error.to_string(),
                look => match missing(&look?) {
                    Some(missing) => missing,
                    None => return Ok(()),
                },
            };
            if begin.elapsed() >= self.patience.service {
                return Err(RunError::NotInTime { waited: begin.elapsed(), missing });
            }
            (self.progress)(Progress::Waiting { missing });
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    /// Looks until every node is satisfied with what every other knows of it, and lets each introduce itself where it is not.
    ///
    /// `CLUSTER MEET` to a node that knows the sender already carries the sender's role and slots at once; without it
    /// they spread by gossip within half the node timeout.
    async fn introduce_until(
        &self,
        nodes: &[NodeRef],
        satisfied: impl Fn(&NodeView, &NodeView) -> bool,
    ) -> Result<(), RunError> {
        let begin = Instant::now();
        let mut introduced: Option<Instant> = None;
        loop {
            let asked = Instant::now();
            let look = match self.look(nodes).await {
                Err(RunError::Node(error))
                    if matches!(error.trouble, Trouble::Loading { .. })
                        && begin.elapsed() < self.patience.agreement =>
                {
                    (self.progress)(Progress::Waiting { missing: error.to_string() });
                    sleep(MOST_PAUSE).await;
                    continue;
                }
                look => look?,
            };
            // Looking at many nodes costs them time: no more than half of it goes there.
            let pause = asked.elapsed().clamp(LOOK, MOST_PAUSE);
            let lacking = lacking(&look, &satisfied);
            if lacking.is_empty() {
                return Ok(());
            }
            if begin.elapsed() >= self.patience.agreement {
                let pairs = lacking.iter().map(|(witness, about)| estranged(&look, *witness, *about)).collect();
                return Err(RunError::Estranged { waited: begin.elapsed(), pairs });
            }
            (self.progress)(Progress::Waiting { missing: format!("{} introductions", lacking.len()) });
            if introduced.is_none_or(|last| last.elapsed() >= MEET_AGAIN) {
                let first = introduced.replace(Instant::now()).is_none();
                let pairs = if first && look.len() > CROWD { one_side(&lacking) } else { lacking };
                self.introduce(&look, &pairs).await?;
            }
            sleep(pause).await;
        }
    }

    /// Lets nodes meet those that lack something of them, all at the same time, one write for each node.
    async fn introduce(&self, look: &Look, lacking: &[(usize, usize)]) -> Result<(), RunError> {
        let mut meetings: BTreeMap<usize, Vec<Command>> = BTreeMap::new();
        for &(witness, about) in lacking {
            let Some((node, view)) = look.get(witness) else { continue };
            meetings.entry(about).or_default().push(self.meeting(node, view)?);
        }
        let send = meetings.into_iter().filter_map(|(about, meetings)| {
            let (node, _) = look.get(about)?;
            Some(async move { Ok::<_, RunError>(self.link(node)?.send(meetings).await?) })
        });
        try_join_all(send).await.map(drop)
    }

    /// What another node is told to meet this one.
    pub(super) fn meeting(&self, node: &NodeRef, view: &NodeView) -> Result<Command, RunError> {
        Ok(Command::Meet { ip: self.link(node)?.ip(), port: node.address.port, bus_port: bus_port(node, view) })
    }

    /// What those of the run's nodes say that answer, and are wanted.
    pub(super) async fn views(&self, wanted: impl Fn(NodeId) -> bool) -> BTreeMap<NodeId, NodeView> {
        let links = self.links.iter().filter(|(id, _)| wanted(**id));
        let asked = links.map(|(id, link)| async move { Some((*id, ask(link.as_ref()).await.ok()?)) });
        join_all(asked).await.into_iter().flatten().collect()
    }

    pub(super) async fn look(&self, nodes: &[NodeRef]) -> Result<Look, RunError> {
        let ask = |node: &NodeRef| {
            let node = node.clone();
            async move {
                let link: &dyn NodeLink = self.link(&node)?;
                let view = ask(link).await?;
                Ok::<_, RunError>((node, view))
            }
        };
        try_join_all(nodes.iter().map(ask)).await
    }
}

/// Whether a node knows what another one says of itself.
fn agrees(witness: &NodeView, about: &NodeView) -> bool {
    witness.entry(about.myself.id).is_some_and(|entry| {
        known(entry)
            && entry.slots == about.myself.slots
            && entry.primary == about.myself.primary
            && entry.is_primary() == about.myself.is_primary()
    })
}

fn known(entry: &topology::NodeEntry) -> bool {
    !entry.flags.has(&Flag::Handshake)
}

/// The pairs (witness, node) in which the witness does not know of the node what it should.
fn lacking(look: &Look, satisfied: impl Fn(&NodeView, &NodeView) -> bool) -> Vec<(usize, usize)> {
    let mut lacking = Vec::new();
    for (witness, (_, view)) in look.iter().enumerate() {
        for (about, (_, other)) in look.iter().enumerate() {
            if witness != about && !satisfied(view, other) {
                lacking.push((witness, about));
            }
        }
    }
    lacking
}

/// Of two that lack each other only one: the other learns of it by the same handshake.
fn one_side(lacking: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let all: BTreeSet<_> = lacking.iter().copied().collect();
    let mutual = |&(witness, about): &(usize, usize)| all.contains(&(about, witness));
    lacking.iter().copied().filter(|pair| pair.0 < pair.1 || !mutual(pair)).collect()
}

fn estranged(look: &Look, witness: usize, about: usize) -> Estranged {
    let name = |at: usize| look.get(at).map(|(node, view)| (node.address.clone(), bus_port(node, view)));
    let nowhere = || (NodeAddr::new(topology::Host::Name("unknown".into()), 0), 0);
    let (node, _) = name(witness).unwrap_or_else(nowhere);
    let (other, bus_port) = name(about).unwrap_or_else(nowhere);
    Estranged { node, other, bus_port }
}

/// The bus port: the node's own word, else what was given, else the client port + 10000.
fn bus_port(node: &NodeRef, view: &NodeView) -> u16 {
    let given = node.address.bus_port;
    given.or(view.myself.endpoint.bus_port).or_else(|| node.address.bus_port()).unwrap_or(node.address.port)
}

/// The first node that does not serve, in words.
pub(super) fn not_serving(look: &Look) -> Option<String> {
    let (node, _) = look.iter().find(|(_, view)| !view.cluster.state_ok)?;
    Some(format!("{} does not serve yet: its cluster_state is fail", node.address))
}

/// The first replica without a link to its primary, in words.
pub(super) fn not_linked(look: &Look) -> Option<String> {
    let (node, view) = look.iter().find(|(_, view)| view.server.primary_link_up == Some(false))?;
    let primary = view.myself.primary.map(|id| {
        let found = look.iter().find(|(node, _)| node.id == id);
        found.map_or_else(|| id.short(), |(node, _)| node.address.to_string())
    });
    Some(format!("{} is not linked to {} yet", node.address, primary.as_deref().unwrap_or("its primary")))
}
