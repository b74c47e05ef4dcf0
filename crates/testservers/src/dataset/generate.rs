//! Data out of a seed.

use super::{
    Expiry, Kind, Options, Place, Record,
    content::{Content, Entry, Field, Group, Stream},
    keys::key,
};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use std::collections::BTreeMap;

/// The year 2100, in milliseconds; expiries are up to a decade later.
const FAR_AHEAD: Expiry = 4_102_444_800_000;
const DECADE: Expiry = 315_576_000_000;
/// The registers of a `HyperLogLog`, of 6 bits each.
const REGISTERS: usize = 16384;

pub(super) fn records(seed: u64, options: &Options) -> BTreeMap<Place, Record> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let databases = options.databases.max(1);
    let places = (0..options.keys).zip((0..databases).cycle()).enumerate();
    let records = places.map(|(index, (_, database))| {
        let number = index / databases as usize;
        let place = (database, key(&mut random, number, options.odd_keys));
        let kind = options.kinds.get(index % options.kinds.len().max(1)).copied().unwrap_or(Kind::Text);
        let mut generator = Generator { random: &mut random, options };
        let content = generator.content(kind);
        let expiry = generator.expiry(options.key_expiry);
        (place, Record { content, expiry })
    });
    records.collect()
}

struct Generator<'a> {
    random: &'a mut ChaCha8Rng,
    options: &'a Options,
}

