//! Keys and slots that go from one server to another.

use super::{Outcome, Session, ask::unknown_subcommand, error, ok};
use crate::{
    bus::{At, Connection},
    data::Value,
    migration::Job,
    server::Server,
    stream::Change,
    world::World,
};
use operations::port::{Command, Key, Migration};
use topology::{Engine, NodeId, Reply, Slot, SlotSet};

impl World {
    pub(super) fn migrate(&mut self, at: At, session: &Session, command: &Command) -> Option<Outcome> {
        let server = self.servers.get(at)?;
        let profile = server.profile;
        Some(match command {
            Command::Migrate(migration) => self.migrate_keys(at, session, migration),
            Command::MigrateSlots(..) if !profile.migrates_slots => unknown_subcommand("MIGRATESLOTS").into(),
            Command::SlotMigrations if !profile.migrates_slots => unknown_subcommand("GETSLOTMIGRATIONS").into(),
            // It comes in a script.
            Command::CancelSlotMigrations if !profile.migrates_slots => {
                let product = if profile.engine == Engine::Valkey { "" } else { "Redis " };
                error(format!("ERR Unknown {product}command called from script")).into()
            }
            Command::MigrationImport(_)
            | Command::MigrationStatus(_)
            | Command::MigrationTasks
            | Command::CancelMigration(_)
                if !profile.imports_slots =>
            {
                unknown_subcommand("MIGRATION").into()
            }
            Command::MigrateSlots(slots, to) => self.export(at, slots, *to).into(),
            Command::SlotMigrations => Reply::List(server.jobs.iter().rev().map(job).collect()).into(),
            Command::CancelSlotMigrations => self.cancel_exports(at).into(),
            Command::MigrationImport(slots) => self.import(at, slots).into(),
            Command::MigrationTasks => Reply::List(server.jobs.iter().map(task).collect()).into(),
            Command::MigrationStatus(id) => {
                Reply::List(server.jobs.iter().filter(|job| job.name == *id).map(task).collect()).into()
            }
            Command::CancelMigration(id) => {
                let number = server.jobs.iter().find(|job| job.name == *id && !job.is_over()).map(|job| job.number);
                if let Some(number) = number {
                    self.end_move(number, "canceled", "canceled by the user");
                }
                Reply::Integer(number.is_some().into()).into()
            }
            _ => return None,
        })
    }

    /// `MIGRATE`: the source stands still until the target has answered.
    fn migrate_keys(&mut self, at: At, session: &Session, migration: &Migration) -> Outcome {
        let Some(server) = self.servers.get(at) else { return error("ERR").into() };
        let held: Vec<(Key, Value)> =
            migration.keys.iter().filter_map(|key| Some((key.clone(), server.data.get(key)?))).collect();
        let slot = migration.keys.first().map_or(Slot::FIRST, |key| Slot::of_key(key));
        let is_open = server.migrating.contains_key(&slot) || server.importing.contains_key(&slot);
        // Of an open slot it sends what it has, whoever owns it.
        if let Some(elsewhere) = migration.keys.first().and_then(|key| server.redirection(session, key, true))
            && !is_open
        {
            return elsewhere.into();
        }
        if held.is_empty() {
            return Reply::text("NOKEY").into();
        }
        if server.is_held(self.bus.now) || server.held_slots.contains(slot) {
            return Outcome::Hold;
        }
        let host = self.bus.doors.get(at).map_or(0, |door| door.host);
        let broken = |line: &str| Outcome::After(migration.timeout.into(), error(line));
        let Ok(ip) = migration.host.parse() else { return error("IOERR unable to resolve target").into() };
        let target = match self.bus.connect(host, ip, migration.port) {
            Connection::Refused => return error("IOERR error or timeout connecting to the client").into(),
            Connection::Silent => return broken("IOERR error or timeout connecting to the client"),
            Connection::To(target, _) => target,
        };
        let Some(there) = self.servers.get(target).filter(|server| server.runs()) else {
            return broken("IOERR error or timeout reading to target instance");
        };
        // `RESTORE-ASKING`
        let asking = Session { asking: true, ..Session::default() };
        let refusal = held.iter().find_map(|(key, _)| there.redirection(&asking, key, true));
        if let Some(Reply::Error(line)) = refusal {
            return error(format!("ERR Target instance replied with error: {line}")).into();
        }
        if there.is_held(self.bus.now) {
            return broken("IOERR error or timeout reading to target instance");
        }
        let is_busy = |key: &Key| there.data.get(key).is_some();
        let (busy, free): (Vec<_>, Vec<_>) = held.into_iter().partition(|(key, _)| !migration.replace && is_busy(key));
        for (key, value) in free {
            self.write(target, Change::Set(key.clone(), value));
            if !migration.copy {
                self.write(at, Change::Delete(key));
            }
        }
        let answer = if busy.is_empty() {
            ok()
        } else {
            error("ERR Target instance replied with error: BUSYKEY Target key name already exists.")
        };
        Outcome::After(1, answer)
    }

