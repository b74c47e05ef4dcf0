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
use topology::{Engine, NodeId, NodeView, Reply, Slot, SlotSet};

/// How long replicas may lag before it is an error.
const LAG: Duration = Duration::from_secs(30);
/// Links over which a node is told when each `SETSLOT` waits for its replicas.
const LINKS: usize = 32;
/// Slots in one write then: if replicas do not follow, the server answers after 2 s for each.
const FEW: usize = 3;
/// Slots in one write otherwise: the server writes its configuration file once for all of them.
const MANY: usize = 64;
/// Messages to other nodes that follow from one write at most: a node that gets a slot tells every other node of it in a
/// message of its own, and serves nobody else meanwhile.
const MESSAGES: usize = 1000;

/// What becomes of a slot.
pub(crate) type Word = (Slot, SlotState);

/// One end of a move, which is told what becomes of slots.
///
/// Valkey 8.0 and newer lets the replicas carry out each `SETSLOT` first. A link waits for that, so many links are used there:
/// what comes in at the same time is acknowledged at the same time.
pub(crate) struct Told<'a> {
    link: &'a dyn NodeLink,
    more: Vec<Arc<dyn NodeLink>>,
    /// Slots in one write.
    at_once: usize,
}

impl<'a> Told<'a> {
    /// Opens as many links as this node needs.
    pub(crate) async fn over(link: &'a dyn NodeLink, view: &NodeView, dialer: &dyn Dialer) -> Result<Self, NodeError> {
        let waits = view.server.engine == Engine::Valkey && view.server.connected_replicas > 0;
        let dial = (0..if waits { LINKS } else { 0 }).map(|_| dialer.dial(link.address()));
        let at_once = if waits { FEW } else { few(view.peers.len()) };
        Ok(Self { link, more: try_join_all(dial).await?, at_once })
    }

    /// Tells the node what becomes of these slots.
    pub(crate) async fn tell_all(&self, slots: &SlotSet, state: SlotState) -> Result<(), RunError> {
        self.tell(slots.iter().map(|slot| (slot, state)).collect()).await
    }

    /// Tells the node what becomes of slots. What it refuses because its replicas lag is told again until these follow.
    pub(crate) async fn tell(&self, words: Vec<Word>) -> Result<(), RunError> {
        let begin = Instant::now();
        let mut left = words;
        while !left.is_empty() {
            let mut late = Vec::new();
            let shares = self.shares(&left).map(|(link, share)| tell_in_parts(link, share, self.at_once));
            for told in join_all(shares).await {
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

    /// Which link tells what.
    fn shares<'b>(&'b self, words: &'b [Word]) -> impl Iterator<Item = (&'b dyn NodeLink, &'b [Word])> {
        let links = self.more.iter().map(AsRef::as_ref).chain(self.more.is_empty().then_some(self.link));
        let share = words.len().div_ceil(self.more.len().max(1)).max(1);
        links.zip(words.chunks(share))
    }
}

/// Slots of which a node that knows so many others is told in one write.
fn few(peers: usize) -> usize {
    (MESSAGES / peers.max(1)).clamp(1, MANY)
}

/// Tells a primary that is not concerned who owns these slots now.
pub(crate) async fn tell_other(link: &dyn NodeLink, slots: &[Slot], owner: NodeId) -> Result<(), NodeError> {
    let words: Vec<Word> = slots.iter().map(|slot| (*slot, SlotState::Node(owner))).collect();
    tell_in_parts(link, &words, MANY).await.map(drop)
}

/// Tells it over one link, of so many slots at a time; gives what is refused because replicas lag.
async fn tell_in_parts(link: &dyn NodeLink, words: &[Word], at_once: usize) -> Result<Vec<Word>, NodeError> {
    let mut late = Vec::new();
    for part in words.chunks(at_once) {
        let replies = link.send(part.iter().map(|(slot, state)| Command::SetSlot(*slot, *state)).collect()).await?;
        for (word, reply) in part.iter().zip(&replies) {
            match reply {
                Reply::Error(line) if ["NOREPLICAS", "UNBLOCKED"].iter().any(|word| line.starts_with(word)) => {
                    late.push(*word);
                }
                Reply::Error(line) => return Err(NodeError::new(link.address().clone(), Trouble::from_refusal(line))),
                _ => {}
            }
        }
    }
    Ok(late)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_knows_many_others_is_told_of_few_slots_at_once() {
        assert_eq!([0, 5, 100, 1000, 5000].map(few), [64, 64, 10, 1, 1]);
    }
}
