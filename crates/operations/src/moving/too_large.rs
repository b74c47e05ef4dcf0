//! Keys that `MIGRATE` cannot carry, found before any slot is opened for them.

use super::{MoveError, keys::Transfer};
use crate::{
    exchange::{accepted, accepted_in, in_database, number},
    port::{Command, Key, NodeError, NodeLink},
    run::RunError,
};
use topology::{Reply, ServerInfo, Slot, SlotSet};

/// What a server takes as one value unless it says otherwise: the `proto-max-bulk-len` that they come with, bytes.
const USUAL: u64 = 512 << 20;
/// Keys that are looked at in one write.
const PAGE: u32 = 500;

/// Refuses when one of these slots holds a key with more bytes than the destination takes at once.
///
/// A node that uses less memory for all its keys has none, and is not searched.
pub(super) async fn refuse_too_large(transfer: &Transfer<'_>, slots: &SlotSet) -> Result<(), RunError> {
    let most = most(transfer.destination).await?;
    let info = accepted(transfer.source, vec![Command::Info]).await?.pop();
    let info = ServerInfo::parse(&info.as_ref().and_then(Reply::as_text).unwrap_or_default());
    if info.dataset_memory.is_some_and(|bytes| bytes < most) {
        return Ok(());
    }
    let mut keys = Vec::new();
    for database in info.databases.into_keys() {
        keys.extend(search(transfer.source, database, slots, most).await?);
    }
    if keys.is_empty() {
        return Ok(());
    }
    let (from, to) = (transfer.source.address().clone(), transfer.destination.address().clone());
    Err(MoveError::TooLarge { from, to, keys, most }.into())
}

/// The most bytes that a server takes as one value. One that does not tell has what is usual.
async fn most(link: &dyn NodeLink) -> Result<u64, NodeError> {
    let reply = link.send(vec![Command::ConfigGet("proto-max-bulk-len".to_owned())]).await?.pop();
    let told = reply.as_ref().and_then(|reply| reply.field("proto-max-bulk-len")).and_then(Reply::as_text);
    Ok(told.and_then(|text| text.parse().ok()).unwrap_or(USUAL))
}

/// The keys of these slots that are too large to be sent, with their bytes as they would be.
async fn search(
    source: &dyn NodeLink,
    database: u32,
    slots: &SlotSet,
    most: u64,
) -> Result<Vec<(Key, u64)>, NodeError> {
    let (mut found, mut cursor) = (Vec::new(), 0);
    loop {
        let page = accepted_in(source, database, vec![Command::Scan(cursor, PAGE)]).await?.pop();
        let Some([next, Reply::List(names)]) = page.as_ref().and_then(Reply::as_list) else { return Ok(found) };
        let names = names.iter().filter_map(|name| if let Reply::Bytes(key) = name { Some(key) } else { None });
        let keys: Vec<&Key> = names.filter(|key| slots.contains(Slot::of_key(key))).collect();
        let weigh = keys.iter().map(|key| Command::MemoryUsage((*key).clone())).collect();
        let weights = in_database(source, database, weigh).await?;
        for (key, _) in keys.iter().zip(&weights).filter(|(_, weight)| number(weight) >= most) {
            // In memory a value takes more than on its way. How much that is the server can tell only by making it up.
            let length = in_database(source, database, vec![Command::DumpLength((*key).clone())]).await?.pop();
            let bytes = length.as_ref().map(number).unwrap_or_default();
            found.extend((bytes > most).then(|| ((*key).clone(), bytes)));
        }
        cursor = next.as_text().and_then(|text| text.parse().ok()).unwrap_or_default();
        if cursor == 0 {
            return Ok(found);
        }
    }
}
