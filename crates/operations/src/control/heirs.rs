//! What a replica holds, looked at just before it is to take the place of a primary that is gone.

use crate::{moving::keys::counts, observe::Observation, port::NodeError};
use topology::{
    Slot, SlotSet,
    plan::{Action, FailoverKind},
};

/// Slots that are asked for in one write, so that others are served in between.
const TOGETHER: usize = 2048;

/// Whether a step lets a replica take over whose keys are all of other slots: it followed another primary before, and has not got
/// a copy of what this one had. One without any keys may have a copy of nothing.
pub(super) async fn holds_others(observation: &Observation, action: &Action) -> Result<bool, NodeError> {
    let Action::Failover { replica, primary, kind: FailoverKind::Forced | FailoverKind::Takeover } = action else {
        return Ok(false);
    };
    let view = &observation.view;
    let said = view.node(replica.id).and_then(|node| node.view());
    let slots = view.node(primary.id).and_then(|node| view.account(node)).map(|account| account.slots.clone());
    let (Some(said), Some(slots), Some(link)) = (said, slots, observation.links.get(&replica.id)) else {
        return Ok(false);
    };
    let slots: Vec<Slot> = slots.iter().collect();
    for database in said.server.databases.keys() {
        for part in slots.chunks(TOGETHER) {
            let part: SlotSet = part.iter().copied().collect();
            if !counts(link.as_ref(), *database, &part).await?.is_empty() {
                return Ok(false);
            }
        }
    }
    Ok(said.server.keys() > 0)
}
