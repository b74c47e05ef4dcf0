//! Commands as they go over the wire.

use crate::Credentials;
use operations::port::{Command, Expiry, Failover, Key, Migration, Rehearsal, Restoration, SlotState, ValueType};
use redis::{Cmd, ToRedisArgs, cmd};
use secrecy::ExposeSecret;
use topology::{Slot, SlotSet};

/// `CLUSTER FAILOVER FORCE` of a server that follows this primary. The server lists its replicas only as long as it knows it for a primary.
const FAILOVER_FROM: &str = "for _, replica in ipairs(redis.call('CLUSTER', 'REPLICAS', ARGV[1])) do \
     if string.find(replica, 'myself', 1, true) then return redis.call('CLUSTER', 'FAILOVER', 'FORCE') end end \
     return redis.error_reply('ERR another one is its primary')";

/// A source that has let the destination take over waits for the news of that with all its writers. Cancelled then, it takes writes that are lost when the news
/// comes. So that is looked at and done in one.
const CANCEL_UNLESS_GRANTED: &str = "local jobs = redis.pcall('CLUSTER', 'GETSLOTMIGRATIONS') \
     for _, job in ipairs(jobs) do for place, field in ipairs(job) do \
     if field == 'state' and job[place + 1] == 'failover-granted' then \
     return redis.error_reply('ERR a destination is taking over') end end end \
     return redis.pcall('CLUSTER', 'CANCELSLOTMIGRATIONS')";

