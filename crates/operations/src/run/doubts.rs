//! Slots that a server before Redis and Valkey 8.0 would give away to whoever names them.
//!
//! Such a server takes note when the owner that it knows of a slot does not name it (`owner_not_claiming_slot`), as in a message that
//! is older than what it was told by a command. The note stays when it gets the slot itself by a command. The next message that names
//! the slot, such as one from the last owner that was under way, then takes it away again, with any epoch, and its keys are dropped
//! (seen on Redis 7.0.15). It shows nowhere, and a message takes it back only where it tells of other slots than the server knows.

use super::{RunError, Runner, together::LOOK};
use crate::{
    exchange::accepted,
    observe::ask,
    port::{Command, SlotState},
};
use futures_util::future::join_all;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tokio::time::sleep;
use topology::{
    NodeId, NodeView, Slot, SlotSet,
    plan::{Action, NodeRef, Plan, Step},
};

/// How often it is tried where the owner puts the decoy right too early.
const ATTEMPTS: usize = 5;
/// How long it is waited at most until nodes have heard of each other.
const HEARD: Duration = Duration::from_secs(1);
/// How long a node takes to introduce itself, at most: it passes over that while its last introduction has not ended.
const MEETING: Duration = Duration::from_millis(200);

type Views = BTreeMap<NodeId, NodeView>;

/// A slot about which a destination is told something else than its source tells it.
struct Decoy {
    from: NodeRef,
    to: NodeRef,
    slot: Slot,
    /// Who owns it.
    owner: NodeId,
}

impl Runner<'_> {
    /// Lets the destinations of these steps take back such notes about all slots of their sources, before any of them moves.
    ///
    /// The destination is told that the source owns one slot more, which is a third node's and does not move. Then the source introduces
    /// itself, by which it tells all that it owns, and older messages that are under way are lost with the link that they are on.
    /// Meanwhile the destination sends clients of that slot to the source, and it sends them on.
    ///
    /// With fewer than three primaries nothing can be done, nor where a node does not answer or does not hear the other: whatever is wrong
    /// there shows in the steps.
    pub(super) async fn clear_doubts(&self, plan: &Plan, steps: &[&Step]) {
        let destination = |step: &&Step| match &step.action {
            Action::MoveSlots { to, .. } => Some(to.id),
            _ => None,
        };
        let destinations: BTreeSet<NodeId> = steps.iter().filter_map(destination).collect();
        if !self.views(|id| destinations.contains(&id)).await.values().any(takes_notes) {
            return;
        }
        let (begin, mut views) = (Instant::now(), self.views(|_| true).await);
        let mut decoys = decoys(steps, &moved(plan), &views);
        while begin.elapsed() < HEARD {
            let news = |decoy: &Decoy| believers(decoy, &views).into_iter().map(|node| (decoy.from.id, node)).collect();
            let news: BTreeSet<(NodeId, NodeId)> = decoys.iter().flat_map::<Vec<_>, _>(news).collect();
            if news.is_empty() {
                break;
            }
            join_all(news.into_iter().map(|(source, node)| self.let_hear(source, node))).await;
            views = self.views(|_| true).await;
        }
        decoys.retain(|decoy| believers(decoy, &views).is_empty());
        let of = |id| decoys.iter().filter(move |decoy| decoy.to.id == id).collect();
        join_all(destinations.into_iter().map(|id| self.clear_doubts_of(of(id)))).await;
    }

    /// With decoys that all have the same destination, one after the other: the owner of one may be the source of the next, and would
    /// name it. One that fails is no reason to leave out the next.
    async fn clear_doubts_of(&self, decoys: Vec<&Decoy>) {
        for decoy in decoys {
            drop(self.clear_doubt(decoy).await);
        }
    }

    async fn clear_doubt(&self, decoy: &Decoy) -> Result<(), RunError> {
        let destination = self.link(&decoy.to)?;
        let tell = |owner| vec![Command::SetSlot(decoy.slot, SlotState::Node(owner))];
        for _ in 0..ATTEMPTS {
            accepted(destination, tell(decoy.from.id)).await?;
            let heard = self.let_hear(decoy.from.id, decoy.to.id).await;
            let view = ask(destination).await;
            accepted(destination, tell(decoy.owner)).await?;
            // Otherwise the owner may have put it right before the source was heard.
            let stayed = view?.entry(decoy.from.id).is_some_and(|entry| entry.slots.contains(decoy.slot));
            if !heard? || stayed {
                break;
            }
        }
        Ok(())
    }

    /// Lets a node hear another one, which introduces itself to it; gives whether it has.
    async fn let_hear(&self, talker: NodeId, listener: NodeId) -> Result<bool, RunError> {
        let Some((talker, listener)) = self.links.get(&talker).zip(self.links.get(&listener)) else { return Ok(false) };
        let (begin, before) = (Instant::now(), ask(listener.as_ref()).await?);
        let meeting = self.meeting(&NodeRef { id: before.myself.id, address: listener.address().clone() }, &before)?;
        let mut told = None;
        while begin.elapsed() < HEARD {
            if told.is_none_or(|told: Instant| told.elapsed() > MEETING) {
                told = Some(Instant::now());
                accepted(talker.as_ref(), vec![meeting.clone()]).await?;
            }
            if ask(listener.as_ref()).await?.cluster.meets_received > before.cluster.meets_received {
                return Ok(true);
            }
            sleep(LOOK).await;
        }
        Ok(false)
    }
}

