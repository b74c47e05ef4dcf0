//! Reading values back.

use super::{
    Dataset, Record,
    content::{Content, Entry, Field, Group, Stream},
    difference::What,
    node::Batch,
};
use redis::{FromRedisValue, Value, cmd, from_redis_value};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Debug,
};

/// Longer descriptions of values help nobody.
const SHORT: usize = 300;

/// Asks for everything about a key of this type. The first replies are its expiry (PEXPIRETIME, since 7.0) and its type.
pub(super) fn batch(dataset: &Dataset, key: &[u8], record: &Record) -> Batch {
    let of = |command: &str| cmd(command).arg(key).take();
    let mut commands = vec![of("PEXPIRETIME"), of("TYPE")];
    match &record.content {
        Content::Text(_) => commands.push(of("GET")),
        Content::List(_) => commands.push(of("LRANGE").arg(0).arg(-1).take()),
        Content::Set(_) => commands.push(of("SMEMBERS")),
        Content::SortedSet(_) => commands.push(of("ZRANGE").arg(0).arg(-1).arg("WITHSCORES").take()),
        Content::Hash(fields) => {
            commands.push(of("HGETALL"));
            if dataset.hash_field_expiry {
                let names: Vec<_> = fields.keys().collect();
                commands.push(of("HPEXPIRETIME").arg("FIELDS").arg(names.len()).arg(names).take());
            }
        }
        Content::Stream(_) => {
            // Everything in one, and unlike XPENDING without errors that name keys, which clients may fail to read.
            commands.push(cmd("XINFO").arg("STREAM").arg(key).arg("FULL").arg("COUNT").arg(0).take());
        }
    }
    Batch { commands, size: key.len() * 3 + record.content.size() }
}

/// What the replies to a [`batch`] say that `record` does not.
pub(super) fn differences(record: &Record, replies: Vec<Value>) -> Vec<What> {
    let mut replies = replies.into_iter();
    let expiry = replies.next().and_then(|reply| from_redis_value::<i64>(reply).ok());
    let found_type = replies.next().and_then(|reply| from_redis_value::<String>(reply).ok()).unwrap_or_default();
    if expiry == Some(-2) || found_type == "none" {
        return vec![What::Missing];
    }
    let expected_type = record.content.type_name();
    if found_type != expected_type {
        return vec![What::Type { expected: expected_type.to_owned(), found: found_type }];
    }
    let mut found = Vec::new();
    let expiry = expiry.and_then(|expiry| u64::try_from(expiry).ok());
    if expiry != record.expiry {
        found.push(What::Expiry { expected: record.expiry, found: expiry });
    }
    let replies: Vec<Value> = replies.collect();
    let said = format!("{replies:?}");
    match content(&record.content, replies) {
        Some(content) if content == record.content => {}
        Some(content) => found.push(difference(&record.content, &content)),
        None => found.push(What::Unreadable(short(&said))),
    }
    found
}

/// What the replies mean, for a value of the same type as `expected`; none where they mean nothing.
fn content(expected: &Content, replies: Vec<Value>) -> Option<Content> {
    let mut replies = replies.into_iter();
    let first = replies.next()?;
    Some(match expected {
        Content::Text(_) => Content::Text(read(first)?),
        Content::List(_) => Content::List(read(first)?),
        Content::Set(_) => Content::Set(read::<Vec<Vec<u8>>>(first)?.into_iter().collect()),
        Content::SortedSet(_) => {
            let members: Vec<(Vec<u8>, f64)> = read(first)?;
            Content::SortedSet(members.into_iter().collect())
        }
        Content::Hash(fields) => Content::Hash(hash(fields, first, replies.next())?),
        Content::Stream(_) => Content::Stream(stream(first)?),
    })
}

/// Expiries are known of the fields that are expected; other fields are a difference anyway.
fn hash(
    expected: &BTreeMap<Vec<u8>, Field>,
    fields: Value,
    expiries: Option<Value>,
) -> Option<BTreeMap<Vec<u8>, Field>> {
    let values: HashMap<Vec<u8>, Vec<u8>> = read(fields)?;
    let expiries: Vec<i64> = expiries.map_or(Some(Vec::new()), read)?;
    let expiries: HashMap<_, _> = expected.keys().zip(expiries).collect();
    let field = |(name, value)| {
        let expiry = expiries.get(&name).and_then(|expiry| u64::try_from(*expiry).ok());
        (name, Field { value, expiry })
    };
    Some(values.into_iter().map(field).collect())
}

