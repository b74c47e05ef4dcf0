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
    port::{Command, NodeError, NodeLink, SlotState},
};
use futures_util::future::{join_all, try_join_all};
use std::{
    collections::{BTreeMap, BTreeSet},
    slice,
    time::Duration,
};
use tokio::time::{Instant, sleep};
use topology::{
    NodeId, NodeView, Slot, SlotSet,
    plan::{Action, NodeRef, Plan, Step},
};

/// How long it is waited at most until nodes have heard each other.
const HEARD: Duration = Duration::from_secs(1);
/// How often it is tried where a decoy is put right too early.
const ATTEMPTS: usize = 5;
/// How long a node takes to introduce itself, at most: it passes over that while its last introduction has not ended.
const MEETING: Duration = Duration::from_millis(200);

type Views = BTreeMap<NodeId, NodeView>;

/// A slot that does not move and about which a destination is told something else than its source tells it.
#[derive(Debug)]
struct Decoy {
    /// The source, and the destination.
    from: NodeRef,
    to: NodeRef,
    slot: Slot,
    /// Who the destination is told owns it, and who does: one of them is the source.
    told: NodeId,
    owner: NodeId,
    /// Whether the destination believes in it until it hears the source: the word of the owner counts for less there than that of the one who
    /// is told to own it.
    lasts: bool,
}

impl Runner<'_> {
    /// Lets the destinations of these steps take back such notes about all slots of their sources, before any of them moves.
    ///
    /// The destination is told that the source owns one slot more, which is a third node's and does not move, or one less. Then the source
    /// introduces itself, by which it tells all that it owns, and older messages that are under way are lost with the link that they
    /// are on. Meanwhile the destination sends clients of that slot to the wrong node, and that one sends them on.
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
            let news = |decoy: &Decoy| believers(decoy, &views).into_iter().map(|node| (decoy.told, node)).collect();
            let news: BTreeSet<(NodeId, NodeId)> = decoys.iter().flat_map::<Vec<_>, _>(news).collect();
            if news.is_empty() {
                break;
            }
            let tell = news.iter().filter_map(|(talker, node)| Some((slice::from_ref(talker), self.links.get(node)?)));
            let heard = join_all(tell.map(|(talker, node)| self.let_hear(talker, node.as_ref()))).await;
            views = self.views(|_| true).await;
            if heard.iter().any(Result::is_err) {
                break;
            }
        }
        decoys.retain(|decoy| believers(decoy, &views).is_empty());
        let of = |id| decoys.iter().filter(move |decoy| decoy.to.id == id).collect();
        join_all(destinations.into_iter().map(|id| self.clear_doubts_of(of(id)))).await;
    }

    /// With decoys that all have the same destination: all at once, and one after the other where that is not enough.
    async fn clear_doubts_of(&self, decoys: Vec<&Decoy>) -> Result<(), RunError> {
        let Some(destination) = decoys.first().map(|decoy| self.link(&decoy.to)).transpose()? else { return Ok(()) };
        let (lasting, fleeting): (Vec<&Decoy>, Vec<&Decoy>) = decoys.into_iter().partition(|decoy| decoy.lasts);
        let are_heard = matches!(self.use_decoys(destination, &lasting).await, Ok(Some(_)));
        let rest = if are_heard { Vec::new() } else { lasting };
        // One that fails is no reason to leave out the next.
        for decoy in rest.into_iter().chain(fleeting) {
            drop(self.clear_doubt(destination, decoy).await);
        }
        Ok(())
    }

    async fn clear_doubt(&self, destination: &dyn NodeLink, decoy: &Decoy) -> Result<(), RunError> {
        for _ in 0..ATTEMPTS {
            let heard = self.use_decoys(destination, &[decoy]).await?;
            // Otherwise it may have been put right before the source was heard.
            if heard.is_some_and(|view| owns(&view, decoy.told, decoy.slot)) {
                break;
            }
        }
        Ok(())
    }

    /// Lets a destination hear the sources of these decoys while they are there, and tells it the truth again; gives what it said
    /// before that, where it has heard them all.
    async fn use_decoys(&self, destination: &dyn NodeLink, decoys: &[&Decoy]) -> Result<Option<NodeView>, RunError> {
        let heard = async {
            lay(destination, decoys).await?;
            let sources: Vec<NodeId> = decoys.iter().map(|decoy| decoy.from.id).collect();
            self.let_hear(&sources, destination).await
        };
        let (heard, view) = (heard.await, ask(destination).await);
        put_right(destination, decoys, view.as_ref().ok()).await?;
        Ok(if heard? { Some(view?) } else { None })
    }

    /// Lets a node hear others, which introduce themselves to it, all at the same time; gives whether it has heard them all in time.
    async fn let_hear(&self, talkers: &[NodeId], listener: &dyn NodeLink) -> Result<bool, RunError> {
        let (begin, before) = (Instant::now(), ask(listener).await?);
        let meeting = self.meeting(&NodeRef { id: before.myself.id, address: listener.address().clone() }, &before)?;
        let talkers: Vec<_> = talkers.iter().filter_map(|talker| self.links.get(talker)).collect();
        try_join_all(talkers.iter().map(|talker| accepted(talker.as_ref(), vec![meeting.clone()]))).await?;
        let all = before.cluster.meets_received + talkers.len() as u64;
        while ask(listener).await?.cluster.meets_received < all {
            if begin.elapsed() > MEETING {
                return Ok(false);
            }
            sleep(LOOK).await;
        }
        Ok(true)
    }
}

