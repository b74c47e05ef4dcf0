//! A replica as a primary of its own.

use super::shapes::{any, six};
use crate::{
    hand::{self, id},
    model::{in_order, moved},
};
use proptest::prelude::*;
use topology::repurpose::plan;

proptest! {
    #[test]
    fn any_replica_becomes_a_primary_with_its_share_taken_from_the_largest(
        mut model in any(),
        replica in 0..100_usize,
        fair in proptest::bool::ANY,
    ) {
        let before = model.clone();
        let replicas: Vec<usize> = (0..model.nodes.len()).filter(|at| model.nodes[*at].primary.is_some()).collect();
        prop_assume!(!replicas.is_empty());
        let replica = replicas[replica % replicas.len()];
        let plan = plan(&model.view(), id(replica), fair).unwrap();
        model.run(&plan);
        prop_assert_eq!(in_order(plan.expected_after.clone()), model.shards());
        let owners = before.owned().into_iter().filter(|owned| *owned > 0).count();
        let share = if fair { 16384 / (owners + 1) } else { 0 };
        prop_assert_eq!(model.nodes[replica].slots.len(), share);
        prop_assert_eq!(moved(&plan), share, "no slot moves between others");
        // Who gave anything has no less than any other has, but for one slot.
        let gave = (0..model.nodes.len()).filter(|at| model.nodes[*at].slots.len() < before.nodes[*at].slots.len());
        let least = gave.map(|at| model.nodes[at].slots.len()).min();
        let others = (0..model.nodes.len()).filter(|at| *at != replica);
        let most = others.map(|at| model.nodes[at].slots.len()).max().unwrap();
        prop_assert!(least.is_none_or(|least| most <= least + 1));
    }
}

#[test]
fn the_plan_says_who_has_no_replica_then() {
    let plan = plan(&six().view(), id(3), true).unwrap();
    assert_eq!(plan.goal, "10.0.0.4:7000 becomes a primary with 4096 slots");
    assert_eq!(plan.reasons[0], "10.0.0.1:7000 has no replica then: losing it loses its data");
}

#[test]
fn a_node_that_is_no_replica_or_does_not_answer_is_refused() {
    let mut view = six().view();
    let refusal = |view: &_, at| plan(view, id(at), false).unwrap_err().to_string();
    assert_eq!(refusal(&view, 0), "10.0.0.1:7000 is no replica: it is a primary with 5461 slots");
    assert!(refusal(&view, 9).starts_with("no node of the cluster has the id "));
    hand::silence(&mut view, 3);
    assert_eq!(refusal(&view, 3), "10.0.0.4:7000 refuses connections: nothing listens on this port");
}
