//! A client of a cluster as applications have it: it knows who owns which slot, follows `MOVED` and `ASK`, and asks again when a node is gone.

use crate::{Cluster, address};
use operations::port::{Command, Dialer, NodeLink};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::timeout;
use topology::{Flag, NodeAddr, NodeEntry, Reply, Slot, SlotSet};

/// How long an answer may take. Shorter than the patience of the servers: an answer of a server that was replaced meanwhile is none.
const ANSWER: Duration = Duration::from_secs(1);
/// No question is sent to more nodes.
const REDIRECTIONS: u32 = 5;
/// Time between two questions for who owns what.
const REFRESH: Duration = Duration::from_millis(100);

/// Why there is no answer that counts. Whether a write was carried out is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoAnswer(pub(super) String);

/// A client with connections of its own.
pub(super) struct Client {
    dialer: Arc<dyn Dialer>,
    cluster: Cluster,
    links: BTreeMap<NodeAddr, Arc<dyn NodeLink>>,
    owners: Vec<(SlotSet, NodeAddr)>,
    refreshed: Option<Instant>,
    /// Counted up, so that each time another node is asked for owners.
    turn: usize,
}

impl Client {
    /// A client that knows nobody yet.
    pub(super) const fn new(dialer: Arc<dyn Dialer>, cluster: Cluster) -> Self {
        Self { dialer, cluster, links: BTreeMap::new(), owners: Vec::new(), refreshed: None, turn: 0 }
    }

    /// The same with no connection yet.
    pub(super) fn another(&self) -> Self {
        Self::new(Arc::clone(&self.dialer), self.cluster.clone())
    }

    /// Sends commands of which the first is for this key, in one write; all replies and who gave them.
    ///
    /// # Errors
    /// When the first was not carried out by the owner of its slot, or that is unknown.
    pub(super) async fn ask(&mut self, key: &str, words: &[Vec<Vec<u8>>]) -> Result<(Vec<Reply>, NodeAddr), NoAnswer> {
        let slot = Slot::of_key(key.as_bytes());
        let Some(mut to) = self.owner(slot) else {
            self.refresh().await;
            return Err(NoAnswer("nobody says who owns the slot".to_owned()));
        };
        let mut asking = false;
        for _ in 0..REDIRECTIONS {
            let mut replies = match self.send(&to, words, asking).await {
                Ok(replies) => replies,
                Err(error) => {
                    self.links.remove(&to);
                    self.refresh().await;
                    return Err(error);
                }
            };
            if asking {
                replies.remove(0);
            }
            let Some(Reply::Error(line)) = replies.first() else { return Ok((replies, to)) };
            let Some((is_asking, address)) = redirection(line) else {
                let line = line.clone();
                self.refresh().await;
                return Err(NoAnswer(line));
            };
            if !is_asking {
                self.moved(slot, &address);
            }
            (to, asking) = (address, is_asking);
        }
        Err(NoAnswer("it is sent to and fro".to_owned()))
    }

    fn owner(&self, slot: Slot) -> Option<NodeAddr> {
        self.owners.iter().find(|(slots, _)| slots.contains(slot)).map(|(_, address)| address.clone())
    }

    fn moved(&mut self, slot: Slot, to: &NodeAddr) {
        for (slots, _) in &mut self.owners {
            slots.remove_range(slot..=slot);
        }
        self.owners.push((SlotSet::from_iter([slot]), to.clone()));
    }

    async fn send(&mut self, to: &NodeAddr, words: &[Vec<Vec<u8>>], asking: bool) -> Result<Vec<Reply>, NoAnswer> {
        let link = self.link(to).await?;
        let asking = asking.then_some(Command::Asking);
        let commands = asking.into_iter().chain(words.iter().cloned().map(Command::Typed)).collect();
        match timeout(ANSWER, link.send(commands)).await {
            Ok(Ok(replies)) => Ok(replies),
            Ok(Err(error)) => Err(NoAnswer(error.to_string())),
            Err(_) => Err(NoAnswer(format!("{to} does not answer in time"))),
        }
    }

    async fn link(&mut self, to: &NodeAddr) -> Result<Arc<dyn NodeLink>, NoAnswer> {
        if let Some(link) = self.links.get(to) {
            return Ok(Arc::clone(link));
        }
        let link = self.dialer.dial(to).await.map_err(|error| NoAnswer(error.to_string()))?;
        self.links.insert(to.clone(), Arc::clone(&link));
        Ok(link)
    }

    /// Asks one node who owns what; another one each time.
    async fn refresh(&mut self) {
        if self.refreshed.is_some_and(|at| at.elapsed() < REFRESH) {
            return;
        }
        let ports = self.cluster.ports().unwrap_or_default();
        for _ in 0..ports.len() {
            self.turn += 1;
            let Some(port) = ports.get(self.turn % ports.len()) else { break };
            let node = address(*port);
            match self.owners_by(&node).await {
                Some(owners) => {
                    self.owners = owners;
                    break;
                }
                None => drop(self.links.remove(&node)),
            }
        }
        self.refreshed = Some(Instant::now());
    }

    async fn owners_by(&mut self, node: &NodeAddr) -> Option<Vec<(SlotSet, NodeAddr)>> {
        let link = self.link(node).await.ok()?;
        let replies = timeout(ANSWER, link.send(vec![Command::ClusterNodes])).await.ok()?.ok()?;
        let entries = NodeEntry::parse_all(&replies.first()?.as_text()?).ok()?;
        let serves =
            |entry: &&NodeEntry| entry.is_primary() && !entry.slots.is_empty() && !entry.flags.has(&Flag::Failing);
        let owner = |entry: &NodeEntry| Some((entry.slots.clone(), entry.endpoint.address()?));
        Some(entries.iter().filter(serves).filter_map(owner).collect::<Vec<_>>()).filter(|owners| !owners.is_empty())
    }
}

/// Where a refusal leads to, and whether only this once.
fn redirection(line: &str) -> Option<(bool, NodeAddr)> {
    let mut words = line.split_whitespace();
    let is_asking = match words.next()? {
        "MOVED" => false,
        "ASK" => true,
        _ => return None,
    };
    Some((is_asking, words.nth(1)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_leads_on_only_where_it_says_so() {
        let to = |line: &str| redirection(line).map(|(asking, address)| (asking, address.to_string()));
        assert_eq!(to("MOVED 3999 127.0.0.1:6381"), Some((false, "127.0.0.1:6381".to_owned())));
        assert_eq!(to("ASK 3999 127.0.0.1:6381"), Some((true, "127.0.0.1:6381".to_owned())));
        assert_eq!(to("CLUSTERDOWN Hash slot not served"), None);
        assert_eq!(to("MOVED"), None);
    }
}
