//! Moving slots by `MIGRATE`: some at a time are opened, emptied and closed.

use super::{
    MoveError,
    both::{self, Trust, Verdict},
    keys::{Sent, Transfer, counts, databases},
    slots::{Told, few, tell},
    too_large::refuse_too_large,
};
use crate::{
    exchange::accepted_in,
    observe::ask,
    port::{Command, Key, NodeError, NodeLink, SlotState},
    run::RunError,
};
use futures_util::{
    future::join_all,
    stream::{FuturesUnordered, StreamExt},
};
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;
use topology::{Reply, Slot, SlotSet, plan::NodeRef};

/// Slots that are open at the same time. Each `SETSLOT` of a write costs little more than the first, which makes the node write
/// its configuration file.
const SLOTS: usize = 64;
/// Batches at once: while the keys of one are sent, the next is opened and its keys are listed, and the last is closed.
const AT_ONCE: usize = 3;
/// Keys in slots that are open at the same time, as far as several slots are: the fewer, the sooner a stop takes effect.
const KEYS: u64 = 20_000;
/// Keys of a slot that both nodes hold, of which more are not looked at before the move.
const LOOKED_AT: u32 = 1000;

/// Moves slots between two nodes.
pub(crate) struct Shift<'a> {
    pub(crate) from: &'a NodeRef,
    pub(crate) to: &'a NodeRef,
    pub(crate) transfer: Transfer<'a>,
    pub(crate) source: Told<'a>,
    pub(crate) destination: Told<'a>,
    /// The other primaries.
    pub(crate) others: Vec<&'a dyn NodeLink>,
    pub(crate) stop: &'a CancellationToken,
}

impl Shift<'_> {
    /// Moves these slots, which the source owns. `open` are those of them that an interrupted move has left open.
    ///
    /// When it is stopped it ends as soon as no slot is open.
    pub(crate) async fn run(&self, slots: &SlotSet, open: &SlotSet) -> Result<(), RunError> {
        refuse_too_large(&self.transfer, slots).await?;
        let shared = self.shared(slots).await?;
        self.refuse_stray(&shared.difference(open)).await?;
        let weights = self.weights(slots).await?;
        // What is open comes first, and is finished even when this is to stop.
        let unopened = batches(&slots.difference(open), &weights);
        let mut batches = batches(open, &weights).into_iter().chain(unopened).peekable();
        let mut under_way = FuturesUnordered::new();
        let mut failure = None;
        let mut closed = SlotSet::new();
        loop {
            let stopped = self.stop.is_cancelled();
            while under_way.len() < AT_ONCE && failure.is_none() {
                let next = batches.next_if(|batch| !stopped || !batch.intersection(open).is_empty());
                let Some(batch) = next else { break };
                let shared = shared.intersection(&batch);
                under_way.push(async move { self.shift(&batch, &shared).await });
            }
            match under_way.next().await {
                Some(Ok(slots)) => closed = closed.union(&slots),
                Some(Err(error)) => failure = failure.or(Some(error)),
                None => break,
            }
        }
        self.tell_others(&closed).await;
        let stopped = batches.next().map(|_| RunError::Stopped);
        failure.or(stopped).map_or(Ok(()), Err)
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
        Ok(shared)
    }

    /// Refuses when the destination holds keys of closed slots that the owner does not: they would come to light with the
    /// move. Of a key that both hold, neither the owner's nor the newer value may be lost.
    async fn refuse_stray(&self, slots: &SlotSet) -> Result<(), RunError> {
        if slots.is_empty() {
            return Ok(());
        }
        // Otherwise it does not answer for these keys; clients are not sent there before the owner says so.
        self.destination.tell(slots, SlotState::Importing(self.from.id)).await?;
        let looked_at = self.look_at_stray(slots).await;
        // The batches open them one after the other: whoever stops in between is to leave none open.
        self.destination.tell(slots, SlotState::Stable).await?;
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

    /// Opens these slots, moves their keys, and closes them.
    async fn shift(&self, slots: &SlotSet, shared: &SlotSet) -> Result<SlotSet, RunError> {
        // The destination first: otherwise clients could be sent to a node that turns them away.
        self.destination.tell(slots, SlotState::Importing(self.from.id)).await?;
        self.source.tell(slots, SlotState::Migrating(self.to.id)).await?;
        let kept = self.transfer.empty(slots, shared).await?;
        let unfinished: SlotSet = kept.iter().map(|(slot, _)| *slot).collect();
        self.close(&slots.difference(&unfinished)).await?;
        if kept.is_empty() {
            return Ok(slots.clone());
        }
        Err(self.different(kept.into_iter().map(|(_, key)| key).collect()).into())
    }

    /// Gives slots without keys their owner: the destination itself first, so that nobody sends clients there before it knows,
    /// and the slots have an owner whoever fails in between.
    async fn close(&self, slots: &SlotSet) -> Result<(), RunError> {
        let owner = SlotState::Node(self.to.id);
        for part in few(slots) {
            self.destination.tell(&part, owner).await?;
            match self.source.tell(&part, owner).await {
                // One that has lost its last slot may have become a replica of the destination meanwhile.
                Err(RunError::Node(_)) if self.has_let_go(&part).await => {}
                other => other?,
            }
            (self.transfer.tell)(Sent::Closed(part));
        }
        Ok(())
    }

    /// Tells the other primaries, as far as the destination's word has not reached them. One that does not answer will learn it
    /// by gossip.
    async fn tell_others(&self, slots: &SlotSet) {
        join_all(self.others.iter().map(|link| self.tell_other(*link, slots))).await;
    }

    async fn tell_other(&self, link: &dyn NodeLink, slots: &SlotSet) -> Result<Vec<Slot>, NodeError> {
        let view = ask(link).await?;
        let known = view.entry(self.to.id).map(|entry| entry.slots.clone()).unwrap_or_default();
        let unknown: Vec<Slot> = slots.difference(&known).iter().collect();
        tell(link, &unknown, SlotState::Node(self.to.id)).await
    }

    /// Whether the source says itself that these slots are not its own.
    async fn has_let_go(&self, slots: &SlotSet) -> bool {
        let view = ask(self.transfer.source).await;
        view.is_ok_and(|view| view.myself.slots.intersection(slots).is_empty())
    }
}

/// The slots in the order in which they move, in batches of few slots and, as far as they are several, few keys.
fn batches(slots: &SlotSet, weights: &BTreeMap<Slot, u64>) -> Vec<SlotSet> {
    let mut batches = Vec::new();
    let (mut batch, mut keys) = (Vec::new(), 0);
    for slot in slots.iter() {
        let weight = weights.get(&slot).copied().unwrap_or_default();
        if batch.len() == SLOTS || (keys > 0 && keys + weight > KEYS) {
            batches.push(batch.drain(..).collect());
            keys = 0;
        }
        batch.push(slot);
        keys += weight;
    }
    batches.extend((!batch.is_empty()).then(|| batch.into_iter().collect()));
    batches
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
        let batches = batches(&slots, &weights);
        assert_eq!(batches.iter().fold(SlotSet::new(), |all, batch| all.union(batch)), slots);
        let told: Vec<String> = batches.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["0-39", "40-49", "50", "51-90", "91-99 200"]);
        assert_eq!(super::batches(&slots, &BTreeMap::new()).len(), 2);
    }
}
