//! The keys of a server. Values are versions: whoever writes tells which write it was.

use crate::bus::Millis;
use std::collections::BTreeMap;
use topology::{Slot, SlotSet};

/// What stands behind the value in what `DUMP` gives: a version of the form and a checksum.
const FOOTER: &[u8; 10] = b"\x0b\0checksum";

/// A value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) version: u64,
    pub(crate) used: Millis,
}

impl Value {
    pub(crate) fn dump(self) -> Vec<u8> {
        let mut dump = self.version.to_be_bytes().to_vec();
        dump.extend_from_slice(FOOTER);
        dump
    }

    pub(crate) fn restore(payload: &[u8], used: Millis) -> Option<Self> {
        let version = payload.strip_suffix(FOOTER)?.try_into().ok()?;
        Some(Self { version: u64::from_be_bytes(version), used })
    }
}

/// The keys of a server by slot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Data {
    slots: BTreeMap<Slot, BTreeMap<Vec<u8>, Value>>,
    count: u64,
}

impl Data {
    pub(crate) const fn len(&self) -> u64 {
        self.count
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Value> {
        self.slots.get(&Slot::of_key(key))?.get(key).copied()
    }

    pub(crate) fn set(&mut self, key: &[u8], value: Value) {
        let old = self.slots.entry(Slot::of_key(key)).or_default().insert(key.to_vec(), value);
        self.count += u64::from(old.is_none());
    }

    /// Gives whether it was there.
    pub(crate) fn remove(&mut self, key: &[u8]) -> bool {
        let slot = Slot::of_key(key);
        let Some(keys) = self.slots.get_mut(&slot) else { return false };
        let is_removed = keys.remove(key).is_some();
        if keys.is_empty() {
            self.slots.remove(&slot);
        }
        self.count -= u64::from(is_removed);
        is_removed
    }

    pub(crate) fn count(&self, slot: Slot) -> usize {
        self.slots.get(&slot).map_or(0, BTreeMap::len)
    }

    pub(crate) fn keys(&self, slot: Slot) -> impl Iterator<Item = &Vec<u8>> {
        self.slots.get(&slot).into_iter().flat_map(BTreeMap::keys)
    }

    /// All keys with their values.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Vec<u8>, &Value)> {
        self.slots.values().flatten()
    }

    pub(crate) fn used_slots(&self) -> SlotSet {
        self.slots.keys().copied().collect()
    }

    /// Those of these slots, as data of their own.
    pub(crate) fn part(&self, slots: &SlotSet) -> Vec<(Vec<u8>, Value)> {
        let inside = self.slots.iter().filter(|(slot, _)| slots.contains(**slot));
        inside.flat_map(|(_, keys)| keys.iter().map(|(key, value)| (key.clone(), *value))).collect()
    }

    /// Gives how many keys went.
    pub(crate) fn drop_slots(&mut self, slots: &SlotSet) -> u64 {
        let before = self.count;
        self.slots.retain(|slot, keys| {
            let goes = slots.contains(*slot);
            self.count -= if goes { keys.len() as u64 } else { 0 };
            !goes
        });
        before - self.count
    }
}