impl Generator<'_> {
    fn content(&mut self, kind: Kind) -> Content {
        match kind {
            Kind::Text => Content::Text(self.text()),
            Kind::Number => Content::Text(self.number().into_bytes()),
            Kind::Bitmap => Content::Text(self.bitmap()),
            Kind::HyperLogLog => Content::Text(self.hyperloglog()),
            Kind::List => Content::List(self.elements(1)),
            Kind::Set => Content::Set(self.elements(1).into_iter().collect()),
            Kind::IntegerSet => {
                let integers: Vec<i64> = (0..self.count(16).min(400)).map(|_| self.random.random()).collect();
                Content::Set(integers.into_iter().map(|number| number.to_string().into_bytes()).collect())
            }
            Kind::Hash => self.hash(),
            Kind::SortedSet => {
                let members = self.elements(2);
                Content::SortedSet(members.into_iter().map(|member| (member, self.score())).collect())
            }
            Kind::Geo => {
                let members = self.elements(2);
                // What GEOADD makes of a place: a whole number of 52 bits, which a score holds exactly.
                let mut place = || f64::from(self.random.random::<u32>()) * f64::from(1 << 20);
                Content::SortedSet(members.into_iter().map(|member| (member, place())).collect())
            }
            Kind::Stream => Content::Stream(self.stream()),
        }
    }

    /// Every other time, where it is wanted.
    fn expiry(&mut self, wanted: bool) -> Option<Expiry> {
        (wanted && self.random.random()).then(|| FAR_AHEAD + self.random.random_range(0..DECADE))
    }

    /// How many elements of about so many bytes: mostly few, sometimes more than what compact encodings hold, sometimes as
    /// many as the largest value has.
    fn count(&mut self, bytes: usize) -> usize {
        let most = (self.options.largest / bytes).max(1);
        let bound = match self.random.random_range(0..100) {
            0..80 => 12,
            80..95 => 1200,
            _ => most,
        };
        self.random.random_range(1..=bound.min(most))
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.random.fill(bytes.as_mut_slice());
        bytes
    }

    fn text(&mut self) -> Vec<u8> {
        let count = self.count(1);
        self.bytes(count)
    }

    /// What is kept as an integer, what only looks like one, and a float.
    fn number(&mut self) -> String {
        match self.random.random_range(0..6) {
            0 => self.random.random_range(0..10_000_u32).to_string(),
            1 => self.random.random::<i64>().to_string(),
            2 => i64::MIN.to_string(),
            3 => u64::MAX.to_string(),
            4 => format!("0{}", self.random.random::<u16>()),
            _ => self.score().to_string(),
        }
    }

    /// Few bits in many bytes.
    fn bitmap(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; self.count(1)];
        for _ in 0..self.random.random_range(1..20) {
            let at = self.random.random_range(0..bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte |= 1 << self.random.random_range(0..8);
            }
        }
        bytes
    }

    /// As PFADD keeps it: a header of 16 bytes, whose last 8 are a count that is out of date, and all registers; in the
    /// dense form as they are, in the sparse form as runs of equal ones.
    fn hyperloglog(&mut self) -> Vec<u8> {
        const OUT_OF_DATE: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 0x80];
        let is_dense = self.options.largest > REGISTERS && self.random.random_ratio(1, 4);
        let mut bytes = [b"HYLL".as_slice(), &[u8::from(!is_dense), 0, 0, 0], &OUT_OF_DATE].concat();
        if is_dense {
            // 4 registers in 3 bytes, none above 21: a hash has no more zeros than 50.
            bytes.extend(self.bytes(REGISTERS * 6 / 8).iter().map(|byte| byte & 0b0100_0001));
            return bytes;
        }
        let runs = self.random.random_range(1..50_u16);
        // One register with a value from 1 to 32, then many of 0.
        bytes.extend((0..runs).map(|_| 0x80 | (self.random.random_range(0..32_u8) << 2)));
        let zeros = 16384 - runs - 1;
        bytes.extend((zeros | 0x4000).to_be_bytes());
        bytes
    }

    fn elements(&mut self, per_element: usize) -> Vec<Vec<u8>> {
        // Elements above 64 bytes do not fit into compact encodings.
        let longest = if self.random.random_ratio(1, 10) { 200 } else { 24 };
        let count = self.count(per_element * (longest / 2 + 10));
        (0..count)
            .map(|_| {
                let length = self.random.random_range(0..longest);
                self.bytes(length)
            })
            .collect()
    }

    fn hash(&mut self) -> Content {
        let names = self.elements(2);
        let has_expiries = self.options.hash_field_expiry && self.random.random();
        let fields = names.into_iter().map(|name| {
            let length = self.random.random_range(0..20);
            (name, Field { value: self.bytes(length), expiry: self.expiry(has_expiries) })
        });
        Content::Hash(fields.collect())
    }

    fn score(&mut self) -> f64 {
        match self.random.random_range(0..8) {
            0 => f64::INFINITY,
            1 => f64::NEG_INFINITY,
            2 => 0.0,
            3..6 => f64::from(self.random.random_range(-1000..1000)),
            _ => self.random.random::<f64>() * 1e18 - 5e17,
        }
    }

    fn stream(&mut self) -> Stream {
        let mut time = self.random.random_range(1..1_000_000_u64);
        let count = self.count(60);
        let mut entries: Vec<Entry> = (0..=count)
            .map(|sequence| {
                time += self.random.random_range(1..1000);
                let id = format!("{time}-{sequence}");
                let fields = (0..self.random.random_range(1..4)).map(|_| (self.bytes(4), self.bytes(12)));
                Entry { id, fields: fields.collect() }
            })
            .collect();
        // The last one is added and deleted, which leaves its id behind.
        let last_id = entries.pop().map(|entry| entry.id).unwrap_or_default();
        let groups = (0..self.random.random_range(0..3)).filter_map(|number| {
            let delivered = self.random.random_range(0..=entries.len());
            let delivered = entries.get(..delivered)?;
            let last_delivered = delivered.last().map_or_else(|| "0-0".to_owned(), |entry| entry.id.clone());
            let pending = delivered.iter().filter(|_| self.random.random());
            let consumer = |id: &str| format!("consumer {}\0", id.len() % 2).into_bytes();
            let pending = pending.map(|entry| (entry.id.clone(), consumer(&entry.id)));
            Some((format!("group {number}\r\n").into_bytes(), Group { last_delivered, pending: pending.collect() }))
        });
        let groups = groups.collect();
        Stream { entries, last_id, groups }
    }
}
