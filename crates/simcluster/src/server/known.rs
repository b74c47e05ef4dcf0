//! What a server believes of a node.

use crate::bus::{Address, At, Millis};
use topology::{NodeId, SlotSet};

/// The link over which a server tells a node things.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) number: u64,
    /// The process at its other end; none while nothing comes back from there.
    pub(crate) to: Option<(At, u32)>,
    pub(crate) since: Millis,
}

/// The system asks again for a connection that nobody has answered; it waits longer each time, which is left out here.
const ASKED_AGAIN: Millis = 1_000;

impl Link {
    /// Whether nothing has come back from there yet, and it is time to ask again.
    pub(crate) const fn is_tried_again(&self, now: Millis) -> bool {
        self.to.is_none() && now.saturating_sub(self.since) >= ASKED_AGAIN
    }
}

/// What a server believes of a node, itself among them.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "flags, as the servers have them")]
pub(crate) struct Known {
    pub(crate) id: NodeId,
    /// None: `noaddr`.
    pub(crate) address: Option<Address>,
    pub(crate) is_replica: bool,
    pub(crate) primary: Option<NodeId>,
    pub(crate) in_handshake: bool,
    /// Whether the next message to it introduces us.
    pub(crate) to_meet: bool,
    pub(crate) is_suspected: bool,
    pub(crate) has_failed: bool,
    /// Whether it had replicas, or took the place of one that had (`migrate-to`).
    pub(crate) had_replicas: bool,
    /// The shard that it says it belongs to: a replica's is that of its primary (7.2).
    pub(crate) shard: NodeId,
    pub(crate) epoch: u64,
    pub(crate) slots: SlotSet,
    pub(crate) offset: u64,
    pub(crate) created: Millis,
    /// 0 for none under way.
    pub(crate) ping_sent: Millis,
    pub(crate) pong_received: Millis,
    pub(crate) data_received: Millis,
    pub(crate) failed_at: Millis,
    pub(crate) voted_at: Millis,
    pub(crate) orphaned_at: Millis,
    pub(crate) link: Option<Link>,
    /// Who takes it for failing, and when that was said.
    pub(crate) reports: Vec<(NodeId, Millis)>,
    /// Its id and address as text, and what they were when that was made: they are told again and again.
    pub(crate) label: (Option<NodeId>, Option<Address>, String),
}

impl Known {
    pub(crate) const fn new(id: NodeId, now: Millis) -> Self {
        Self {
            id,
            address: None,
            is_replica: false,
            primary: None,
            in_handshake: false,
            to_meet: false,
            is_suspected: false,
            has_failed: false,
            had_replicas: false,
            shard: id,
            epoch: 0,
            slots: SlotSet::new(),
            offset: 0,
            created: now,
            ping_sent: 0,
            pong_received: 0,
            data_received: 0,
            failed_at: 0,
            voted_at: 0,
            orphaned_at: 0,
            link: None,
            reports: Vec::new(),
            label: (None, None, String::new()),
        }
    }

    pub(crate) const fn owns_slots(&self) -> bool {
        !self.slots.is_empty()
    }

    pub(crate) const fn is_down(&self) -> bool {
        self.is_suspected || self.has_failed
    }

    /// Takes note that this node takes it for failing; gives whether that is new.
    pub(crate) fn report(&mut self, by: NodeId, now: Millis) -> bool {
        if let Some(report) = self.reports.iter_mut().find(|(who, _)| *who == by) {
            report.1 = now;
            return false;
        }
        self.reports.push((by, now));
        true
    }

    /// How many reports are not too old.
    pub(crate) fn count_reports(&mut self, now: Millis, node_timeout: Millis) -> usize {
        self.reports.retain(|(_, said)| now.saturating_sub(*said) <= node_timeout * 2);
        self.reports.len()
    }
}
