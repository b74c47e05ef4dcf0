//! Keys that both nodes of a move hold: which of the two values may go.

use crate::{
    exchange::{in_database, number},
    port::{Command, Key, NodeError, NodeLink},
};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use topology::{Reply, Slot};

/// What is to become of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The other node does not hold it.
    OnlyHere,
    /// The owner does not hold it.
    OnlyThere,
    /// The other node's value may be replaced: it is the same, or older.
    Replace,
    /// The other node's value is another one, and may be newer.
    Different,
}

/// What tells that the owner's value may take the place of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// That it is the same, or was used last by far: clients have used the owner's only.
    LastUsed,
    /// The same, or that it was used about when the other was, too: that is a copy of which `MIGRATE` was interrupted.
    Copied,
    /// Only that it is the same: clients may have written to both.
    Same,
}

impl Trust {
    /// Whether a value that was used so many seconds ago takes the place of one that was used so many seconds ago.
    const fn is_newer(self, here: i64, there: i64) -> bool {
        match self {
            Self::LastUsed => here.saturating_add(SLACK) < there,
            Self::Copied => here <= there.saturating_add(SLACK),
            Self::Same => false,
        }
    }
}

/// The servers count idle time by a clock of one second, and a copy is as old as the moment in which it was sent.
const SLACK: i64 = 2;
/// Keys that are looked at in one write.
const TOGETHER: usize = 100;
/// Values up to so many bytes of memory are read from both nodes to be compared, several at a time if they are small.
const READ: u64 = 16 << 20;
const SMALL: u64 = 32 << 10;
/// Small values that are compared at a time.
const AT_ONCE: usize = 32;
/// Collections up to so many bytes of memory are compared element by element: as elements they take many times as much here.
const ELEMENTS: u64 = 1 << 20;

/// Compares keys of the owner with those of another node. Neither the owner's nor the newer value may be lost.
///
/// Which was used last tells which is newer: the owner serves the key, so that a copy which a broken `MIGRATE` left behind is
/// never used after it. Where the servers do not count idle time (LFU eviction), or the copy was used later, only equal values
/// can be replaced, as far as they are small enough to be read. So it is where clients may have written to both: then use tells nothing. This must be asked before a `MIGRATE`
/// is tried, since that counts as use.
///
/// So does the look at two values, after which both were used at the same time: asked again, that must not pass for older.
/// (`CLIENT NO-TOUCH` is no help: Redis 8.0.2 crashes at a command for an open slot behind it.)
pub(super) async fn compare(
    owner: &dyn NodeLink,
    other: &dyn NodeLink,
    database: u32,
    keys: &[(Slot, Key)],
    trust: Trust,
) -> Result<Vec<Verdict>, NodeError> {
    let (mut verdicts, mut doubtful) = (Vec::with_capacity(keys.len()), Vec::new());
    for part in keys.chunks(TOGETHER) {
        let ask = |asking: bool| part.iter().flat_map(move |(_, key)| question(Command::IdleTime(key.clone()), asking));
        let here = in_database(owner, database, ask(false).collect()).await?;
        let there = in_database(other, database, ask(true).collect()).await?;
        for (((_, key), here), there) in part.iter().zip(&here).zip(there.iter().skip(1).step_by(2)) {
            verdicts.push(match idle(here, there) {
                Idle::Absent(verdict) => verdict,
                Idle::Times(here, there) if trust.is_newer(here, there) => Verdict::Replace,
                _ => {
                    doubtful.push((verdicts.len(), key));
                    Verdict::Different
                }
            });
        }
    }
    for at in same(owner, other, database, doubtful).await? {
        if let Some(verdict) = verdicts.get_mut(at) {
            *verdict = Verdict::Replace;
        }
    }
    Ok(verdicts)
}

enum Idle {
    /// Only one of them holds the key.
    Absent(Verdict),
    /// Seconds since the owner's and the other's value were used.
    Times(i64, i64),
    /// The servers do not tell.
    Unknown,
}