/// Tells a destination what is not so.
async fn lay(destination: &dyn NodeLink, decoys: &[&Decoy]) -> Result<(), NodeError> {
    let lies = decoys.iter().map(|decoy| Command::SetSlot(decoy.slot, SlotState::Node(decoy.told)));
    accepted(destination, lies.collect()).await.map(drop)
}

/// Tells a destination the truth where, as it said, it does not know it. What a message has put right bears no note, which a command would
/// leave.
async fn put_right(destination: &dyn NodeLink, decoys: &[&Decoy], said: Option<&NodeView>) -> Result<(), NodeError> {
    let is_right = |decoy: &Decoy| said.is_some_and(|view| owns(view, decoy.owner, decoy.slot));
    let wrong = decoys.iter().filter(|decoy| !is_right(decoy));
    let truth = wrong.map(|decoy| Command::SetSlot(decoy.slot, SlotState::Node(decoy.owner)));
    accepted(destination, truth.collect()).await.map(drop)
}

/// Whether a node takes this slot for that one's.
fn owns(view: &NodeView, owner: NodeId, slot: Slot) -> bool {
    view.entry(owner).is_some_and(|entry| entry.slots.contains(slot))
}

/// All slots that a plan moves.
fn moved(plan: &Plan) -> SlotSet {
    plan.steps.iter().fold(SlotSet::new(), |all, step| match &step.action {
        Action::MoveSlots { slots, .. } => all.union(slots),
        _ => all,
    })
}

/// Whether this server takes such notes: Redis from 7.0.12 on, and Valkey, before 8.0.
fn takes_notes(view: &NodeView) -> bool {
    view.server.is_since_patch(7, 0, 12) && !view.server.is_since(8, 0)
}

/// The two nodes of a move that needs a decoy, as they say.
fn ends<'a>(step: &Step, views: &'a Views) -> Option<(&'a NodeView, &'a NodeView)> {
    let Action::MoveSlots { slots, from, to, .. } = &step.action else { return None };
    let (here, there) = (views.get(&from.id)?, views.get(&to.id)?);
    let primaries = here.myself.is_primary() && there.myself.is_primary();
    let needed = primaries && takes_notes(there) && !here.myself.slots.intersection(slots).is_empty();
    needed.then_some((here, there))
}