/// The command as the client library sends it. `MIGRATE` takes the credentials along.
pub(crate) fn render(command: &Command, credentials: &Credentials) -> Option<Cmd> {
    Some(match command {
        Command::Ping => cmd("PING"),
        Command::Info => cmd("INFO"),
        Command::Standing => words(&["INFO", "server", "persistence", "replication", "keyspace"]),
        Command::Keyspace => words(&["INFO", "keyspace"]),
        Command::KeySizes => words(&["INFO", "keysizes"]),
        Command::ClusterInfo => words(&["CLUSTER", "INFO"]),
        Command::ClusterNodes => words(&["CLUSTER", "NODES"]),
        Command::ReadOnly => cmd("READONLY"),
        Command::Publish => words(&["PUBLISH", "tribune", ""]),
        Command::CountKeysInSlot(slot) => with(words(&["CLUSTER", "COUNTKEYSINSLOT"]), slot.number()),
        Command::DatabaseSize => cmd("DBSIZE"),
        Command::Select(database) => with(cmd("SELECT"), *database),
        Command::Multi => cmd("MULTI"),
        Command::Exec => cmd("EXEC"),
        Command::SetConfigEpoch(epoch) => with(words(&["CLUSTER", "SET-CONFIG-EPOCH"]), *epoch),
        Command::AddSlots(slots) => ranges(words(&["CLUSTER", "ADDSLOTSRANGE"]), slots),
        Command::RemoveSlots(slots) => ranges(words(&["CLUSTER", "DELSLOTSRANGE"]), slots),
        Command::BumpEpoch => words(&["CLUSTER", "BUMPEPOCH"]),
        Command::DropCopy(proof) => with(cmd("UNLINK"), proof.key()),
        Command::Meet { ip, port, bus_port } => {
            let mut rendered = words(&["CLUSTER", "MEET"]);
            rendered.arg(ip.to_string()).arg(*port).arg(*bus_port);
            rendered
        }
        Command::Replicate(primary) => with(words(&["CLUSTER", "REPLICATE"]), primary.to_string()),
        Command::GiveUpSlots(_) => words(&["CLUSTER", "FLUSHSLOTS"]),
        Command::Forget(proof) => with(words(&["CLUSTER", "FORGET"]), proof.id().to_string()),
        Command::ResetHard(_) => words(&["CLUSTER", "RESET", "HARD"]),
        Command::ResetSoft(_) => words(&["CLUSTER", "RESET", "SOFT"]),
        Command::RewriteLog => cmd("BGREWRITEAOF"),
        Command::SaveSnapshot => cmd("BGSAVE"),
        Command::ClusterShards => words(&["CLUSTER", "SHARDS"]),
        Command::SetSlot(slot, state) => set_slot(*slot, *state),
        Command::KeysInSlot(slot, most) => with(with(words(&["CLUSTER", "GETKEYSINSLOT"]), slot.number()), *most),
        Command::MemoryUsage(key) => with(words(&["MEMORY", "USAGE"]), key),
        Command::Migrate(migration) => migrate(migration, credentials),
        Command::Asking => cmd("ASKING"),
        Command::Dump(key) | Command::DumpLarge(key, _) => with(cmd("DUMP"), key),
        Command::DumpLength(key) => {
            with(words(&["EVAL", "local dump = redis.call('DUMP', KEYS[1]) return dump and #dump", "1"]), key)
        }
        Command::Restore(restoration) => restore(restoration),
        Command::TimeToLive(key) => with(cmd("PTTL"), key),
        Command::ExpiryTime(key) => with(cmd("PEXPIRETIME"), key),
        Command::Exists(key) => with(cmd("EXISTS"), key),
        Command::TypeOf(key) => with(cmd("TYPE"), key),
        Command::Value(value_type, key) => value(*value_type, key),
        Command::FieldExpiry(key, fields) => {
            with(with(with(with(cmd("HPEXPIRETIME"), key), "FIELDS"), fields.len()), fields)
        }
        Command::Scan(cursor, count) => with(with(with(cmd("SCAN"), *cursor), "COUNT"), *count),
        Command::CommandTable => cmd("COMMAND"),
        Command::KeysOf(typed) => with(words(&["COMMAND", "GETKEYS"]), typed),
        Command::HoldWriters(time) => {
            let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            with(with(words(&["CLIENT", "PAUSE"]), milliseconds), "WRITE")
        }
        Command::ReleaseWriters => words(&["CLIENT", "UNPAUSE"]),
        Command::Delete(gone) => with(cmd("UNLINK"), gone.key()),
        Command::Watch(keys) => with(cmd("WATCH"), keys),
        Command::Unlink(arrived) => arrived.iter().fold(cmd("UNLINK"), |command, arrived| with(command, arrived.key())),
        Command::IdleTime(key) => with(words(&["OBJECT", "IDLETIME"]), key),
        Command::AskReplicas => words(&["WAIT", "1000", "1"]),
        Command::WhoAmI => words(&["ACL", "WHOAMI"]),
        Command::Rehearse(rehearsal) => rehearse(*rehearsal),
        Command::CommandInfo(name) => with(words(&["COMMAND", "INFO"]), *name),
        Command::MigrateSlots(slots, to) => {
            let command = ranges(words(&["CLUSTER", "MIGRATESLOTS", "SLOTSRANGE"]), slots);
            with(with(command, "NODE"), to.to_string())
        }
        Command::SlotMigrations => words(&["CLUSTER", "GETSLOTMIGRATIONS"]),
        Command::CancelSlotMigrations => words(&["EVAL", CANCEL_UNLESS_GRANTED, "0"]),
        Command::MigrationImport(slots) => ranges(words(&["CLUSTER", "MIGRATION", "IMPORT"]), slots),
        Command::MigrationStatus(id) => with(words(&["CLUSTER", "MIGRATION", "STATUS", "ID"]), id),
        Command::SlotStats(metric, most) => {
            let command = with(words(&["CLUSTER", "SLOT-STATS", "ORDERBY"]), *metric);
            with(with(with(command, "LIMIT"), *most), "DESC")
        }
        Command::MigrationTasks => words(&["CLUSTER", "MIGRATION", "STATUS", "ALL"]),
        Command::CancelMigration(id) => with(words(&["CLUSTER", "MIGRATION", "CANCEL", "ID"]), id),
        Command::ConfigGet(name) => with(words(&["CONFIG", "GET"]), name),
        Command::ConfigSet(name, value) => with(with(words(&["CONFIG", "SET"]), name), value),
        Command::ConfigRewrite => words(&["CONFIG", "REWRITE"]),
        Command::FunctionDump => words(&["FUNCTION", "DUMP"]),
        Command::FunctionList => words(&["FUNCTION", "LIST"]),
        Command::FunctionRestore(payload) => with(words(&["FUNCTION", "RESTORE"]), payload),
        Command::Failover(kind) => match kind {
            Failover::Planned => words(&["CLUSTER", "FAILOVER"]),
            Failover::Forced => words(&["CLUSTER", "FAILOVER", "FORCE"]),
            Failover::ForcedFrom(primary) => with(words(&["EVAL", FAILOVER_FROM, "0"]), primary.to_string()),
            Failover::Takeover(_) => words(&["CLUSTER", "FAILOVER", "TAKEOVER"]),
        },
        Command::Typed(words) => with(Cmd::new(), words),
        _ => return None,
    })
}

fn words(words: &[&str]) -> Cmd {
    with(Cmd::new(), words)
}

