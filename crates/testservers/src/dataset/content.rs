//! Values by what they mean.

use super::Expiry;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    /// Numbers, bitmaps and `HyperLogLogs` are strings as well.
    Text(Vec<u8>),
    List(Vec<Vec<u8>>),
    Set(BTreeSet<Vec<u8>>),
    Hash(BTreeMap<Vec<u8>, Field>),
    /// Scores by member. Places are scores of 52 bits.
    SortedSet(BTreeMap<Vec<u8>, f64>),
    Stream(Stream),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) value: Vec<u8>,
    pub(super) expiry: Option<Expiry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stream {
    /// In their order.
    pub(super) entries: Vec<Entry>,
    /// Also of an entry that is deleted.
    pub(super) last_id: String,
    pub(super) groups: BTreeMap<Vec<u8>, Group>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) last_delivered: String,
    /// The consumer of each entry that is not acknowledged, by id.
    pub(super) pending: BTreeMap<String, Vec<u8>>,
}

impl Content {
    /// As the command TYPE calls it.
    pub(super) const fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::List(_) => "list",
            Self::Set(_) => "set",
            Self::Hash(_) => "hash",
            Self::SortedSet(_) => "zset",
            Self::Stream(_) => "stream",
        }
    }

    /// About how many bytes it takes on the wire.
    pub(super) fn size(&self) -> usize {
        const EACH: usize = 10;
        match self {
            Self::Text(text) => text.len(),
            Self::List(elements) => elements.iter().map(|element| element.len() + EACH).sum(),
            Self::Set(members) => members.iter().map(|member| member.len() + EACH).sum(),
            Self::Hash(fields) => fields.iter().map(|(name, field)| name.len() + field.value.len() + 2 * EACH).sum(),
            Self::SortedSet(members) => members.keys().map(|member| member.len() + 2 * EACH).sum(),
            Self::Stream(stream) => stream.entries.iter().map(Entry::size).sum(),
        }
    }
}

impl Entry {
    fn size(&self) -> usize {
        self.fields.iter().map(|(name, value)| name.len() + value.len() + 30).sum()
    }
}
