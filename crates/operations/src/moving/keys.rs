//! Sending the keys of open slots from one node to another, until none is left.

use super::{
    MoveError,
    both::{self, Trust, Verdict},
    pace::Governor,
};
use crate::{
    exchange::{accepted, accepted_in, in_database, number},
    port::{Command, Key, Migration, NodeError, NodeLink, Superseded, Trouble},
    run::RunError,
};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use tokio::time::sleep_until;
use topology::{NodeAddr, Reply, ServerInfo, Slot, SlotSet};

/// Keys that are sent before the next are looked at: they and what is told of them stay below some hundred kilobytes as a rule.
const PAGE: u64 = 2000;
/// Keys that are listed or weighed in one write, so that others are served in between.
const AT_ONCE: usize = 250;
/// Rounds in which no key could be sent before that is an error.
const ROUNDS: u32 = 3;
/// A key from this size on is told of before it is sent, bytes.
const LARGE: u64 = 1 << 20;

/// The way from one node to another for keys.
pub(crate) struct Transfer<'a> {
    pub(crate) source: &'a dyn NodeLink,
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
    /// Whoever sends has it: several batches do not send at the same time.
    pub(crate) road: tokio::sync::Mutex<()>,
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
    /// For a few small keys: a part of the time after which the other nodes take the silent one for lost.
    pub(crate) least: u32,
}

impl Timeout {
    /// What so much may take: the receiver is silent until it has taken in all of it, at 20 MB a second or more.
    fn of(self, units: u64) -> u32 {
        const UNITS: u64 = 20_000;
        let takes = u32::try_from(units / UNITS).unwrap_or(u32::MAX);
        self.least.saturating_add(takes).min(self.most)
    }
}

/// What is told while keys are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// So many keys have arrived.
    Keys(u64),
    /// These slots have their new owner.
    Closed(SlotSet),
    /// This large key is about to be sent: its bytes.
    Large(Key, u64),
}

/// Keys of one slot that are sent together.
#[derive(Debug)]
struct Parcel {
    database: u32,
    slot: Slot,
    keys: Vec<Key>,
    units: u64,
    replace: bool,
}

/// A key that is about to be sent.
struct Listed {
    slot: Slot,
    key: Key,
    bytes: u64,
    replace: bool,
}

/// What became of a parcel.
enum Outcome {
    /// It has arrived.
    Done,
    /// Some of its keys are at the destination already.
    Busy,
    /// It may have arrived or not: the nodes lost each other meanwhile.
    Unsure(String),
}

