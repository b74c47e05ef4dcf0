//! What the loop remembers: since when nobody answers, and what has failed.

use super::{
    Failure,
    work::{Finished, moves_keys},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;
use topology::{
    ClusterView, Flag, FleetMember, NodeId, NodeView,
    control::Memory,
    plan::{Action, may_move},
};

/// How long to wait before a step that failed is tried again: once for each time in a row.
const AGAIN: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
];
/// Time between two counts of keys.
const COUNTED: Duration = Duration::from_secs(1);
/// What has failed is forgotten this long after it could have been tried again.
const FORGOTTEN: Duration = Duration::from_mins(1);

/// The loop's memory.
#[derive(Default)]
pub(super) struct Past {
    silent: BTreeMap<NodeId, Instant>,
    absent: BTreeMap<String, Instant>,
    calm: Option<Instant>,
    unsettled: Option<Instant>,
    histories: BTreeMap<NodeId, String>,
    keys: BTreeMap<NodeId, u64>,
    prepared: BTreeSet<NodeId>,
    estranged: BTreeMap<NodeId, Instant>,
    littered: BTreeMap<NodeId, Instant>,
    /// Primaries that held no keys of slots of others when that was counted, and those that did.
    tidy: BTreeSet<NodeId>,
    untidy: BTreeSet<NodeId>,
    counted: Option<Instant>,
    failed: BTreeMap<Key, Failed>,
}

