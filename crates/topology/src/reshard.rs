//! The planner for moves of a given number of slots to one primary.

mod planner;

pub use planner::{ReshardRefusal, Sources, plan};

use crate::{
    choose_slots::choose_slots,
    rebalance::{Holding, SlotMove},
};
use std::cmp::Reverse;

/// The moves that bring exactly so many slots from the sources to the destination, from each in proportion to what it owns.
///
/// The destination is none of the sources.
///
/// # Errors
/// When the sources own fewer.
pub fn moves(sources: &[Holding], destination: &Holding, slots: usize) -> Result<Vec<SlotMove>, ReshardRefusal> {
    let owned: usize = sources.iter().map(|source| source.slots.len()).sum();
    if slots > owned {
        return Err(ReshardRefusal::TooMany { wanted: slots, owned });
    }
    let mut taker = destination.slots.clone();
    let mut moves = Vec::new();
    for (source, count) in sources.iter().zip(parts(sources, slots, owned)) {
        let chosen = choose_slots(&source.slots, &taker, count);
        if !chosen.is_empty() {
            taker = taker.union(&chosen);
            moves.push(SlotMove { slots: chosen, from: source.node.clone(), to: destination.node.clone() });
        }
    }
    Ok(moves)
}

/// What each source gives: in proportion, whole, and exactly so many together. What is left over after rounding down is given by
/// those that were cut most, the first of several.
fn parts(sources: &[Holding], slots: usize, owned: usize) -> Vec<usize> {
    let owned = owned.max(1);
    let mut parts: Vec<usize> = sources.iter().map(|source| source.slots.len() * slots / owned).collect();
    let left = slots.saturating_sub(parts.iter().sum());
    let mut order: Vec<(usize, usize)> =
        sources.iter().map(|source| source.slots.len() * slots % owned).enumerate().collect();
    order.sort_by_key(|(_, cut)| Reverse(*cut));
    for (at, _) in order.into_iter().take(left) {
        if let Some(part) = parts.get_mut(at) {
            *part += 1;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SlotSet, create::even_slots, plan::NodeRef};
    use proptest::prelude::*;

    fn holding(number: usize, slots: SlotSet) -> Holding {
        let id = format!("{number:040x}").parse().unwrap();
        Holding { node: NodeRef { id, address: format!("127.0.0.1:{}", 7000 + number).parse().unwrap() }, slots }
    }

    fn holdings(slots: Vec<SlotSet>) -> Vec<Holding> {
        slots.into_iter().enumerate().map(|(number, slots)| holding(number, slots)).collect()
    }

    /// The sizes at which the reference tools move one too many or too few.
    #[test]
    fn exactly_as_many_slots_move_as_asked_for() {
        for (primaries, slots) in [(3, 343), (60, 50), (31, 100), (11, 15), (4, 1), (4, 12288)] {
            let holdings = holdings(even_slots(primaries));
            let (destination, sources) = holdings.split_first().unwrap();
            let moves = moves(sources, destination, slots).unwrap();
            let moved: usize = moves.iter().map(|slot_move| slot_move.slots.len()).sum();
            assert_eq!(moved, slots, "{primaries} primaries");
        }
    }

    #[test]
    fn more_than_there_are_is_refused_with_how_many_there_are() {
        let holdings = holdings(even_slots(4));
        let (destination, sources) = holdings.split_first().unwrap();
        assert_eq!(moves(sources, destination, 12289), Err(ReshardRefusal::TooMany { wanted: 12289, owned: 12288 }));
    }

    proptest! {
        #[test]
        fn each_source_gives_its_part_and_no_slot_twice(sizes in proptest::collection::vec(0_usize..600, 1..20), share in 0.0_f64..=1.0) {
            let mut all = SlotSet::all().iter().collect::<Vec<_>>().into_iter();
            let sources = holdings(sizes.iter().map(|size| all.by_ref().take(*size).collect()).collect());
            let owned: usize = sizes.iter().sum();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "small numbers")]
            let slots = (owned as f64 * share) as usize;
            let destination = holding(99, all.collect());
            let moves = moves(&sources, &destination, slots).unwrap();
            let mut moved = SlotSet::new();
            for slot_move in &moves {
                let source = sources.iter().find(|source| source.node == slot_move.from).unwrap();
                prop_assert!(slot_move.slots.difference(&source.slots).is_empty());
                prop_assert!(slot_move.slots.len() * owned <= (source.slots.len() * slots) + owned, "no more than its part, rounded up");
                prop_assert!(moved.intersection(&slot_move.slots).is_empty());
                moved = moved.union(&slot_move.slots);
            }
            prop_assert_eq!(moved.len(), slots);
        }
    }
}
