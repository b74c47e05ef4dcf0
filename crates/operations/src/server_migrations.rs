//! Moves of slots that the servers of a cluster carry out themselves, whoever has begun them.

use crate::port::{Command, NodeError, NodeLink};
use futures_util::future::join_all;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use topology::{NodeAddr, NodeId, Reply, ServerMigration, SlotSet};

/// Time between two looks at moves that were cancelled.
const PAUSE: Duration = Duration::from_millis(50);

/// A move, and the node at which it can be cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The node.
    pub node: NodeId,
    /// The move.
    pub migration: ServerMigration,
}

/// The moves that these nodes have under way. Nodes that do not answer, or have no such moves, tell of none.
pub async fn running(links: &BTreeMap<NodeId, Arc<dyn NodeLink>>) -> Vec<Running> {
    let asked = links.iter().map(|(node, link)| async move {
        let replies = link.send(vec![Command::SlotMigrations, Command::MigrationTasks]).await.unwrap_or_default();
        let list = |at: usize| replies.get(at).and_then(Reply::as_list).unwrap_or_default();
        let jobs = list(0).iter().filter_map(ServerMigration::of_job);
        let told = jobs.chain(list(1).iter().filter_map(ServerMigration::of_task));
        let under_way = told.filter(|migration| migration.cancelled_here && !migration.is_over);
        under_way.map(|migration| Running { node: *node, migration }).collect::<Vec<_>>()
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Why moves could not be cancelled.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CancelError {
    /// A server could not be talked to.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A server did as if it had not heard.
    #[error("{} s after it was told to stop, {address} still moves slots {slots}", waited.as_secs())]
    NotInTime {
        /// The node.
        address: NodeAddr,
        /// The slots.
        slots: SlotSet,
        /// How long it was waited for.
        waited: Duration,
    },
}

/// Cancels these moves and waits until none of them is under way; the slots stay where they were.
///
/// # Errors
/// When a node refuses, or still has one of them under way after this time.
pub async fn cancel(
    links: &BTreeMap<NodeId, Arc<dyn NodeLink>>,
    moves: &[Running],
    patience: Duration,
) -> Result<(), CancelError> {
    for (node, link) in links {
        let here = moves.iter().filter(|running| running.node == *node);
        // Valkey cancels all of a source, and Redis a task by its name at its destination.
        let command = |running: &Running| {
            let name = &running.migration.name;
            let is_job = running.migration.from == *node;
            if is_job { Command::CancelSlotMigrations } else { Command::CancelMigration(name.clone()) }
        };
        let mut commands: Vec<Command> = here.map(command).collect();
        commands.dedup();
        if !commands.is_empty() {
            // What has ended meanwhile is refused; the look below tells what goes on.
            link.send(commands).await?;
        }
    }
    let deadline = Instant::now() + patience;
    loop {
        let now = running(links).await;
        let Some(left) =
            moves.iter().find(|one| now.iter().any(|running| running.migration.name == one.migration.name))
        else {
            return Ok(());
        };
        if Instant::now() >= deadline {
            let Some(link) = links.get(&left.node) else { return Ok(()) };
            let (address, slots) = (link.address().clone(), left.migration.slots.clone());
            return Err(CancelError::NotInTime { address, slots, waited: patience });
        }
        sleep(PAUSE).await;
    }
}
