//! Sets of slots, kept as ranges: most nodes own few of them.

use crate::slot::Slot;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{borrow::Cow, fmt, ops::RangeInclusive, str::FromStr};

/// A set of slots. Shown and serialised as its ranges: `0-5460 9000`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotSet {
    /// First and last slot of each range; sorted, with a gap between any two.
    ranges: Vec<(u16, u16)>,
}

/// Text that is not a list of slots and ranges.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a slot or a range of slots such as 0-5460")]
pub struct NotSlots(pub String);

impl SlotSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// All 16384 slots.
    pub fn all() -> Self {
        Self::from(Slot::FIRST..=Slot::LAST)
    }

    /// How many slots are in the set, 0 to 16384.
    pub fn len(&self) -> usize {
        self.ranges.iter().map(|(first, last)| usize::from(last - first) + 1).sum()
    }

    /// Whether no slot is in the set.
    pub const fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether this slot is in the set.
    pub fn contains(&self, slot: Slot) -> bool {
        self.range_with(slot.number()).is_some()
    }

    /// First and last number of the range that this number is in.
    pub(crate) fn range_with(&self, number: u16) -> Option<(u16, u16)> {
        let after = self.ranges.partition_point(|(first, _)| *first <= number);
        let before = after.checked_sub(1).and_then(|at| self.ranges.get(at));
        before.copied().filter(|(_, last)| number <= *last)
    }

    /// Adds one slot.
    pub fn insert(&mut self, slot: Slot) {
        self.insert_range(slot..=slot);
    }

    /// Adds all slots of a range; a range that ends before it begins adds none.
    pub fn insert_range(&mut self, range: RangeInclusive<Slot>) {
        let (mut first, mut last) = (range.start().number(), range.end().number());
        if first > last {
            return;
        }
        let from = self.ranges.partition_point(|(_, end)| end.saturating_add(1) < first);
        let to = self.ranges.partition_point(|(start, _)| *start <= last.saturating_add(1));
        for (start, end) in self.ranges.drain(from..to) {
            first = first.min(start);
            last = last.max(end);
        }
        self.ranges.insert(from, (first, last));
    }

    /// Takes out all slots of a range; a range that ends before it begins takes out none.
    pub fn remove_range(&mut self, range: RangeInclusive<Slot>) {
        let (first, last) = (range.start().number(), range.end().number());
        if first > last {
            return;
        }
        let from = self.ranges.partition_point(|(_, end)| *end < first);
        let to = self.ranges.partition_point(|(start, _)| *start <= last);
        let mut left = Vec::new();
        for (start, end) in self.ranges.drain(from..to) {
            if start < first {
                left.push((start, first - 1));
            }
            if end > last {
                left.push((last + 1, end));
            }
        }
        self.ranges.splice(from..from, left);
    }

    /// First and last number of each range in ascending order.
    pub(crate) fn bounds(&self) -> impl ExactSizeIterator<Item = (u16, u16)> + '_ {
        self.ranges.iter().copied()
    }

    /// The ranges in ascending order, as long as they can be.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = RangeInclusive<Slot>> + DoubleEndedIterator + '_ {
        self.ranges
            .iter()
            .filter_map(|&(first, last)| Some(Slot::new(first).ok()?..=Slot::new(last).ok()?))
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// The slots in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        self.ranges.iter().flat_map(|&(first, last)| first..=last).filter_map(|number| Slot::new(number).ok())
    }

    /// The slots that are in this set, in the other, or in both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        match (self.is_empty(), other.is_empty()) {
            (_, true) => self.clone(),
            (true, false) => other.clone(),
            (false, false) => [self, other].into_iter().collect(),
        }
    }

    /// The slots that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.ranges.iter().peekable(), other.ranges.iter().peekable());
        let mut ranges = Vec::new();
        while let (Some(&&(a, b)), Some(&&(c, d))) = (left.peek(), right.peek()) {
            if a.max(c) <= b.min(d) {
                ranges.push((a.max(c), b.min(d)));
            }
            if b < d {
                left.next()
            } else {
                right.next()
            };
        }
        Self { ranges }
    }

    /// The slots of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        if self.is_empty() || other.is_empty() {
            return self.clone();
        }
        self.intersection(&other.complement())
    }

    /// The slots that are not in this set.
    #[must_use]
    pub fn complement(&self) -> Self {
        let mut ranges = Vec::new();
        let mut next = 0;
        for &(first, last) in &self.ranges {
            if next < first {
                ranges.push((next, first - 1));
            }
            next = last + 1;
        }
        if next < Slot::COUNT {
            ranges.push((next, Slot::COUNT - 1));
        }
        Self { ranges }
    }
}

impl From<RangeInclusive<Slot>> for SlotSet {
    fn from(range: RangeInclusive<Slot>) -> Self {
        let mut set = Self::new();
        set.insert_range(range);
        set
    }
}

