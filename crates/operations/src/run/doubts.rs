//! Slots that a server before Redis and Valkey 8.0 would give away to whoever names them.
//!
//! Such a server takes note when the owner that it knows of a slot does not name it (`owner_not_claiming_slot`), as in a message that
//! is older than what it was told by a command. The note stays when it gets the slot itself by a command. The next message that names
//! the slot, such as one from the last owner that was under way, then takes it away again, with any epoch, and its keys are dropped
//! (seen on Redis 7.0.15). It shows nowhere, and a message takes it back only where it tells of other slots than the server knows.

use super::{RunError, Runner, together::LOOK};
use crate::{
    exchange::{accepted, none_refused},
    observe::ask,
    port::{Command, NodeLink, SlotState},
};
use futures_util::{TryFutureExt, future::join_all};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};
use topology::{
    NodeId, NodeView, Reply, Slot, SlotSet,
    plan::{Action, NodeRef, Plan, Step},
};

/// How long it is waited at most until nodes have heard each other.
const HEARD: Duration = Duration::from_secs(1);
/// Time between two looks whether a source has been heard. What happens between two of them has no order.
const SOON: Duration = Duration::from_millis(1);
/// How long a node takes to introduce itself, at most: it passes over that while its last introduction has not ended.
const MEETING: Duration = Duration::from_millis(200);

type Views = BTreeMap<NodeId, NodeView>;

/// A slot that does not move and about which a destination is told something else than its source tells it.
#[derive(Clone, Debug)]
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

