//! Emptying open slots: their keys go from one node to another until none is left.

use super::{
    MoveError,
    both::{self, Trust, Verdict},
    pace::Governor,
    short::Sizes,
    weigher::Weigher,
};
use crate::{
    exchange::{accepted, accepted_in, number},
    port::{Command, Key, NodeError, NodeLink, Superseded, Trouble},
    run::RunError,
};
use futures_util::{
    future::join,
    stream::{self, StreamExt, TryStreamExt},
};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};
use topology::{NodeAddr, Reply, ServerInfo, Slot, SlotSet};

/// Keys that are looked at before the first of them is sent: they and what is told of them stay below a megabyte as a rule. The
/// nodes stand still for a moment between one such part and the next.
const PAGE: u64 = 6000;
/// Keys that are listed in one write, so that others are served in between.
const LISTED: u64 = 1000;
/// Keys that are weighed in one write: no more than a node manages between two parcels, while it waits for the next.
const WEIGHED: usize = 256;
/// Rounds in which no key could be sent before that is an error.
const ROUNDS: u32 = 3;
/// A key from this size on is told of before it is sent, bytes.
pub(super) const LARGE: u64 = 1 << 20;

/// The way from one node to another for keys.
pub(crate) struct Transfer<'a> {
    pub(crate) source: &'a dyn NodeLink,
    /// The source over one link or several, which take turns with the keys. A node does all that has come over one link in one go
    /// and answers then: it would stand still until the next comes, and others would wait for all of it.
    pub(crate) carriers: Vec<&'a dyn NodeLink>,
    /// The source again, to look at the next keys over while the last are sent: a node serves one link after the other, so that
    /// neither waits for the other's whole queue.
    pub(crate) lister: &'a dyn NodeLink,
    pub(crate) destination: &'a dyn NodeLink,
    /// Where the source finds the destination.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// How long the nodes may be silent to each other, milliseconds.
    pub(crate) timeout: Timeout,
    /// Which end owns the slots: of a key that both hold, its value stays.
    pub(crate) owner: Owner,
    /// Whether the owner's value replaces another one that may be newer.
    pub(crate) replace: bool,
    pub(crate) governor: &'a Mutex<Governor>,
    /// What the source tells of its values by itself.
    pub(crate) sizes: Sizes,
    /// Who is asked otherwise.
    pub(crate) weigher: Weigher,
    pub(crate) tell: &'a (dyn Fn(Sent) + Send + Sync),
}

/// Which end of the way owns the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The source: the slots move.
    Source,
    /// The destination: it gets keys that lie elsewhere.
    Destination(Trust),
}

/// How long a node may be silent to another one while it is sent keys, milliseconds.
///
/// The one that sends serves nobody meanwhile: when the other is silent for too long, two nodes are lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeout {
    /// However many keys there are.
    pub(crate) most: u32,
    /// For a few small keys, and for all of them that go in one write: a part of the time after which the other nodes take the silent
    /// one for lost.
    pub(crate) least: u32,
}

impl Timeout {
    /// How many may go in one write, one after the other: none of them is short of time because of the others.
    pub(super) fn together(self) -> usize {
        const MOST: usize = 4;
        const ENOUGH: u32 = 400;
        usize::try_from(self.least / ENOUGH).unwrap_or(MOST).clamp(1, MOST)
    }

    /// What so much may take, which goes together with others: the receiver is silent until it has taken in all of it, at 20 MB a
    /// second or more.
    pub(super) fn of(self, units: u64, together: usize) -> u32 {
        const UNITS: u64 = 20_000;
        let takes = u32::try_from(units / UNITS).unwrap_or(u32::MAX);
        let least = self.least / u32::try_from(together).unwrap_or(u32::MAX).max(1);
        least.saturating_add(takes).min(self.most)
    }
}

/// What is told while keys are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// So many keys have arrived, with about so many bytes.
    Keys(u64, u64),
    /// These slots have their new owner.
    Closed(SlotSet),
    /// This large key is about to be sent: its bytes.
    Large(Key, u64),
}

/// A key that is about to be sent.
pub(super) struct Listed {
    pub(super) slot: Slot,
    pub(super) key: Key,
    pub(super) bytes: u64,
    pub(super) replace: bool,
}

