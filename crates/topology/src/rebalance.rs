//! The planner for moves that give each primary its share of the slots.

mod planner;

pub use planner::{Balance, Rebalance, RebalanceOutcome, RebalanceRefusal, plan};

use crate::{NodeId, SlotSet, choose_slots::choose_slots, plan::NodeRef};
use std::{cmp::Reverse, collections::BTreeMap};

/// A primary with its slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The primary.
    pub node: NodeRef,
    /// Its slots.
    pub slots: SlotSet,
}

/// Slots that go from one primary straight to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotMove {
    /// The slots.
    pub slots: SlotSet,
    /// Their owner.
    pub from: NodeRef,
    /// Their owner to be.
    pub to: NodeRef,
}

/// How many of the slots each primary should have, by its weight (0 or more, finite): whole numbers whose sum is exact.
///
/// What is left over after rounding down goes to those whose share was cut most; among equals to those that have more slots
/// already, which saves moves. All weights 0 give all primaries the same share.
pub fn shares(holdings: &[Holding], weights: &BTreeMap<NodeId, f64>) -> Vec<usize> {
    let slots: usize = holdings.iter().map(|holding| holding.slots.len()).sum();
    let weight = |holding: &Holding| {
        weights.get(&holding.node.id).copied().filter(|weight| weight.is_finite()).unwrap_or(1.0).max(0.0)
    };
    let mut weights: Vec<f64> = holdings.iter().map(weight).collect();
    let mut total: f64 = weights.iter().sum();
    if total <= 0.0 {
        weights.fill(1.0);
        total = f64::from(u32::try_from(weights.len()).unwrap_or(u32::MAX));
    }
    let exact = weights.iter().map(|weight| weight / total * f64::from(u32::try_from(slots).unwrap_or(u32::MAX)));
    let exact: Vec<f64> = exact.collect();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 16384")]
    let mut shares: Vec<usize> = exact.iter().map(|share| share.floor() as usize).collect();
    let left = slots.saturating_sub(shares.iter().sum());
    let mut order: Vec<usize> =
        (0..holdings.len()).filter(|at| weights.get(*at).is_some_and(|weight| *weight > 0.0)).collect();
    order.sort_by(|a, b| {
        let cut = |at: &usize| exact.get(*at).map_or(0.0, |share| share.fract());
        let has = |at: &usize| holdings.get(*at).map_or(0, |holding| holding.slots.len());
        cut(b).total_cmp(&cut(a)).then_with(|| Reverse(has(a)).cmp(&Reverse(has(b))))
    });
    for at in order.into_iter().cycle().take(left) {
        if let Some(share) = shares.get_mut(at) {
            *share += 1;
        }
    }
    shares
}

/// The moves after which each primary has its share: every slot moves at most once, and no set of moves is smaller.
///
/// `shares` go with `holdings` and have the same sum.
pub fn moves(holdings: &[Holding], shares: &[usize]) -> Vec<SlotMove> {
    let mut givers = Vec::new();
    let mut takers = Vec::new();
    for (holding, share) in holdings.iter().zip(shares) {
        let has = holding.slots.len();
        if has > *share {
            givers.push((has - share, holding.clone()));
        } else if has < *share {
            takers.push((share - has, holding.clone()));
        }
    }
    // The largest first: then most pairs use up one of the two, and there are few moves.
    givers.sort_by_key(|(slots, _)| Reverse(*slots));
    takers.sort_by_key(|(slots, _)| Reverse(*slots));
    let mut moves = Vec::new();
    let mut givers = givers.into_iter();
    let mut giver = givers.next();
    for (mut wanted, mut taker) in takers {
        while wanted > 0 {
            let Some((spare, source)) = &mut giver else { return moves };
            let slots = choose_slots(&source.slots, &taker.slots, wanted.min(*spare));
            wanted -= slots.len();
            *spare -= slots.len();
            source.slots = source.slots.difference(&slots);
            taker.slots = taker.slots.union(&slots);
            moves.push(SlotMove { slots, from: source.node.clone(), to: taker.node.clone() });
            if *spare == 0 {
                giver = givers.next();
            }
        }
    }
    moves
}

