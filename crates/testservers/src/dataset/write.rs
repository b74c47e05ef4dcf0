//! Writing a dataset.

use super::{
    Dataset, Record,
    content::{Content, Field, Stream},
    node::{Batch, Node},
};
use crate::cluster::{Cluster, Layout};
use redis::{Cmd, RedisResult, Value, cmd};
use std::{collections::BTreeMap, thread};

/// Elements in one command.
const AT_ONCE: usize = 500;

type Share<'a> = BTreeMap<u32, Vec<(&'a [u8], &'a Record)>>;

#[track_caller]
pub(super) fn write(dataset: &Dataset, cluster: &Cluster) {
    let layout = Layout::of(cluster);
    let mut shares: BTreeMap<&str, Share> = BTreeMap::new();
    for ((database, key), record) in &dataset.records {
        let Some(owner) = layout.owner(key) else {
            panic!("nobody owns the slot of {}", key.escape_ascii());
        };
        shares.entry(owner).or_default().entry(*database).or_default().push((key, record));
    }
    let failures: Vec<String> = thread::scope(|scope| {
        let write = |address, share| move || write_share(cluster, address, share);
        let threads: Vec<_> = shares.iter().map(|(address, share)| scope.spawn(write(address, share))).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap_or_else(|_| Some("panicked".into()))).collect()
    });
    assert!(failures.is_empty(), "data with seed {} cannot be written: {}", dataset.seed, failures.join("; "));
}

/// What went wrong.
fn write_share(cluster: &Cluster, address: &str, share: &Share) -> Option<String> {
    let mut refused = None;
    let mut write = || -> RedisResult<()> {
        for (database, records) in share {
            let batches = records.iter().map(|(key, record)| (*key, batch(key, record)));
            Node::connect(cluster, address, *database)?.run(batches, |key, replies| {
                let error = replies.into_iter().find(|reply| matches!(reply, Value::ServerError(_)));
                refused = refused.take().or_else(|| Some(format!("{}: {:?}", key.escape_ascii(), error?)));
            })?;
        }
        Ok(())
    };
    let failed = write().err().map(|error| error.to_string());
    failed.or(refused).map(|problem| format!("{address}: {problem}"))
}

fn batch(key: &[u8], record: &Record) -> Batch {
    let mut commands = match &record.content {
        Content::Text(text) => vec![of("SET", key).arg(text).take()],
        Content::List(elements) => in_parts("RPUSH", key, elements, |command, element| {
            command.arg(element);
        }),
        Content::Set(members) => in_parts("SADD", key, members, |command, member| {
            command.arg(member);
        }),
        Content::SortedSet(members) => in_parts("ZADD", key, members, |command, (member, score)| {
            command.arg(score.to_string()).arg(member);
        }),
        Content::Hash(fields) => {
            let mut commands = in_parts("HSET", key, fields, |command, (name, field)| {
                command.arg(name).arg(&field.value);
            });
            commands.extend(fields.iter().filter_map(|(name, field)| field_expiry(key, name, field)));
            commands
        }
        Content::Stream(stream) => write_stream(key, stream),
    };
    if let Some(expiry) = record.expiry {
        commands.push(of("PEXPIREAT", key).arg(expiry).take());
    }
    Batch { commands, size: key.len() + record.content.size() }
}

/// Redis since 7.4, Valkey since 9.0.
fn field_expiry(key: &[u8], name: &[u8], field: &Field) -> Option<Cmd> {
    Some(of("HPEXPIREAT", key).arg(field.expiry?).arg("FIELDS").arg(1).arg(name).take())
}

fn write_stream(key: &[u8], stream: &Stream) -> Vec<Cmd> {
    let add = |id: &str, fields: &[(Vec<u8>, Vec<u8>)]| {
        let mut command = of("XADD", key);
        command.arg(id);
        for (name, value) in fields {
            command.arg(name).arg(value);
        }
        command
    };
    let mut commands: Vec<_> = stream.entries.iter().map(|entry| add(&entry.id, &entry.fields)).collect();
    commands.push(add(&stream.last_id, &[(b"deleted".to_vec(), b"soon".to_vec())]));
    commands.push(of("XDEL", key).arg(&stream.last_id).take());
    for (name, group) in &stream.groups {
        commands.push(cmd("XGROUP").arg("CREATE").arg(key).arg(name).arg(&group.last_delivered).take());
        // As if it had been delivered to this consumer; FORCE makes what was never delivered pending.
        commands.extend(group.pending.iter().map(|(id, consumer)| {
            of("XCLAIM", key).arg(name).arg(consumer).arg(0).arg(id).arg("FORCE").arg("JUSTID").take()
        }));
    }
    commands
}

fn of(command: &str, key: &[u8]) -> Cmd {
    cmd(command).arg(key).take()
}

fn in_parts<T>(
    command: &str,
    key: &[u8],
    elements: impl IntoIterator<Item = T>,
    add: impl Fn(&mut Cmd, T),
) -> Vec<Cmd> {
    let mut commands = Vec::new();
    for (i, element) in elements.into_iter().enumerate() {
        if i % AT_ONCE == 0 {
            commands.push(of(command, key));
        }
        if let Some(command) = commands.last_mut() {
            add(command, element);
        }
    }
    commands
}
