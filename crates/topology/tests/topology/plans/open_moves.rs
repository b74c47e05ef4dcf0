//! Which open slots are a move that stopped half-way.

use super::shapes::{any, six};
use crate::{
    hand::{self, id},
    model::{in_order, open},
    recorded,
};
use proptest::prelude::*;
use topology::{
    ClusterView, SlotSet,
    open_moves::{interrupted, unclear},
    plan::Action,
    rebalance::{self, Rebalance},
    repurpose,
    reshard::{self, ReshardRefusal, Sources},
    scale,
};

proptest! {
    #[test]
    fn every_planner_finishes_interrupted_moves_first_and_moves_their_slots_once(
        mut model in any(),
        ways in proptest::collection::vec((0..8_usize, 0..8_usize, 1..10_usize), 1..4),
        ends in prop_oneof![Just((true, false)), Just((false, true)), Just((true, true))],
        planner in 0..4_u8,
    ) {
        let mut view = model.view();
        let primaries = model.owned().len();
        let mut moving = SlotSet::new();
        for (from, to, count) in ways {
            let (from, to) = (from % primaries, to % primaries);
            let slots: SlotSet = model.nodes[from].slots.difference(&moving).iter().take(count).collect();
            if from != to {
                open(&mut view, &slots.to_string(), from, to, ends);
                moving = moving.union(&slots);
            }
        }
        let replica = (0..model.nodes.len()).find(|at| model.nodes[*at].primary.is_some());
        let plan = match (planner, replica) {
            // With as many shards as there are primaries nothing that was brought somewhere is driven out again.
            (0, _) => scale::plan(&view, primaries, None).unwrap(),
            (1, _) => rebalance::plan(&view, &Rebalance { use_empty: true, ..Rebalance::default() }).unwrap().plan,
            (2, Some(replica)) => repurpose::plan(&view, id(replica), true).unwrap(),
            _ if primaries > 1 => match reshard::plan(&view, &Sources::All, id(0), 100) {
                Ok(plan) => plan,
                Err(refusal) => {
                    prop_assert!(matches!(refusal, ReshardRefusal::TooMany { .. }), "{}", refusal);
                    return Ok(());
                }
            },
            _ => return Ok(()),
        };
        let mut moved = SlotSet::new();
        for stage in plan.stages() {
            let moves = stage.iter().filter_map(|step| match &step.action {
                Action::MoveSlots { slots, from, to, .. } => Some((slots, from, to)),
                _ => None,
            });
            let moves: Vec<_> = moves.collect();
            prop_assert!(
                moves.iter().all(|(_, from, _)| moves.iter().all(|(_, _, to)| from != to)),
                "no node gives and takes at the same time: {:?}", moves
            );
            let all = moves.iter().fold(moved.clone(), |all, (slots, ..)| all.union(slots));
            prop_assert!(moving.difference(&moved).is_empty() || all.difference(&moving).is_empty(), "{} too early", all);
            moved = all;
        }
        prop_assert!(moving.difference(&moved).is_empty(), "{} of {}", moved, moving);
        model.run(&plan);
        prop_assert_eq!(in_order(plan.expected_after.clone()), model.shards());
        prop_assert!(model.moved.values().all(|times| *times == 1), "each slot moves once: {:?}", plan.steps);
    }
}

fn told(view: &ClusterView) -> Vec<String> {
    let moves = interrupted(view);
    moves.iter().map(|open| format!("{} {} > {}", open.slots, open.from.address, open.to.address)).collect()
}

#[test]
fn a_recorded_move_that_stopped_half_way_can_be_finished() {
    for recorded in recorded::each_engine("open-slots") {
        assert_eq!(told(&recorded.view()), ["0-1 127.0.0.1:7001 > 127.0.0.1:7002"], "{}", recorded.name);
        assert_eq!(unclear(&recorded.view()), [], "{}", recorded.name);
    }
}