/// The nodes that would believe in the decoy: the destination corrects whoever claims a slot that it takes for another node's, with all
/// that it thinks that one owns, and only those who know that one's config epoch pass over that.
fn believers(decoy: &Decoy, views: &Views) -> Vec<NodeId> {
    let (told, destination) = (decoy.told, decoy.to.id);
    let Some((here, there)) = views.get(&told).zip(views.get(&destination)) else { return Vec::new() };
    let mut taken = there.entry(told).map(|entry| entry.slots.clone()).unwrap_or_default();
    taken.insert(decoy.slot);
    // The destination tells them the epoch that it knows itself.
    let epoch = here.myself.config_epoch.max(epoch_of(told, there));
    let is_corrected =
        |id, view: &NodeView| ![told, destination].contains(&id) && !claimed(view).intersection(&taken).is_empty();
    let wrong = views.iter().filter(|(id, view)| epoch_of(told, view) < epoch && is_corrected(**id, view));
    wrong.map(|(id, _)| *id).collect()
}

/// The config epoch of a node as another one knows it.
fn epoch_of(id: NodeId, by: &NodeView) -> u64 {
    by.entry(id).map_or(0, |entry| entry.config_epoch)
}

/// The slots that a node's messages name: a replica's those of its primary.
fn claimed(view: &NodeView) -> SlotSet {
    let primary = view.myself.primary.and_then(|id| view.entry(id)).unwrap_or(&view.myself);
    primary.slots.clone()
}