/// What a step is about: enough to know it again when it is wanted again, with other slots perhaps.
type Key = (&'static str, Vec<NodeId>, String);

/// A step that has failed.
struct Failed {
    action: Action,
    error: String,
    times: u32,
    again: Instant,
}

impl Past {
    /// Takes in a look, made while these steps were under way.
    pub(super) fn see(&mut self, now: Instant, members: &[FleetMember], view: &ClusterView, under_way: &[Action]) {
        let moves = under_way.iter().any(|action| matches!(action, Action::MoveSlots { .. }));
        if moves || may_move(view) {
            self.unsettled = None;
        } else {
            self.unsettled.get_or_insert(now);
        }
        note(&mut self.silent, now, view.silent().filter_map(|(node, _)| node.id).collect());
        let known: BTreeSet<NodeId> = view.nodes.iter().filter_map(|node| node.id).collect();
        self.histories.retain(|id, _| known.contains(id));
        self.keys.retain(|id, _| known.contains(id));
        for (_, said) in view.answering().filter(|(_, said)| said.myself.is_primary()) {
            self.keys.insert(said.myself.id, said.server.keys());
            if let Some(history) = &said.server.replication_id {
                self.histories.insert(said.myself.id, history.clone());
            }
        }
        note(&mut self.estranged, now, estranged(view));
        let is_littered =
            |said: &NodeView| said.myself.is_primary() && said.myself.slots.is_empty() && said.server.keys() > 0;
        let primaries: BTreeSet<NodeId> =
            view.answering().filter(|(_, said)| said.myself.is_primary()).map(|(_, said)| said.myself.id).collect();
        self.tidy.retain(|id| primaries.contains(id));
        self.untidy.retain(|id| primaries.contains(id));
        let littered = view.answering().filter(|(_, said)| is_littered(said)).map(|(_, said)| said.myself.id);
        note(&mut self.littered, now, littered.chain(self.untidy.iter().copied()).collect());
        let answers = |member: &FleetMember| {
            let address = member.address.as_ref();
            address.is_some_and(|address| view.answering().any(|(node, _)| node.address.same_endpoint(address)))
        };
        let absent = members.iter().filter(|member| !answers(member)).map(|member| member.name.clone());
        note(&mut self.absent, now, absent.collect());
    }

    /// Whether it is to be counted now which primaries hold keys of slots of others: where somebody has become a primary, and after a loop began,
    /// slots moved, or a step did not end well. What a move brings before it ends is not of the one who holds it, and such a move may have ended without
    /// leaving a trace.
    pub(super) fn is_to_count(&self, now: Instant, view: &ClusterView) -> bool {
        let is_open = |said: &NodeView| !said.myself.open_slots().is_empty();
        let is_unknown = |said: &NodeView| {
            said.myself.is_primary() && said.server.keys() > 0 && !self.tidy.contains(&said.myself.id)
        };
        self.counted.is_none_or(|counted| now >= counted + COUNTED)
            && view.answering().any(|(_, said)| is_unknown(said))
            && !view.answering().any(|(_, said)| is_open(said))
            && may_move(view)
    }

    /// Takes in who holds keys of slots of others, of all primaries that answer.
    pub(super) fn count(&mut self, now: Instant, view: &ClusterView, untidy: BTreeSet<NodeId>) {
        let primaries = view.answering().filter(|(_, said)| said.myself.is_primary()).map(|(_, said)| said.myself.id);
        self.tidy = primaries.filter(|id| !untidy.contains(id)).collect();
        self.untidy = untidy;
        self.counted = Some(now);
    }

    /// How many keys each primary held when it last answered.
    pub(super) const fn keys(&self) -> &BTreeMap<NodeId, u64> {
        &self.keys
    }

    /// Takes in what has become of a step.
    pub(super) fn take(&mut self, now: Instant, finished: Finished) {
        let Finished { action, error } = finished;
        let key = key(&action);
        let prepares = if let Action::CopyFunctions { to, .. } = &action { Some(to.id) } else { None };
        // A move that is not wanted any more ends well, too, wherever it was.
        if error.is_some() || moves_keys(&action) {
            self.tidy.clear();
        }
        let Some(error) = error else {
            self.failed.remove(&key);
            self.prepared.extend(prepares);
            return;
        };
        let times = self.failed.get(&key).map_or(0, |failed| failed.times) + 1;
        let pause = AGAIN.get(times as usize - 1).or(AGAIN.last()).copied().unwrap_or_default();
        // Slots go to a primary without its functions rather than not at all.
        self.prepared.extend(prepares.filter(|_| times as usize >= AGAIN.len()));
        self.failed.insert(key, Failed { action, error, times, again: now + pause });
    }

    /// Takes in whether there is nothing to do.
    pub(super) fn rest(&mut self, now: Instant, is_settled: bool) {
        self.calm = if is_settled { self.calm.or(Some(now)) } else { None };
    }

    /// Whether a step has not failed just now.
    pub(super) fn may_try(&mut self, now: Instant, action: &Action) -> bool {
        self.failed.retain(|_, failed| now < failed.again + FORGOTTEN);
        self.failed.get(&key(action)).is_none_or(|failed| now >= failed.again)
    }

    /// What has failed and is not to be tried yet.
    pub(super) fn failures(&self, now: Instant) -> Vec<Failure> {
        let waiting = self.failed.values().filter(|failed| now < failed.again);
        let failure = |failed: &Failed| Failure {
            action: failed.action.clone(),
            error: failed.error.clone(),
            times: failed.times,
            again_in_seconds: failed.again.duration_since(now).as_secs_f64(),
        };
        waiting.map(failure).collect()
    }

    /// What a decision is made from.
    pub(super) fn memory(&self, now: Instant, under_way: Vec<Action>) -> Memory {
        let since = |begin: &Instant| now.duration_since(*begin);
        Memory {
            calm: self.calm.as_ref().map(since).unwrap_or_default(),
            silent: self.silent.iter().map(|(id, begin)| (*id, since(begin))).collect(),
            absent: self.absent.iter().map(|(name, begin)| (name.clone(), since(begin))).collect(),
            unsettled: self.unsettled.as_ref().map(since).unwrap_or_default(),
            histories: self.histories.clone(),
            keys: self.keys.clone(),
            prepared: self.prepared.clone(),
            estranged: self.estranged.iter().map(|(id, begin)| (*id, since(begin))).collect(),
            littered: self.littered.iter().map(|(id, begin)| (*id, since(begin))).collect(),
            under_way,
        }
    }
}

/// Notes since when something is so: for those that it is so for now, and for no others.
fn note<Key: Ord>(since: &mut BTreeMap<Key, Instant>, now: Instant, keys: BTreeSet<Key>) {
    since.retain(|key, _| keys.contains(key));
    for key in keys {
        since.entry(key).or_insert(now);
    }
}

/// The nodes that answer whom some node that answers knows, and another one does not.
fn estranged(view: &ClusterView) -> BTreeSet<NodeId> {
    let mut known: BTreeMap<NodeId, usize> = BTreeMap::new();
    let mut witnesses = 0;
    for (_, said) in view.answering().filter(|(_, said)| !said.peers.is_empty()) {
        witnesses += 1;
        for entry in said.entries().filter(|entry| !entry.flags.has(&Flag::Handshake)) {
            *known.entry(entry.id).or_default() += 1;
        }
    }
    let answering = view.answering().map(|(_, said)| said.myself.id);
    answering.filter(|id| known.get(id).is_some_and(|by| *by < witnesses)).collect()
}

fn key(action: &Action) -> Key {
    let nodes = action.nodes().into_iter().map(|node| node.id).collect();
    let member = match action {
        Action::RemoveMember { member, .. }
        | Action::UpdateMember { member, .. }
        | Action::RestartMember { member, .. } => member.clone(),
        _ => String::new(),
    };
    (action.name(), nodes, member)
}
