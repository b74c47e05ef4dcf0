//! What the own server said last, and what follows from that.

use operations::port::Trouble;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::Instant;
use topology::{Flag, NodeAddr, NodeEntry, NodeId, NodeView, SlotSet};

/// What the server said last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// What it said; stays when it dies.
    pub(crate) view: Option<Arc<NodeView>>,
    /// In which run, and when.
    pub(crate) run: u64,
    pub(crate) at: Option<Instant>,
    /// Why it did not answer when it was asked the last time.
    pub(crate) trouble: Option<Trouble>,
    /// Whose data it has got in this run, if it is a replica.
    copied: Option<Copied>,
    /// When it was last a primary with slots, in this run.
    served: Option<Instant>,
}

/// A primary whose data a replica has, as that looked when the link was last seen up.
#[derive(Clone, Debug)]
struct Copied {
    primary: NodeId,
    slots: SlotSet,
    siblings: BTreeSet<NodeId>,
}

impl Copied {
    fn of(primary: NodeId, view: &NodeView) -> Self {
        let slots = view.entry(primary).map(|entry| entry.slots.clone()).unwrap_or_default();
        let siblings = view.peers.iter().filter(|other| other.primary == Some(primary)).map(|other| other.id).collect();
        Self { primary, slots, siblings }
    }

    /// Whether this primary is the same, or a replica that has taken its place with all its slots.
    fn is_of(&self, primary: NodeId, view: &NodeView) -> bool {
        let owns_all = |entry: &NodeEntry| self.slots.difference(&entry.slots).is_empty();
        let is_heir = || self.siblings.contains(&primary) && view.entry(primary).is_some_and(owns_all);
        self.primary == primary || !self.slots.is_empty() && is_heir()
    }
}

impl Seen {
    /// Takes in what the server says now.
    pub(crate) fn take(&mut self, run: u64, view: &Arc<NodeView>) {
        let is_linked = view.server.primary_link_up == Some(true);
        let copied = match view.myself.primary {
            Some(primary) if is_linked => Some(Copied::of(primary, view)),
            Some(_) => self.copied.take().filter(|_| self.run == run),
            None => None,
        };
        let (now, serves) = (Instant::now(), view.myself.is_primary() && !view.myself.slots.is_empty());
        let served = if serves { Some(now) } else { self.served.filter(|_| self.run == run) };
        *self = Self { view: Some(Arc::clone(view)), run, at: Some(now), trouble: None, copied, served };
    }

    /// Whether it is a replica that followed another primary in this run, and has nothing of the present one's data yet.
    pub(crate) fn lacks_copy(&self) -> bool {
        let (Some(view), Some(copied)) = (&self.view, &self.copied) else { return false };
        view.myself.primary.is_some_and(|primary| !copied.is_of(primary, view))
    }

    /// Whether it was a primary with slots no longer ago than this.
    pub(crate) fn has_served_within(&self, time: Duration) -> bool {
        self.served.is_some_and(|served| served.elapsed() <= time)
    }

    /// Whether it says that it does not stand for election.
    pub(crate) fn is_never_elected(&self) -> bool {
        self.view.as_ref().is_some_and(|view| view.myself.flags.has(&Flag::NoFailover))
    }

    /// The primary of this replica, by its own word.
    pub(crate) fn primary(&self) -> Option<(NodeId, NodeAddr)> {
        let view = self.view.as_ref()?;
        let id = view.myself.primary?;
        Some((id, view.entry(id)?.endpoint.address()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "07c37dfeb235213a872192d90877d0cd55635b91";
    const OTHER: &str = "1111111111111111111111111111111111111111";
    const SIBLING: &str = "2222222222222222222222222222222222222222";

    /// What a replica of this one says, with these other lines.
    fn follows(primary: &str, link: &str, others: &[String]) -> Arc<NodeView> {
        let myself = format!(
            "e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca 127.0.0.1:7003@17003 myself,slave {primary} 0 0 4 connected"
        );
        let nodes = [&[myself], others].concat().join("\n");
        Arc::new(NodeView::parse(&nodes, "cluster_state:ok\n", &format!("master_link_status:{link}\n")).unwrap())
    }

    fn primary(id: &str, slots: &str) -> String {
        format!("{id} 127.0.0.1:7000@17000 master - 0 0 4 connected {slots}")
    }

    fn replica(id: &str, of: &str) -> String {
        format!("{id} 127.0.0.1:7004@17004 slave {of} 0 0 4 connected")
    }

    /// Whether it lacks a copy after it was linked to the old primary with a sibling, and then says this.
    fn lacks(then: &Arc<NodeView>, run: u64) -> bool {
        let mut seen = Seen::default();
        let others = [primary(OLD, "0-99"), primary(OTHER, "100-16383"), replica(SIBLING, OLD)];
        seen.take(1, &follows(OLD, "up", &others));
        assert!(!seen.lacks_copy());
        seen.take(run, then);
        seen.lacks_copy()
    }

    #[test]
    fn a_replica_has_nothing_of_another_shard_before_it_was_linked_to_it() {
        let others = [primary(OLD, "0-99"), primary(OTHER, "100-16383"), replica(SIBLING, OLD)];
        assert!(lacks(&follows(OTHER, "down", &others), 1));
        assert!(!lacks(&follows(OTHER, "up", &others), 1));
        assert!(!lacks(&follows(OLD, "down", &others), 1), "its link broke");
        assert!(!lacks(&follows(OTHER, "down", &others), 2), "what it has on disk may be of that one");
    }

    #[test]
    fn a_sibling_that_has_taken_over_has_the_same_data_and_one_that_became_a_shard_of_its_own_has_not() {
        assert!(!lacks(&follows(SIBLING, "down", &[primary(SIBLING, "0-99"), primary(OTHER, "100-16383")]), 1));
        let beside = [primary(OLD, "50-99"), primary(SIBLING, "0-49"), primary(OTHER, "100-16383")];
        assert!(lacks(&follows(SIBLING, "down", &beside), 1));
    }
}
