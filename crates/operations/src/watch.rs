//! Looking at a cluster again and again, over links that stay open.

use crate::{
    observe::{Observation, ask, dialable, late, not_asked, silence},
    port::{Command, Dialer, NodeError, NodeLink},
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};
use topology::{
    ClusterView, NodeAddr, NodeId, NodeView, ObservedNode, Reply, ServerMigration, Silence, load::Sample,
    slot_stats::SlotStats,
};

/// Slots that a node is asked for, those first on which it has spent most time.
const SLOTS: u32 = 64;

/// A cluster that is looked at again and again.
pub struct Watch<'a> {
    dialer: &'a dyn Dialer,
    nodes: BTreeMap<NodeId, Watched>,
    /// In which order nodes are shown.
    order: Vec<NodeId>,
    asking: FuturesUnordered<BoxFuture<'a, (NodeId, Result<Told, NodeError>)>>,
}

/// A node, and what is known of it.
struct Watched {
    address: NodeAddr,
    link: Option<Arc<dyn NodeLink>>,
    offers: Offers,
    /// Since when it has been asked without an answer.
    asked: Option<Instant>,
    latest: Result<Told, Silence>,
}

/// What a node said.
struct Told {
    link: Arc<dyn NodeLink>,
    offers: Offers,
    view: NodeView,
    slots: Vec<SlotStats>,
    migrations: Vec<ServerMigration>,
}

/// What a node can be asked beyond its view; what it refuses is not asked again.
#[derive(Clone, Copy)]
struct Offers {
    slots: Option<&'static str>,
    jobs: bool,
    tasks: bool,
}

impl Offers {
    const ALL: Self = Self { slots: Some(BY_TIME), jobs: true, tasks: true };

    fn commands(self) -> Vec<Command> {
        let slots = self.slots.map(|order| Command::SlotStats(order, SLOTS));
        let jobs = self.jobs.then_some(Command::SlotMigrations);
        let tasks = self.tasks.then_some(Command::MigrationTasks);
        [slots, jobs, tasks].into_iter().flatten().collect()
    }
}

/// Told where `cluster-slot-stats-enabled` is set.
const BY_TIME: &str = "CPU-USEC";
const BY_KEYS: &str = "KEY-COUNT";

impl<'a> Watch<'a> {
    /// Goes on from a first look.
    pub fn of(dialer: &'a dyn Dialer, observation: Observation) -> Self {
        let Observation { view, mut links, .. } = observation;
        let mut watch = Self { dialer, nodes: BTreeMap::new(), order: Vec::new(), asking: FuturesUnordered::new() };
        for node in view.nodes {
            let Some(id) = node.id else { continue };
            let link = links.remove(&id);
            let latest = Err(node.said.err().unwrap_or_else(not_asked));
            watch.add(id, Watched { address: node.address, link, offers: Offers::ALL, asked: None, latest });
        }
        watch
    }

    fn add(&mut self, id: NodeId, node: Watched) {
        self.order.push(id);
        self.nodes.insert(id, node);
    }

    /// Asks all nodes at once, and returns what they have said when all have answered or this time is over. One that is late
    /// is told of as silent and does not delay the others; it is not asked again before its answer or its end.
    pub async fn look(&mut self, within: Duration) -> Sample {
        let deadline = Instant::now() + within;
        self.ask();
        while let Ok(Some((id, told))) = timeout_at(deadline, self.asking.next()).await {
            self.take(id, told);
        }
        self.find_others();
        self.sample()
    }

    fn ask(&mut self) {
        for (id, node) in &mut self.nodes {
            if node.asked.is_some() {
                continue;
            }
            node.asked = Some(Instant::now());
            let (id, address, link, offers) = (*id, node.address.clone(), node.link.clone(), node.offers);
            let dialer = self.dialer;
            let question = async move { (id, question(dialer, &address, link, offers).await) };
            self.asking.push(question.boxed());
        }
    }

