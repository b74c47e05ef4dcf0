//! What has to be asked before slots can be repaired: who holds keys of them.

use crate::{
    exchange::{none_refused, number},
    moving::keys::counts,
    observe::Observation,
    port::{Command, NodeError, NodeLink, SlotState, Trouble},
    stray::stray_keys,
};
use futures_util::future::try_join_all;
use std::collections::BTreeMap;
use topology::{
    Engine, NodeId, NodeView, Reply, ServerInfo, Slot, SlotSet,
    repair::{Held, doubtful},
};

/// Slots that are asked for in one write, so that others are served in between.
const TOGETHER: usize = 2048;

/// The keys that each primary holds of the slots in doubt, and with `everywhere` of all slots that it does not own.
///
/// All primaries are asked at the same time, each for all slots in a few writes.
///
/// # Errors
/// When a primary does not answer.
pub async fn held(observation: &Observation, everywhere: bool) -> Result<Held, NodeError> {
    let mut slots = doubtful(&observation.view);
    let mut hiding = SlotSet::new();
    if everywhere {
        for stray in stray_keys(observation).await?.values() {
            slots = slots.union(&stray.slots);
            if stray.elsewhere > 0 {
                hiding = SlotSet::all();
            }
        }
    }
    let primaries = observation.view.answering().filter(|(_, said)| said.myself.is_primary());
    let asked = primaries.filter_map(|(_, said)| {
        let link = observation.links.get(&said.myself.id)?;
        let (slots, hiding) = (&slots, &hiding);
        Some(async move {
            let mut keys = BTreeMap::new();
            if said.server.keys() > 0 {
                shown(link.as_ref(), said, slots, &mut keys).await?;
                hidden(link.as_ref(), said, &slots.union(hiding), &mut keys).await?;
            }
            Ok::<_, NodeError>((said.myself.id, keys))
        })
    });
    let mut held: Held = try_join_all(asked).await?.into_iter().filter(|(_, keys)| !keys.is_empty()).collect();
    // What only its owner holds of slots that are not in doubt tells nothing.
    let doubtful = slots.union(&strangers(observation, &held));
    for keys in held.values_mut() {
        keys.retain(|slot, _| doubtful.contains(*slot));
    }
    owners_of(observation, &doubtful.difference(&slots), &mut held).await?;
    Ok(held)
}

/// What a node tells.
async fn shown(
    link: &dyn NodeLink,
    said: &NodeView,
    slots: &SlotSet,
    keys: &mut BTreeMap<Slot, u64>,
) -> Result<(), NodeError> {
    let asked: Vec<Slot> = slots.iter().collect();
    for database in said.server.databases.keys() {
        for part in asked.chunks(TOGETHER) {
            for (slot, held) in counts(link, *database, &part.iter().copied().collect()).await? {
                *keys.entry(slot).or_default() += held;
            }
        }
    }
    Ok(())
}

/// What a node tells only of slots that it imports: Redis 8.4 and later count no keys of others. A slot that is importing within a
/// transaction is so for nobody else.
pub(crate) async fn hidden(
    link: &dyn NodeLink,
    said: &NodeView,
    slots: &SlotSet,
    keys: &mut BTreeMap<Slot, u64>,
) -> Result<(), NodeError> {
    let own = &said.myself;
    let slots: Vec<Slot> = slots.difference(&own.slots.union(&own.open_slots())).iter().collect();
    if !hides(&said.server) {
        return Ok(());
    }
    for part in slots.chunks(TOGETHER) {
        for (slot, held) in part.iter().zip(as_importing(link, part, own.id).await?) {
            if held > 0 {
                keys.insert(*slot, held);
            }
        }
    }
    Ok(())
}

async fn as_importing(link: &dyn NodeLink, slots: &[Slot], own: NodeId) -> Result<Vec<u64>, NodeError> {
    let mut commands = vec![Command::Multi];
    for slot in slots {
        commands.push(Command::SetSlot(*slot, SlotState::Importing(own)));
        commands.push(Command::CountKeysInSlot(*slot));
        commands.push(Command::SetSlot(*slot, SlotState::Stable));
    }
    commands.push(Command::Exec);
    let replies = link.send(commands).await?;
    none_refused(link, &replies)?;
    let Some(Reply::List(replies)) = replies.last() else {
        return Err(NodeError::new(link.address().clone(), Trouble::Protocol("EXEC gave no list".to_owned())));
    };
    none_refused(link, replies)?;
    Ok(replies.iter().skip(1).step_by(3).map(number).collect())
}

/// Whether a server tells of no keys in slots that are neither its own nor open.
pub(crate) fn hides(server: &ServerInfo) -> bool {
    server.engine == Engine::Redis && server.is_since(8, 4)
}

/// Slots of which somebody holds keys who does not own them.
fn strangers(observation: &Observation, held: &Held) -> SlotSet {
    let view = &observation.view;
    let owns = |id: NodeId, slot: Slot| {
        let said = view.node(id).and_then(|node| node.view());
        said.is_some_and(|said| said.myself.slots.contains(slot))
    };
    let all = held.iter().flat_map(|(id, keys)| keys.keys().map(move |slot| (*id, *slot)));
    all.filter(|(id, slot)| !owns(*id, *slot)).map(|(_, slot)| slot).collect()
}

/// Adds what the owners of these slots hold of them.
async fn owners_of(observation: &Observation, slots: &SlotSet, held: &mut Held) -> Result<(), NodeError> {
    let primaries = observation.view.answering().filter(|(_, said)| said.myself.is_primary());
    for (_, said) in primaries {
        let owned = said.myself.slots.intersection(slots);
        let link = observation.links.get(&said.myself.id);
        if let Some(link) = link.filter(|_| !owned.is_empty()) {
            shown(link.as_ref(), said, &owned, held.entry(said.myself.id).or_default()).await?;
        }
    }
    Ok(())
}
