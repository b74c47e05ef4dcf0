//! Which slots of a source move, when only their number is decided.

use crate::{Slot, SlotSet};

/// So many slots of a source for a destination, chosen so that few ranges come of it on both sides.
///
/// First what borders on the destination's own slots, then small ranges as a whole, then the end of a range. Fewer are given
/// only if the source has fewer.
pub fn choose_slots(source: &SlotSet, destination: &SlotSet, count: usize) -> SlotSet {
    let (mut left, mut owned, mut chosen) = (source.clone(), destination.clone(), SlotSet::new());
    let mut wanted = count.min(source.len());
    while wanted > 0 {
        let part =
            bordering(&left, &owned, wanted).or_else(|| whole_range(&left, wanted)).or_else(|| cut(&left, wanted));
        let Some((first, last)) = part else { break };
        wanted -= length(first, last).min(wanted);
        let (Ok(first), Ok(last)) = (Slot::new(first), Slot::new(last)) else { break };
        left.remove_range(first..=last);
        owned.insert_range(first..=last);
        chosen.insert_range(first..=last);
    }
    chosen
}

/// First and last number of a range of slots.
type Bounds = (u16, u16);

/// The part of a range that borders on what the destination owns, its nearest slots first.
fn bordering(left: &SlotSet, owned: &SlotSet, wanted: usize) -> Option<Bounds> {
    // The borders of the set with fewer ranges are looked at; of both the lowest is found.
    if owned.bounds().len() < left.bounds().len() {
        return owned.bounds().find_map(|(first, last)| {
            let before = first.checked_sub(1).and_then(|end| left.range_with(end));
            let after = || last.checked_add(1).and_then(|start| left.range_with(start));
            before
                .map(|(first, last)| from_end(first, last, wanted))
                .or_else(|| after().map(|(first, last)| from_start(first, last, wanted)))
        });
    }
    let owns = |number: Option<u16>| number.is_some_and(|number| owned.range_with(number).is_some());
    left.bounds().find_map(|(first, last)| {
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
fn whole_range(left: &SlotSet, wanted: usize) -> Option<Bounds> {
    // More than one range in the source: giving away a whole one leaves it with one less.
    let several = left.bounds().len() > 1;
    let fitting = left.bounds().filter(|(first, last)| length(*first, *last) <= wanted);
    fitting.filter(|_| several).max_by_key(|(first, last)| length(*first, *last))
}

/// The end of the smallest range that is large enough, or all of the largest one.
fn cut(left: &SlotSet, wanted: usize) -> Option<Bounds> {
    let length = |(first, last): &Bounds| length(*first, *last);
    let enough = left.bounds().filter(|range| length(range) >= wanted).min_by_key(length);
    enough.or_else(|| left.bounds().max_by_key(length)).map(|(first, last)| from_end(first, last, wanted))
}

fn from_start(first: u16, last: u16, wanted: usize) -> Bounds {
    (first, last.min(first.saturating_add(steps(wanted))))
}

fn from_end(first: u16, last: u16, wanted: usize) -> Bounds {
    (first.max(last.saturating_sub(steps(wanted))), last)
}

/// From the first to the last of so many slots.
fn steps(wanted: usize) -> u16 {
    u16::try_from(wanted.saturating_sub(1)).unwrap_or(u16::MAX)
}

fn length(first: u16, last: u16) -> usize {
    usize::from(last - first) + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(first: u16, last: u16) -> SlotSet {
        (first..=last).filter_map(|number| Slot::new(number).ok()).collect()
    }

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
