//! What a plan's moves weigh, and in which of the servers' ways they go.

use crate::{
    moving::keys::counts,
    observe::Observation,
    port::{Command, NodeError},
};
use futures_util::future::{join_all, try_join_all};
use std::collections::{BTreeMap, BTreeSet};
use topology::{
    NodeAddr, NodeId, Reply, Slot, SlotSet,
    plan::{Action, Dialect, Plan},
};

/// Why a plan cannot be weighed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeighError {
    /// A server could not be talked to.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The way that was asked for is not offered.
    #[error("{address} does not have {}: slots cannot be moved in the dialect asked for", needed(*.dialect))]
    NotOffered {
        /// The server.
        address: NodeAddr,
        /// The way.
        dialect: Dialect,
    },
    /// The servers' own way would lose writes.
    #[error(
        "{address} has several databases: with CLUSTER MIGRATESLOTS, writes that arrive meanwhile may end in the wrong one"
    )]
    SeveralDatabases {
        /// The server.
        address: NodeAddr,
    },
}

/// Fills in how many keys and bytes each move of the plan has, how it goes, and what all of it costs.
///
/// Without a dialect asked for, each move goes in the best one that both of its servers offer.
pub async fn weigh(observation: &Observation, plan: &mut Plan, asked_for: Option<Dialect>) -> Result<(), WeighError> {
    let (mut moving, mut ends) = (BTreeMap::<NodeId, SlotSet>::new(), BTreeSet::new());
    for step in &plan.steps {
        if let Action::MoveSlots { slots, from, to, .. } = &step.action {
            let all = moving.entry(from.id).or_default();
            *all = all.union(slots);
            ends.extend([(from.id, from.address.clone()), (to.id, to.address.clone())]);
        }
    }
    if moving.is_empty() {
        return Ok(());
    }
    let offers = offers(observation, ends.iter().map(|(id, _)| *id)).await;
    let offers_it = |id: NodeId, dialect| offers.get(&id).is_some_and(|offers| offers.ways.contains(&dialect));
    if asked_for == Some(Dialect::MigrateSlots)
        && let Some((_, address)) =
            ends.iter().find(|(id, _)| offers.get(id).is_some_and(|offers| offers.several_databases))
    {
        return Err(WeighError::SeveralDatabases { address: address.clone() });
    }
    if let Some(dialect) = asked_for
        && let Some((_, address)) = ends.iter().find(|(id, _)| !offers_it(*id, dialect))
    {
        return Err(WeighError::NotOffered { address: address.clone(), dialect });
    }
    let keys = try_join_all(moving.iter().map(|(id, slots)| keys(observation, *id, slots))).await?;
    let keys: BTreeMap<NodeId, BTreeMap<Slot, u64>> = keys.into_iter().collect();
    let weight = |id: NodeId, slots: &SlotSet| {
        let counted = keys.get(&id);
        let keys = slots.iter().filter_map(|slot| counted?.get(&slot)).sum::<u64>();
        (keys, keys.saturating_mul(bytes_of_a_key(observation, id)))
    };
    plan.weigh(weight, |from, to| {
        let ways = [Dialect::MigrateSlots, Dialect::MigrationImport];
        let best = ways.into_iter().find(|way| offers_it(from, *way) && offers_it(to, *way));
        asked_for.or(best).unwrap_or_default()
    });
    Ok(())
}

/// How a server can take part in moves.
struct Offer {
    ways: BTreeSet<Dialect>,
    /// Whether clients may use other databases than 0 (`cluster-databases`, Valkey 9.0).
    several_databases: bool,
}

/// How each of these nodes can take part; one that does not tell can do what all can.
///
/// Valkey (seen with 9.1) does not tell the other node in which database the writes are that arrive during a migration: they end
/// in the one that was sent last. So nodes with several databases are not asked to migrate slots themselves.
async fn offers(observation: &Observation, nodes: impl Iterator<Item = NodeId>) -> BTreeMap<NodeId, Offer> {
    let asked = nodes.filter_map(|id| Some((id, observation.links.get(&id)?))).map(|(id, link)| async move {
        let commands = vec![
            Command::CommandInfo("cluster|migrateslots"),
            Command::CommandInfo("cluster|migration"),
            Command::ConfigGet("cluster-databases".to_owned()),
        ];
        let replies = link.send(commands).await.unwrap_or_default();
        let has = |reply: &Reply| matches!(reply.as_list(), Some([Reply::List(_), ..]));
        let databases = replies.get(2).and_then(Reply::as_list).and_then(|pair| pair.get(1)?.as_text()?.parse().ok());
        let view = observation.view.node(id).and_then(|node| node.view());
        let used = view.is_some_and(|view| view.server.databases.keys().any(|database| *database > 0));
        let several_databases = used || databases.is_some_and(|databases: u32| databases > 1);
        let mut ways = BTreeSet::from([Dialect::Migrate]);
        ways.extend((replies.first().is_some_and(has) && !several_databases).then_some(Dialect::MigrateSlots));
        ways.extend(replies.get(1).is_some_and(has).then_some(Dialect::MigrationImport));
        (id, Offer { ways, several_databases })
    });
    join_all(asked).await.into_iter().collect()
}

/// How many keys a node holds of each of these slots, in all databases.
async fn keys(
    observation: &Observation,
    id: NodeId,
    slots: &SlotSet,
) -> Result<(NodeId, BTreeMap<Slot, u64>), NodeError> {
    let mut keys = BTreeMap::new();
    let view = observation.view.node(id).and_then(|node| node.view());
    if let (Some(link), Some(view)) = (observation.links.get(&id), view) {
        for database in view.server.databases.keys() {
            for (slot, held) in counts(link.as_ref(), *database, slots).await? {
                *keys.entry(slot).or_default() += held;
            }
        }
    }
    Ok((id, keys))
}

/// The mean of what the keys of a node use.
fn bytes_of_a_key(observation: &Observation, id: NodeId) -> u64 {
    let server = observation.view.node(id).and_then(|node| node.view()).map(|view| &view.server);
    let bytes = server.and_then(|server| server.dataset_memory);
    bytes.zip(server).map_or(0, |(bytes, server)| bytes / server.keys().max(1))
}

/// The command that a dialect needs.
const fn needed(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Migrate => "MIGRATE",
        Dialect::MigrateSlots => "CLUSTER MIGRATESLOTS (Valkey 9.0)",
        Dialect::MigrationImport => "CLUSTER MIGRATION IMPORT (Redis 8.4)",
    }
}