/// Keys that have been looked at.
struct Page {
    database: u32,
    /// Those that are to be sent.
    ready: Vec<Listed>,
    /// Those that are to stay where they are.
    different: Vec<(Slot, Key)>,
    /// How many were dropped, because the destination owns them and holds the same or a newer value.
    dropped: u64,
}

/// How many keys each slot of a page holds.
type Counts = Vec<(Slot, u64)>;

/// The keys of some slots: the first that can be sent, and where the others are.
pub(crate) struct Ahead {
    first: Option<Page>,
    others: VecDeque<(u32, Counts)>,
}

/// What is known of keys that may be on both nodes.
#[derive(Default)]
struct Doubts {
    /// Slots of which the destination holds keys.
    shared: SlotSet,
    /// Slots of which a `MIGRATE` of this run has broken.
    halfway: SlotSet,
    /// Keys that stay where they are.
    kept: BTreeSet<(u32, Slot, Key)>,
}

/// What became of keys that were sent together.
pub(super) enum Outcome {
    /// They have arrived.
    Done,
    /// Some of them are at the destination already.
    Busy,
    /// They may have arrived or not: the nodes lost each other meanwhile.
    Unsure(String),
}

impl Transfer<'_> {
    /// Sends all keys of these slots. `shared` are those slots of which the destination holds keys already: what is on both is
    /// compared first. `ahead` is what was seen of these slots before.
    ///
    /// Gives the keys that were not sent, because both hold different values and the one that would go may be newer.
    pub(crate) async fn empty(
        &self,
        slots: &SlotSet,
        shared: &SlotSet,
        mut ahead: Option<Ahead>,
    ) -> Result<Vec<(Slot, Key)>, RunError> {
        let mut doubts = Doubts { shared: shared.clone(), ..Doubts::default() };
        let mut idle = 0;
        loop {
            // What was seen before the slots were open does not tell that none is left: clients may have written since.
            let is_final = ahead.is_none();
            let Ahead { first, mut others } = match ahead.take() {
                Some(ahead) => ahead,
                None => self.look(slots, &doubts).await?,
            };
            let mut page = first;
            let (mut sent, mut unsure) = (0, SlotSet::new());
            let mut trouble = None;
            while let Some(Page { database, ready, different, dropped }) = page {
                doubts.kept.extend(different.into_iter().map(|(slot, key)| (database, slot, key)));
                sent += dropped;
                let next = self.prepare_next(&mut others, &doubts);
                let (outcomes, next) = join(self.send(database, ready), next).await;
                page = next?;
                for (slot, outcome, keys) in outcomes? {
                    match outcome {
                        Outcome::Done => sent += keys,
                        Outcome::Busy => unsure.insert(slot),
                        Outcome::Unsure(line) => {
                            // The owner's own value may have changed since.
                            let of_source = self.owner == Owner::Source;
                            if of_source { &mut doubts.halfway } else { &mut unsure }.insert(slot);
                            trouble = Some(line);
                        }
                    }
                }
            }
            if is_final && sent == 0 && unsure.is_empty() && trouble.is_none() {
                return Ok(doubts.kept.into_iter().map(|(_, slot, key)| (slot, key)).collect());
            }
            doubts.shared = doubts.shared.union(&unsure);
            idle = if sent == 0 && is_final { idle + 1 } else { 0 };
            if idle == ROUNDS {
                return Err(self.refusal(&trouble.unwrap_or_default()).into());
            }
        }
    }

    /// Looks at the first keys of slots of which only the source holds any, before they are open.
    pub(crate) async fn look_ahead(&self, slots: &SlotSet) -> Result<Ahead, NodeError> {
        self.look(slots, &Doubts::default()).await
    }

    async fn look(&self, slots: &SlotSet, doubts: &Doubts) -> Result<Ahead, NodeError> {
        let pages =
            |(database, counts): (u32, Counts)| groups(&counts, PAGE).into_iter().map(move |page| (database, page));
        let mut others = self.count(slots).await?.into_iter().flat_map(pages).collect();
        let first = self.prepare_next(&mut others, doubts).await?;
        Ok(Ahead { first, others })
    }

    /// Lists the keys of the next page, sorts out which are to be sent, and weighs these.
    async fn prepare_next(
        &self,
        pages: &mut VecDeque<(u32, Counts)>,
        doubts: &Doubts,
    ) -> Result<Option<Page>, NodeError> {
        let Some((database, counts)) = pages.pop_front() else { return Ok(None) };
        let mut listed = self.list(database, &counts).await?;
        listed.retain(|(slot, key)| doubts.kept.is_empty() || !doubts.kept.contains(&(database, *slot, key.clone())));
        let (ready, different, dropped) = self.compare(database, listed, doubts).await?;
        let ready = self.weighed(database, ready).await?;
        Ok(Some(Page { database, ready, different, dropped }))
    }

    /// How many keys each database holds of these slots; databases and slots without keys are left out.
    async fn count(&self, slots: &SlotSet) -> Result<Vec<(u32, Counts)>, NodeError> {
        let mut all = Vec::new();
        for database in databases(self.lister).await? {
            all.push((database, counts(self.lister, database, slots).await?));
        }
        all.retain(|(_, counts)| !counts.is_empty());
        Ok(all)
    }

    async fn list(&self, database: u32, page: &[(Slot, u64)]) -> Result<Vec<(Slot, Key)>, NodeError> {
        let most = |keys: u64| u32::try_from(keys.min(PAGE)).unwrap_or(u32::MAX);
        let mut keys = Vec::new();
        for part in groups(page, LISTED) {
            let commands = part.iter().map(|(slot, keys)| Command::KeysInSlot(*slot, most(*keys)));
            let replies = accepted_in(self.lister, database, commands.collect()).await?;
            for ((slot, _), reply) in part.iter().zip(replies) {
                let Reply::List(names) = reply else { continue };
                keys.extend(names.into_iter().filter_map(|name| match name {
                    Reply::Bytes(key) => Some((*slot, key)),
                    _ => None,
                }));
            }
        }
        Ok(keys)
    }

    /// Which of these keys are to be sent, each with whether it replaces another, which are to stay where they are, and how many
    /// were dropped.
    async fn compare(
        &self,
        database: u32,
        keys: Vec<(Slot, Key)>,
        doubts: &Doubts,
    ) -> Result<(Vec<Listed>, Vec<(Slot, Key)>, u64), NodeError> {
        let listed = |slot, key, replace| Listed { slot, key, bytes: 0, replace };
        let (doubtful, clear): (Vec<_>, Vec<_>) = keys.into_iter().partition(|(slot, _)| doubts.shared.contains(*slot));
        let mut ready: Vec<Listed> = clear
            .into_iter()
            // What a broken MIGRATE has left there was copied from here, and is not used as long as the key is here.
            .map(|(slot, key)| listed(slot, key, doubts.halfway.contains(slot)))
            .collect();
        let (mut different, mut superseded) = (Vec::new(), Vec::new());
        let (owner, other, trust) = match self.owner {
            Owner::Source => (self.source, self.destination, Trust::Copied),
            Owner::Destination(trust) => (self.destination, self.source, trust),
        };
        let verdicts = both::compare(owner, other, database, &doubtful, trust).await?;
        for ((slot, key), verdict) in doubtful.into_iter().zip(verdicts) {
            let replace = verdict == Verdict::Replace || verdict == Verdict::Different && self.replace;
            match (verdict, self.owner) {
                // It has expired meanwhile.
                (Verdict::OnlyThere, Owner::Source) | (Verdict::OnlyHere, Owner::Destination(_)) => {}
                (Verdict::OnlyHere, Owner::Source) | (Verdict::OnlyThere, Owner::Destination(_)) => {
                    ready.push(listed(slot, key, false));
                }
                (_, Owner::Source) if replace => ready.push(listed(slot, key, true)),
                (_, Owner::Destination(_)) if replace => superseded.push(Superseded::compared(key)),
                _ => different.push((slot, key)),
            }
        }
        let dropped = superseded.len() as u64;
        let unlink = superseded.into_iter().flat_map(|key| [Command::Asking, Command::DropCopy(key)]);
        accepted_in(self.source, database, unlink.collect()).await?;
        Ok((ready, different, dropped))
    }

    /// Tells how heavy these keys are, so that no parcel is too heavy.
    async fn weighed(&self, database: u32, mut keys: Vec<Listed>) -> Result<Vec<Listed>, NodeError> {
        if let Some(bytes) = self.sizes.all_short(self.lister, database).await? {
            for listed in &mut keys {
                listed.bytes = bytes.saturating_add(listed.key.len() as u64);
            }
            return Ok(keys);
        }
        let weigh = |part| self.weigher.weigh(self.lister, database, part);
        let questions = self.governor().questions();
        let weights = stream::iter(keys.chunks(WEIGHED).map(weigh)).buffered(questions).try_concat().await?;
        for (listed, bytes) in keys.iter_mut().zip(weights) {
            listed.bytes = bytes;
        }
        // The large ones late: they delay nothing but themselves then.
        keys.sort_by_key(|listed| (listed.bytes >= LARGE).then_some(listed.bytes));
        Ok(keys)
    }

    pub(super) fn governor(&self) -> MutexGuard<'_, Governor> {
        self.governor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn refusal(&self, line: &str) -> MoveError {
        let Self { source, destination, .. } = self;
        MoveError::NotSent {
            from: source.address().clone(),
            to: destination.address().clone(),
            line: line.trim_start_matches("ERR Target instance replied with error: ").to_owned(),
        }
    }
}