/// All slots that a plan moves.
fn moved(plan: &Plan) -> SlotSet {
    plan.steps.iter().fold(SlotSet::new(), |all, step| match &step.action {
        Action::MoveSlots { slots, .. } => all.union(slots),
        _ => all,
    })
}

/// Whether this server takes such notes. Older ones than Redis 7.0.12 do not, and are told for nothing.
fn takes_notes(view: &NodeView) -> bool {
    !view.server.is_since(8, 0)
}

/// The two nodes of a move that needs a decoy, as they say.
fn ends<'a>(step: &Step, views: &'a Views) -> Option<(&'a NodeView, &'a NodeView)> {
    let Action::MoveSlots { slots, from, to, .. } = &step.action else { return None };
    let (here, there) = (views.get(&from.id)?, views.get(&to.id)?);
    let primaries = here.myself.is_primary() && there.myself.is_primary();
    let needed = primaries && takes_notes(there) && !here.myself.slots.intersection(slots).is_empty();
    needed.then_some((here, there))
}

/// The nodes that would believe in the decoy: the destination corrects whoever claims a slot that it takes for the source's, with all
/// that the source owns, and only those who know the config epoch of the source pass over that.
fn believers(decoy: &Decoy, views: &Views) -> Vec<NodeId> {
    let (source, destination) = (decoy.from.id, decoy.to.id);
    let Some((here, there)) = views.get(&source).zip(views.get(&destination)) else { return Vec::new() };
    let mut taken = there.entry(source).map(|entry| entry.slots.clone()).unwrap_or_default();
    taken.insert(decoy.slot);
    let is_corrected =
        |id, view: &NodeView| ![source, destination].contains(&id) && !claimed(view).intersection(&taken).is_empty();
    let wrong = views.iter().filter(|(id, view)| !knows(view, here) && is_corrected(**id, view));
    wrong.map(|(id, _)| *id).collect()
}

/// Whether a node knows the config epoch of another one.
fn knows(view: &NodeView, other: &NodeView) -> bool {
    view.entry(other.myself.id).is_some_and(|entry| entry.config_epoch >= other.myself.config_epoch)
}

/// The slots that a node's messages name: a replica's those of its primary.
fn claimed(view: &NodeView) -> SlotSet {
    let primary = view.myself.primary.and_then(|id| view.entry(id)).unwrap_or(&view.myself);
    primary.slots.clone()
}

