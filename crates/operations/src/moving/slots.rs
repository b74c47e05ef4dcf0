//! What nodes know of a slot that moves: `CLUSTER SETSLOT`.

use crate::{
    port::{Command, Dialer, NodeError, NodeLink, SlotState, Trouble},
    run::RunError,
};
use futures_util::future::{join_all, try_join_all};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use topology::{Engine, NodeView, Reply, Slot, SlotSet};

/// How long replicas may lag before it is an error.
const LAG: Duration = Duration::from_secs(30);
/// Links over which a node is told when each `SETSLOT` waits for its replicas.
const LINKS: usize = 32;
/// Slots in one write then: if replicas do not follow, the server answers after 2 s for each.
const AT_ONCE: usize = 3;

/// Slots of which a node is told in one write. Each costs it some work, and when a slot is closed the destination tells every other
/// node in a message of its own: whoever finds many of them serves nobody else meanwhile.
const FEW: usize = 12;

/// Slots a few at a time.
pub(crate) fn few(slots: &SlotSet) -> Vec<SlotSet> {
    let slots: Vec<Slot> = slots.iter().collect();
    slots.chunks(FEW).map(|few| few.iter().copied().collect()).collect()
}

/// One end of a move, which is told what becomes of slots.
///
/// Valkey 8.0 and newer lets the replicas carry out each `SETSLOT` first. A link waits for that, so many links are used there:
/// what comes in at the same time is acknowledged at the same time.
pub(crate) struct Told<'a> {
    link: &'a dyn NodeLink,
    more: Vec<Arc<dyn NodeLink>>,
}

impl<'a> Told<'a> {
    /// Opens as many links as this node needs.
    pub(crate) async fn over(link: &'a dyn NodeLink, view: &NodeView, dialer: &dyn Dialer) -> Result<Self, NodeError> {
        let waits = view.server.engine == Engine::Valkey && view.server.connected_replicas > 0;
        let dial = (0..if waits { LINKS } else { 0 }).map(|_| dialer.dial(link.address()));
        Ok(Self { link, more: try_join_all(dial).await? })
    }

    /// Tells the node what becomes of these slots. Those that it refuses because its replicas lag are told again until these
    /// follow.
    pub(crate) async fn tell(&self, slots: &SlotSet, state: SlotState) -> Result<(), RunError> {
        let begin = Instant::now();
        let mut left: Vec<Slot> = slots.iter().collect();
        while !left.is_empty() {
            let mut late = Vec::new();
            for told in join_all(self.shares(&left).map(|(link, share)| self.tell_share(link, share, state))).await {
                late.extend(told?);
            }
            if !late.is_empty() && begin.elapsed() >= LAG {
                let missing = format!("the replicas of {} do not follow", self.link.address());
                return Err(RunError::NotInTime { waited: begin.elapsed(), missing });
            }
            left = late;
        }
        Ok(())
    }

    async fn tell_share(&self, link: &dyn NodeLink, share: &[Slot], state: SlotState) -> Result<Vec<Slot>, NodeError> {
        let at_once = if self.more.is_empty() { share.len() } else { AT_ONCE };
        let mut late = Vec::new();
        for slots in share.chunks(at_once.max(1)) {
            late.extend(tell(link, slots, state).await?);
        }
        Ok(late)
    }

    /// Which link tells which slots.
    fn shares<'b>(&'b self, slots: &'b [Slot]) -> impl Iterator<Item = (&'b dyn NodeLink, &'b [Slot])> {
        let links = self.more.iter().map(AsRef::as_ref).chain(self.more.is_empty().then_some(self.link));
        let share = slots.len().div_ceil(self.more.len().max(1)).max(1);
        links.zip(slots.chunks(share))
    }
}

/// Tells it over one link, of a few slots at a time; gives those for which replicas lag.
pub(crate) async fn tell(link: &dyn NodeLink, slots: &[Slot], state: SlotState) -> Result<Vec<Slot>, NodeError> {
    let mut late = Vec::new();
    for few in slots.chunks(FEW) {
        let replies = link.send(few.iter().map(|slot| Command::SetSlot(*slot, state)).collect()).await?;
        for (slot, reply) in few.iter().zip(&replies) {
            match reply {
                Reply::Error(line) if ["NOREPLICAS", "UNBLOCKED"].iter().any(|word| line.starts_with(word)) => {
                    late.push(*slot);
                }
                Reply::Error(line) => return Err(NodeError::new(link.address().clone(), Trouble::from_refusal(line))),
                _ => {}
            }
        }
    }
    Ok(late)
}
