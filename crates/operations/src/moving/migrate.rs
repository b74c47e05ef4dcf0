//! Moving slots by `MIGRATE`: some at a time are opened, emptied and closed.

use super::{
    MoveError,
    allowed::{refuse_not_allowed, refuse_not_comparable},
    both::{self, Trust, Verdict},
    keys::{Sent, Transfer, counts, databases},
    slots::{Told, Way, tell_other},
    too_large::refuse_too_large,
};
use crate::{
    exchange::{accepted, accepted_in},
    observe::ask,
    port::{Command, Key, NodeError, NodeLink, SlotState},
    repair::hidden,
    run::RunError,
};
use futures_util::future::{OptionFuture, join, join_all, try_join};
use std::collections::BTreeMap;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use topology::{NodeView, Reply, Slot, SlotSet, plan::NodeRef};

/// Keys in slots that are open at the same time, as far as several slots are: the fewer, the sooner a stop takes effect.
const KEYS: u64 = 20_000;
/// Keys of a closed slot that the destination holds, of which more are not looked at before the move: they are listed at once.
const LOOKED_AT: u32 = 100_000;
/// How often the destination's word is confirmed at most: its next epoch is above all that it knows, and it hears of them by gossip.
const CONFIRMATIONS: usize = 20;

/// Moves slots between two nodes.
pub(crate) struct Shift<'a> {
    pub(crate) from: &'a NodeRef,
    pub(crate) to: &'a NodeRef,
    pub(crate) transfer: Transfer<'a>,
    pub(crate) source: Told<'a>,
    pub(crate) destination: Told<'a>,
    /// What the destination says of itself.
    pub(crate) there: &'a NodeView,
    /// The other primaries.
    pub(crate) others: Vec<&'a dyn NodeLink>,
    pub(crate) stop: &'a CancellationToken,
}

