//! What nodes know of a slot that moves: `CLUSTER SETSLOT`.

use crate::{
    port::{Command, NodeError, NodeLink, SlotState, Trouble},
    run::RunError,
};
use std::time::{Duration, Instant};
use topology::{Reply, SlotSet};

/// How long replicas may lag before it is an error.
const LAG: Duration = Duration::from_secs(30);

/// Tells a node what becomes of these slots.
///
/// Valkey 8.0 and newer lets the replicas carry it out first and refuses with `NOREPLICAS` when they lag: those slots are told
/// again until they follow.
pub(super) async fn tell(link: &dyn NodeLink, slots: &SlotSet, state: SlotState) -> Result<(), RunError> {
    let begin = Instant::now();
    let mut left = slots.clone();
    while !left.is_empty() {
        let told: Vec<_> = left.iter().collect();
        let replies = link.send(told.iter().map(|slot| Command::SetSlot(*slot, state)).collect()).await?;
        let mut late = SlotSet::new();
        for (slot, reply) in told.iter().zip(&replies) {
            match reply {
                Reply::Error(line) if line.starts_with("NOREPLICAS") => late.insert(*slot),
                // The node took it over before the answer: the first of several that wait for the same replicas.
                Reply::Error(line) if line.starts_with("UNBLOCKED") => {}
                Reply::Error(line) => {
                    return Err(NodeError::new(link.address().clone(), Trouble::from_refusal(line)).into());
                }
                _ => {}
            }
        }
        if !late.is_empty() && begin.elapsed() >= LAG {
            let missing = format!("the replicas of {} do not follow", link.address());
            return Err(RunError::NotInTime { waited: begin.elapsed(), missing });
        }
        left = late;
    }
    Ok(())
}
