//! Looking at members and whatever they know, again and again, over links that stay open.

use crate::{
    observe::{Observation, ask, dialable, is_still, late, not_asked, silence},
    port::{Dialer, NodeError, NodeLink, Trouble},
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, timeout, timeout_at};
use topology::{ClusterView, Host, NodeAddr, NodeId, NodeView, ObservedNode, Silence};

/// Where a server is, without what else may be known of its address.
type Place = (Host, u16);

/// Links to servers, and what each said when it was last asked.
pub(super) struct Eyes {
    dialer: Arc<dyn Dialer>,
    seen: BTreeMap<Place, Seen>,
    asking: FuturesUnordered<BoxFuture<'static, (Place, Result<Told, NodeError>)>>,
}

struct Seen {
    address: NodeAddr,
    link: Option<Arc<dyn NodeLink>>,
    /// Since when it has been asked without an answer.
    asked: Option<Instant>,
    latest: Result<NodeView, Silence>,
}

struct Told {
    link: Arc<dyn NodeLink>,
    view: NodeView,
}

impl Eyes {
    pub(super) fn new(dialer: Arc<dyn Dialer>) -> Self {
        Self { dialer, seen: BTreeMap::new(), asking: FuturesUnordered::new() }
    }

    /// Asks the servers at these addresses, and those that they know, all at once. Those that have not answered within this time
    /// are told of as silent, and are not asked again before their answer or its end.
    pub(super) async fn look(&mut self, addresses: &[NodeAddr], within: Duration) -> Observation {
        let deadline = Instant::now() + within;
        let mut wanted: BTreeSet<Place> = addresses.iter().map(place).collect();
        for address in addresses {
            self.watch(address);
        }
        for place in wanted.clone() {
            self.ask(&place);
        }
        while self.is_open(&wanted) {
            let Ok(Some((place, told))) = timeout_at(deadline, self.asking.next()).await else { break };
            for address in self.take(&place, told) {
                let place = self.watch(&address);
                if wanted.insert(place.clone()) {
                    self.ask(&place);
                }
            }
        }
        self.seen.retain(|place, _| wanted.contains(place));
        self.observation(addresses)
    }

    /// Whether all servers that the last look found answered then, and still are what they were: a look that costs each of them a few words,
    /// where [`look`](Self::look) has each of them tell of all.
    pub(super) async fn is_still(&self, within: Duration) -> bool {
        let asked = self.seen.values().map(|seen| match (&seen.latest, &seen.link, seen.asked) {
            (Ok(view), Some(link), None) => Some(is_still(link.as_ref(), view)),
            _ => None,
        });
        let Some(asked) = asked.collect::<Option<FuturesUnordered<_>>>() else { return false };
        timeout(within, asked.all(|is_still| async move { is_still })).await.unwrap_or(false)
    }

    fn is_open(&self, wanted: &BTreeSet<Place>) -> bool {
        wanted.iter().any(|place| self.seen.get(place).is_some_and(|seen| seen.asked.is_some()))
    }

    fn watch(&mut self, address: &NodeAddr) -> Place {
        let place = place(address);
        self.seen.entry(place.clone()).or_insert_with(|| Seen {
            address: address.clone(),
            link: None,
            asked: None,
            latest: Err(not_asked()),
        });
        place
    }

    fn ask(&mut self, place: &Place) {
        let Some(seen) = self.seen.get_mut(place).filter(|seen| seen.asked.is_none()) else { return };
        seen.asked = Some(Instant::now());
        let (place, address, link, dialer) =
            (place.clone(), seen.address.clone(), seen.link.clone(), Arc::clone(&self.dialer));
        self.asking.push(async move { (place, question(dialer.as_ref(), &address, link).await) }.boxed());
    }

    /// Takes in an answer; gives the nodes that it tells of.
    fn take(&mut self, place: &Place, told: Result<Told, NodeError>) -> Vec<NodeAddr> {
        let Some(seen) = self.seen.get_mut(place) else { return Vec::new() };
        seen.asked = None;
        match told {
            Ok(Told { link, view }) => {
                seen.link = Some(link);
                let peers = view.peers.iter().filter_map(dialable).collect();
                seen.latest = Ok(view);
                peers
            }
            Err(error) => {
                seen.link = None;
                seen.latest = Err(silence(&error));
                Vec::new()
            }
        }
    }

    /// Everything that was seen, those at the addresses first.
    fn observation(&self, addresses: &[NodeAddr]) -> Observation {
        let mut observation =
            Observation { view: ClusterView::default(), links: BTreeMap::new(), troubles: Vec::new() };
        let first = addresses.iter().map(place);
        let mut order: Vec<Place> = first.chain(self.seen.keys().cloned()).collect();
        let mut placed = BTreeSet::new();
        order.retain(|place| placed.insert(place.clone()));
        let mut known: BTreeMap<NodeId, NodeAddr> = BTreeMap::new();
        let mut answered = BTreeSet::new();
        for seen in order.iter().filter_map(|place| self.seen.get(place)) {
            let said = match (&seen.latest, seen.asked) {
                (_, Some(since)) => Err(late(since.elapsed())),
                (latest, None) => latest.clone(),
            };
            let id = said.as_ref().ok().map(|said| said.myself.id);
            if let (Some(id), Some(link)) = (id, &seen.link)
                && answered.insert(id)
            {
                observation.links.insert(id, Arc::clone(link));
                let (address, id) = (seen.address.clone(), Some(id));
                observation.view.nodes.push(ObservedNode { address, id, said });
            }
        }
        let told = observation.view.answering().flat_map(|(_, said)| said.peers.iter());
        for peer in told {
            let nowhere = || NodeAddr::new(Host::Name(peer.id.short()), 0);
            let address = dialable(peer);
            let is_known = known.contains_key(&peer.id);
            if address.is_some() || !is_known {
                known.insert(peer.id, address.unwrap_or_else(nowhere));
            }
        }
        known.retain(|id, _| !answered.contains(id));
        for (id, address) in known {
            let seen = self.seen.get(&place(&address));
            let said = Err(seen.map_or_else(
                || elsewhere(None),
                |seen| match (&seen.latest, seen.asked) {
                    (_, Some(since)) => late(since.elapsed()),
                    (Err(silence), None) => silence.clone(),
                    (Ok(other), None) => elsewhere(Some(other.myself.id)),
                },
            ));
            observation.view.nodes.push(ObservedNode { address, id: Some(id), said });
        }
        observation
    }
}

async fn question(dialer: &dyn Dialer, address: &NodeAddr, link: Option<Arc<dyn NodeLink>>) -> Result<Told, NodeError> {
    if let Some(link) = link {
        match ask(link.as_ref()).await {
            // A server that was started again has closed it, and answers over a new one.
            Err(NodeError { trouble: Trouble::Closed, .. }) => {}
            view => return Ok(Told { view: view?, link }),
        }
    }
    let link = dialer.dial(address).await?;
    let view = ask(link.as_ref()).await?;
    Ok(Told { link, view })
}

fn place(address: &NodeAddr) -> Place {
    (address.host.clone(), address.port)
}

fn elsewhere(other: Option<NodeId>) -> Silence {
    let reason = other.map_or_else(
        || "has no address that is known".to_owned(),
        |other| format!("is not there: {} answers at its address", other.short()),
    );
    Silence { reason, advice: None, answers: false, progress: None }
}