/// The union of these sets.
impl<'sets> FromIterator<&'sets Self> for SlotSet {
    fn from_iter<I: IntoIterator<Item = &'sets Self>>(sets: I) -> Self {
        let mut all: Vec<_> = sets.into_iter().flat_map(|set| set.ranges.iter().copied()).collect();
        all.sort_unstable();
        let mut union = Self::new();
        for (first, last) in all {
            match union.ranges.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = (*end).max(last),
                _ => union.ranges.push((first, last)),
            }
        }
        union
    }
}

impl FromIterator<Slot> for SlotSet {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut numbers: Vec<u16> = slots.into_iter().map(Slot::number).collect();
        numbers.sort_unstable();
        let mut set = Self::new();
        for number in numbers {
            match set.ranges.last_mut() {
                Some((_, end)) if number <= end.saturating_add(1) => *end = number,
                _ => set.ranges.push((number, number)),
            }
        }
        set
    }
}

impl fmt::Display for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (first, last)) in self.ranges.iter().enumerate() {
            let space = if position == 0 { "" } else { " " };
            if first == last {
                write!(f, "{space}{first}")?;
            } else {
                write!(f, "{space}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for SlotSet {
    type Err = NotSlots;

    /// Reads slots and ranges between spaces or commas: `0-5460 9000`, `0-10,12`.
    fn from_str(text: &str) -> Result<Self, NotSlots> {
        let mut set = Self::new();
        for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
            set.insert_range(parse_range(word).ok_or_else(|| NotSlots(word.to_owned()))?);
        }
        Ok(set)
    }
}

fn parse_range(word: &str) -> Option<RangeInclusive<Slot>> {
    let number = |text: &str| Slot::new(text.parse().ok()?).ok();
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first..=last)
}

impl Serialize for SlotSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SlotSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for SlotSet {
    fn schema_name() -> Cow<'static, str> {
        "SlotSet".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Slots as ranges between spaces, ascending: \"0-5460 9000\". Empty for none.",
            "pattern": "^([0-9]+(-[0-9]+)?( [0-9]+(-[0-9]+)?)*)?$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::btree_set, prelude::*};
    use std::collections::BTreeSet;

    fn slots() -> impl Strategy<Value = BTreeSet<Slot>> {
        // Small numbers lie close together and so form ranges; large ones reach the end.
        let number = prop_oneof![0..60_u16, 16_360..16_384_u16];
        btree_set(number.prop_map(|number| Slot::new(number).unwrap()), 0..60)
    }

    fn model(set: &SlotSet) -> BTreeSet<Slot> {
        set.iter().collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_is_a_set_of_slots(left in slots(), right in slots()) {
            let (a, b): (SlotSet, SlotSet) = (left.iter().copied().collect(), right.iter().copied().collect());
            prop_assert_eq!(a.len(), left.len());
            prop_assert_eq!(model(&a.union(&b)), &left | &right);
            prop_assert_eq!(model(&a.intersection(&b)), &left & &right);
            prop_assert_eq!(model(&a.difference(&b)), &left - &right);
            prop_assert_eq!(a.complement().len(), 16384 - left.len());
            let mut without = a.clone();
            b.ranges().for_each(|range| without.remove_range(range));
            prop_assert_eq!(without, a.difference(&b));
            let mut one_by_one = SlotSet::new();
            right.iter().rev().for_each(|&slot| one_by_one.insert(slot));
            prop_assert_eq!(&one_by_one, &b, "sets that hold the same are equal");
            prop_assert!(Slot::new(30).is_ok_and(|slot| a.contains(slot) == left.contains(&slot)));
        }

        #[test]
        fn any_partition_of_the_slots_round_trips(owners in proptest::collection::vec(0..5_usize, 16384)) {
            let parts: Vec<SlotSet> = (0..5)
                .map(|owner| (0..16384_u16).filter(|&slot| owners[usize::from(slot)] == owner).map(|slot| Slot::new(slot).unwrap()).collect())
                .collect();
            let read: Vec<SlotSet> = parts.iter().map(|part| part.to_string().parse().unwrap()).collect();
            prop_assert_eq!(&read, &parts);
            prop_assert_eq!(read.iter().fold(SlotSet::new(), |all, part| all.union(part)), SlotSet::all());
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".*") {
            let _ = text.parse::<SlotSet>();
        }
    }

    #[test]
    fn ranges_are_shown_as_people_write_them() {
        let set: SlotSet = "5,0-3, 4 16383".parse().unwrap();
        assert_eq!(set.to_string(), "0-5 16383");
        assert_eq!(serde_json::to_string(&set).unwrap(), "\"0-5 16383\"");
        assert_eq!("7-3".parse::<SlotSet>(), Err(NotSlots("7-3".into())));
        assert_eq!("16384".parse::<SlotSet>(), Err(NotSlots("16384".into())));
    }
}
