//! A model of the data in a cluster: written, and compared with what is there.

mod compare;
mod content;
mod difference;
mod generate;
mod keys;
mod node;
mod read;
mod write;

pub use difference::{Difference, What};

use crate::{cluster::Cluster, engine::Engine};
use content::Content;
use std::collections::BTreeMap;

/// What a [`Dataset`] is to hold.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many keys, over all databases.
    pub keys: usize,
    /// How many databases they are spread over. Only Valkey 9 has more than one in a cluster, with `cluster-databases`.
    pub databases: u32,
    /// What the values are, in equal shares.
    pub kinds: Vec<Kind>,
    /// The bytes of the largest values, about. Most are small.
    pub largest: usize,
    /// Whether keys are of all bytes and lengths, the empty key among them, instead of short words.
    pub odd_keys: bool,
    /// Whether some keys go at a time decades ahead.
    pub key_expiry: bool,
    /// Whether some fields of hashes do: Redis since 7.4, Valkey since 9.0.
    pub hash_field_expiry: bool,
}

/// What a value is. The encodings, such as that of a list with few elements, follow from the sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Text,
    Number,
    Bitmap,
    HyperLogLog,
    List,
    Set,
    IntegerSet,
    Hash,
    SortedSet,
    Geo,
    Stream,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Text,
        Self::Number,
        Self::Bitmap,
        Self::HyperLogLog,
        Self::List,
        Self::Set,
        Self::IntegerSet,
        Self::Hash,
        Self::SortedSet,
        Self::Geo,
        Self::Stream,
    ];
}

impl Options {
    /// So many keys of everything that servers of this engine know, in database 0, with values up to 100 kB.
    pub fn all(engine: &Engine, keys: usize) -> Self {
        let hash_field_expiry = !["redis-7.0", "valkey-8.1"].contains(&engine.name.as_str());
        Self {
            keys,
            databases: 1,
            kinds: Kind::ALL.to_vec(),
            largest: 100_000,
            odd_keys: true,
            key_expiry: true,
            hash_field_expiry,
        }
    }

    /// So many short keys with short strings, in database 0: for speed.
    pub fn small(keys: usize) -> Self {
        Self {
            keys,
            databases: 1,
            kinds: vec![Kind::Text, Kind::Number],
            largest: 32,
            odd_keys: false,
            key_expiry: false,
            hash_field_expiry: false,
        }
    }
}

/// Keys of some databases with their values and expiries: what a cluster is to hold.
#[derive(Clone, Debug)]
pub struct Dataset {
    seed: u64,
    hash_field_expiry: bool,
    records: BTreeMap<Place, Record>,
}

/// Database and key.
type Place = (u32, Vec<u8>);

#[derive(Clone, Debug, PartialEq)]
struct Record {
    content: Content,
    expiry: Option<Expiry>,
}

/// Milliseconds since 1970.
type Expiry = u64;

impl Dataset {
    /// The same data for the same seed and options, on every machine.
    pub fn generate(seed: u64, options: &Options) -> Self {
        let records = generate::records(seed, options);
        Self { seed, hash_field_expiry: options.hash_field_expiry, records }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The databases and keys, in their order.
    pub fn keys(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.records.keys().map(|(database, key)| (*database, key.as_slice()))
    }

    /// Writes all of it to the owners of the slots. Panics where one refuses something: slots have to stay where they are
    /// meanwhile, and keys must not be there yet.
    #[track_caller]
    pub fn write(&self, cluster: &Cluster) {
        write::write(self, cluster);
    }

    /// Reads everything back from the owners of the slots, whoever that is by then, and looks for keys that do not belong
    /// there: all that is different. Values are compared by what they mean, not by how they are encoded. Keys of others
    /// are extra keys. Panics where no node answers; keys in slots without an owner who answers are missing.
    #[track_caller]
    pub fn compare(&self, cluster: &Cluster) -> Vec<Difference> {
        compare::compare(self, cluster)
    }

    /// Panics with what [`compare`](Self::compare) finds, where that is anything, and with the seed.
    #[track_caller]
    pub fn assert_same(&self, cluster: &Cluster) {
        let found = self.compare(cluster);
        let first: Vec<String> = found.iter().take(20).map(ToString::to_string).collect();
        assert!(found.is_empty(), "{} differences with seed {}:\n{}", found.len(), self.seed, first.join("\n"));
    }
}