fn stream(reply: Value) -> Option<Stream> {
    let mut stream: HashMap<String, Value> = read(reply)?;
    let entry = |entry: Value| {
        let (id, fields) = read(entry)?;
        Some(Entry { id, fields })
    };
    let entries: Vec<Value> = read(stream.remove("entries")?)?;
    let groups: Vec<Value> = read(stream.remove("groups")?)?;
    Some(Stream {
        entries: entries.into_iter().map(entry).collect::<Option<_>>()?,
        last_id: read(stream.remove("last-generated-id")?)?,
        groups: groups.into_iter().map(group).collect::<Option<_>>()?,
    })
}

fn group(reply: Value) -> Option<(Vec<u8>, Group)> {
    let mut group: HashMap<String, Value> = read(reply)?;
    // Id, consumer, milliseconds since 1970, deliveries.
    let pending: Vec<(String, Vec<u8>, u64, u64)> = read(group.remove("pending")?)?;
    let pending = pending.into_iter().map(|(id, consumer, ..)| (id, consumer)).collect();
    let last_delivered = read(group.remove("last-delivered-id")?)?;
    Some((read(group.remove("name")?)?, Group { last_delivered, pending }))
}

fn read<T: FromRedisValue>(reply: Value) -> Option<T> {
    from_redis_value(reply).ok()
}

/// Both values in short, reduced to what is only in one of them.
fn difference(expected: &Content, found: &Content) -> What {
    let (expected, found) = match (expected, found) {
        (Content::Text(expected), Content::Text(found)) => texts(expected, found),
        (Content::List(expected), Content::List(found)) => lists(expected, found),
        (Content::Set(expected), Content::Set(found)) => sets(expected, found),
        (Content::Hash(expected), Content::Hash(found)) => maps(expected, found),
        (Content::SortedSet(expected), Content::SortedSet(found)) => maps(expected, found),
        (Content::Stream(expected), Content::Stream(found)) => {
            let rest = |stream: &Stream| short(&format!("last id {}, groups {:?}", stream.last_id, stream.groups));
            let (entries, others) = lists(&expected.entries, &found.entries);
            (format!("{entries}, {}", rest(expected)), format!("{others}, {}", rest(found)))
        }
        (expected, found) => (short(&format!("{expected:?}")), short(&format!("{found:?}"))),
    };
    What::Value { expected, found }
}

fn texts(expected: &[u8], found: &[u8]) -> (String, String) {
    let same = expected.iter().zip(found).take_while(|(one, other)| one == other).count();
    let say = |text: &[u8]| {
        let rest = text.get(same..).unwrap_or_default();
        format!("{} bytes, from byte {same} \"{}\"", text.len(), short(&rest.escape_ascii().to_string()))
    };
    (say(expected), say(found))
}

fn lists<T: Debug + PartialEq>(expected: &[T], found: &[T]) -> (String, String) {
    let same = expected.iter().zip(found).take_while(|(one, other)| one == other).count();
    let say =
        |list: &[T]| format!("{} elements, element {same} {}", list.len(), short(&format!("{:?}", list.get(same))));
    (say(expected), say(found))
}

fn sets<T: Debug + Ord>(expected: &BTreeSet<T>, found: &BTreeSet<T>) -> (String, String) {
    let say = |set: &BTreeSet<T>, other: &BTreeSet<T>| {
        let alone: Vec<_> = set.difference(other).take(5).collect();
        format!("{} members with {}", set.len(), short(&format!("{alone:?}")))
    };
    (say(expected, found), say(found, expected))
}

fn maps<T: Debug + PartialEq>(expected: &BTreeMap<Vec<u8>, T>, found: &BTreeMap<Vec<u8>, T>) -> (String, String) {
    let say = |map: &BTreeMap<Vec<u8>, T>, other: &BTreeMap<Vec<u8>, T>| {
        let alone: Vec<_> = map.iter().filter(|(name, value)| other.get(*name) != Some(value)).take(5).collect();
        format!("{} members with {}", map.len(), short(&format!("{alone:?}")))
    };
    (say(expected, found), say(found, expected))
}

fn short(text: &str) -> String {
    text.chars().take(SHORT).collect()
}