/// A decoy for each of these moves that needs one, as far as there is one.
fn decoys(steps: &[&Step], moved: &SlotSet, views: &Views) -> Vec<Decoy> {
    let mut taken = moved.clone();
    let mut found = Vec::new();
    for step in steps {
        let Action::MoveSlots { from, to, .. } = &step.action else { continue };
        let Some((here, there)) = ends(step, views) else { continue };
        // What the destination imports or claims itself is not to be told of anew.
        let importing: SlotSet = there.myself.importing.keys().copied().collect();
        let its_own = importing.union(&there.myself.slots);
        let others =
            views.values().filter(|view| ![from.id, to.id].contains(&view.myself.id) && view.myself.is_primary());
        let free = |view: &NodeView| view.myself.slots.difference(&taken).difference(&its_own).iter().last();
        let candidates = others.filter_map(|view| Some((view, free(view)?)));
        // The word of an owner with a higher epoch is believed at once, and the decoy is gone. One that knows the source need not be
        // told of it first.
        let outdone = |view: &NodeView| view.myself.config_epoch >= here.myself.config_epoch;
        let best = candidates.min_by_key(|(view, _)| (outdone(view), !knows(view, here)));
        if let Some((view, slot)) = best {
            found.push(Decoy { from: from.clone(), to: to.clone(), slot, owner: view.myself.id });
            taken.insert(slot);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use topology::plan::Dialect;

    /// Four primaries of redis 7.0: epoch, slots.
    const NODES: [(u64, &str); 4] = [(4, "0-99"), (2, "100-199"), (9, "200-299"), (3, "300-399")];

    fn node(at: usize) -> NodeRef {
        NodeRef {
            id: format!("{at:040}").parse().unwrap(),
            address: format!("127.0.0.1:{}", 7000 + at).parse().unwrap(),
        }
    }

    /// What a node says: `unheard` is one of which it knows an older epoch.
    fn view(at: usize, version: &str, unheard: Option<usize>) -> (NodeId, NodeView) {
        let line = |(other, (epoch, slots)): (usize, &(u64, &str))| {
            let NodeRef { id, address } = node(other);
            let flags = if other == at { "myself,master" } else { "master" };
            let epoch = if unheard == Some(other) { epoch - 1 } else { *epoch };
            format!("{id} {address}@1{} {flags} - 0 0 {epoch} connected {slots}\n", address.port)
        };
        let nodes: String = NODES.iter().enumerate().map(line).collect();
        (node(at).id, NodeView::parse(&nodes, "", &format!("redis_version:{version}")).unwrap())
    }

    fn moving(slots: &str, from: usize, to: usize) -> Step {
        let (slots, dialect) = (slots.parse().unwrap(), Dialect::Migrate);
        let action = Action::MoveSlots { slots, from: node(from), to: node(to), keys: 0, bytes: 0, dialect };
        Step { stage: 1, action, reason: String::new() }
    }

    /// The slot and its owner for each move.
    fn chosen(steps: &[Step], views: impl IntoIterator<Item = (NodeId, NodeView)>) -> Vec<(u16, NodeId)> {
        let steps: Vec<&Step> = steps.iter().collect();
        let moved = "0-9 300-399".parse().unwrap();
        let found = decoys(&steps, &moved, &views.into_iter().collect());
        found.into_iter().map(|decoy| (decoy.slot.number(), decoy.owner)).collect()
    }

    #[test]
    fn a_decoy_is_a_third_nodes_slot_that_does_not_move() {
        let all = || (0..4).map(|at| view(at, "7.0.15", None));
        // Of node 3, whose epoch is lower, everything moves.
        assert_eq!(chosen(&[moving("0-9", 0, 1)], all()), [(299, node(2).id)]);
        assert_eq!(chosen(&[moving("0-9", 0, 3)], all()), [(199, node(1).id)]);
        let both = [moving("0-4", 0, 3), moving("300-399", 3, 0)];
        assert_eq!(chosen(&both, all()), [(199, node(1).id), (198, node(1).id)]);
    }

    #[test]
    fn no_decoy_is_one_that_the_destination_claims_too() {
        let mut views: Views = (0..4).map(|at| view(at, "7.0.15", None)).collect();
        views.get_mut(&node(3).id).unwrap().myself.slots = "150-199 300-399".parse().unwrap();
        assert_eq!(chosen(&[moving("0-9", 0, 3)], views), [(149, node(1).id)]);
    }

    #[test]
    fn who_knows_an_older_epoch_of_the_source_is_told_first_where_it_would_believe_in_the_decoy() {
        let ignorant = |node| (0..4).map(move |at| view(at, "7.0.15", (at == node).then_some(0))).collect::<Views>();
        let decoy = |owner: usize, slot| Decoy { from: node(0), to: node(3), slot, owner: node(owner).id };
        let [one, two] = [(1, 199), (2, 299)].map(|(owner, slot): (usize, u16)| decoy(owner, slot.try_into().unwrap()));
        assert_eq!(believers(&two, &ignorant(2)), [node(2).id]);
        assert_eq!(believers(&one, &ignorant(2)), [], "it is not told of that one");
        let mut views = ignorant(2);
        views.get_mut(&node(2).id).unwrap().myself.slots = "99 200-299".parse().unwrap();
        assert_eq!(believers(&one, &views), [node(2).id], "it claims a slot of the source");
    }

    #[test]
    fn no_decoy_is_needed_where_nothing_is_left_to_move_or_the_server_takes_no_such_notes() {
        assert_eq!(chosen(&[moving("100-109", 0, 3)], (0..4).map(|at| view(at, "7.0.15", None))), []);
        assert_eq!(chosen(&[moving("0-9", 0, 3)], (0..4).map(|at| view(at, "8.0.0", None))), []);
        assert_eq!(chosen(&[moving("0-9", 0, 1)], (0..2).map(|at| view(at, "7.0.15", None))), []);
    }
}