/// The databases of a node that hold keys.
pub(super) async fn databases(link: &dyn NodeLink) -> Result<Vec<u32>, NodeError> {
    let replies = accepted(link, vec![Command::Keyspace]).await?;
    let text = replies.first().and_then(Reply::as_text).ok_or_else(|| no_text(link.address()))?;
    Ok(ServerInfo::parse(&text).databases.into_keys().collect())
}

fn no_text(address: &NodeAddr) -> NodeError {
    NodeError::new(address.clone(), Trouble::Protocol("INFO is no text".into()))
}

/// How many keys of a database a node holds of each of these slots; slots without keys are left out.
pub(crate) async fn counts(link: &dyn NodeLink, database: u32, slots: &SlotSet) -> Result<Vec<(Slot, u64)>, NodeError> {
    let asked: Vec<Slot> = slots.iter().collect();
    let commands = asked.iter().copied().map(Command::CountKeysInSlot).collect();
    let replies = accepted_in(link, database, commands).await?;
    Ok(asked.into_iter().zip(replies.iter().map(number)).filter(|(_, keys)| *keys > 0).collect())
}

/// Slots in groups that hold about so many keys together.
fn groups(counts: &[(Slot, u64)], most: u64) -> Vec<Vec<(Slot, u64)>> {
    let mut groups = Vec::new();
    let (mut group, mut keys) = (Vec::new(), 0);
    for &(slot, count) in counts {
        if keys > 0 && keys + count > most {
            groups.push(std::mem::take(&mut group));
            keys = 0;
        }
        group.push((slot, count));
        keys += count;
    }
    groups.extend((!group.is_empty()).then_some(group));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A node with keys in one slot, which go by `MIGRATE`.
    #[derive(Default)]
    struct Source {
        keys: Mutex<Vec<Key>>,
        asked_for_sizes: AtomicU32,
        /// How many `MIGRATE` came in each write.
        together: Mutex<Vec<usize>>,
    }

    impl Source {
        fn answer(&self, command: &Command) -> Reply {
            let mut keys = self.keys.lock().unwrap();
            match command {
                Command::Keyspace => Reply::Bytes(b"# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n".to_vec()),
                Command::KeySizes => {
                    self.asked_for_sizes.fetch_add(1, Ordering::Relaxed);
                    Reply::Bytes(Vec::new())
                }
                Command::CountKeysInSlot(_) => Reply::Integer(i64::try_from(keys.len()).unwrap()),
                Command::KeysInSlot(..) => Reply::List(keys.iter().cloned().map(Reply::Bytes).collect()),
                Command::MemoryUsage(_) => Reply::Integer(100),
                Command::Migrate(migration) => {
                    keys.retain(|key| !migration.keys.contains(key));
                    Reply::Bytes(b"OK".to_vec())
                }
                other => panic!("not expected: {other:?}"),
            }
        }
    }

    impl NodeLink for Source {
        fn address(&self) -> &NodeAddr {
            static ADDRESS: std::sync::LazyLock<NodeAddr> =
                std::sync::LazyLock::new(|| "127.0.0.1:7000".parse().unwrap());
            &ADDRESS
        }

        fn ip(&self) -> std::net::IpAddr {
            std::net::Ipv4Addr::LOCALHOST.into()
        }

        fn send(&self, commands: Vec<Command>) -> futures_util::future::BoxFuture<'_, Result<Vec<Reply>, NodeError>> {
            let migrations = commands.iter().filter(|command| matches!(command, Command::Migrate(_))).count();
            self.together.lock().unwrap().extend((migrations > 0).then_some(migrations));
            Box::pin(async move { Ok(commands.iter().map(|command| self.answer(command)).collect()) })
        }
    }

    fn transfer<'a>(source: &'a Source, governor: &'a Mutex<Governor>) -> Transfer<'a> {
        Transfer {
            source,
            carriers: vec![source],
            lister: source,
            destination: source,
            host: "127.0.0.1".to_owned(),
            port: 7001,
            timeout: Timeout { most: 60_000, least: 5_000 },
            owner: Owner::Source,
            replace: false,
            governor,
            sizes: Sizes::default(),
            weigher: Weigher::default(),
            tell: &|_| {},
        }
    }

    fn governor() -> Mutex<Governor> {
        Mutex::new(Governor::new(super::super::Pace::default(), std::time::Duration::ZERO))
    }

    #[tokio::test]
    async fn what_is_written_after_a_slot_was_looked_at_ahead_moves_too() {
        let (source, governor) = (Source::default(), governor());
        let transfer = transfer(&source, &governor);
        let slots: SlotSet = "5".parse().unwrap();
        let ahead = transfer.look_ahead(&slots).await.unwrap();
        source.keys.lock().unwrap().push(b"late".to_vec());
        assert_eq!(transfer.empty(&slots, &SlotSet::new(), Some(ahead)).await.unwrap(), []);
        assert!(source.keys.lock().unwrap().is_empty(), "a key was left behind");
    }

    #[tokio::test]
    async fn small_slots_go_a_few_in_one_write_when_the_way_is_known() {
        let (source, governor) = (Source::default(), governor());
        let key = |slot: u16| (Slot::new(slot).unwrap(), format!("key {slot}").into_bytes());
        let listed = (0..20).map(key).map(|(slot, key)| Listed { slot, key, bytes: 100, replace: false });
        source.keys.lock().unwrap().extend((0..20).map(|slot| key(slot).1));
        let sent = transfer(&source, &governor).send(0, listed.collect()).await.unwrap();
        assert_eq!(sent.len(), 20);
        assert!(source.keys.lock().unwrap().is_empty());
        let together = source.together.into_inner().unwrap();
        assert_eq!((together[0], together.iter().max()), (1, Some(&4)), "{together:?}");
    }

    #[tokio::test]
    async fn a_node_that_does_not_tell_the_sizes_of_its_values_is_asked_for_them_once() {
        let (source, governor) = (Source::default(), governor());
        source.keys.lock().unwrap().push(b"key".to_vec());
        let transfer = transfer(&source, &governor);
        let slots: SlotSet = "5".parse().unwrap();
        for _ in 0..3 {
            transfer.look_ahead(&slots).await.unwrap();
        }
        assert_eq!(source.asked_for_sizes.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_node_is_not_silent_for_long_over_small_keys_and_may_be_over_large_ones() {
        let timeout = Timeout { most: 60_000, least: 5_000 };
        assert_eq!(timeout.of(10_000, 1), 5_000);
        assert_eq!(timeout.of(200 << 20, 1), 15_485);
        assert_eq!(timeout.of(u64::MAX, 1), 60_000);
    }

    #[test]
    fn a_node_is_not_silent_for_longer_over_several_that_go_together() {
        for (least, together) in [(5_000, 4), (1_667, 4), (1_000, 2), (300, 1)] {
            let timeout = Timeout { most: 60_000, least };
            assert_eq!(timeout.together(), together);
            assert!(timeout.of(10_000, together) * u32::try_from(together).unwrap() <= least);
        }
    }

    #[test]
    fn groups_hold_few_keys_and_every_slot_once() {
        let slot = |number| Slot::new(number).unwrap();
        let counts = [(slot(1), 900), (slot(2), 900), (slot(3), 900), (slot(4), 5_000_000), (slot(5), 1)];
        let groups = groups(&counts, 2000);
        assert_eq!(groups.concat(), counts);
        assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 1]);
    }
}
