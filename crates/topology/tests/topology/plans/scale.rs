//! Another number of shards from the same nodes.

use super::shapes::{any, one_with, six};
use crate::{
    hand::{self, Node},
    model::{Model, in_order, moved, open},
};
use proptest::prelude::*;
use std::{collections::BTreeSet, sync::Arc};
use topology::{
    plan::{Action, Plan},
    scale::{ScaleRefusal, plan},
};

/// The fewest slots whose move leaves this many primaries with even shares.
fn least(owned: &[usize], shards: usize) -> usize {
    let mut owned = owned.to_vec();
    owned.sort_unstable_by(|a, b| b.cmp(a));
    let share = |at: usize| 16384 / shards + usize::from(at < 16384 % shards);
    16384 - owned.iter().take(shards).enumerate().map(|(at, has)| share(at).min(*has)).sum::<usize>()
}

fn check_shape(model: &Model, shards: usize) {
    let shape = model.shards();
    assert_eq!(shape.len(), shards);
    let spread = |sizes: Vec<usize>| sizes.iter().max().unwrap() - sizes.iter().min().unwrap();
    assert!(spread(shape.iter().map(|shard| shard.slots.len()).collect()) <= 1, "even slots");
    assert!(spread(shape.iter().map(|shard| shard.replicas.len()).collect()) <= 1, "even replicas");
    let used: usize = shape.iter().map(|shard| 1 + shard.replicas.len()).sum();
    assert_eq!(used, model.nodes.len(), "every node has a part");
}

fn detached(plan: &Plan) -> Vec<String> {
    let of =
        |action: &Action| if let Action::Detach { node, .. } = action { Some(node.address.to_string()) } else { None };
    plan.steps.iter().filter_map(|step| of(&step.action)).collect()
}

proptest! {
    #[test]
    fn any_shape_becomes_any_other_with_the_fewest_slots_moved(mut model in any(), share in 0.0..1.0_f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "small numbers")]
        let shards = 1 + (share * model.nodes.len() as f64) as usize;
        let before = model.clone();
        let plan = plan(&model.view(), shards, None).unwrap();
        let json = serde_json::to_string(&plan).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Plan>(&json).unwrap(), &plan);
        model.run(&plan);
        check_shape(&model, shards);
        prop_assert_eq!(in_order(plan.expected_after.clone()), model.shards());
        prop_assert!(model.moved.values().all(|times| *times == 1), "each slot moves at most once");
        prop_assert_eq!(moved(&plan), least(&before.owned(), shards));
        let again = topology::scale::plan(&model.view(), shards, None).unwrap();
        prop_assert_eq!(again.steps, [], "nothing is left to do");
    }

    #[test]
    fn no_more_replicas_change_their_primary_than_must(mut model in any()) {
        let shards = model.shards().iter().filter(|shard| !shard.slots.is_empty()).count();
        let before = model.clone();
        let plan = plan(&model.view(), shards, None).unwrap();
        model.run(&plan);
        let follows = |model: &Model, at: usize| model.nodes[at].primary;
        let (nodes, kept) = (model.nodes.len(), (0..model.nodes.len()).filter(|at| model.nodes[*at].primary.is_none()));
        // At most as many can stay at a primary as it may have, and one more at some.
        let room = (nodes - shards) / shards;
        let over = (nodes - shards) % shards;
        let mut had: Vec<usize> =
            kept.map(|primary| (0..nodes).filter(|at| follows(&before, *at) == Some(primary)).count()).collect();
        had.sort_unstable_by(|a, b| b.cmp(a));
        let can: usize = had.iter().enumerate().map(|(at, has)| (*has).min(room + usize::from(at < over))).sum();
        let stayed = (0..nodes)
            .filter(|at| follows(&model, *at).is_some() && follows(&model, *at) == follows(&before, *at))
            .count();
        prop_assert_eq!(stayed, can);
    }
}