    fn take(&mut self, id: NodeId, told: Result<Told, NodeError>) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.asked = None;
        match told {
            // Another node has its address now.
            Ok(told) if told.view.myself.id != id => {
                node.link = None;
                node.latest = Err(Silence {
                    reason: "answers under the id of another node".into(),
                    advice: None,
                    answers: false,
                    progress: None,
                });
            }
            Ok(told) => {
                (node.link, node.offers) = (Some(Arc::clone(&told.link)), told.offers);
                node.latest = Ok(told);
            }
            Err(error) => {
                node.link = None;
                node.latest = Err(silence(&error));
            }
        }
    }

    /// Takes in nodes that have joined, and drops those that no node knows any more.
    fn find_others(&mut self) {
        let mut known: BTreeMap<NodeId, Option<NodeAddr>> = BTreeMap::new();
        for told in self.nodes.values().filter_map(|node| node.latest.as_ref().ok()) {
            known.entry(told.view.myself.id).or_default();
            for peer in told.view.peers.iter() {
                let address = known.entry(peer.id).or_default();
                *address = address.take().or_else(|| dialable(peer));
            }
        }
        if known.is_empty() {
            return;
        }
        self.nodes.retain(|id, _| known.contains_key(id));
        self.order.retain(|id| known.contains_key(id));
        for (id, address) in known {
            if let Some(address) = address.filter(|_| !self.nodes.contains_key(&id)) {
                self.add(
                    id,
                    Watched { address, link: None, offers: Offers::ALL, asked: None, latest: Err(not_asked()) },
                );
            }
        }
    }

    fn sample(&self) -> Sample {
        let mut sample = Sample { view: ClusterView::default(), slots: BTreeMap::new(), migrations: Vec::new() };
        for (id, node) in self.order.iter().filter_map(|id| Some((*id, self.nodes.get(id)?))) {
            let said = match (&node.asked, &node.latest) {
                (Some(since), _) => Err(late(since.elapsed())),
                (None, Err(silence)) => Err(silence.clone()),
                (None, Ok(told)) => {
                    if !told.slots.is_empty() && told.view.myself.is_primary() {
                        sample.slots.insert(id, told.slots.clone());
                    }
                    sample.migrations.extend(told.migrations.iter().cloned());
                    Ok(told.view.clone())
                }
            };
            sample.view.nodes.push(ObservedNode { address: node.address.clone(), id: Some(id), said });
        }
        sample
    }
}

async fn question(
    dialer: &dyn Dialer,
    address: &NodeAddr,
    link: Option<Arc<dyn NodeLink>>,
    mut offers: Offers,
) -> Result<Told, NodeError> {
    let link = match link {
        Some(link) => link,
        None => dialer.dial(address).await?,
    };
    let view = ask(link.as_ref()).await?;
    let commands = offers.commands();
    let replies = if commands.is_empty() { Vec::new() } else { link.send(commands).await? };
    let mut replies = replies.into_iter();
    let (mut slots, mut migrations) = (Vec::new(), Vec::new());
    if let Some(order) = offers.slots {
        let reply = replies.next().unwrap_or(Reply::Nil);
        slots = SlotStats::parse(&reply);
        if matches!(reply, Reply::Error(_)) && view.myself.is_primary() {
            offers.slots = (order == BY_TIME).then_some(BY_KEYS);
        }
    }
    let mut list = |offered: &mut bool, read: fn(&Reply) -> Option<ServerMigration>| {
        if *offered {
            let reply = replies.next().unwrap_or(Reply::Nil);
            *offered = !matches!(reply, Reply::Error(_));
            migrations.extend(reply.as_list().unwrap_or_default().iter().filter_map(read));
        }
    };
    list(&mut offers.jobs, ServerMigration::of_job);
    list(&mut offers.tasks, ServerMigration::of_task);
    Ok(Told { link, offers, view, slots, migrations })
}