#[test]
fn one_end_that_tells_of_a_move_is_enough() {
    for ends in [(true, false), (false, true), (true, true)] {
        let mut view = six().view();
        open(&mut view, "5-7 9", 0, 1, ends);
        assert_eq!(told(&view), ["5-7 9 10.0.0.1:7000 > 10.0.0.2:7000"]);
        assert_eq!(unclear(&view), []);
    }
}

#[test]
fn a_primary_that_was_lost_is_stood_in_for_by_the_one_that_took_its_place() {
    let after_a_failover = |lost: usize, heir: usize, slots: &str| {
        let mut nodes = hand::six_nodes().to_vec();
        nodes[heir] = hand::Node::primary(&format!("10.0.0.{}:7000", heir + 1), slots);
        nodes[lost] = hand::Node::replica(&format!("10.0.0.{}:7000", lost + 1), heir);
        hand::view(&nodes)
    };
    for is_back in [true, false] {
        let mut view = after_a_failover(0, 3, "0-5460");
        open(&mut view, "5-7", 0, 1, (false, true));
        if !is_back {
            hand::silence(&mut view, 0);
        }
        assert_eq!(told(&view), ["5-7 10.0.0.4:7000 > 10.0.0.2:7000"], "the source was lost");
    }
    let mut view = after_a_failover(1, 4, "5461-10922");
    open(&mut view, "5-7", 0, 1, (true, false));
    assert_eq!(told(&view), ["5-7 10.0.0.1:7000 > 10.0.0.5:7000"], "the destination was lost");
    // Those who replicate the states of slots know it before the lost one is back.
    open(&mut view, "5-7", 0, 4, (false, true));
    hand::silence(&mut view, 1);
    assert_eq!(told(&view), ["5-7 10.0.0.1:7000 > 10.0.0.5:7000"], "the heir knows of it");
}

#[test]
fn moves_between_different_nodes_are_different_moves() {
    let mut view = six().view();
    open(&mut view, "5-7", 0, 1, (true, true));
    open(&mut view, "6000", 1, 2, (true, true));
    open(&mut view, "9", 0, 2, (true, true));
    assert_eq!(told(&view).len(), 3);
}

#[test]
fn slots_that_are_open_in_another_way_are_told_with_what_is_wrong() {
    let wrong = |spoil: fn(&mut ClusterView)| {
        let mut view = six().view();
        spoil(&mut view);
        assert_eq!(told(&view), [""; 0]);
        let unclear = unclear(&view);
        assert_eq!(unclear.len(), 1);
        unclear[0].problem.clone()
    };
    assert_eq!(
        wrong(|view| open(view, "5", 1, 2, (true, true))),
        "is to go from 10.0.0.2:7000 to 10.0.0.3:7000, but 10.0.0.2:7000 does not own it"
    );
    assert_eq!(
        wrong(|view| {
            open(view, "5", 0, 1, (true, false));
            open(view, "5", 0, 2, (false, true));
        }),
        "is to go from 10.0.0.1:7000 to 10.0.0.2:7000, and from 10.0.0.1:7000 to 10.0.0.3:7000"
    );
    assert_eq!(
        wrong(|view| {
            open(view, "5", 0, 1, (true, false));
            hand::silence(view, 1);
        }),
        "is to go from 10.0.0.1:7000 to 10.0.0.2:7000, but 10.0.0.2:7000 does not answer"
    );
    assert_eq!(
        wrong(|view| open(view, "5", 0, 3, (true, false))),
        "is to go from 10.0.0.1:7000 to 10.0.0.4:7000, but 10.0.0.4:7000 cannot take it"
    );
    assert_eq!(
        wrong(|view| open(view, "5", 1, 1, (false, true))),
        "is being repaired: 10.0.0.2:7000 is to give its owner the keys that it holds"
    );
    let gone = wrong(|view| {
        let slot = "5".parse::<topology::SlotSet>().unwrap().iter().next().unwrap();
        hand::said(view, 0).myself.migrating.insert(slot, id(9));
    });
    assert_eq!(gone, format!("is to go from 10.0.0.1:7000 to {0}, but {0} does not answer", id(9).short()));
}
