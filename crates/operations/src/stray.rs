//! Keys that lie on a primary which does not own their slot.

use crate::{
    observe::Observation,
    port::{Command, NodeError, NodeLink, Trouble},
};
use futures_util::future::try_join_all;
use std::collections::BTreeMap;
use topology::{NodeId, Reply, Slot, SlotSet};

/// Commands in one batch, so that no reply grows beyond a few kilobytes and none keeps others waiting for long.
const BATCH: usize = 2048;

/// The slots in which each primary holds keys without owning the slot; primaries without such keys are left out.
///
/// A primary whose slots hold as many keys as its whole database holds has no stray ones: that takes one transaction for
/// each primary. Only where the numbers differ are all other slots counted.
///
/// # Errors
/// When a primary did not answer.
pub async fn stray_keys(observation: &Observation) -> Result<BTreeMap<NodeId, SlotSet>, NodeError> {
    let primaries = observation.view.answering().filter(|(_, view)| view.myself.is_primary());
    let searches = primaries.filter_map(|(_, view)| {
        let link = observation.links.get(&view.myself.id)?;
        Some(async move {
            let mut stray = SlotSet::new();
            for database in view.server.databases.keys() {
                stray = stray.union(&search(link.as_ref(), *database, &view.myself.slots).await?);
            }
            Ok((view.myself.id, stray))
        })
    });
    let found: Vec<(NodeId, SlotSet)> = try_join_all(searches).await?;
    Ok(found.into_iter().filter(|(_, slots)| !slots.is_empty()).collect())
}

async fn search(link: &dyn NodeLink, database: u32, owned: &SlotSet) -> Result<SlotSet, NodeError> {
    let mut batch = vec![Command::Select(database), Command::Multi, Command::DatabaseSize];
    batch.extend(owned.iter().map(Command::CountKeysInSlot));
    batch.extend([Command::Exec, Command::Select(0)]);
    let replies = link.send(batch).await?;
    let protocol = |what: &str| NodeError::new(link.address().clone(), Trouble::Protocol(what.to_owned()));
    refusal(link, &replies)?;
    let counts = replies.iter().rev().nth(1).and_then(Reply::as_list).ok_or_else(|| protocol("EXEC gave no list"))?;
    refusal(link, counts)?;
    let mut counts = counts.iter().map(|count| count.as_integer().unwrap_or_default());
    let all = counts.next().ok_or_else(|| protocol("EXEC gave an empty list"))?;
    if counts.sum::<i64>() == all {
        return Ok(SlotSet::new());
    }
    let others: Vec<Slot> = owned.complement().iter().collect();
    let mut stray = SlotSet::new();
    for slots in others.chunks(BATCH) {
        let mut batch = vec![Command::Select(database)];
        batch.extend(slots.iter().copied().map(Command::CountKeysInSlot));
        batch.push(Command::Select(0));
        let replies = link.send(batch).await?;
        refusal(link, &replies)?;
        let counted = slots.iter().zip(replies.iter().skip(1));
        stray = stray.union(
            &counted.filter(|(_, count)| count.as_integer().unwrap_or_default() > 0).map(|(slot, _)| *slot).collect(),
        );
    }
    Ok(stray)
}

fn refusal(link: &dyn NodeLink, replies: &[Reply]) -> Result<(), NodeError> {
    let refused = replies.iter().find_map(|reply| match reply {
        Reply::Error(line) => Some(NodeError::new(link.address().clone(), Trouble::from_refusal(line))),
        _ => None,
    });
    refused.map_or(Ok(()), Err)
}
