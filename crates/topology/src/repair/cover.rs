//! Slots that nobody claims and nobody holds keys of: who gets them.

use super::found::primaries;
use crate::{ClusterView, Slot, SlotSet, choose_slots::choose_slots, plan::NodeRef};
use std::collections::BTreeMap;

/// Spreads slots over the primaries so that these own equally many afterwards as far as that goes, in few ranges.
///
/// Primaries without slots get some only where no primary has any: an empty one is new, or about to leave.
pub(super) fn spread(view: &ClusterView, slots: &SlotSet) -> BTreeMap<Slot, NodeRef> {
    let mut owners: Vec<(NodeRef, SlotSet)> =
        primaries(view).map(|(node, said)| (node, said.myself.slots.clone())).collect();
    if owners.iter().any(|(_, owned)| !owned.is_empty()) {
        owners.retain(|(_, owned)| !owned.is_empty());
    }
    let owned: Vec<usize> = owners.iter().map(|(_, owned)| owned.len()).collect();
    let (mut left, mut spread) = (slots.clone(), BTreeMap::new());
    for ((node, owned), share) in owners.iter().zip(shares(owned, slots.len())) {
        let chosen = choose_slots(&left, owned, share);
        left = left.difference(&chosen);
        spread.extend(chosen.iter().map(|slot| (slot, node.clone())));
    }
    spread
}

/// How many of so many slots each gets, who owns as many already: always the one that has the fewest.
fn shares(owned: Vec<usize>, slots: usize) -> Vec<usize> {
    let mut after = owned.clone();
    for _ in 0..slots {
        if let Some(fewest) = after.iter_mut().min() {
            *fewest += 1;
        }
    }
    after.into_iter().zip(owned).map(|(after, before)| after - before).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_owns_fewest_gets_most() {
        assert_eq!(shares(vec![10, 2, 4], 5), [0, 4, 1]);
        assert_eq!(shares(vec![0, 0], 3), [2, 1]);
        assert_eq!(shares(Vec::new(), 3), [0; 0]);
    }
}
