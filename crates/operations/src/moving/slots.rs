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
/// Words in one write then: if replicas do not follow, the server answers after 2 s for each.
const FEW: usize = 3;
/// Words in one write otherwise: the server writes its configuration file once for all of them, and others wait for them.
const MANY: usize = 96;

/// What becomes of a slot.
pub(crate) type Word = (Slot, SlotState);

/// One end of a move, which is told what becomes of slots.
///
/// Valkey 8.0 and newer lets the replicas carry out each `SETSLOT` first. A link waits for that, so many links are used there:
/// what comes in at the same time is acknowledged at the same time.
pub(crate) struct Told<'a> {
    link: &'a dyn NodeLink,
    more: Vec<Arc<dyn NodeLink>>,
    /// Words in one write.
    at_once: usize,
}

impl<'a> Told<'a> {
    /// Opens as many links as this node needs.
    pub(crate) async fn over(link: &'a dyn NodeLink, view: &NodeView, dialer: &dyn Dialer) -> Result<Self, NodeError> {
        let waits = view.server.engine == Engine::Valkey && view.server.connected_replicas > 0;
        let dial = (0..if waits { LINKS } else { 0 }).map(|_| dialer.dial(link.address()));
        let at_once = if waits { FEW } else { MANY };
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

    /// Gives this node, which is the owner from now on, slots that it imports; and tells it what becomes of others.
    ///
    /// A server that gets a slot which it imports takes a config epoch above all others, and tells every node of it in a message
    /// to each. Once at the end, for all slots, is enough, and with `raise` once at the beginning, for the epoch; all others
    /// it gets when it imports them no longer.
    pub(crate) async fn hand_over(
        &self,
        slots: &SlotSet,
        owner: NodeId,
        others: Vec<Word>,
        raise: bool,
    ) -> Result<(), RunError> {
        // Over several links there is no order between words.
        let in_order = self.more.is_empty();
        let last = slots.len().saturating_sub(1);
        let own = slots.iter().enumerate().flat_map(|(at, slot)| {
            let quietly = in_order && at != last && !(raise && at == 0);
            let stable = quietly.then_some((slot, SlotState::Stable));
            stable.into_iter().chain([(slot, SlotState::Node(owner))])
        });
        self.tell(own.chain(others).collect()).await
    }

    /// Which link tells what.
    fn shares<'b>(&'b self, words: &'b [Word]) -> impl Iterator<Item = (&'b dyn NodeLink, &'b [Word])> {
        let links = self.more.iter().map(AsRef::as_ref).chain(self.more.is_empty().then_some(self.link));
        let share = words.len().div_ceil(self.more.len().max(1)).max(1);
        links.zip(words.chunks(share))
    }
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
    use futures_util::future::BoxFuture;
    use std::sync::Mutex;
    use topology::NodeAddr;

    /// A node that takes note of what it is told.
    struct Noted {
        address: NodeAddr,
        told: Mutex<Vec<String>>,
    }

    impl NodeLink for Noted {
        fn address(&self) -> &NodeAddr {
            &self.address
        }

        fn ip(&self) -> std::net::IpAddr {
            std::net::Ipv4Addr::LOCALHOST.into()
        }

        fn send(&self, commands: Vec<Command>) -> BoxFuture<'_, Result<Vec<Reply>, NodeError>> {
            let word = |command: &Command| match command {
                Command::SetSlot(slot, SlotState::Node(_)) => format!("{slot} node"),
                Command::SetSlot(slot, SlotState::Stable) => format!("{slot} stable"),
                Command::SetSlot(slot, _) => format!("{slot} opens"),
                other => panic!("not expected: {other:?}"),
            };
            self.told.lock().unwrap().extend(commands.iter().map(word));
            Box::pin(async move { Ok(commands.iter().map(|_| Reply::Bytes(b"OK".to_vec())).collect()) })
        }
    }

    #[tokio::test]
    async fn all_nodes_hear_once_of_the_slots_of_a_batch_and_once_of_the_epoch_of_the_first() {
        let own: NodeId = "0123456789012345678901234567890123456789".parse().unwrap();
        let told_of = async |slots: &str, raise: bool| {
            let link = Noted { address: "127.0.0.1:7000".parse().unwrap(), told: Mutex::default() };
            let told = Told { link: &link, more: Vec::new(), at_once: 2 };
            let next = vec![(Slot::new(9).unwrap(), SlotState::Importing(own))];
            told.hand_over(&slots.parse().unwrap(), own, next, raise).await.unwrap();
            link.told.into_inner().unwrap().join(", ")
        };
        assert_eq!(told_of("1-4", true).await, "1 node, 2 stable, 2 node, 3 stable, 3 node, 4 node, 9 opens");
        assert_eq!(told_of("1-3", false).await, "1 stable, 1 node, 2 stable, 2 node, 3 node, 9 opens");
        assert_eq!(told_of("1-2", true).await, "1 node, 2 node, 9 opens");
        assert_eq!(told_of("1", false).await, "1 node, 9 opens");
        assert_eq!(told_of("", true).await, "9 opens");
    }
}
