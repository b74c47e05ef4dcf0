//! Slots shared out by weight.

use super::shapes::{any, six};
use crate::{
    hand::{self, Node, id},
    model::{Model, in_order, moved, open},
};
use proptest::prelude::*;
use topology::{
    Slot, SlotSet,
    plan::Action,
    rebalance::{Rebalance, RebalanceRefusal, moves, plan, shares},
};

fn weights(weights: &[(usize, f64)]) -> Rebalance {
    let weights = weights.iter().map(|(at, weight)| (id(*at), *weight)).collect();
    Rebalance { weights, ..Rebalance::default() }
}

proptest! {
    #[test]
    fn every_primary_gets_its_share_with_the_fewest_slots_moved(
        mut model in any(),
        weight in proptest::collection::vec(0..4_u8, 8),
        use_empty in proptest::bool::ANY,
    ) {
        let before = model.clone();
        let primaries = (0..model.nodes.len()).filter(|at| model.nodes[*at].primary.is_none());
        let weights = primaries.clone().zip(&weight).map(|(at, weight)| (id(at), f64::from(*weight))).collect();
        let wanted = Rebalance { weights, use_empty, threshold_percent: 0.0 };
        let outcome = match plan(&model.view(), &wanted) {
            Ok(outcome) => outcome,
            Err(RebalanceRefusal::NothingWeighs(_)) => return Ok(()),
            Err(refusal) => return Err(TestCaseError::fail(refusal.to_string())),
        };
        model.run(&outcome.plan);
        prop_assert_eq!(in_order(outcome.plan.expected_after.clone()), model.shards());
        prop_assert!(model.moved.values().all(|times| *times == 1), "each slot moves at most once");
        prop_assert_eq!(outcome.balances.iter().map(|balance| balance.share).sum::<usize>(), 16384);
        let total: f64 = outcome.balances.iter().map(|balance| balance.weight).sum();
        let mut surplus = 0;
        for balance in &outcome.balances {
            let at = (0..before.nodes.len()).find(|at| id(*at) == balance.node.id).unwrap();
            let exact = 16384.0 / total * balance.weight;
            prop_assert!((exact - f64::from(u16::try_from(balance.share).unwrap())).abs() < 1.0);
            prop_assert_eq!(balance.slots, before.nodes[at].slots.len());
            prop_assert_eq!(balance.share, model.nodes[at].slots.len());
            surplus += balance.slots.saturating_sub(balance.share);
            if before.nodes[at].slots.is_empty() && !use_empty {
                prop_assert_eq!(balance.share, 0);
            }
        }
        prop_assert_eq!(moved(&outcome.plan), surplus);
        let again = plan(&model.view(), &wanted);
        prop_assert!(again.is_ok_and(|again| again.plan.steps.is_empty()) || use_empty);
    }
}

#[test]
fn nothing_moves_within_the_threshold_and_the_plan_says_so() {
    let mut model = six();
    model.nodes[0].slots = "0-5400".parse().unwrap();
    model.nodes[1].slots = "5401-10922".parse().unwrap();
    let plan_with =
        |threshold_percent| plan(&model.view(), &Rebalance { threshold_percent, ..Rebalance::default() }).unwrap().plan;
    let within = plan_with(2.0);
    assert_eq!(within.steps, []);
    assert_eq!(within.reasons, ["every primary is within 2 % of its share: nothing needs to move"]);
    assert_eq!(moved(&plan_with(1.0)), 60);
}

#[test]
fn an_empty_primary_gets_slots_only_when_empty_ones_are_to_be_used() {
    let mut model = six();
    model.nodes.push(Node::primary("10.0.0.7:7000", ""));
    assert_eq!(plan(&model.view(), &weights(&[(6, 5.0)])).unwrap().plan.steps, []);
    let plan = plan(&model.view(), &Rebalance { use_empty: true, ..Rebalance::default() }).unwrap().plan;
    assert_eq!(moved(&plan), 4096);
    model.run(&plan);
}

