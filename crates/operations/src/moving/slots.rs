//! What nodes know of a slot that moves: `CLUSTER SETSLOT`.

use super::{MoveError, servers::Pause};
use crate::{
    port::{Command, Dialer, NodeError, NodeLink, SlotState, Trouble},
    run::RunError,
};
use futures_util::future::{join_all, try_join_all};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use topology::{Engine, NodeId, NodeView, Reply, Slot, SlotSet};

/// How long replicas may lag before it is an error.
const LAG: Duration = Duration::from_secs(30);
/// Links over which a node is told when each `SETSLOT` waits for its replicas.
const LINKS: usize = 64;
/// Words in one write then: if replicas do not follow, the server answers after 2 s for each.
const FEW: usize = 3;
/// Words in one write otherwise: the server writes its configuration file once for all of them. Enough to close one batch and to
/// open the next.
const MANY: usize = 2 * *super::pace::SLOTS.end();
/// Words in one write to a node that is not concerned: its clients wait for them.
const OTHERS: usize = 96;

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
    /// Whether it has refused to take slots quietly.
    refused: AtomicBool,
}

/// From which node slots go, and to which.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
}

impl<'a> Told<'a> {
    /// Opens as many links as this node needs.
    pub(crate) async fn over(link: &'a dyn NodeLink, view: &NodeView, dialer: &dyn Dialer) -> Result<Self, NodeError> {
        let waits = view.server.engine == Engine::Valkey && view.server.connected_replicas > 0;
        let dial = (0..if waits { LINKS } else { 0 }).map(|_| dialer.dial(link.address()));
        let at_once = if waits { FEW } else { MANY };
        Ok(Self { link, more: try_join_all(dial).await?, at_once, refused: AtomicBool::new(false) })
    }

    /// Tells the node what becomes of these slots.
    pub(crate) async fn tell_all(&self, slots: &SlotSet, state: SlotState) -> Result<(), RunError> {
        self.tell(slots.iter().map(|slot| (slot, state)).collect()).await
    }

    /// Tells the node what becomes of slots. What it refuses because its replicas lag is told again until these follow.
    pub(crate) async fn tell(&self, words: Vec<Word>) -> Result<(), RunError> {
        let begin = Instant::now();
        let (mut left, mut pause) = (words, Pause::default());
        while !left.is_empty() {
            let mut late = Vec::new();
            let shares = self.shares(&left);
            let told = shares.iter().map(|(link, share)| tell_in_parts(*link, share, self.at_once));
            for told in join_all(told).await {
                late.extend(told?);
            }
            if !late.is_empty() && begin.elapsed() >= LAG {
                let (address, waited) = (self.link.address().clone(), begin.elapsed());
                return Err(MoveError::ReplicasLag { address, waited }.into());
            }
            left = late;
            // Mostly the server has waited itself; not so where it has let go everybody who waits.
            if !left.is_empty() {
                pause.wait().await;
            }
        }
        Ok(())
    }

    /// Gives this node slots that it imports from another; and tells it what becomes of others.
    ///
    /// With `raise` the first of them comes by a `SETSLOT NODE`, with which it takes a config epoch above all others. It tells every
    /// node of that in a message, which costs each of them as much as a command does: all others it gets without one, where it can
    /// be told so.
    pub(crate) async fn hand_over(
        &self,
        slots: &SlotSet,
        way: Way,
        others: Vec<Word>,
        raise: bool,
    ) -> Result<(), RunError> {
        if !self.more.is_empty() {
            return self.hand_over_with_replicas(slots, way, others, raise).await;
        }
        let loudly: SlotSet = slots.iter().take(usize::from(raise)).collect();
        let quietly = slots.difference(&loudly);
        let own = |slot| (slot, SlotState::Node(way.to));
        if quietly.is_empty() || self.refused.load(Ordering::Relaxed) {
            return self.tell(slots.iter().map(own).chain(others).collect()).await;
        }
        let mut commands: Vec<Command> = loudly.iter().map(own).map(set_slot).collect();
        commands.extend([
            Command::Multi,
            Command::RemoveSlots(quietly.clone()),
            Command::AddSlots(quietly),
            Command::Exec,
        ]);
        commands.extend(others.iter().copied().map(set_slot));
        if self.accepts(commands).await? {
            return Ok(());
        }
        self.tell(slots.iter().map(own).chain(others).collect()).await
    }

    /// The same where replicas carry out each `SETSLOT` first. A slot that such a replica has for its primary, and that has not arrived
    /// there, is in danger: a message from the primary without it makes the replica believe the old owner again, and if the primary
    /// is lost then, the replica drops the keys of the slot when it takes its place (Valkey 9.1).
    ///
    /// So the primary gets all but the last before its replicas, which go on importing them, hear of it; with the last it tells all
    /// nodes what it owns.
    async fn hand_over_with_replicas(
        &self,
        slots: &SlotSet,
        way: Way,
        others: Vec<Word>,
        raise: bool,
    ) -> Result<(), RunError> {
        let own = |slot| (slot, SlotState::Node(way.to));
        if raise {
            self.tell(slots.iter().take(1).map(own).collect()).await?;
        }
        let loudly: SlotSet = slots.iter().take(usize::from(raise)).chain(slots.iter().last()).collect();
        let quietly = slots.difference(&loudly);
        if !quietly.is_empty() && !self.refused.load(Ordering::Relaxed) {
            let [remove, add] = [Command::RemoveSlots(quietly.clone()), Command::AddSlots(quietly)];
            self.accepts(vec![Command::Multi, remove, add, Command::Exec]).await?;
        }
        self.tell(slots.iter().map(own).chain(others).collect()).await
    }

