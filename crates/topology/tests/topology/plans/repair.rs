//! What mends slots, and what becomes of their keys.

use crate::{
    hand::{self, Node, entry, flag, id, said, silence, six},
    model::open,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use topology::{
    ClusterView, NodeAddr, Slot, SlotSet,
    plan::{Action, FailoverKind, NodeRef},
    repair::{Held, Repair, RepairRefusal, Wanted, decide, doubtful, plan},
};

fn slot(number: u16) -> Slot {
    Slot::new(number).unwrap()
}

/// Keys of slots by the places of their holders.
fn held(keys: &[(usize, u16, u64)]) -> Held {
    let mut held: Held = BTreeMap::new();
    for (at, number, count) in keys {
        held.entry(id(*at)).or_default().insert(slot(*number), *count);
    }
    held
}

fn repairs(view: &ClusterView, keys: &[(usize, u16, u64)]) -> Vec<Repair> {
    decide(view, &held(keys), Wanted::default()).unwrap()
}

/// The place of a node by its address 10.0.0.N:7000.
fn place(node: &NodeRef) -> usize {
    let host = node.address.host.to_string();
    host.rsplit('.').next().unwrap().parse::<usize>().unwrap() - 1
}

/// The steps of the plan as text, stage by stage, waiting left out.
fn steps(view: &ClusterView, keys: &[(usize, u16, u64)]) -> Vec<String> {
    let plan = plan(view, &repairs(view, keys));
    let text = |action: &Action| match action {
        Action::MoveSlots { slots, from, to, .. } => format!("move {slots} {} > {}", place(from), place(to)),
        Action::GatherKeys { slots, from, to, served, keys } => {
            let served = if *served { " served" } else { "" };
            format!("gather {keys} of {slots} {} > {}{served}", place(from), place(to))
        }
        Action::YieldSlots { node, owner, slots } => format!("yield {slots} {} for {}", place(node), place(owner)),
        Action::SettleSlots { node, slots, above } => format!("settle {slots} {} above {above}", place(node)),
        Action::CloseSlots { node, slots } => format!("close {slots} {}", place(node)),
        Action::Failover { replica, primary, kind } => {
            format!("failover {} for {} {kind:?}", place(replica), place(primary))
        }
        other => format!("{other:?}"),
    };
    plan.steps.iter().filter(|step| !step.action.waits()).map(|step| text(&step.action)).collect()
}

#[test]
fn a_healthy_cluster_needs_nothing() {
    assert_eq!(doubtful(&six()), SlotSet::new());
    let plan = plan(&six(), &repairs(&six(), &[]));
    assert!(!plan.changes_anything());
    assert_eq!(plan.reasons[0], "nothing to repair: every slot is served, closed, and has its keys in one place");
}

#[test]
fn a_move_that_stopped_half_way_is_finished_wherever_its_keys_are() {
    let mut view = six();
    open(&mut view, "5-6", 0, 1, (true, true));
    assert_eq!(steps(&view, &[(0, 5, 100), (1, 6, 1)]), ["move 5-6 0 > 1"]);
}

#[test]
fn a_slot_that_is_only_migrating_stays_unless_keys_have_gone() {
    let mut view = six();
    open(&mut view, "5", 0, 1, (true, false));
    assert_eq!(steps(&view, &[(0, 5, 3)]), ["close 5 0"]);
    assert_eq!(steps(&view, &[(0, 5, 3), (1, 5, 1)]), ["move 5 0 > 1"]);
}

#[test]
fn a_slot_that_is_only_importing_stays_with_its_owner_who_gets_its_keys() {
    let mut view = six();
    open(&mut view, "5", 0, 1, (false, true));
    assert_eq!(steps(&view, &[(0, 5, 3)]), ["close 5 1"]);
    assert_eq!(steps(&view, &[(0, 5, 3), (1, 5, 9)]), ["gather 9 of 5 1 > 0"]);
}

#[test]
fn of_several_importing_nodes_the_one_that_the_owner_means_gets_the_slot_and_then_the_others_keys() {
    let mut view = six();
    open(&mut view, "5", 0, 1, (true, true));
    open(&mut view, "5", 0, 2, (false, true));
    assert_eq!(steps(&view, &[(0, 5, 3)]), ["close 5 2", "move 5 0 > 1"]);
    assert_eq!(steps(&view, &[(0, 5, 3), (2, 5, 4)]), ["close 5 2", "move 5 0 > 1", "gather 4 of 5 2 > 1"]);
}

#[test]
fn importing_nodes_that_the_owner_does_not_mean_give_up() {
    let mut view = six();
    open(&mut view, "5", 0, 1, (false, true));
    open(&mut view, "5", 0, 2, (false, true));
    said(&mut view, 0).myself.migrating.insert(slot(5), id(8));
    assert_eq!(steps(&view, &[(0, 5, 3), (2, 5, 4)]), ["close 5 0", "close 5 1", "gather 4 of 5 2 > 0"]);
}

#[test]
fn an_owner_that_imports_its_own_slot_closes_it() {
    let mut view = six();
    said(&mut view, 0).myself.importing.insert(slot(5), id(1));
    assert_eq!(steps(&view, &[(0, 5, 3)]), ["close 5 0"]);
}

#[test]
fn a_move_to_a_node_that_has_become_a_replica_goes_to_its_primary() {
    let mut view = six();
    open(&mut view, "5", 0, 4, (true, false));
    assert_eq!(steps(&view, &[(0, 5, 3), (1, 5, 2)]), ["move 5 0 > 1"]);
    assert_eq!(steps(&view, &[(0, 5, 3)]), ["close 5 0"]);
}

#[test]
fn a_slot_whose_source_has_closed_it_goes_to_the_destination() {
    let mut view = six();
    said(&mut view, 1).myself.importing.insert(slot(5), id(0));
    hand::own(&mut view, 0, "0-4 6-5460");
    // The source has heard that it is the other's; the other one has not.
    entry(&mut view, 0, 1).slots = "5 5461-10922".parse().unwrap();
    assert_eq!(steps(&view, &[]), ["settle 5 1 above 0"]);
    assert_eq!(steps(&view, &[(1, 5, 7)]), ["settle 5 1 above 0"]);
    entry(&mut view, 1, 0).slots = "0-5460".parse().unwrap();
    assert_eq!(steps(&view, &[(1, 5, 7)]), ["settle 5 1 above 1"], "it believes in an owner of epoch 1");
}

#[test]
fn a_slot_that_nobody_claims_goes_where_its_keys_are() {
    let mut view = six();
    hand::own(&mut view, 0, "0-4 6-5460");
    assert_eq!(steps(&view, &[(2, 5, 1)]), ["settle 5 2 above 0"]);
    assert_eq!(
        steps(&view, &[(1, 5, 2), (2, 5, 1)]),
        ["settle 5 1 above 0", "gather 1 of 5 2 > 1 served"],
        "most of them; of the others only what is the same may be dropped"
    );
}

#[test]
fn a_slot_that_others_take_for_a_nodes_goes_back_to_it() {
    let mut view = six();
    said(&mut view, 0).myself.slots = "0-4 6-5460".parse().unwrap();
    assert_eq!(steps(&view, &[]), ["settle 5 0 above 0"]);
}

#[test]
fn slots_that_nobody_knows_anything_of_go_in_one_piece_to_who_has_fewest() {
    let mut view = six();
    hand::own(&mut view, 0, "0-99");
    hand::own(&mut view, 1, "5500-10922");
    hand::own(&mut view, 2, "10923-16383");
    let plan = plan(&view, &repairs(&view, &[]));
    let slots: Vec<String> = plan.expected_after.iter().map(|shard| shard.slots.to_string()).collect();
    assert_eq!(slots, ["0-5461", "5462-10922", "10923-16383"]);
}

#[test]
fn of_several_owners_the_one_with_most_keys_stays_and_the_others_give_up_first() {
    let mut view = six();
    entry(&mut view, 1, 1).slots = "5 5461-10922".parse().unwrap();
    let all = steps(&view, &[(0, 5, 3), (1, 5, 9)]);
    assert_eq!(all, ["yield 5 0 for 1", "settle 5 1 above 1", "gather 3 of 5 0 > 1 served"]);
    assert_eq!(steps(&view, &[])[0], "yield 5 0 for 1", "without keys the highest epoch counts");
}

#[test]
fn a_node_that_believes_in_another_owner_is_told_with_a_higher_epoch() {
    let mut view = six();
    entry(&mut view, 3, 0).slots = "0-4 6-5460".parse().unwrap();
    entry(&mut view, 3, 2).slots = "5 10923-16383".parse().unwrap();
    entry(&mut view, 3, 2).config_epoch = 9;
    assert_eq!(steps(&view, &[(0, 5, 1)]), ["settle 5 0 above 9"]);
}

#[test]
fn no_node_gives_and_takes_at_the_same_time() {
    let mut view = six();
    open(&mut view, "5", 0, 1, (true, true));
    open(&mut view, "6000", 1, 2, (true, true));
    open(&mut view, "12000", 2, 0, (true, true));
    let plan = plan(&view, &repairs(&view, &[]));
    let moves = |stage: u32| {
        let steps = plan.steps.iter().filter(move |step| step.stage == stage);
        steps.filter(|step| matches!(step.action, Action::MoveSlots { .. })).count()
    };
    assert_eq!([1, 2, 3].map(moves), [1, 1, 1]);
}

#[test]
fn stray_keys_go_to_the_owner() {
    assert_eq!(steps(&six(), &[(0, 5, 3), (1, 5, 9)]), ["gather 9 of 5 1 > 0"]);
}

fn refusal(view: &ClusterView) -> RepairRefusal {
    decide(view, &Held::new(), Wanted::default()).unwrap_err()
}

#[test]
fn a_silent_primary_with_slots_stops_it_and_its_replica_is_named() {
    let mut view = six();
    silence(&mut view, 1);
    let told = refusal(&view);
    assert_eq!(told.to_string(), "10.0.0.2:7000 owns 5462 slots and refuses connections: nothing listens on this port");
    assert!(told.advice().contains("tribune failover 10.0.0.5:7000 --force"), "{}", told.advice());
    assert!(told.advice().ends_with("tribune fix 10.0.0.1:7000 --fix-with-unreachable-primaries"));
    silence(&mut view, 2);
    assert!(refusal(&view).advice().contains("--takeover"), "two of three primaries are gone");
    silence(&mut view, 4);
    assert!(refusal(&view).advice().starts_with("start 10.0.0.2:7000 again"));
}

#[test]
fn a_silent_primary_that_a_slot_was_going_to_stops_it() {
    let mut nodes = hand::six_nodes().to_vec();
    nodes.push(Node::primary("10.0.0.7:7000", ""));
    let mut view = hand::view(&nodes);
    silence(&mut view, 6);
    assert_eq!(decide(&view, &Held::new(), Wanted::default()), Ok(Vec::new()), "it owns nothing");
    said(&mut view, 0).myself.migrating.insert(slot(5), id(6));
    assert!(refusal(&view).to_string().contains("may hold keys of an open slot"));
}

#[test]
fn a_silent_primary_of_whose_slots_another_claims_all_stops_nothing_whoever_is_asked_first() {
    let mut nodes = hand::six_nodes().to_vec();
    nodes.push(Node::primary("10.0.0.7:7000", ""));
    let mut view = hand::view(&nodes);
    silence(&mut view, 6);
    entry(&mut view, 3, 0).slots = "0-4 6-5460".parse().unwrap();
    entry(&mut view, 3, 6).slots = "5".parse().unwrap();
    entry(&mut view, 3, 6).config_epoch = 9;
    for _ in 0..2 {
        assert_eq!(steps(&view, &[(0, 5, 1)]), ["settle 5 0 above 9"]);
        view.nodes.swap(0, 3);
    }
}

#[test]
fn when_it_is_wanted_a_replica_takes_over_before_slots_are_given_to_others() {
    let mut view = six();
    silence(&mut view, 1);
    flag(&mut view, 1, "master,fail", &[1]);
    let wanted = Wanted { with_unreachable: true };
    let with_replica = plan(&view, &decide(&view, &Held::new(), wanted).unwrap());
    let Action::Failover { replica, kind, .. } = &with_replica.steps[0].action else { panic!("{with_replica:?}") };
    assert_eq!((place(replica), *kind), (4, FailoverKind::Forced));
    assert_eq!(with_replica.cost.slots_moved, 0);
    silence(&mut view, 4);
    let without = plan(&view, &decide(&view, &Held::new(), wanted).unwrap());
    let owned: usize = without.expected_after.iter().map(|shard| shard.slots.len()).sum();
    assert_eq!(owned, 16384, "others get them");
}

/// What may be wrong with a slot: marks, claims and keys of primaries, and what other nodes believe.
#[derive(Clone, Debug)]
struct Wrong {
    slot: u16,
    claims: BTreeSet<usize>,
    migrating: Vec<(usize, usize)>,
    importing: Vec<(usize, usize)>,
    keys: Vec<(usize, u64)>,
    believed: Vec<(usize, usize)>,
}

fn wrong() -> impl Strategy<Value = Wrong> {
    let pair = || proptest::collection::vec((0..3_usize, 0..7_usize), 0..3);
    (
        0..16384_u16,
        proptest::collection::btree_set(0..3_usize, 0..3),
        pair(),
        pair(),
        proptest::collection::vec((0..3_usize, 1..9_u64), 0..3),
        proptest::collection::vec((0..6_usize, 0..3_usize), 0..3),
    )
        .prop_map(|(slot, claims, migrating, importing, keys, believed)| Wrong {
            slot,
            claims,
            migrating,
            importing,
            keys,
            believed,
        })
}

fn spoil(view: &mut ClusterView, wrong: &Wrong) {
    let one: SlotSet = std::iter::once(slot(wrong.slot)).collect();
    for at in 0..3 {
        let slots = &mut said(view, at).myself.slots;
        *slots = if wrong.claims.contains(&at) { slots.union(&one) } else { slots.difference(&one) };
    }
    for (witness, about) in wrong.believed.iter().filter(|(witness, about)| witness != about) {
        for other in (0..3).filter(|other| other != witness) {
            let slots = &mut entry(view, *witness, other).slots;
            *slots = if other == *about { slots.union(&one) } else { slots.difference(&one) };
        }
    }
    for (at, to) in wrong.migrating.iter().filter(|(at, to)| at != to) {
        said(view, *at).myself.migrating.insert(slot(wrong.slot), id(*to));
    }
    for (at, from) in wrong.importing.iter().filter(|(at, from)| at != from) {
        said(view, *at).myself.importing.insert(slot(wrong.slot), id(*from));
    }
}

proptest! {
    #[test]
    fn whatever_is_wrong_each_slot_gets_one_owner_and_no_key_is_left_behind(
        wrongs in proptest::collection::vec(wrong(), 1..6),
    ) {
        let mut view = six();
        let mut keys = Vec::new();
        let mut seen = BTreeSet::new();
        for wrong in wrongs.iter().filter(|wrong| seen.insert(wrong.slot)) {
            spoil(&mut view, wrong);
            keys.extend(wrong.keys.iter().map(|(at, count)| (*at, wrong.slot, *count)));
        }
        let repairs = repairs(&view, &keys);
        let plan = plan(&view, &repairs);
        let owned = plan.expected_after.iter().fold(SlotSet::new(), |all, shard| all.union(&shard.slots));
        prop_assert_eq!(owned.len(), 16384, "all slots are served");
        let sum: usize = plan.expected_after.iter().map(|shard| shard.slots.len()).sum();
        prop_assert_eq!(sum, 16384, "each by one");
        for Repair { slot, found, remedy } in &repairs {
            let owner = &remedy.owner;
            for (node, _) in &found.keys {
                let goes = remedy.gathers.contains(node) || remedy.from.as_ref() == Some(node);
                prop_assert!(node == owner || goes, "keys of {slot} stay on {node:?}: {remedy:?}");
            }
            for (node, _) in &found.owners {
                let gives = remedy.yields.contains(node) || remedy.from.as_ref() == Some(node);
                prop_assert!(node == owner || gives, "{node:?} goes on claiming {slot}: {remedy:?}");
            }
            let marked = found.migrating.iter().chain(&found.importing).map(|(node, _)| node);
            for node in marked {
                let by_move = remedy.from.is_some() && (remedy.from.as_ref() == Some(node) || node == owner);
                let closed = remedy.closes.contains(node) || remedy.gathers.contains(node);
                let settled = remedy.settle && node == owner;
                prop_assert!(by_move || closed || settled, "{slot} stays open on {node:?}: {remedy:?}");
            }
            prop_assert!(!remedy.gathers.contains(owner) && !remedy.yields.contains(owner));
            let claims = found.owners.iter().any(|(node, _)| node == owner);
            prop_assert!(claims || remedy.settle || remedy.from.is_some(), "nobody gives {owner:?} its {slot}");
        }
        let stages: Vec<u32> = plan.steps.iter().map(|step| step.stage).collect();
        prop_assert!(stages.is_sorted());
        let addresses: BTreeSet<NodeAddr> = plan.based_on.iter().map(|node| node.address.clone()).collect();
        prop_assert_eq!(addresses.len(), 6);
    }
}