/// A decoy that is in use.
struct Laid {
    decoy: Decoy,
    /// Whether the destination believed in it when it was looked at last.
    stays: bool,
    /// When the link was made on which the destination heard the source as the decoy was laid, as [`links`] tells.
    link: Option<i64>,
    /// When the source was told to introduce itself; none where it is to be told.
    told: Option<Instant>,
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
            let heard = join_all(news.into_iter().map(|(source, node)| self.let_hear(source, node))).await;
            views = self.views(|_| true).await;
            if heard.iter().any(Result::is_err) {
                break;
            }
        }
        decoys.retain(|decoy| believers(decoy, &views).is_empty());
        let of = |id| decoys.iter().filter(move |decoy| decoy.to.id == id).collect();
        join_all(destinations.into_iter().map(|id| self.clear_doubts_of(of(id)))).await;
    }

    /// With decoys that all have the same destination.
    async fn clear_doubts_of(&self, decoys: Vec<&Decoy>) -> Result<(), RunError> {
        let Some(destination) = decoys.first().map(|decoy| self.link(&decoy.to)).transpose()? else { return Ok(()) };
        // Late or refused: what is wrong shows in the steps.
        let _ = timeout(HEARD, self.until_heard(destination, &decoys)).await;
        // What a message has put right bears no note, and a command would not take it away.
        let view = ask(destination).await?;
        let is_right = |decoy: &Decoy| owns(&view, decoy.owner, decoy.slot);
        let wrong = decoys.into_iter().filter(|decoy| !is_right(decoy));
        let truth = wrong.map(|decoy| Command::SetSlot(decoy.slot, SlotState::Node(decoy.owner))).collect();
        accepted(destination, truth).await?;
        Ok(())
    }

    /// Lays these decoys, and again those that are put right, until each source has been heard while its decoy was there. Those that are
    /// refused are left out, and those whose source cannot introduce itself.
    async fn until_heard(&self, destination: &dyn NodeLink, decoys: &[&Decoy]) -> Result<(), RunError> {
        let lay = |decoy: &&'_ Decoy| (*decoy).clone();
        let mut laid: Vec<Laid> =
            decoys.iter().map(lay).map(|decoy| Laid { decoy, stays: false, link: None, told: None }).collect();
        loop {
            let gone = laid.iter().filter(|laid| !laid.stays).map(|laid| &laid.decoy);
            let lay = gone.map(|decoy| Command::SetSlot(decoy.slot, SlotState::Node(decoy.told)));
            let mut replies = destination.send(lay.chain([Command::ClusterLinks]).collect()).await?;
            let links = replies.pop();
            none_refused(destination, links.as_slice())?;
            let (links, mut replies) = (self::links(links.as_ref()), replies.into_iter());
            laid.retain(|laid| laid.stays || !matches!(replies.next(), Some(Reply::Error(_))));
            // Looked at later than the links: a decoy that is still there then was there before.
            let view = ask(destination).await?;
            laid.retain_mut(|laid| !laid.has_served(&links, &view));
            if laid.is_empty() {
                return Ok(());
            }
            let is_due = |laid: &&mut Laid| laid.stays && laid.told.is_none_or(|told| told.elapsed() > MEETING);
            let introduce = laid.iter_mut().filter(is_due).map(|laid| {
                laid.told = Some(Instant::now());
                let source = laid.decoy.from.id;
                self.introduce_to(source, destination, &view).map_err(move |_| source)
            });
            let failed: Vec<NodeId> = join_all(introduce).await.into_iter().filter_map(Result::err).collect();
            laid.retain(|laid| !failed.contains(&laid.decoy.from.id));
            sleep(SOON).await;
        }
    }

    /// Lets a node hear another one, which introduces itself to it.
    async fn let_hear(&self, talker: NodeId, listener: NodeId) -> Result<(), RunError> {
        let Some(hearer) = self.links.get(&listener).map(AsRef::as_ref) else { return Ok(()) };
        let (begin, view) = (Instant::now(), ask(hearer).await?);
        let look = async || Ok::<_, RunError>(links(accepted(hearer, vec![Command::ClusterLinks]).await?.last()));
        let before = look().await?.get(&talker).copied();
        let mut told = None;
        while begin.elapsed() < HEARD && look().await?.get(&talker).copied() == before {
            if told.is_none_or(|told: Instant| told.elapsed() > MEETING) {
                told = Some(Instant::now());
                self.introduce_to(talker, hearer, &view).await?;
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Lets a node introduce itself to another one, of which this is the view.
    async fn introduce_to(&self, talker: NodeId, listener: &dyn NodeLink, view: &NodeView) -> Result<(), RunError> {
        let Some(talker) = self.links.get(&talker) else { return Ok(()) };
        let place = NodeRef { id: view.myself.id, address: listener.address().clone() };
        accepted(talker.as_ref(), vec![self.meeting(&place, view)?]).await?;
        Ok(())
    }
}

impl Laid {
    /// Learns what the destination says; whether it has heard the source while the decoy was there.
    fn has_served(&mut self, links: &BTreeMap<NodeId, i64>, view: &NodeView) -> bool {
        let link = links.get(&self.decoy.from.id).copied();
        let was_there = std::mem::replace(&mut self.stays, owns(view, self.decoy.told, self.decoy.slot));
        if !was_there {
            // One that has been heard before is to introduce itself once more.
            self.told = self.told.filter(|_| link.is_none() || link == self.link);
            self.link = link;
            return false;
        }
        let is_heard = link.is_some() && link != self.link;
        if is_heard {
            self.told = None;
            self.link = link;
        }
        is_heard && (self.stays || self.decoy.lasts)
    }
}

/// Whether a node takes this slot for that one's.
fn owns(view: &NodeView, owner: NodeId, slot: Slot) -> bool {
    view.entry(owner).is_some_and(|entry| entry.slots.contains(slot))
}

/// When the links were made on which a node hears others, by its own clock, ms (`CLUSTER LINKS`, Redis 7.0). When it hears an introduction, the
/// link that it had goes, and what was still under way there is lost; the next one shows up to 100 ms later (redis 7.0.15).
fn links(reply: Option<&Reply>) -> BTreeMap<NodeId, i64> {
    let text = |link: &Reply, name: &str| link.field(name).and_then(Reply::as_text).map(String::from);
    let links = reply.and_then(Reply::as_list).unwrap_or_default().iter();
    let inbound = links.filter(|link| text(link, "direction").is_some_and(|direction| direction == "from"));
    inbound
        .filter_map(|link| Some((text(link, "node")?.parse().ok()?, link.field("create-time")?.as_integer()?)))
        .collect()
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
    let numbers = view.server.version.split('.').map(|number| number.parse().unwrap_or_default());
    numbers.collect::<Vec<u32>>() >= vec![7, 0, 12] && !view.server.is_since(8, 0)
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
            let is_known = there.entry(view.myself.id).is_some_and(topology::NodeEntry::is_primary);
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
    fn a_source_is_heard_on_a_new_link_and_not_when_the_last_one_goes() {
        let laid = |lasts| {
            let (slot, told, owner) = (199.try_into().unwrap(), node(0).id, node(1).id);
            let decoy = Decoy { from: node(0), to: node(3), slot, told, owner, lasts };
            Laid { decoy, stays: false, link: None, told: Some(Instant::now()) }
        };
        let look = |laid: &mut Laid, link: Option<i64>, there: bool| {
            let mut view = view(3, "7.0.15", None).1;
            let slots = if there { "0-99 199" } else { "0-99" };
            view.peers.iter_mut().find(|peer| peer.id == node(0).id).unwrap().slots = slots.parse().unwrap();
            laid.has_served(&link.map(|link| (node(0).id, link)).into_iter().collect(), &view)
        };
        for lasts in [true, false] {
            let mut laid = laid(lasts);
            for link in [Some(10), Some(10), None, None] {
                assert!(!look(&mut laid, link, true), "it has not been heard since");
            }
            assert!(look(&mut laid, Some(20), true));
        }
        let mut laid = laid(false);
        assert!(!look(&mut laid, Some(10), true) && !look(&mut laid, Some(20), false), "the owner was first, maybe");
        assert!(laid.told.is_none(), "it is to introduce itself again");
        assert!(!look(&mut laid, Some(20), true), "laid again");
        assert!(!look(&mut laid, None, true) && look(&mut laid, Some(30), true));
    }

    #[test]
    fn no_decoy_is_needed_where_nothing_is_left_to_move_or_the_server_takes_no_such_notes() {
        assert_eq!(chosen(&[moving("100-109", 0, 3)], (0..4).map(|at| view(at, "7.0.15", None))), []);
        assert_eq!(chosen(&[moving("0-9", 0, 3)], (0..4).map(|at| view(at, "8.0.0", None))), []);
        assert_eq!(chosen(&[moving("0-9", 0, 3)], (0..4).map(|at| view(at, "7.0.11", None))), []);
        assert_eq!(chosen(&[moving("0-9", 0, 1)], (0..2).map(|at| view(at, "7.0.15", None))), []);
    }
}
