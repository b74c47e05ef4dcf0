//! Moves of slots that servers carry out themselves, as they tell of them.

use crate::{NodeId, Reply, SlotSet};

/// A move of slots by the servers: a job of `CLUSTER GETSLOTMIGRATIONS` (Valkey 9.0) or a task of `CLUSTER MIGRATION STATUS`
/// (Redis 8.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerMigration {
    /// The name by which the server knows it.
    pub name: String,
    /// The slots.
    pub slots: SlotSet,
    /// Their owner.
    pub from: NodeId,
    /// Their owner to be.
    pub to: NodeId,
    /// What it is at, in the server's own word.
    pub state: String,
    /// Whether it has ended, in whatever way. A task of Redis that failed is tried again until it is cancelled.
    pub is_over: bool,
    /// Whether it is cancelled at the node that tells of it: Valkey's source, Redis' destination.
    pub cancelled_here: bool,
}

impl ServerMigration {
    /// Reads a job of `CLUSTER GETSLOTMIGRATIONS`.
    pub fn of_job(job: &Reply) -> Option<Self> {
        let text = |name: &str| Some(job.field(name)?.as_text()?.into_owned());
        Some(Self {
            // The server's own description of the command calls it link_name.
            name: text("name").or_else(|| text("link_name"))?,
            slots: text("slot_ranges")?.parse().ok()?,
            from: text("source_node")?.parse().ok()?,
            to: text("target_node")?.parse().ok()?,
            is_over: ["success", "failed", "cancelled"].contains(&text("state")?.as_str()),
            state: text("state")?,
            cancelled_here: text("operation")?.eq_ignore_ascii_case("export"),
        })
    }

    /// Reads a task of `CLUSTER MIGRATION STATUS`.
    pub fn of_task(task: &Reply) -> Option<Self> {
        let text = |name: &str| Some(task.field(name)?.as_text()?.into_owned());
        Some(Self {
            name: text("id")?,
            slots: text("slots")?.replace(',', " ").parse().ok()?,
            from: text("source")?.parse().ok()?,
            to: text("dest")?.parse().ok()?,
            is_over: ["completed", "canceled"].contains(&text("state")?.as_str()),
            state: text("state")?,
            cancelled_here: text("operation")?.eq_ignore_ascii_case("import"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(fields: &[(&str, &str)]) -> Reply {
        Reply::List(fields.iter().flat_map(|(name, value)| [Reply::text(*name), Reply::text(*value)]).collect())
    }

    #[test]
    fn both_engines_tell_of_their_moves() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let job = fields(&[
            ("name", "n"),
            ("operation", "EXPORT"),
            ("slot_ranges", "0-10 20-30"),
            ("target_node", &b),
            ("source_node", &a),
            ("state", "snapshotting"),
        ]);
        let job = ServerMigration::of_job(&job).unwrap();
        assert_eq!((job.slots.len(), job.cancelled_here, job.is_over), (22, true, false));
        let task = fields(&[
            ("id", "t"),
            ("slots", "0-4095"),
            ("source", &a),
            ("dest", &b),
            ("operation", "migrate"),
            ("state", "completed"),
        ]);
        let task = ServerMigration::of_task(&task).unwrap();
        assert_eq!((task.from, task.to), (job.from, job.to));
        assert!(!task.cancelled_here && task.is_over);
        assert_eq!(ServerMigration::of_task(&Reply::Nil), None);
    }
}