    /// The server that this one knows by this id, if it is that one.
    fn server_of(&self, by: At, id: NodeId) -> Option<At> {
        let address = self.servers.get(by)?.nodes.get(&id)?.address?;
        let host = self.bus.doors.get(by)?.host;
        match self.bus.connect(host, address.ip, address.port) {
            Connection::To(at, _) => self.servers.get(at).filter(|server| server.me == id).map(|_| at),
            _ => None,
        }
    }

    /// `CLUSTER MIGRATESLOTS`
    fn export(&mut self, at: At, slots: &SlotSet, to: NodeId) -> Reply {
        let Some(server) = self.servers.get(at) else { return error("ERR") };
        if !server.importing.is_empty() || !server.migrating.is_empty() {
            return error("ERR Slots are being manually imported or migrated");
        }
        if !slots.difference(&server.slots()).is_empty() {
            return error("ERR Slots are not served by this node.");
        }
        let under_way = server.jobs.iter().filter(|job| !job.is_over());
        let taken = under_way.fold(SlotSet::new(), |all, job| all.union(&job.slots)).intersection(slots);
        if let Some(slot) = taken.iter().next() {
            return error(format!("ERR I am already migrating slot {slot}."));
        }
        match server.nodes.get(&to) {
            None => return error(format!("ERR Unknown node name: {to}")),
            Some(_) if to == server.me => return error("ERR Target node can not be this node."),
            // A replica is taken for a target, too; it shows later that it is none.
            Some(_) => {}
        }
        let Some(target) = self.server_of(at, to) else {
            return error("ERR Target node is not reachable");
        };
        self.begin_move(at, target, slots, false);
        ok()
    }

    fn cancel_exports(&mut self, at: At) -> Reply {
        let jobs = self.servers.get(at).into_iter().flat_map(|server| &server.jobs);
        let numbers: Vec<u64> = jobs.filter(|job| job.is_export && !job.is_over()).map(|job| job.number).collect();
        if numbers.is_empty() {
            return error("ERR No migrations ongoing");
        }
        for number in numbers {
            self.end_move(number, "cancelled", "cancelled by the user");
        }
        ok()
    }

    /// `CLUSTER MIGRATION IMPORT`
    fn import(&mut self, at: At, slots: &SlotSet) -> Reply {
        let Some(server) = self.servers.get(at) else { return error("ERR") };
        if !server.is_primary() {
            return error("ERR slot migration not allowed on replica.");
        }
        if !server.importing.is_empty() || !server.migrating.is_empty() {
            return error("ERR all slot states must be STABLE to start a slot migration task.");
        }
        let owners: Vec<NodeId> = server
            .nodes
            .values()
            .filter(|known| !known.slots.intersection(slots).is_empty())
            .map(|known| known.id)
            .collect();
        let owned = server.nodes.values().fold(SlotSet::new(), |all, known| all.union(&known.slots));
        if let Some(slot) = slots.difference(&owned).iter().next() {
            return error(format!("ERR slot has no owner: {slot}"));
        }
        let [owner] = owners[..] else { return error("ERR slots belong to different source nodes") };
        if owner == server.me {
            return error("ERR this node is already the owner of the slot range");
        }
        let is_busy = |server: &Server| server.jobs.iter().any(|job| !job.is_over());
        if is_busy(server) {
            return error("ERR another ASM task is already in progress");
        }
        let Some(source) = self.server_of(at, owner) else { return error("ERR source node is not reachable") };
        // The source would refuse, and the destination try again and again; here it is told at once.
        if self.servers.get(source).is_some_and(is_busy) {
            return error("ERR another ASM task is already in progress");
        }
        Reply::text(self.begin_move(source, at, slots, true))
    }
}

/// An entry of `CLUSTER GETSLOTMIGRATIONS`.
fn job(job: &Job) -> Reply {
    let ends = job.slots.ranges().map(|range| format!("{}-{}", range.start(), range.end()));
    let ranges = ends.collect::<Vec<_>>().join(" ");
    fields([
        ("name", Reply::text(&job.name)),
        ("operation", Reply::text(if job.is_export { "EXPORT" } else { "IMPORT" })),
        ("slot_ranges", Reply::text(ranges)),
        ("target_node", Reply::text(job.target.to_string())),
        ("source_node", Reply::text(job.source.to_string())),
        ("create_time", super::integer(job.created / 1000)),
        ("state", Reply::text(job.state)),
        ("message", Reply::text(&job.message)),
    ])
}

/// An entry of `CLUSTER MIGRATION STATUS`.
fn task(job: &Job) -> Reply {
    fields([
        ("id", Reply::text(&job.name)),
        ("slots", Reply::text(job.slots.to_string())),
        ("source", Reply::text(job.source.to_string())),
        ("dest", Reply::text(job.target.to_string())),
        ("operation", Reply::text(if job.is_export { "migrate" } else { "import" })),
        ("state", Reply::text(job.state)),
        ("last_error", Reply::text(&job.message)),
        ("retries", Reply::Integer(job.retries)),
        ("create_time", super::integer(job.created)),
    ])
}

fn fields<const N: usize>(fields: [(&str, Reply); N]) -> Reply {
    Reply::List(fields.into_iter().flat_map(|(name, value)| [Reply::text(name), value]).collect())
}