    /// Lets this node tell every other what it owns, by getting one of its slots once more. With replicas it has told already.
    pub(crate) async fn announce(&self, slot: Slot, way: Way) -> Result<(), RunError> {
        if self.more.is_empty() && !self.refused.load(Ordering::Relaxed) {
            let words = [SlotState::Importing(way.from), SlotState::Node(way.to)].map(|state| set_slot((slot, state)));
            let mut commands = vec![Command::Multi, Command::RemoveSlots(SlotSet::from(slot..=slot))];
            commands.extend(words);
            commands.push(Command::Exec);
            self.accepts(commands).await?;
        }
        Ok(())
    }

    /// Sends commands, among them a transaction; gives whether none was refused. Where one was, such as for what the user may do, it
    /// is not tried again.
    async fn accepts(&self, commands: Vec<Command>) -> Result<bool, RunError> {
        let replies = self.link.send(commands).await?;
        let of_transaction = replies.iter().filter_map(Reply::as_list).flatten();
        let accepted = !replies.iter().chain(of_transaction).any(|reply| matches!(reply, Reply::Error(_)));
        self.refused.fetch_or(!accepted, Ordering::Relaxed);
        Ok(accepted)
    }

    /// Which link tells what: the first words go first on all of them.
    fn shares(&self, words: &[Word]) -> Vec<(&dyn NodeLink, Vec<Word>)> {
        if self.more.is_empty() {
            return vec![(self.link, words.to_vec())];
        }
        let links = self.more.iter().map(AsRef::as_ref).enumerate();
        let share = |at: usize| words.iter().skip(at).step_by(self.more.len()).copied().collect::<Vec<_>>();
        links.map(|(at, link)| (link, share(at))).filter(|(_, share)| !share.is_empty()).collect()
    }
}

fn set_slot((slot, state): Word) -> Command {
    Command::SetSlot(slot, state)
}

/// Tells a primary that is not concerned who owns these slots now.
pub(crate) async fn tell_other(link: &dyn NodeLink, slots: &[Slot], owner: NodeId) -> Result<(), NodeError> {
    let words: Vec<Word> = slots.iter().map(|slot| (*slot, SlotState::Node(owner))).collect();
    tell_in_parts(link, &words, OTHERS).await.map(drop)
}

/// Tells it over one link, of so many slots at a time; gives what is refused because replicas lag.
async fn tell_in_parts(link: &dyn NodeLink, words: &[Word], at_once: usize) -> Result<Vec<Word>, NodeError> {
    let mut late = Vec::new();
    for part in words.chunks(at_once) {
        let replies = link.send(part.iter().copied().map(set_slot).collect()).await?;
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
        /// Whether it takes no slots by a transaction.
        refuses: bool,
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
                Command::SetSlot(slot, SlotState::Importing(_)) => format!("{slot} opens"),
                Command::RemoveSlots(slots) => format!("(without {slots}"),
                Command::AddSlots(slots) => format!("with {slots})"),
                Command::Multi | Command::Exec => String::new(),
                other => panic!("not expected: {other:?}"),
            };
            self.told.lock().unwrap().extend(commands.iter().map(word).filter(|word| !word.is_empty()));
            let answer = |command: &Command| match command {
                Command::Exec if self.refuses => Reply::Error("EXECABORT".to_owned()),
                _ => Reply::Bytes(b"OK".to_vec()),
            };
            Box::pin(async move { Ok(commands.iter().map(answer).collect()) })
        }
    }

    const ID: &str = "0123456789012345678901234567890123456789";

    async fn handed_over(slots: &str, raise: bool, refuses: bool) -> String {
        let id: NodeId = ID.parse().unwrap();
        let way = Way { from: id, to: id };
        let link = Noted { address: "127.0.0.1:7000".parse().unwrap(), told: Mutex::default(), refuses };
        let told = Told { link: &link, more: Vec::new(), at_once: 2, refused: AtomicBool::new(false) };
        let slots: SlotSet = slots.parse().unwrap();
        let next = vec![(Slot::new(9).unwrap(), SlotState::Importing(id))];
        told.hand_over(&slots, way, next, raise).await.unwrap();
        if let Some(first) = slots.iter().next() {
            told.announce(first, way).await.unwrap();
        }
        link.told.into_inner().unwrap().join(", ")
    }

    #[tokio::test]
    async fn all_nodes_hear_once_of_the_slots_of_a_batch_and_once_of_the_epoch_of_the_first() {
        let told = handed_over("1-4", true, false).await;
        assert_eq!(told, "1 node, (without 2-4, with 2-4), 9 opens, (without 1, 1 opens, 1 node");
        assert_eq!(
            handed_over("1-2", false, false).await,
            "(without 1-2, with 1-2), 9 opens, (without 1, 1 opens, 1 node"
        );
        assert_eq!(handed_over("1", true, false).await, "1 node, 9 opens, (without 1, 1 opens, 1 node");
        assert_eq!(handed_over("", true, false).await, "9 opens");
    }

    #[tokio::test]
    async fn a_node_that_takes_no_slots_quietly_takes_each_with_a_message() {
        let told = handed_over("1-3", false, true).await;
        assert_eq!(told, "(without 1-3, with 1-3), 9 opens, 1 node, 2 node, 3 node, 9 opens");
    }
}