/// The moves after which each primary has its share, by which no settled slot moves that need not.
pub(crate) fn moves_around(holdings: &[Holding], shares: &[usize], settled: &SlotSet) -> Vec<SlotMove> {
    let (mut rest, mut open) = (holdings.to_vec(), shares.to_vec());
    if settled.is_empty() {
        return moves(holdings, shares);
    }
    for (holding, share) in rest.iter_mut().zip(&mut open) {
        let stays: SlotSet = holding.slots.intersection(settled).iter().take(*share).collect();
        *share -= stays.len();
        holding.slots = holding.slots.difference(&stays);
    }
    moves(&rest, &open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::create::even_slots;
    use proptest::prelude::*;

    fn node(number: usize) -> NodeRef {
        NodeRef {
            id: format!("{number:040x}").parse().unwrap(),
            address: format!("127.0.0.1:{}", 7000 + number).parse().unwrap(),
        }
    }

    fn holdings(slots: Vec<SlotSet>) -> Vec<Holding> {
        slots.into_iter().enumerate().map(|(number, slots)| Holding { node: node(number), slots }).collect()
    }

    #[test]
    fn an_empty_primary_gets_its_share_from_all_others() {
        let mut slots = even_slots(3);
        slots.push(SlotSet::new());
        let holdings = holdings(slots);
        let shares = shares(&holdings, &BTreeMap::new());
        assert_eq!(shares, [4096, 4096, 4096, 4096]);
        let moves = moves(&holdings, &shares);
        let moved: Vec<usize> = moves.iter().map(|slot_move| slot_move.slots.len()).collect();
        assert_eq!(moved, [1366, 1365, 1365]);
        assert!(moves.iter().all(|slot_move| slot_move.to == node(3)));
    }

    #[test]
    fn weight_zero_drains_a_primary() {
        let holdings = holdings(even_slots(3));
        let shares = shares(&holdings, &[(node(1).id, 0.0)].into());
        assert_eq!(shares, [8192, 0, 8192]);
        assert!(moves(&holdings, &shares).iter().all(|slot_move| slot_move.from == node(1)));
    }

    #[test]
    fn a_thousand_primaries_are_planned_in_no_time() {
        let mut slots = even_slots(999);
        slots.push(SlotSet::new());
        let holdings = holdings(slots);
        let shares = shares(&holdings, &BTreeMap::new());
        assert_eq!(moves(&holdings, &shares).iter().map(|slot_move| slot_move.slots.len()).sum::<usize>(), 16);
    }

    proptest! {
        #[test]
        fn moves_are_the_fewest_slots_and_each_moves_once(
            owners in proptest::collection::vec(0_usize..9, 128),
            weights in proptest::collection::vec(0_u8..5, 9),
        ) {
            // 128 blocks of 128 slots, each with an owner of its own.
            let mut slots = vec![SlotSet::new(); 9];
            for (block, owner) in even_slots(128).iter().zip(&owners) {
                slots[*owner] = slots[*owner].union(block);
            }
            let holdings = holdings(slots);
            let weights = weights.iter().enumerate().map(|(number, weight)| (node(number).id, f64::from(*weight))).collect();
            let shares = shares(&holdings, &weights);
            prop_assert_eq!(shares.iter().sum::<usize>(), 16384);
            let moves = moves(&holdings, &shares);
            let surplus: usize = holdings.iter().zip(&shares).map(|(holding, share)| holding.slots.len().saturating_sub(*share)).sum();
            prop_assert_eq!(moves.iter().map(|slot_move| slot_move.slots.len()).sum::<usize>(), surplus);
            let mut after = holdings.clone();
            for slot_move in &moves {
                let of = |node: &NodeRef| holdings.iter().position(|holding| holding.node == *node).unwrap();
                let (from, to) = (of(&slot_move.from), of(&slot_move.to));
                prop_assert!(slot_move.slots.difference(&holdings[from].slots).is_empty(), "straight from its first owner");
                after[from].slots = after[from].slots.difference(&slot_move.slots);
                after[to].slots = after[to].slots.union(&slot_move.slots);
            }
            prop_assert_eq!(after.iter().map(|holding| holding.slots.len()).collect::<Vec<_>>(), shares);
        }
    }
}