#[test]
fn one_shard_becomes_three_and_one_again() {
    let mut model = one_with(5);
    let up = plan(&model.view(), 3, Some(1)).unwrap();
    insta::assert_json_snapshot!("one-to-three", up);
    model.run(&up);
    check_shape(&model, 3);
    assert_eq!(model.moved.len(), 10922, "two thirds move, less what is left over");
    let three = model.clone();
    let down = plan(&model.view(), 1, None).unwrap();
    insta::assert_json_snapshot!("three-to-one", down);
    model.run(&down);
    check_shape(&model, 1);
    let up = plan(&model.view(), 3, Some(1)).unwrap();
    model.run(&up);
    assert_eq!(model.owned().len(), three.owned().len());
}

#[test]
fn primaries_are_promoted_where_none_is_yet_and_their_replicas_are_elsewhere() {
    let place = [(1, "a"), (1, "a"), (1, "a"), (2, "a"), (3, "b"), (4, "c")];
    let nodes = place.iter().enumerate().map(|(at, (host, zone))| {
        let address = format!("10.0.0.{host}:{}", 7000 + at);
        let node = if at == 0 { Node::primary(&address, "0-16383") } else { Node::replica(&address, 0) };
        node.in_zone(zone)
    });
    let mut model = Model::new(nodes.collect());
    let plan = plan(&model.view(), 3, None).unwrap();
    assert_eq!(detached(&plan), ["10.0.0.3:7004", "10.0.0.4:7005"]);
    let reason = &plan.steps[0].reason;
    assert_eq!(reason, "one of 5 replicas of 10.0.0.1:7000, and no other primary is in its zone");
    model.run(&plan);
    assert_eq!(plan.placement.unwrap().replicas_in_zone_of_primary.here, 1, "one of the three in zone a must stay");
    assert!(plan.placement.unwrap().primaries_in_one_zone.is_best());
}

#[test]
fn replicas_are_exchanged_where_one_would_stand_beside_its_primary() {
    // In their order the third would follow the first, which leaves the fourth to the second, on its own host.
    let nodes = [("10.0.0.3:7000", "0-16383"), ("10.0.0.1:7000", ""), ("10.0.0.2:7000", ""), ("10.0.0.1:7001", "")];
    let model = Model::new(nodes.iter().map(|(address, slots)| Node::primary(address, slots)).collect());
    let plan = plan(&model.view(), 2, None).unwrap();
    assert_eq!(plan.placement.unwrap().replicas_on_host_of_primary.here, 0);
}

#[test]
fn empty_primaries_are_used_before_replicas_are_promoted() {
    let mut nodes = hand::six_nodes().to_vec();
    nodes.push(Node::primary("10.0.0.7:7000", ""));
    let mut model = Model::new(nodes);
    let plan = plan(&model.view(), 4, None).unwrap();
    assert_eq!(detached(&plan), [""; 0]);
    model.run(&plan);
    check_shape(&model, 4);
}

#[test]
fn the_shards_that_stay_are_those_with_most_slots() {
    let slots = ["0-99", "100-8000", "8001-8100", "8101-16383"];
    let nodes = slots.iter().enumerate().map(|(at, slots)| Node::primary(&format!("10.0.0.{}:7000", at + 1), slots));
    let mut model = Model::new(nodes.collect());
    let plan = plan(&model.view(), 2, Some(1)).unwrap();
    model.run(&plan);
    let primaries: BTreeSet<_> = plan.expected_after.iter().map(|shard| shard.primary.address.to_string()).collect();
    assert_eq!(primaries, ["10.0.0.2:7000".to_owned(), "10.0.0.4:7000".to_owned()].into());
    assert_eq!(moved(&plan), 291);
    assert!(plan.cost.fewest);
}

#[test]
fn the_plan_says_who_has_no_replica_meanwhile_and_afterwards() {
    let up = plan(&one_with(5).view(), 3, None).unwrap();
    assert!(!up.reasons.iter().any(|reason| reason.starts_with("until")), "{:?}", up.reasons);
    let place = |action: fn(&Action) -> bool| up.steps.iter().position(|step| action(&step.action)).unwrap();
    let follow = place(|action| matches!(action, Action::Replicate { .. }));
    assert!(follow < place(|action| matches!(action, Action::MoveSlots { .. })), "each slot has a copy from the first");
    let nodes = ["0-9000", "9001-16383"].iter().enumerate();
    let nodes = nodes.map(|(at, slots)| Node::primary(&format!("10.0.0.{}:7000", at + 1), slots));
    let down = plan(&Model::new(nodes.collect()).view(), 1, None).unwrap();
    let last = down.steps.last().unwrap().stage;
    let expected = format!("until step {last} is done 10.0.0.1:7000 has no replica");
    assert!(down.reasons.contains(&expected), "{:?}", down.reasons);
    let bare = plan(&one_with(1).view(), 2, None).unwrap();
    let expected = "10.0.0.1:7000, 10.0.0.2:7000 have no replica then: losing one loses its data";
    assert!(bare.reasons.iter().any(|reason| reason == expected), "{:?}", bare.reasons);
}