fn with(mut command: Cmd, argument: impl ToRedisArgs) -> Cmd {
    command.arg(argument);
    command
}

/// The first and last slot of each range.
fn ranges(command: Cmd, slots: &SlotSet) -> Cmd {
    slots.ranges().fold(command, |command, range| with(with(command, range.start().number()), range.end().number()))
}

fn set_slot(slot: Slot, state: SlotState) -> Cmd {
    let command = with(words(&["CLUSTER", "SETSLOT"]), slot.number());
    match state {
        SlotState::Importing(from) => with(with(command, "IMPORTING"), from.to_string()),
        SlotState::Migrating(to) => with(with(command, "MIGRATING"), to.to_string()),
        SlotState::Node(owner) => with(with(command, "NODE"), owner.to_string()),
        SlotState::Stable => with(command, "STABLE"),
    }
}

/// Neither a slot nor a database nor a time is `x`.
fn rehearse(rehearsal: Rehearsal) -> Cmd {
    words(match rehearsal {
        Rehearsal::SetSlot => &["CLUSTER", "SETSLOT", "x", "STABLE"],
        Rehearsal::KeysInSlot => &["CLUSTER", "GETKEYSINSLOT", "x", "1"],
        Rehearsal::Migrate => &["MIGRATE", "127.0.0.1", "1", "", "0", "x"],
        Rehearsal::Select => &["SELECT", "x"],
        Rehearsal::Restore => &["RESTORE-ASKING", "", "x", ""],
        // There may be such a key, but nobody has a large one of such a name.
        Rehearsal::IdleTime => &["OBJECT", "IDLETIME", "\0tribune"],
        Rehearsal::Dump => &["DUMP", "\0tribune"],
        Rehearsal::Asking => &["ASKING"],
    })
}

fn restore(restoration: &Restoration) -> Cmd {
    let Restoration { key, expiry, payload, replace } = restoration;
    let (time, behind): (u64, &[&str]) = match expiry {
        Expiry::Never => (0, &[]),
        Expiry::In(milliseconds) => (*milliseconds, &[]),
        Expiry::At(milliseconds) => (*milliseconds, &["ABSTTL"]),
    };
    let command = with(with(with(with(cmd("RESTORE"), key), time), payload), behind);
    if *replace { with(command, "REPLACE") } else { command }
}

/// The command that reads a whole value.
fn value(value_type: ValueType, key: &Key) -> Cmd {
    let (name, behind): (&[&str], &[&str]) = match value_type {
        ValueType::Text => (&["GET"], &[]),
        ValueType::List => (&["LRANGE"], &["0", "-1"]),
        ValueType::Set => (&["SMEMBERS"], &[]),
        ValueType::SortedSet => (&["ZRANGE"], &["0", "-1", "WITHSCORES"]),
        ValueType::Hash => (&["HGETALL"], &[]),
        ValueType::Stream => (&["XINFO", "STREAM"], &["FULL", "COUNT", "0"]),
    };
    with(with(words(name), key), behind)
}

fn migrate(migration: &Migration, credentials: &Credentials) -> Cmd {
    let Migration { host, port, database, timeout, replace, copy, keys } = migration;
    let mut command = cmd("MIGRATE");
    command.arg(host).arg(port).arg("").arg(database).arg(timeout);
    if *copy {
        command.arg("COPY");
    }
    if *replace {
        command.arg("REPLACE");
    }
    match (&credentials.user, &credentials.password) {
        (Some(user), Some(password)) => {
            command.arg("AUTH2").arg(user).arg(password.expose_secret());
        }
        (None, Some(password)) => {
            command.arg("AUTH").arg(password.expose_secret());
        }
        _ => {}
    }
    command.arg("KEYS").arg(keys);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_rendered_word_by_word() {
        let text = |command| {
            String::from_utf8(render(&command, &Credentials::default()).unwrap().get_packed_command()).unwrap()
        };
        assert_eq!(
            text(Command::Meet { ip: [127, 0, 0, 1].into(), port: 7000, bus_port: 17000 }),
            "*5\r\n$7\r\nCLUSTER\r\n$4\r\nMEET\r\n$9\r\n127.0.0.1\r\n$4\r\n7000\r\n$5\r\n17000\r\n"
        );
        let slots = text(Command::AddSlots("0-5 9".parse().unwrap()));
        assert!(slots.ends_with("$1\r\n0\r\n$1\r\n5\r\n$1\r\n9\r\n$1\r\n9\r\n"), "{slots}");
    }
}