impl Shift<'_> {
    /// Moves these slots, which the source owns. `open` are those of them that an interrupted move has left open.
    ///
    /// A key whose value may not be replaced keeps its own slot open, and no other one from being moved.
    ///
    /// When it is stopped it ends as soon as no slot is open.
    pub(crate) async fn run(&self, slots: &SlotSet, open: &SlotSet) -> Result<(), RunError> {
        refuse_not_allowed(&self.transfer).await?;
        refuse_too_large(&self.transfer, slots).await?;
        let shared = self.shared(slots).await?;
        if !shared.is_empty() {
            refuse_not_comparable(&self.transfer).await?;
        }
        self.refuse_stray(&shared.difference(open)).await?;
        let weights = self.weights(slots).await?;
        let most = || self.transfer.governor().slots();
        // What is open comes first, and is finished even when this is to stop.
        let unopened = slots.difference(open);
        let batches = batches(open, &weights, most).chain(batches(&unopened, &weights, most));
        let mut closed = SlotSet::new();
        let outcome = self.shift(batches, open, &shared, &mut closed).await;
        if !closed.is_empty() {
            self.confirm(&closed).await?;
            self.tell_others(&closed).await;
        }
        outcome
    }

    /// Makes the destination's word on these slots count for everybody, where somebody has raised the source's config epoch meanwhile:
    /// nodes believe the higher epoch, even the destination itself, and the source does not want the slots any more.
    async fn confirm(&self, slots: &SlotSet) -> Result<(), RunError> {
        let mut outcome = Ok(());
        for _ in 0..CONFIRMATIONS {
            // When one of them is lost now, others decide on its slots.
            let Ok((here, there)) = try_join(ask(self.transfer.source), ask(self.transfer.destination)).await else {
                return Ok(());
            };
            if !there.myself.is_primary() {
                return Ok(());
            }
            let outdone = there.entry(self.from.id).map(|entry| entry.slots.intersection(slots)).unwrap_or_default();
            let outdone = outdone.difference(&here.myself.slots);
            if !outdone.is_empty() {
                let told = async {
                    self.destination.tell_all(&outdone, SlotState::Importing(self.from.id)).await?;
                    self.destination.hand_over(&outdone, self.way(), Vec::new(), true).await?;
                    self.announce(outdone.iter().next()).await
                };
                outcome = match told.await {
                    // A source that has lost its last slot may have become a replica since it was looked at.
                    Err(RunError::Node(refused)) => Err(RunError::Node(refused)),
                    told => Ok(told?),
                };
            } else if here.myself.is_primary() && there.myself.config_epoch <= here.myself.config_epoch {
                accepted(self.transfer.destination, vec![Command::BumpEpoch]).await?;
            } else {
                return Ok(());
            }
        }
        outcome
    }

    /// Moves one batch after the other. While one is opened and its keys are sent, those of the next are looked at.
    async fn shift(
        &self,
        batches: impl Iterator<Item = SlotSet>,
        open: &SlotSet,
        shared: &SlotSet,
        closed: &mut SlotSet,
    ) -> Result<(), RunError> {
        let goes_on = |batch: &SlotSet| !self.stop.is_cancelled() || !batch.intersection(open).is_empty();
        let mut batches = batches.peekable();
        let (mut emptied, mut ahead, mut different) = (SlotSet::new(), None, Vec::new());
        loop {
            let batch = batches.next_if(goes_on).unwrap_or_default();
            if batch.is_empty() {
                self.turn(&emptied, &batch, closed).await?;
                // Their slots are open: who hears that it was stopped takes none for that.
                if !different.is_empty() {
                    return Err(self.different(different).into());
                }
                return batches.next().map_or(Ok(()), |_| Err(RunError::Stopped));
            }
            // What the destination holds of a slot shows only when it is open.
            let following = batches.peek().filter(|next| goes_on(next) && next.intersection(shared).is_empty());
            let look_ahead = OptionFuture::from(following.map(|next| self.transfer.look_ahead(next)));
            let doubtful = shared.intersection(&batch);
            let seen = ahead.take();
            let empty = async {
                self.turn(&emptied, &batch, closed).await?;
                self.transfer.empty(&batch, &doubtful, seen).await
            };
            let (kept, next) = join(empty, look_ahead).await;
            let kept = kept?;
            emptied = batch.difference(&kept.iter().map(|(slot, _)| *slot).collect());
            different.extend(kept.into_iter().map(|(_, key)| key));
            // If it has failed the same shows again in its turn.
            ahead = next.and_then(Result::ok);
        }
    }

    /// Gives slots without keys their owner and opens the next ones: each node is told of both together.
    ///
    /// The destination comes first. Nobody sends clients there before it knows that a slot is its own, or that it is to take its
    /// keys; and a slot has an owner whoever fails in between. By the first slots that it gets, when none is closed yet, it takes an
    /// epoch above the source's. All others hear of it while the source is told: a message that tells it nothing new costs it nothing.
    /// Where neither has a replica, that is done at the end only; meanwhile the others send clients to the source, and it sends them on.
    async fn turn(&self, emptied: &SlotSet, next: &SlotSet, closed: &mut SlotSet) -> Result<(), RunError> {
        let begin = Instant::now();
        let open = |state| next.iter().map(move |slot| (slot, state));
        let importing = open(SlotState::Importing(self.from.id)).collect();
        self.destination.hand_over(emptied, self.way(), importing, closed.is_empty()).await?;
        let told = Instant::now();
        let closing = emptied.iter().map(|slot| (slot, SlotState::Node(self.to.id)));
        let tell = self.source.tell(closing.chain(open(SlotState::Migrating(self.to.id))).collect());
        let announced = emptied.iter().chain(closed.iter()).next().filter(|_| next.is_empty() || self.is_followed());
        // The word is at the source before the message is.
        let (source, announced) = join(tell, self.announce(announced)).await;
        match source {
            // One that has lost its last slot may have become a replica of the destination meanwhile.
            Err(RunError::Node(_)) if next.is_empty() && self.has_let_go(emptied).await => {}
            told => told?,
        }
        announced?;
        self.transfer.governor().told(told.elapsed().max(told - begin));
        if !emptied.is_empty() {
            *closed = closed.union(emptied);
            (self.transfer.tell)(Sent::Closed(emptied.clone()));
        }
        Ok(())
    }

    /// Lets the destination tell all nodes what it owns, this slot among it, in one message to each.
    async fn announce(&self, slot: Option<Slot>) -> Result<(), RunError> {
        match slot {
            Some(slot) => self.destination.announce(slot, self.way()).await,
            None => Ok(()),
        }
    }

    /// Whether one of the two has a replica, which may take its place with what it has heard.
    fn is_followed(&self) -> bool {
        let ends = [self.from.id, self.to.id];
        self.there.entries().any(|entry| entry.primary.is_some_and(|id| ends.contains(&id)))
    }

    const fn way(&self) -> Way {
        Way { from: self.from.id, to: self.to.id }
    }

    /// How many keys the source holds of each slot, in all databases; slots without keys are left out.
    async fn weights(&self, slots: &SlotSet) -> Result<BTreeMap<Slot, u64>, RunError> {
        let mut weights = BTreeMap::new();
        for database in databases(self.transfer.source).await? {
            for (slot, keys) in counts(self.transfer.source, database, slots).await? {
                *weights.entry(slot).or_default() += keys;
            }
        }
        Ok(weights)
    }

    /// Slots of which the destination holds keys.
    async fn shared(&self, slots: &SlotSet) -> Result<SlotSet, RunError> {
        let mut shared = SlotSet::new();
        for database in databases(self.transfer.destination).await? {
            let held = counts(self.transfer.destination, database, slots).await?;
            shared = shared.union(&held.into_iter().map(|(slot, _)| slot).collect());
        }
        let mut held = BTreeMap::new();
        hidden(self.transfer.destination, self.there, slots, &mut held).await?;
        Ok(shared.union(&held.into_keys().collect()))
    }

    /// Refuses when the destination holds keys of closed slots that the owner does not: they would come to light with the
    /// move. Of a key that both hold, neither the owner's nor the newer value may be lost.
    async fn refuse_stray(&self, slots: &SlotSet) -> Result<(), RunError> {
        if slots.is_empty() {
            return Ok(());
        }
        // Otherwise it does not answer for these keys; clients are not sent there before the owner says so.
        self.destination.tell_all(slots, SlotState::Importing(self.from.id)).await?;
        let looked_at = self.look_at_stray(slots).await;
        // The batches open them one after the other: whoever stops in between is to leave none open.
        self.destination.tell_all(slots, SlotState::Stable).await?;
        looked_at
    }

    async fn look_at_stray(&self, slots: &SlotSet) -> Result<(), RunError> {
        let Transfer { source, destination, replace, .. } = self.transfer;
        for database in databases(destination).await? {
            for slot in slots.iter() {
                let listed =
                    accepted_in(destination, database, vec![Command::KeysInSlot(slot, LOOKED_AT)]).await?.pop();
                let keys: Vec<(Slot, Key)> = names(listed).map(|key| (slot, key)).collect();
                let verdicts = both::compare(source, destination, database, &keys, Trust::LastUsed).await?;
                let of = |wanted: Verdict| {
                    let found = keys.iter().zip(&verdicts).filter(move |(_, verdict)| **verdict == wanted);
                    found.map(|((_, key), _)| key.clone()).collect::<Vec<_>>()
                };
                let (extra, different) = (of(Verdict::OnlyThere), of(Verdict::Different));
                if !extra.is_empty() || keys.len() == LOOKED_AT as usize {
                    return Err(self.error(extra, |from, to, keys| MoveError::Stray { from, to, slot, keys }).into());
                }
                if !different.is_empty() && !replace {
                    return Err(self.different(different).into());
                }
            }
        }
        Ok(())
    }

    fn different(&self, keys: Vec<Key>) -> MoveError {
        self.error(keys, |from, to, keys| MoveError::DifferentValues { from, to, keys })
    }

    fn error(
        &self,
        keys: Vec<Key>,
        make: impl FnOnce(topology::NodeAddr, topology::NodeAddr, Vec<Key>) -> MoveError,
    ) -> MoveError {
        make(self.from.address.clone(), self.to.address.clone(), keys)
    }

    /// Tells the other primaries, as far as the destination's word has not reached them. One that does not answer will learn it
    /// by gossip.
    async fn tell_others(&self, slots: &SlotSet) {
        join_all(self.others.iter().map(|link| self.tell_other(*link, slots))).await;
    }

    async fn tell_other(&self, link: &dyn NodeLink, slots: &SlotSet) -> Result<(), NodeError> {
        let view = ask(link).await?;
        let known = view.entry(self.to.id).map(|entry| entry.slots.clone()).unwrap_or_default();
        let unknown: Vec<Slot> = slots.difference(&known).iter().collect();
        tell_other(link, &unknown, self.to.id).await
    }

    /// Whether the source says itself that these slots are not its own.
    async fn has_let_go(&self, slots: &SlotSet) -> bool {
        let view = ask(self.transfer.source).await;
        view.is_ok_and(|view| view.myself.slots.intersection(slots).is_empty())
    }
}

