//! Keys that lie on a primary which does not own their slot.

use crate::{
    exchange::{none_refused, number},
    observe::Observation,
    port::{Command, NodeError, NodeLink, Trouble},
};
use futures_util::future::try_join_all;
use std::collections::BTreeMap;
use topology::{NodeId, Reply, Slot, SlotSet, findings::StrayKeys};

/// Commands in one batch, so that no reply grows beyond a few kilobytes and none keeps others waiting for long.
const BATCH: usize = 2048;

/// The keys that each primary holds without owning their slot; primaries without such keys are left out.
///
/// A primary whose slots hold as many keys as its whole database holds has no stray ones: that takes one transaction for
/// each primary. Only where the numbers differ are all other slots counted.
///
/// # Errors
/// When a primary did not answer.
pub async fn stray_keys(observation: &Observation) -> Result<BTreeMap<NodeId, StrayKeys>, NodeError> {
    let primaries = observation.view.answering().filter(|(_, view)| view.myself.is_primary());
    let searches = primaries.filter_map(|(_, view)| {
        let link = observation.links.get(&view.myself.id)?;
        Some(async move {
            let mut stray = StrayKeys::default();
            for database in view.server.databases.keys() {
                let found = search(link.as_ref(), *database, &view.myself.slots).await?;
                stray.slots = stray.slots.union(&found.slots);
                stray.elsewhere = stray.elsewhere.saturating_add(found.elsewhere);
            }
            Ok((view.myself.id, stray))
        })
    });
    let found: Vec<(NodeId, StrayKeys)> = try_join_all(searches).await?;
    Ok(found.into_iter().filter(|(_, stray)| *stray != StrayKeys::default()).collect())
}

async fn search(link: &dyn NodeLink, database: u32, owned: &SlotSet) -> Result<StrayKeys, NodeError> {
    let mut batch = vec![Command::Select(database), Command::Multi, Command::DatabaseSize];
    batch.extend(owned.iter().map(Command::CountKeysInSlot));
    batch.extend([Command::Exec, Command::Select(0)]);
    let replies = link.send(batch).await?;
    let protocol = |what: &str| NodeError::new(link.address().clone(), Trouble::Protocol(what.to_owned()));
    none_refused(link, &replies)?;
    let counts = replies.iter().rev().nth(1).and_then(Reply::as_list).ok_or_else(|| protocol("EXEC gave no list"))?;
    none_refused(link, counts)?;
    let mut counts = counts.iter().map(number);
    let all = counts.next().ok_or_else(|| protocol("EXEC gave an empty list"))?;
    let mut elsewhere = all.saturating_sub(counts.sum());
    let mut slots = SlotSet::new();
    if elsewhere == 0 {
        return Ok(StrayKeys::default());
    }
    let others: Vec<Slot> = owned.complement().iter().collect();
    for asked in others.chunks(BATCH) {
        let mut batch = vec![Command::Select(database)];
        batch.extend(asked.iter().copied().map(Command::CountKeysInSlot));
        batch.push(Command::Select(0));
        let replies = link.send(batch).await?;
        none_refused(link, &replies)?;
        for (slot, keys) in asked.iter().zip(replies.iter().skip(1).map(number)).filter(|(_, keys)| *keys > 0) {
            slots.insert(*slot);
            elsewhere = elsewhere.saturating_sub(keys);
        }
    }
    Ok(StrayKeys { slots, elsewhere })
}
