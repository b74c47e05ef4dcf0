//! What a server holds under a key, to be compared with what another one holds.

use super::{Key, ValueType};
use std::time::Duration;
use topology::Reply;

/// What stands behind the value in what `DUMP` gives: the version of the form, 2 bytes, and a checksum, 8 bytes.
const FOOTER: usize = 10;
/// A time to live is sent as milliseconds that are left, so that it grows by the time on the way.
const SLACK: Duration = Duration::from_secs(10);

/// What a server holds under a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    dump: Reply,
    time_to_live: i64,
    /// The value in a form that does not depend on the server's version and hash seed, where the dumps differ.
    value: Option<(ValueType, Vec<Reply>)>,
}

impl Reading {
    /// From the replies of `DUMP` and `PTTL`.
    pub fn of(dump: Reply, time_to_live: &Reply) -> Self {
        Self { dump, time_to_live: time_to_live.as_integer().unwrap_or(-1), value: None }
    }

    /// Whether there is no such key.
    pub const fn is_absent(&self) -> bool {
        matches!(self.dump, Reply::Nil)
    }

    /// The same with the value as its type's own command reads it: `fields` is when the fields of a hash go.
    #[must_use]
    pub fn with_value(mut self, value_type: ValueType, value: &Reply, fields: Option<&Reply>) -> Self {
        if matches!(value, Reply::Nil | Reply::Error(_)) {
            return self;
        }
        let items = value.as_list().map_or_else(|| vec![value.clone()], <[Reply]>::to_vec);
        let items = match value_type {
            ValueType::Text | ValueType::List | ValueType::SortedSet | ValueType::Stream => items,
            ValueType::Set => sorted(items),
            ValueType::Hash => {
                let expiries = fields.and_then(Reply::as_list).unwrap_or_default();
                let pairs = items.chunks(2).zip(expiries.iter().map(Some).chain(std::iter::repeat(None)));
                sorted(pairs.map(|(pair, expiry)| with_expiry(pair, expiry)).collect())
            }
        };
        self.value = Some((value_type, items));
        self
    }

    /// The names of the fields, where the value was read as that of a hash.
    pub fn fields(value: &Reply) -> Vec<Key> {
        let names = value.as_list().unwrap_or_default().iter().step_by(2);
        names.filter_map(|name| if let Reply::Bytes(name) = name { Some(name.clone()) } else { None }).collect()
    }

    /// Whether both hold the same value, and go at the same time or never. What cannot be compared is not the same.
    pub fn same(&self, other: &Self) -> bool {
        self.same_expiry(other) && (self.same_dump(other) || self.value.is_some() && self.value == other.value)
    }

    /// Whether their values are written in the same bytes. Others can be equal all the same: versions write them in different forms,
    /// and large sets and hashes come in an order that differs from server to server.
    pub fn same_dump(&self, other: &Self) -> bool {
        match (&self.dump, &other.dump) {
            (Reply::Bytes(here), Reply::Bytes(there)) => body(here).is_some() && body(here) == body(there),
            _ => false,
        }
    }

    fn same_expiry(&self, other: &Self) -> bool {
        match (self.time_to_live, other.time_to_live) {
            (here, there) if here < 0 || there < 0 => here == there,
            (here, there) => Duration::from_millis(here.abs_diff(there)) <= SLACK,
        }
    }
}

fn body(dump: &[u8]) -> Option<&[u8]> {
    dump.get(..dump.len().checked_sub(FOOTER)?)
}

/// A field without expiry is told as -1, and not at all by servers whose fields never go.
fn with_expiry(pair: &[Reply], expiry: Option<&Reply>) -> Reply {
    let expiry = expiry.and_then(Reply::as_integer).filter(|expiry| *expiry >= 0);
    Reply::List(pair.iter().cloned().chain(expiry.map(Reply::Integer)).collect())
}

fn sorted(mut items: Vec<Reply>) -> Vec<Reply> {
    items.sort_by(|one, other| key_of(one).cmp(key_of(other)));
    items
}

/// What distinguishes the items of a set and of a hash: the member, or the field's name.
fn key_of(item: &Reply) -> &[u8] {
    match item {
        Reply::Bytes(bytes) => bytes,
        Reply::List(items) => items.first().map_or(&[], key_of),
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dumped(body: &str, time_to_live: i64) -> Reading {
        Reading::of(Reply::text(format!("{body}0123456789")), &Reply::Integer(time_to_live))
    }

    fn list(items: &[&str]) -> Reply {
        Reply::List(items.iter().map(|item| Reply::text(*item)).collect())
    }

    #[test]
    fn values_are_the_same_when_their_dumps_are_whatever_the_version() {
        let other_version = Reading::of(Reply::text("one9876543210"), &Reply::Integer(-1));
        assert!(dumped("one", -1).same(&other_version));
        assert!(!dumped("one", -1).same(&dumped("two", -1)));
        assert!(!Reading::of(Reply::Nil, &Reply::Integer(-2)).same(&dumped("one", -1)));
        assert!(!Reading::of(Reply::text("short"), &Reply::Integer(-1)).same(&dumped("", -1)));
    }

    #[test]
    fn a_time_to_live_may_differ_by_the_time_on_the_way() {
        assert!(dumped("one", 50_000).same(&dumped("one", 52_000)));
        assert!(!dumped("one", 50_000).same(&dumped("one", 150_000)));
        assert!(!dumped("one", 50_000).same(&dumped("one", -1)));
    }

    #[test]
    fn sets_and_hashes_are_the_same_in_every_order() {
        let set = |dump, items: &[&str]| dumped(dump, -1).with_value(ValueType::Set, &list(items), None);
        assert!(set("x", &["a", "b"]).same(&set("y", &["b", "a"])));
        assert!(!set("x", &["a", "b"]).same(&set("y", &["b", "c"])));
        let hash = |dump, items: &[&str], expiries: &[i64]| {
            let expiries = Reply::List(expiries.iter().map(|expiry| Reply::Integer(*expiry)).collect());
            dumped(dump, -1).with_value(ValueType::Hash, &list(items), Some(&expiries))
        };
        assert!(hash("x", &["a", "1", "b", "2"], &[-1, 7]).same(&hash("y", &["b", "2", "a", "1"], &[7, -1])));
        assert!(!hash("x", &["a", "1", "b", "2"], &[-1, 7]).same(&hash("y", &["b", "2", "a", "1"], &[-1, 7])));
        let without =
            dumped("z", -1).with_value(ValueType::Hash, &list(&["a", "1"]), Some(&Reply::Error("ERR".into())));
        assert!(without.same(&hash("x", &["a", "1"], &[-1])));
        assert!(!dumped("x", -1).same(&set("y", &["a"])));
        let refused = |dump| dumped(dump, -1).with_value(ValueType::Set, &Reply::Error("WRONGTYPE".into()), None);
        assert!(!refused("x").same(&refused("y")));
    }

    #[test]
    fn lists_are_the_same_in_their_order_only() {
        let of = |dump, items: &[&str]| dumped(dump, -1).with_value(ValueType::List, &list(items), None);
        assert!(of("x", &["a", "b"]).same(&of("y", &["a", "b"])));
        assert!(!of("x", &["a", "b"]).same(&of("y", &["b", "a"])));
    }
}
