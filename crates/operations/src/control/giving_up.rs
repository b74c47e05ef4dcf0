//! Giving up the data of a shard: the last look before its slots begin anew.

use super::Means;
use crate::{
    observe::{NoEntry, Observation, look},
    port::FleetError,
};
use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};
use topology::{
    NodeId, SlotSet,
    control::{Loss, may_be_kept},
    plan::NodeRef,
};

/// Why a shard's slots are not given to another primary, empty.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotGivenUp {
    #[error(transparent)]
    Blind(#[from] NoEntry),
    #[error(transparent)]
    Fleet(#[from] FleetError),
    #[error("{0}")]
    MayBeKept(String),
}

/// Looks at servers and platform once more, and has the platform keep that these slots were lost.
pub(super) async fn give_up(
    means: &Means,
    observation: &Observation,
    got: &NodeRef,
    slots: &SlotSet,
    keys: &BTreeMap<NodeId, u64>,
) -> Result<(), NotGivenUp> {
    let fresh = look(means.dialer.as_ref(), &observation.answering()).await?;
    let members = means.fleet.members().await?;
    if let Some(why) = may_be_kept(&observation.view, &fresh.view, &members, slots) {
        return Err(NotGivenUp::MayBeKept(why));
    }
    let shards = observation.view.shards();
    let had = shards.iter().find(|shard| !shard.slots().intersection(slots).is_empty());
    let had = had.map(|shard| shard.primary.reference());
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let keys = had.as_ref().and_then(|had| keys.get(&had.id).copied());
    let loss = Loss { slots: slots.clone(), had, keys, got: got.clone(), at };
    Ok(means.fleet.keep_loss(&loss).await?)
}