fn idle(here: &Reply, there: &Reply) -> Idle {
    match (here, there) {
        (Reply::Nil, _) => Idle::Absent(Verdict::OnlyThere),
        (_, Reply::Nil) => Idle::Absent(Verdict::OnlyHere),
        _ => here.as_integer().zip(there.as_integer()).map_or(Idle::Unknown, |(here, there)| Idle::Times(here, there)),
    }
}

/// Those of these keys of which both hold the same value, each by its number.
async fn same(
    owner: &dyn NodeLink,
    other: &dyn NodeLink,
    database: u32,
    keys: Vec<(usize, &Key)>,
) -> Result<Vec<usize>, NodeError> {
    let mut found = Vec::new();
    for part in keys.chunks(TOGETHER) {
        let ask =
            |asking: bool| part.iter().flat_map(move |(_, key)| question(Command::MemoryUsage((*key).clone()), asking));
        let here = in_database(owner, database, ask(false).collect()).await?;
        let there = in_database(other, database, ask(true).collect()).await?;
        let sizes =
            here.iter().zip(there.iter().skip(1).step_by(2)).map(|(here, there)| number(here).max(number(there)));
        let readable = part.iter().zip(sizes).filter(|(_, bytes)| *bytes <= READ);
        let (small, large): (Vec<_>, Vec<_>) = readable.partition(|(_, bytes)| *bytes <= SMALL);
        for (group, at_once) in [(small, AT_ONCE), (large, 1)] {
            let compared = group.into_iter().map(|((at, key), bytes)| async move {
                let equal = is_same(owner, other, database, key, bytes).await?;
                Ok::<_, NodeError>(equal.then_some(*at))
            });
            let equal: Vec<Option<usize>> = stream::iter(compared).buffered(at_once).try_collect().await?;
            found.extend(equal.into_iter().flatten());
        }
    }
    Ok(found)
}

/// Whether both hold the same value, of so many bytes: byte by byte as the servers write it, or else the same elements, since a server writes those
/// of sets and hashes in an order of its own.
async fn is_same(
    owner: &dyn NodeLink,
    other: &dyn NodeLink,
    database: u32,
    key: &Key,
    bytes: u64,
) -> Result<bool, NodeError> {
    let dump = |asking| question(Command::Dump(key.clone()), asking).collect();
    let here = in_database(owner, database, dump(false)).await?.pop();
    let there = in_database(other, database, dump(true)).await?.pop();
    let (Some(Reply::Bytes(here)), Some(Reply::Bytes(there))) = (here, there) else { return Ok(false) };
    if here == there || bytes > ELEMENTS {
        return Ok(here == there);
    }
    let here = elements(owner, database, key, false).await?;
    Ok(here.is_some() && here == elements(other, database, key, true).await?)
}

/// The elements of a collection, sorted; none of what is none, or is of a type that only shows as a whole.
async fn elements(
    node: &dyn NodeLink,
    database: u32,
    key: &Key,
    asking: bool,
) -> Result<Option<Vec<Vec<u8>>>, NodeError> {
    let words = |words: &[&str]| {
        let mut typed: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        typed.insert(1, key.clone());
        Command::Typed(typed)
    };
    // All but the one that fits its type are refused.
    let ways: [&[&str]; 4] =
        [&["SMEMBERS"], &["HGETALL"], &["LRANGE", "0", "-1"], &["ZRANGE", "0", "-1", "WITHSCORES"]];
    let commands = ways.iter().flat_map(|way| question(words(way), asking)).collect();
    let replies = in_database(node, database, commands).await?;
    let list = replies.into_iter().find_map(|reply| if let Reply::List(list) = reply { Some(list) } else { None });
    let bytes = |reply| if let Reply::Bytes(bytes) = reply { Some(bytes) } else { None };
    let Some(mut elements) = list.map(|list| list.into_iter().filter_map(bytes).collect::<Vec<_>>()) else {
        return Ok(None);
    };
    elements.sort_unstable();
    Ok(Some(elements))
}

/// A command, for a node that imports the slot behind `ASKING`.
fn question(command: Command, asking: bool) -> impl Iterator<Item = Command> {
    asking.then_some(Command::Asking).into_iter().chain([command])
}
