//! Moving slots by `MIGRATE`: some at a time are opened, emptied and closed.

use super::{
    MoveError,
    both::{self, Verdict},
    keys::{Sent, Transfer, counts, databases},
    slots::tell,
};
use crate::{
    exchange::accepted_in,
    port::{Command, Key, NodeLink, SlotState},
    run::{Moved, RunError},
};
use futures_util::future::join_all;
use std::sync::{Mutex, PoisonError};
use tokio_util::sync::CancellationToken;
use topology::{Reply, Slot, SlotSet, plan::NodeRef};

/// Slots that are open at the same time. Each `SETSLOT` of a write costs little more than the first, which makes the node write
/// its configuration file.
const SLOTS: usize = 64;
/// Keys in slots that are open at the same time, as far as several slots are: the fewer, the sooner a stop takes effect.
const KEYS: u64 = 20_000;
/// Keys of a slot that both nodes hold, of which more are not looked at before the move.
const LOOKED_AT: u32 = 1000;

/// Moves slots between two nodes.
pub(crate) struct Shift<'a> {
    pub(crate) from: &'a NodeRef,
    pub(crate) to: &'a NodeRef,
    pub(crate) transfer: Transfer<'a>,
    /// The other primaries.
    pub(crate) others: Vec<&'a dyn NodeLink>,
    pub(crate) stop: &'a CancellationToken,
    pub(crate) moved: &'a Mutex<Moved>,
}

impl Shift<'_> {
    /// Moves these slots, which the source owns. `open` are those of them that an interrupted move has left open.
    ///
    /// When it is stopped it ends as soon as no slot is open.
    pub(crate) async fn run(&self, slots: &SlotSet, open: &SlotSet) -> Result<(), RunError> {
        let shared = self.shared(slots).await?;
        self.refuse_stray(&shared.difference(open)).await?;
        let mut left = slots.clone();
        while !left.is_empty() {
            if self.stop.is_cancelled() {
                return Err(RunError::Stopped);
            }
            let batch = self.batch(&left).await?;
            self.shift(&batch, &shared.intersection(&batch)).await?;
            left = left.difference(&batch);
        }
        Ok(())
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
        let destination = self.transfer.destination;
        // Otherwise it does not answer for these keys; clients are not sent there before the owner says so.
        tell(destination, slots, SlotState::Importing(self.from.id)).await?;
        let looked_at = self.look_at_stray(slots).await;
        if looked_at.is_err() {
            tell(destination, slots, SlotState::Stable).await?;
        }
        looked_at
    }

    async fn look_at_stray(&self, slots: &SlotSet) -> Result<(), RunError> {
        let Transfer { source, destination, replace, .. } = self.transfer;
        for database in databases(destination).await? {
            for slot in slots.iter() {
                let listed =
                    accepted_in(destination, database, vec![Command::KeysInSlot(slot, LOOKED_AT)]).await?.pop();
                let keys: Vec<(Slot, Key)> = names(listed).map(|key| (slot, key)).collect();
                let verdicts = both::compare(source, destination, database, &keys).await?;
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

    /// The slots to open next.
    async fn batch(&self, left: &SlotSet) -> Result<SlotSet, RunError> {
        let next: SlotSet = left.iter().take(SLOTS).collect();
        let mut keys = 0;
        let mut heavy: Vec<(Slot, u64)> = Vec::new();
        for database in databases(self.transfer.source).await? {
            heavy.extend(counts(self.transfer.source, database, &next).await?);
        }
        heavy.sort_unstable();
        let beyond = heavy.into_iter().find(|(_, count)| {
            keys += count;
            keys > KEYS && keys > *count
        });
        Ok(match beyond {
            Some((slot, _)) => next.iter().take_while(|open| *open < slot).collect(),
            None => next,
        })
    }

    /// Opens these slots, moves their keys, and closes them.
    async fn shift(&self, slots: &SlotSet, shared: &SlotSet) -> Result<(), RunError> {
        let Transfer { source, destination, .. } = self.transfer;
        // The destination first: otherwise clients could be sent to a node that turns them away.
        tell(destination, slots, SlotState::Importing(self.from.id)).await?;
        tell(source, slots, SlotState::Migrating(self.to.id)).await?;
        let kept = self.transfer.empty(slots, shared).await?;
        let unfinished: SlotSet = kept.iter().map(|(slot, _)| *slot).collect();
        self.close(&slots.difference(&unfinished)).await?;
        if kept.is_empty() {
            return Ok(());
        }
        Err(self.different(kept.into_iter().map(|(_, key)| key).collect()).into())
    }

    /// Gives slots without keys their owner: the destination itself first, so that nobody sends clients there before it knows,
    /// and the slots have an owner whoever fails in between.
    async fn close(&self, slots: &SlotSet) -> Result<(), RunError> {
        let Transfer { source, destination, .. } = self.transfer;
        let owner = SlotState::Node(self.to.id);
        tell(destination, slots, owner).await?;
        let told = async {
            match tell(source, slots, owner).await {
                // One that has lost its last slot may have become a replica of the destination meanwhile.
                Err(RunError::Node(_)) if self.has_let_go(slots).await => Ok(()),
                other => other,
            }
        };
        // The others learn it from the destination, too: one that does not answer does not hold up the move.
        let others = join_all(self.others.iter().map(|other| tell(*other, slots, owner)));
        let (told, _) = tokio::join!(told, others);
        told?;
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).slots += slots.len();
        (self.transfer.tell)(Sent::Keys(0));
        Ok(())
    }

    /// Whether the source says itself that these slots are not its own.
    async fn has_let_go(&self, slots: &SlotSet) -> bool {
        let view = crate::observe::ask(self.transfer.source).await;
        view.is_ok_and(|view| view.myself.slots.intersection(slots).is_empty())
    }
}

fn names(reply: Option<Reply>) -> impl Iterator<Item = Key> {
    let names = if let Some(Reply::List(names)) = reply { names } else { Vec::new() };
    names.into_iter().filter_map(|name| if let Reply::Bytes(key) = name { Some(key) } else { None })
}