/// The slots in the order in which they move, in batches of at most so many slots as are wanted then and, as far as they are several,
/// few keys.
fn batches(slots: &SlotSet, weights: &BTreeMap<Slot, u64>, most: impl Fn() -> usize) -> impl Iterator<Item = SlotSet> {
    let mut slots = slots.iter().peekable();
    std::iter::from_fn(move || {
        let (most, mut batch, mut keys) = (most(), Vec::new(), 0);
        while let Some(slot) = slots.peek() {
            let weight = weights.get(slot).copied().unwrap_or_default();
            if batch.len() == most || (keys > 0 && keys + weight > KEYS) {
                break;
            }
            batch.extend(slots.next());
            keys += weight;
        }
        (!batch.is_empty()).then(|| batch.into_iter().collect())
    })
}

fn names(reply: Option<Reply>) -> impl Iterator<Item = Key> {
    let names = if let Some(Reply::List(names)) = reply { names } else { Vec::new() };
    names.into_iter().filter_map(|name| if let Reply::Bytes(key) = name { Some(key) } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_every_slot_once_and_few_keys() {
        let slots: SlotSet = "0-99 200".parse().unwrap();
        let weights = slots.iter().map(|slot| (slot, if slot.number() == 50 { 1_000_000 } else { 500 })).collect();
        let batches: Vec<SlotSet> = batches(&slots, &weights, || 24).collect();
        assert_eq!(batches.iter().fold(SlotSet::new(), |all, batch| all.union(batch)), slots);
        let told: Vec<String> = batches.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["0-23", "24-47", "48-49", "50", "51-74", "75-98", "99 200"]);
        assert_eq!(super::batches(&slots, &BTreeMap::new(), || 24).count(), 5);
    }
}