impl Transfer<'_> {
    /// Sends all keys of these slots. `shared` are those slots of which the destination holds keys already: what is on both is
    /// compared first.
    ///
    /// Gives the keys that were not sent, because both hold different values and the one that would go may be newer.
    pub(crate) async fn empty(&self, slots: &SlotSet, shared: &SlotSet) -> Result<Vec<(Slot, Key)>, RunError> {
        let mut shared = shared.clone();
        let mut halfway = SlotSet::new();
        let mut kept: BTreeSet<(u32, Slot, Key)> = BTreeSet::new();
        let mut idle = 0;
        let mut last = String::new();
        loop {
            let (mut sent, mut unsure) = (0, SlotSet::new());
            last.clear();
            for (database, counts) in self.count(slots).await? {
                for page in groups(&counts, PAGE) {
                    let listed = self.list(database, &page).await?;
                    let fresh =
                        listed.into_iter().filter(|(slot, key)| !kept.contains(&(database, *slot, key.clone())));
                    let (ready, different, dropped) =
                        self.compare(database, fresh.collect(), &shared, &halfway).await?;
                    sent += dropped;
                    kept.extend(different.into_iter().map(|(slot, key)| (database, slot, key)));
                    let weighed = self.weighed(database, ready).await?;
                    for (slot, outcome, keys) in self.send(database, weighed).await? {
                        match outcome {
                            Outcome::Done => sent += keys,
                            Outcome::Busy => unsure.insert(slot),
                            Outcome::Unsure(line) => {
                                // The owner's own value may have changed since.
                                let of_source = self.owner == Owner::Source;
                                if of_source { &mut halfway } else { &mut unsure }.insert(slot);
                                last = line;
                            }
                        }
                    }
                }
            }
            if sent == 0 && unsure.is_empty() && last.is_empty() {
                return Ok(kept.into_iter().map(|(_, slot, key)| (slot, key)).collect());
            }
            shared = shared.union(&unsure);
            idle = if sent == 0 { idle + 1 } else { 0 };
            if idle == ROUNDS {
                return Err(self.refusal(&last).into());
            }
        }
    }

    /// How many keys each database holds of these slots; databases and slots without keys are left out.
    async fn count(&self, slots: &SlotSet) -> Result<Vec<(u32, Vec<(Slot, u64)>)>, NodeError> {
        let mut all = Vec::new();
        for database in databases(self.source).await? {
            all.push((database, counts(self.source, database, slots).await?));
        }
        all.retain(|(_, counts)| !counts.is_empty());
        Ok(all)
    }

    async fn list(&self, database: u32, page: &[(Slot, u64)]) -> Result<Vec<(Slot, Key)>, NodeError> {
        let most = |keys: u64| u32::try_from(keys.min(PAGE)).unwrap_or(u32::MAX);
        let mut keys = Vec::new();
        for part in groups(page, AT_ONCE as u64) {
            let commands = part.iter().map(|(slot, keys)| Command::KeysInSlot(*slot, most(*keys)));
            let replies = accepted_in(self.source, database, commands.collect()).await?;
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
    /// were dropped because the destination owns them and holds the same or a newer value. Of those in slots that `shared` names,
    /// both values are looked at; `halfway` are slots of which a `MIGRATE` of this run has broken.
    async fn compare(
        &self,
        database: u32,
        keys: Vec<(Slot, Key)>,
        shared: &SlotSet,
        halfway: &SlotSet,
    ) -> Result<(Vec<Listed>, Vec<(Slot, Key)>, u64), NodeError> {
        let listed = |slot, key, replace| Listed { slot, key, bytes: 0, replace };
        let (doubtful, clear): (Vec<_>, Vec<_>) = keys.into_iter().partition(|(slot, _)| shared.contains(*slot));
        let mut ready: Vec<Listed> = clear
            .into_iter()
            // What a broken MIGRATE has left there was copied from here, and is not used as long as the key is here.
            .map(|(slot, key)| listed(slot, key, halfway.contains(slot)))
            .collect();
        let (mut different, mut superseded) = (Vec::new(), Vec::new());
        let (owner, other, trust) = match self.owner {
            Owner::Source => (self.source, self.destination, Trust::LastUsed),
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
        for part in keys.chunks_mut(AT_ONCE) {
            let commands = part.iter().map(|listed| Command::MemoryUsage(listed.key.clone())).collect();
            let replies = in_database(self.source, database, commands).await?;
            for (listed, reply) in part.iter_mut().zip(&replies) {
                listed.bytes = number(reply);
            }
        }
        // The large ones late: they delay nothing but themselves then.
        keys.sort_by_key(|listed| (listed.bytes >= LARGE).then_some(listed.bytes));
        Ok(keys)
    }

    /// Sends these keys in parcels, as large and as many at once as the pace allows.
    async fn send(&self, database: u32, keys: Vec<Listed>) -> Result<Vec<(Slot, Outcome, u64)>, RunError> {
        let _road = self.road.lock().await;
        let mut outcomes = Vec::new();
        let mut under_way = FuturesUnordered::new();
        let mut keys = keys.into_iter().peekable();
        let (mut last_start, mut last_arrival) = (None, Instant::now());
        loop {
            let (window, apart) = {
                let governor = self.governor();
                (governor.window(), governor.apart())
            };
            while under_way.len() < window {
                let Some(parcel) = self.next_parcel(database, &mut keys) else { break };
                let start = last_start.map_or_else(Instant::now, |last: Instant| (last + apart).max(Instant::now()));
                last_start = Some(start);
                under_way.push(self.deliver(parcel, start));
            }
            let Some(delivered) = under_way.next().await else { return Ok(outcomes) };
            let (parcel, start, outcome) = delivered?;
            let arrival = Instant::now();
            self.governor().sent(arrival.saturating_duration_since(start.max(last_arrival)));
            last_arrival = arrival;
            let keys = parcel.keys.len() as u64;
            if matches!(outcome, Outcome::Done) {
                (self.tell)(Sent::Keys(keys));
            }
            outcomes.push((parcel.slot, outcome, keys));
        }
    }

    /// The next keys that may go together: of one slot, and not too heavy. A large key goes alone.
    fn next_parcel(
        &self,
        database: u32,
        keys: &mut std::iter::Peekable<impl Iterator<Item = Listed>>,
    ) -> Option<Parcel> {
        let (most_units, most_keys) = {
            let governor = self.governor();
            (governor.most_units(), governor.most_keys() as usize)
        };
        let first = keys.next()?;
        if first.bytes >= LARGE {
            (self.tell)(Sent::Large(first.key.clone(), first.bytes));
        }
        let (slot, replace) = (first.slot, first.replace);
        let mut parcel =
            Parcel { database, slot, keys: vec![first.key], units: Governor::units(1, first.bytes), replace };
        while parcel.keys.len() < most_keys {
            let fits = |next: &Listed| {
                let with_it = parcel.units + Governor::units(1, next.bytes);
                (next.slot, next.replace) == (slot, replace) && with_it <= most_units
            };
            let Some(next) = keys.next_if(fits) else { break };
            parcel.units += Governor::units(1, next.bytes);
            parcel.keys.push(next.key);
        }
        Some(parcel)
    }

    async fn deliver(&self, parcel: Parcel, start: Instant) -> Result<(Parcel, Instant, Outcome), RunError> {
        if start > Instant::now() {
            sleep_until(start.into()).await;
        }
        let migration = Migration {
            host: self.host.clone(),
            port: self.port,
            database: parcel.database,
            timeout: self.timeout.of(parcel.units),
            replace: parcel.replace,
            copy: false,
            keys: parcel.keys.clone(),
        };
        let commands = vec![Command::Migrate(Box::new(migration))];
        let reply = in_database(self.source, parcel.database, commands).await?.pop();
        let outcome = match reply {
            Some(Reply::Error(line)) if line.contains("BUSYKEY") => Outcome::Busy,
            Some(Reply::Error(line)) if passing(&line) => Outcome::Unsure(line),
            Some(Reply::Error(line)) => return Err(self.refusal(&line).into()),
            _ => Outcome::Done,
        };
        Ok((parcel, start, outcome))
    }

    fn refusal(&self, line: &str) -> MoveError {
        let Self { source, destination, .. } = self;
        MoveError::NotSent {
            from: source.address().clone(),
            to: destination.address().clone(),
            line: line.trim_start_matches("ERR Target instance replied with error: ").to_owned(),
        }
    }

    fn governor(&self) -> MutexGuard<'_, Governor> {
        self.governor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a refusal of `MIGRATE` may go away when it is tried again.
fn passing(line: &str) -> bool {
    ["IOERR", "LOADING", "CLUSTERDOWN", "TRYAGAIN"].iter().any(|word| line.contains(word))
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

    #[test]
    fn a_node_is_not_silent_for_long_over_small_keys_and_may_be_over_large_ones() {
        let timeout = Timeout { most: 60_000, least: 5_000 };
        assert_eq!(timeout.of(10_000), 5_000);
        assert_eq!(timeout.of(200 << 20), 15_485);
        assert_eq!(timeout.of(u64::MAX), 60_000);
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
