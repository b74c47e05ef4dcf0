//! A number of slots to one primary.

use super::shapes::{any, six};
use crate::{
    hand::{self, id},
    model::{Model, ids, in_order, moved, open},
};
use proptest::prelude::*;
use topology::{
    NodeId,
    reshard::{ReshardRefusal, Sources, plan},
};

fn refusal(sources: &Sources, destination: NodeId, slots: usize) -> String {
    plan(&six().view(), sources, destination, slots).unwrap_err().to_string()
}

proptest! {
    #[test]
    fn exactly_so_many_slots_reach_the_destination_from_the_sources_alone(
        mut model in any(),
        destination in 0..8_usize,
        sources in proptest::collection::btree_set(0..8_usize, 0..4),
        share in 0.0..=1.0_f64,
    ) {
        let before = model.clone();
        let primaries = model.owned().len();
        let destination = destination % primaries;
        let sources: Vec<usize> = sources.into_iter().filter(|at| *at < primaries && *at != destination).collect();
        let (asked, gives) = match &sources[..] {
            [] => (Sources::All, (0..primaries).filter(|at| *at != destination).collect()),
            these => (Sources::These(ids(these)), these.to_vec()),
        };
        let owned: usize = gives.iter().map(|at| model.nodes[*at].slots.len()).sum();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "small numbers")]
        let slots = (owned as f64 * share).ceil() as usize;
        if slots == 0 {
            return Ok(());
        }
        let plan = plan(&model.view(), &asked, id(destination), slots).unwrap();
        model.run(&plan);
        prop_assert_eq!(in_order(plan.expected_after.clone()), model.shards());
        prop_assert!(model.moved.values().all(|times| *times == 1), "each slot moves at most once");
        prop_assert_eq!(moved(&plan), slots);
        prop_assert_eq!(model.nodes[destination].slots.len(), before.nodes[destination].slots.len() + slots);
        for at in (0..primaries).filter(|at| *at != destination && !gives.contains(at)) {
            prop_assert_eq!(&model.nodes[at].slots, &before.nodes[at].slots);
        }
    }
}

#[test]
fn the_destination_is_left_out_of_the_sources() {
    let mut model = six();
    let plan = plan(&model.view(), &Sources::These(ids(&[0, 1])), id(0), 100).unwrap();
    model.run(&plan);
    assert_eq!(model.owned(), [5561, 5362, 5461]);
    assert_eq!(plan.goal, "100 slots to 10.0.0.1:7000 from 1 primary");
}

#[test]
fn nodes_that_are_no_primaries_are_refused_by_name() {
    let replica = "10.0.0.4:7000 is a replica, whose primary is 10.0.0.1:7000";
    assert_eq!(refusal(&Sources::All, id(3), 5), replica);
    assert_eq!(refusal(&Sources::These(ids(&[1, 3])), id(0), 5), replica);
    let unknown = format!("no node of the cluster has the id {}", id(9));
    assert_eq!(refusal(&Sources::All, id(9), 5), unknown);
    assert_eq!(refusal(&Sources::These(ids(&[9])), id(0), 5), unknown);
}

#[test]
fn numbers_that_cannot_be_moved_are_refused() {
    assert_eq!(refusal(&Sources::All, id(0), 0), "0 slots are wanted: there is nothing to move to 10.0.0.1:7000");
    assert_eq!(refusal(&Sources::All, id(0), 10924), "10924 slots are wanted and the sources own 10923");
    let itself = "10.0.0.1:7000 cannot be the only source: it is the destination";
    assert_eq!(refusal(&Sources::These(ids(&[0])), id(0), 5), itself);
    assert_eq!(refusal(&Sources::These(Vec::new()), id(0), 5), "no source is named");
}

#[test]
fn an_interrupted_move_is_finished_first_and_does_not_count() {
    let mut model = six();
    let mut view = model.view();
    open(&mut view, "0-9", 0, 1, (false, true));
    let plan = plan(&view, &Sources::These(ids(&[1])), id(2), 20).unwrap();
    model.run(&plan);
    assert_eq!(model.owned(), [5451, 5452, 5481]);
    assert!(model.moved.values().all(|times| *times == 1));
    assert_eq!(in_order(plan.expected_after), model.shards());
}

#[test]
fn a_source_that_gives_its_last_slot_is_told_of() {
    let model: Model = six();
    let plan = plan(&model.view(), &Sources::These(ids(&[0])), id(1), 5461).unwrap();
    assert!(plan.reasons[0].starts_with("10.0.0.1:7000 owns no slot then: the servers make it and its replica follow"));
}

#[test]
fn a_silent_replica_is_not_in_the_way() {
    let mut view = six().view();
    hand::silence(&mut view, 4);
    let plan = plan(&view, &Sources::All, id(0), 5).unwrap();
    assert_eq!(plan.based_on.len(), 5);
    let none = plan.expected_after.iter().map(|shard| shard.replicas.len()).min();
    assert_eq!(none, Some(1), "it still belongs to its shard");
    hand::silence(&mut view, 0);
    assert!(matches!(topology::reshard::plan(&view, &Sources::All, id(1), 5), Err(ReshardRefusal::NotYet(_))));
}