/// A decoy for each of these moves that needs one, as far as there is one.
fn decoys(steps: &[&Step], moved: &SlotSet, views: &Views) -> Vec<Decoy> {
    let mut taken = moved.clone();
    let mut found: Vec<Decoy> = Vec::new();
    for step in steps {
        let Action::MoveSlots { from, to, .. } = &step.action else { continue };
        let Some((here, there)) = ends(step, views) else { continue };
        // What the destination imports or claims itself is not to be told of anew.
        let importing: SlotSet = there.myself.importing.keys().copied().collect();
        let its_own = importing.union(&there.myself.slots);
        let free = |view: &NodeView| view.myself.slots.difference(&taken).difference(&its_own).iter().last();
        let decoy = |slot, told: &NodeView, owner: &NodeView, lasts| Decoy {
            from: from.clone(),
            to: to.clone(),
            slot,
            told: told.myself.id,
            owner: owner.myself.id,
            lasts,
        };
        let others = views.values().filter(|view| {
            let is_known = there.entry(view.myself.id).is_some_and(|entry| entry.is_primary());
            ![from.id, to.id].contains(&view.myself.id) && view.myself.is_primary() && is_known
        });
        // A word counts as much as the epoch of who says it, against that of the one who is told to own the slot as the destination knows it.
        // Who knows that one's epoch need not be told of it first.
        let candidates = others.flat_map(|other| {
            let counts_less =
                |owner: &NodeView, told: &NodeView| owner.myself.config_epoch <= epoch_of(told.myself.id, there);
            let knows = |owner: &NodeView, told: &NodeView| epoch_of(told.myself.id, owner) >= told.myself.config_epoch;
            let more = free(other).map(|slot| (decoy(slot, here, other, counts_less(other, here)), knows(other, here)));
            let less = free(here).filter(|_| counts_less(here, other));
            let less = less.map(|slot| (decoy(slot, other, here, true), knows(here, other)));
            more.into_iter().chain(less)
        });
        if let Some((best, _)) = candidates.min_by_key(|(decoy, is_known)| (!decoy.lasts, !is_known)) {
            taken.insert(best.slot);
            found.push(best);
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

    /// The slot, who is told to own it and who does, for each move.
    fn chosen(steps: &[Step], views: impl IntoIterator<Item = (NodeId, NodeView)>) -> Vec<(u16, NodeId, NodeId)> {
        let steps: Vec<&Step> = steps.iter().collect();
        let moved = "0-9 300-399".parse().unwrap();
        let found = decoys(&steps, &moved, &views.into_iter().collect());
        assert!(found.iter().all(|decoy| decoy.lasts), "{found:?}");
        found.into_iter().map(|decoy| (decoy.slot.number(), decoy.told, decoy.owner)).collect()
    }

    #[test]
    fn a_decoy_is_a_slot_that_does_not_move_of_the_node_with_the_lower_epoch() {
        let all = || (0..4).map(|at| view(at, "7.0.15", None));
        let [zero, one, two] = [0, 1, 2].map(|at| node(at).id);
        // Of node 3, whose epoch is lower, everything moves.
        assert_eq!(chosen(&[moving("0-9", 0, 1)], all()), [(99, two, zero)]);
        assert_eq!(chosen(&[moving("0-9", 0, 3)], all()), [(199, zero, one)]);
        let both = [moving("0-4", 0, 3), moving("300-399", 3, 0)];
        assert_eq!(chosen(&both, all()), [(199, zero, one), (198, node(3).id, one)]);
    }

    #[test]
    fn where_all_slots_of_the_node_with_the_lowest_epoch_move_a_decoy_does_not_last() {
        let views: Views = (0..4).map(|at| view(at, "7.0.15", None)).collect();
        let found = decoys(&[&moving("100-199", 1, 3)], &"100-199".parse().unwrap(), &views);
        assert!(matches!(&found[..], [decoy] if !decoy.lasts && decoy.told == node(1).id), "{found:?}");
    }

    #[test]
    fn no_decoy_is_one_that_the_destination_claims_too() {
        let mut views: Views = (0..4).map(|at| view(at, "7.0.15", None)).collect();
        views.get_mut(&node(3).id).unwrap().myself.slots = "150-199 300-399".parse().unwrap();
        assert_eq!(chosen(&[moving("0-9", 0, 3)], views), [(149, node(0).id, node(1).id)]);
    }

    #[test]
    fn who_knows_an_older_epoch_is_told_first_where_it_would_believe_in_the_decoy() {
        let ignorant = |node| (0..4).map(move |at| view(at, "7.0.15", (at == node).then_some(0))).collect::<Views>();
        let decoy = |owner: usize, slot: u16| {
            let (slot, told, owner) = (slot.try_into().unwrap(), node(0).id, node(owner).id);
            Decoy { from: node(0), to: node(3), slot, told, owner, lasts: true }
        };
        let [one, two] = [(1, 199), (2, 299)].map(|(owner, slot)| decoy(owner, slot));
        assert_eq!(believers(&two, &ignorant(2)), [node(2).id]);
        assert_eq!(believers(&one, &ignorant(2)), [], "it is not told of that one");
        let mut views = ignorant(2);
        views.get_mut(&node(2).id).unwrap().myself.slots = "99 200-299".parse().unwrap();
        assert_eq!(believers(&one, &views), [node(2).id], "it claims a slot of the source");
        let less = Decoy { from: node(1), owner: node(1).id, slot: 199.try_into().unwrap(), ..decoy(0, 99) };
        assert_eq!(believers(&less, &ignorant(1)), [node(1).id], "it would give its slot away");
    }

    #[test]
    fn no_decoy_is_needed_where_nothing_is_left_to_move_or_the_server_takes_no_such_notes() {
        assert_eq!(chosen(&[moving("100-109", 0, 3)], (0..4).map(|at| view(at, "7.0.15", None))), []);
        assert_eq!(chosen(&[moving("0-9", 0, 3)], (0..4).map(|at| view(at, "8.0.0", None))), []);
        assert_eq!(chosen(&[moving("0-9", 0, 3)], (0..4).map(|at| view(at, "7.0.11", None))), []);
        assert_eq!(chosen(&[moving("0-9", 0, 1)], (0..2).map(|at| view(at, "7.0.15", None))), []);
    }
}
