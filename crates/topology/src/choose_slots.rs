//! Which slots of a source move, when only their number is decided.

use crate::{Slot, SlotSet};

/// So many slots of a source for a destination, chosen so that few ranges come of it on both sides.
///
/// First what borders on the destination's own slots, then small ranges as a whole, then the end of a range. Fewer are given
/// only if the source has fewer.
pub fn choose_slots(source: &SlotSet, destination: &SlotSet, count: usize) -> SlotSet {
    let (mut left, mut chosen) = (source.clone(), SlotSet::new());
    while chosen.len() < count && !left.is_empty() {
        let wanted = count - chosen.len();
        let owned = destination.union(&chosen);
        let part = bordering(&left, &owned, wanted)
            .or_else(|| whole_range(&left, wanted))
            .unwrap_or_else(|| cut(&left, wanted));
        left = left.difference(&part);
        chosen = chosen.union(&part);
    }
    chosen
}

/// The part of a range that borders on what the destination owns, its nearest slots first.
fn bordering(left: &SlotSet, owned: &SlotSet, wanted: usize) -> Option<SlotSet> {
    left.ranges().find_map(|range| {
        let (first, last) = (range.start().number(), range.end().number());
        let owns = |number: Option<u16>| {
            number.and_then(|number| Slot::new(number).ok()).is_some_and(|slot| owned.contains(slot))
        };
        if owns(first.checked_sub(1)) {
            Some(from_start(first, last, wanted))
        } else if owns(last.checked_add(1)) {
            Some(from_end(first, last, wanted))
        } else {
            None
        }
    })
}

/// The largest range that fits as a whole.
fn whole_range(left: &SlotSet, wanted: usize) -> Option<SlotSet> {
    let fitting = left.ranges().map(SlotSet::from).filter(|range| range.len() <= wanted);
    // More than one range in the source: giving away a whole one leaves it with one less.
    if left.ranges().len() > 1 { fitting.max_by_key(SlotSet::len) } else { None }
}

/// The end of the smallest range that is large enough, or all of the largest one.
fn cut(left: &SlotSet, wanted: usize) -> SlotSet {
    let ranges = || left.ranges().map(|range| (range.start().number(), range.end().number()));
    let length = |(first, last): &(u16, u16)| usize::from(last - first) + 1;
    let enough = ranges().filter(|range| length(range) >= wanted).min_by_key(length);
    enough
        .or_else(|| ranges().max_by_key(length))
        .map_or_else(SlotSet::new, |(first, last)| from_end(first, last, wanted))
}

fn from_start(first: u16, last: u16, wanted: usize) -> SlotSet {
    range(first, last.min(first.saturating_add(steps(wanted))))
}

fn from_end(first: u16, last: u16, wanted: usize) -> SlotSet {
    range(first.max(last.saturating_sub(steps(wanted))), last)
}

/// From the first to the last of so many slots.
fn steps(wanted: usize) -> u16 {
    u16::try_from(wanted.saturating_sub(1)).unwrap_or(u16::MAX)
}

fn range(first: u16, last: u16) -> SlotSet {
    (first..=last).filter_map(|number| Slot::new(number).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chosen(source: &str, destination: &str, count: usize) -> String {
        choose_slots(&source.parse().unwrap(), &destination.parse().unwrap(), count).to_string()
    }

    #[test]
    fn what_borders_on_the_destination_goes_first() {
        assert_eq!(chosen("0-5460", "5461-10922", 100), "5361-5460");
        assert_eq!(chosen("5461-10922", "0-5460", 100), "5461-5560");
        assert_eq!(chosen("0-99 200-299", "300-399", 150), "50-99 200-299");
    }

    #[test]
    fn ranges_are_kept_whole_where_that_is_possible() {
        assert_eq!(chosen("0-9 100-199 300-304", "1000", 15), "0-9 300-304");
        assert_eq!(chosen("0-99", "", 10), "90-99");
        assert_eq!(chosen("0-99", "", 200), "0-99");
    }

    fn set() -> impl Strategy<Value = SlotSet> {
        proptest::collection::vec((0_u16..400, 0_u16..20), 0..20).prop_map(|ranges| {
            ranges
                .iter()
                .map(|(first, length)| range(*first, first + length))
                .fold(SlotSet::new(), |all, range| all.union(&range))
        })
    }

    proptest! {
        #[test]
        fn exactly_as_many_as_asked_for_are_chosen_from_the_source(source in set(), other in set(), count in 0_usize..500) {
            let destination = other.difference(&source);
            let chosen = choose_slots(&source, &destination, count);
            prop_assert_eq!(chosen.len(), count.min(source.len()));
            prop_assert!(chosen.difference(&source).is_empty());
            // No choice makes the source more than one range richer.
            prop_assert!(source.difference(&chosen).ranges().len() <= source.ranges().len());
        }
    }
}