#[test]
fn a_primary_with_weight_zero_gives_all_and_the_plan_says_what_becomes_of_it() {
    let mut model = six();
    let plan = plan(&model.view(), &weights(&[(1, 0.0)])).unwrap().plan;
    model.run(&plan);
    assert_eq!(model.owned(), [8192, 0, 8192]);
    assert_eq!(
        plan.reasons,
        [
            "10.0.0.2:7000 owns no slot then: the servers make it and its replica follow the primary that takes its last slot; with cluster-allow-replica-migration no it stays an empty primary with its replica"
        ]
    );
    assert!(plan.steps.iter().any(|step| step.reason == "10.0.0.2:7000 is to own none"));
}

#[test]
fn weights_and_thresholds_that_are_none_are_refused() {
    let view = six().view();
    let refusal = |wanted: &Rebalance| plan(&view, wanted).unwrap_err().to_string();
    assert_eq!(refusal(&weights(&[(1, -1.0)])), "-1 is not a weight for 10.0.0.2:7000: weights are 0 or more");
    assert!(refusal(&weights(&[(1, f64::NAN)])).starts_with("NaN is not a weight"));
    assert!(refusal(&weights(&[(1, f64::INFINITY)])).starts_with("inf is not a weight"));
    assert_eq!(refusal(&weights(&[(3, 2.0)])), "10.0.0.4:7000 is a replica, whose primary is 10.0.0.1:7000");
    assert!(refusal(&weights(&[(9, 2.0)])).starts_with("no node of the cluster has the id "));
    let none = weights(&[(0, 0.0), (1, 0.0), (2, 0.0)]);
    assert_eq!(refusal(&none), "all 3 primaries have weight 0: one must own the slots");
    let threshold = Rebalance { threshold_percent: -2.0, ..Rebalance::default() };
    assert_eq!(refusal(&threshold), "-2 is not a threshold: thresholds are 0 percent or more");
}

#[test]
fn an_interrupted_move_is_finished_first_and_its_slots_do_not_move_on() {
    let mut model = six();
    let mut view = model.view();
    open(&mut view, "0-499", 0, 1, (true, false));
    let plan = plan(&view, &Rebalance::default()).unwrap().plan;
    assert_eq!(plan.steps[0].reason, "an interrupted move is finished first");
    model.run(&plan);
    assert_eq!(model.owned(), [5461, 5462, 5461]);
    assert!(model.moved.values().all(|times| *times == 1), "each slot moves once");
    assert_eq!(moved(&plan), 1000);
}

#[test]
fn nodes_that_do_not_serve_yet_are_waited_for_before_they_get_keys() {
    let mut nodes = hand::six_nodes().to_vec();
    nodes.push(Node::primary("10.0.0.7:7000", ""));
    let mut view = hand::view(&nodes);
    hand::said(&mut view, 6).cluster.state_ok = false;
    let plan = plan(&view, &Rebalance { use_empty: true, ..Rebalance::default() }).unwrap().plan;
    let Action::AwaitService { nodes } = &plan.steps[0].action else { panic!("{:?}", plan.steps[0]) };
    assert_eq!(nodes.iter().map(|node| node.address.to_string()).collect::<Vec<_>>(), ["10.0.0.7:7000"]);
    assert!(plan.steps[1..].iter().all(|step| step.stage > 1));
}

/// Each of 1000 primaries owns 16 or 17 slots, none beside another; half of them are drained.
#[test]
fn a_thousand_primaries_with_scattered_slots_need_few_moves() {
    let scattered = |primary: u16| -> SlotSet {
        (0..Slot::COUNT).filter(|number| number % 1000 == primary).filter_map(|number| Slot::new(number).ok()).collect()
    };
    let nodes: Vec<Node> = (0..1000_u16)
        .map(|at| Node { slots: scattered(at), ..Node::primary(&format!("10.0.{}.{}:7000", at / 250, at % 250), "") })
        .collect();
    let model = Model::new(nodes);
    let holdings: Vec<_> = model
        .shards()
        .into_iter()
        .map(|shard| topology::rebalance::Holding { node: shard.primary, slots: shard.slots })
        .collect();
    let weights = (0..1000).map(|at| (id(at), f64::from(u8::from(at % 2 == 0)))).collect();
    let shares = shares(&holdings, &weights);
    let moves = moves(&holdings, &shares);
    assert!(moves.len() < 1000, "each move uses up what one of its ends has to give or to get");
    assert_eq!(moves.iter().map(|slot_move| slot_move.slots.len()).sum::<usize>(), 8192);
}
