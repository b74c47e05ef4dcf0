//! Moves that the servers carry out themselves: they are told once and then watched.

use crate::{
    exchange::accepted,
    port::{Command, NodeLink},
    run::RunError,
};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use topology::{NodeId, Reply, SlotSet};

/// Time between two looks at a migration: short at first, since most are.
const SHORTEST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(200);
/// How often a Redis server may begin anew on its own before that is a failure.
const RETRIES: i64 = 3;

/// How a migration ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The slots have their new owner.
    Done,
    /// It was cancelled because the user stopped it; the slots are where they were.
    Stopped,
    /// The servers could not do it; the slots are where they were.
    Failed(String),
}

/// A migration that a server carries out itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnderWay {
    /// Its slots.
    pub(crate) slots: SlotSet,
    /// The id of a task of Redis that begins again and again without success.
    pub(crate) hopeless: Option<String>,
}

/// The migrations that a node takes part in and that have not ended; none of a server that has no such migrations.
///
/// `CLUSTER GETSLOTMIGRATIONS` (Valkey 9.0), `CLUSTER MIGRATION STATUS ALL` (Redis 8.4).
pub(crate) async fn under_way(node: &dyn NodeLink) -> Result<Vec<UnderWay>, RunError> {
    let replies = node.send(vec![Command::SlotMigrations, Command::MigrationTasks]).await?;
    let jobs = |at: usize| replies.get(at).and_then(Reply::as_list).unwrap_or_default().iter();
    let slots = |job: &Reply, field| text(job, field).parse::<SlotSet>().unwrap_or_default();
    let of_valkey = jobs(0)
        .filter(|job| !["success", "failed", "cancelled"].contains(&text(job, "state").as_str()))
        .map(|job| UnderWay { slots: slots(job, "slot_ranges"), hopeless: None });
    let of_redis = jobs(1).filter(|job| !["completed", "canceled"].contains(&text(job, "state").as_str())).map(|job| {
        let hopeless = text(job, "operation") == "import" && retries(job) > RETRIES;
        UnderWay { slots: slots(job, "slots"), hopeless: hopeless.then(|| text(job, "id")) }
    });
    Ok(of_valkey.chain(of_redis).collect())
}

/// Has the source export slots: `CLUSTER MIGRATESLOTS` (Valkey 9.0).
pub(crate) async fn export(
    source: &dyn NodeLink,
    slots: &SlotSet,
    to: NodeId,
    stop: &CancellationToken,
) -> Result<Ended, RunError> {
    let started = source.send(vec![Command::MigrateSlots(slots.clone(), to), Command::SlotMigrations]).await?;
    if let Some(Reply::Error(line)) = started.first() {
        return Ok(Ended::Failed(line.clone()));
    }
    // The newest come first.
    let ours = |job: &&Reply| {
        text(job, "operation") == "EXPORT"
            && text(job, "target_node") == to.to_string()
            && text(job, "slot_ranges").parse::<SlotSet>().is_ok_and(|ranges| ranges == *slots)
    };
    let jobs = started.last().and_then(Reply::as_list).unwrap_or_default();
    let Some(name) = jobs.iter().find(ours).map(name) else {
        return Ok(Ended::Failed("it does not list the migration that it has begun".to_owned()));
    };
    let mut pause = Pause::default();
    let mut cancelled = false;
    loop {
        let replies = accepted(source, vec![Command::SlotMigrations]).await?;
        let jobs = replies.first().and_then(Reply::as_list).unwrap_or_default();
        let Some(job) = jobs.iter().find(|job| self::name(job) == name) else {
            return Ok(Ended::Failed("it does not list the migration any more".to_owned()));
        };
        match text(job, "state").as_str() {
            "success" => return Ok(Ended::Done),
            "cancelled" if cancelled => return Ok(Ended::Stopped),
            state @ ("failed" | "cancelled") => return Ok(Ended::Failed(reason(state, &text(job, "message")))),
            _ => {}
        }
        // Cancelling means all of a node: not those that others have begun.
        if stop.is_cancelled() && !cancelled && jobs.iter().all(|job| is_over(job) || self::name(job) == name) {
            // Refused when it is about to be done.
            let reply = source.send(vec![Command::CancelSlotMigrations]).await?.pop();
            cancelled = !matches!(reply, Some(Reply::Error(_)));
        }
        pause.wait().await;
    }
}

/// Has the destination import slots: `CLUSTER MIGRATION IMPORT` (Redis 8.4).
pub(crate) async fn import(
    destination: &dyn NodeLink,
    slots: &SlotSet,
    stop: &CancellationToken,
    patience: Duration,
) -> Result<Ended, RunError> {
    let begin = Instant::now();
    let mut pause = Pause::default();
    let id = loop {
        if stop.is_cancelled() {
            return Ok(Ended::Stopped);
        }
        let reply = destination.send(vec![Command::MigrationImport(slots.clone())]).await?.pop();
        match reply {
            // A node has one task at a time, and somebody else's may be under way.
            Some(Reply::Error(line)) if line.contains("already in progress") && begin.elapsed() < patience => {
                pause.wait().await;
            }
            Some(Reply::Error(line)) => return Ok(Ended::Failed(line)),
            Some(reply) => break reply.as_text().map(std::borrow::Cow::into_owned).unwrap_or_default(),
            None => return Ok(Ended::Failed("it gives no answer".to_owned())),
        }
    };
    let mut pause = Pause::default();
    let mut cancelled = false;
    loop {
        let replies = accepted(destination, vec![Command::MigrationStatus(id.clone())]).await?;
        let task = replies.first().and_then(Reply::as_list).and_then(<[Reply]>::first);
        let Some(task) = task else {
            return Ok(Ended::Failed("it does not list the task that it has begun".to_owned()));
        };
        let state = text(task, "state");
        match state.as_str() {
            "completed" => return Ok(Ended::Done),
            "canceled" if cancelled => return Ok(Ended::Stopped),
            "canceled" => return Ok(Ended::Failed(reason(&state, &text(task, "last_error")))),
            _ if retries(task) > RETRIES => {
                destination.send(vec![Command::CancelMigration(id)]).await?;
                return Ok(Ended::Failed(reason("failed", &text(task, "last_error"))));
            }
            _ => {}
        }
        if stop.is_cancelled() && !cancelled {
            cancelled = true;
            destination.send(vec![Command::CancelMigration(id.clone())]).await?;
        }
        pause.wait().await;
    }
}

/// Waits a little longer each time: a twentieth of what has passed, so that little is lost when what is waited for has come.
pub(crate) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(SHORTEST)
    }
}

impl Pause {
    pub(crate) async fn wait(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 21 / 20).min(LONGEST);
    }
}

fn text(job: &Reply, field: &str) -> String {
    job.field(field).and_then(Reply::as_text).map(std::borrow::Cow::into_owned).unwrap_or_default()
}

fn retries(task: &Reply) -> i64 {
    task.field("retries").and_then(Reply::as_integer).unwrap_or_default()
}

/// The name by which a migration goes on: `name`, which the server's own description calls `link_name`.
fn name(job: &Reply) -> String {
    let name = text(job, "name");
    if name.is_empty() { text(job, "link_name") } else { name }
}

fn is_over(job: &Reply) -> bool {
    text(job, "operation") != "EXPORT" || ["success", "failed", "cancelled"].contains(&text(job, "state").as_str())
}

fn reason(state: &str, message: &str) -> String {
    if message.is_empty() { state.to_owned() } else { message.to_owned() }
}