#[test]
fn what_the_nodes_do_not_suffice_for_is_refused_with_how_many_it_takes() {
    let view = six().view();
    for (shards, replicas, words) in [
        (0, None, "0 shards cannot hold the slots: 1 is the fewest"),
        (7, None, "6 nodes are not enough for 7 primaries with 0 replicas each: 7 are needed"),
        (3, Some(2), "6 nodes are not enough for 3 primaries with 2 replicas each: 9 are needed"),
        (3, Some(usize::MAX), "18446744073709551615 are needed"),
        (20000, None, "20000 shards are too many: there are 16384 slots"),
    ] {
        let refusal = plan(&view, shards, replicas).unwrap_err();
        assert!(refusal.to_string().ends_with(words), "{refusal}");
    }
    assert_eq!(plan(&view, 3, Some(2)).unwrap_err().advice().unwrap(), "add 3 nodes first, or ask for less");
}

#[test]
fn a_node_that_does_not_answer_has_no_part() {
    let mut view = six().view();
    hand::silence(&mut view, 4);
    let refusal = plan(&view, 2, None).unwrap_err();
    assert!(matches!(&refusal, ScaleRefusal::Silent { address, .. } if address.port == 7000), "{refusal}");
    assert!(refusal.advice().unwrap().contains("tribune del-node 10.0.0.1:7000 "));
}

#[test]
fn an_interrupted_move_is_finished_first_and_its_slots_stay() {
    let mut model = six();
    let mut view = model.view();
    open(&mut view, "0-9", 0, 1, (true, true));
    let plan = plan(&view, 6, None).unwrap();
    model.run(&plan);
    check_shape(&model, 6);
    assert!(matches!(&plan.steps[0].action, Action::MoveSlots { slots, .. } if slots.to_string() == "0-9"));
    assert!(model.moved.values().all(|times| *times == 1));
    assert_eq!(in_order(plan.expected_after), model.shards());
}

#[test]
fn only_slots_that_were_on_their_way_to_a_primary_that_goes_move_twice() {
    let mut model = six();
    let mut view = model.view();
    open(&mut view, "0-9", 0, 2, (true, true));
    // The third has most slots once it has these, so the first or the second goes.
    open(&mut view, "5461-5470", 1, 0, (true, true));
    let plan = plan(&view, 1, None).unwrap();
    model.run(&plan);
    check_shape(&model, 1);
    let twice: Vec<u16> = model.moved.iter().filter(|(_, times)| **times == 2).map(|(slot, _)| *slot).collect();
    assert_eq!(twice, (5461..=5470).collect::<Vec<u16>>());
    let expected = "slots 5461-5470 cannot stay where the interrupted move brings them";
    assert!(plan.reasons.iter().any(|reason| reason == expected), "{:?}", plan.reasons);
}

#[test]
fn a_replica_that_was_reset_and_not_met_again_is_met_and_used() {
    let mut model = one_with(2);
    let mut view = model.view();
    // All others still take it for a replica, and it knows nobody.
    let lone = hand::said(&mut view, 2);
    Arc::make_mut(&mut lone.peers).clear();
    lone.myself.primary = None;
    lone.myself.flags = "myself,master".parse().unwrap();
    lone.cluster.state_ok = false;
    let plan = plan(&view, 2, None).unwrap();
    assert!(matches!(&plan.steps[0].action, Action::Meet { nodes } if nodes.len() == 3));
    assert!(matches!(&plan.steps[1].action, Action::AwaitService { nodes } if nodes.len() == 1));
    model.nodes[2].primary = None;
    model.run(&plan);
    check_shape(&model, 2);
}
