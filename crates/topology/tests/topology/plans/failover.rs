//! A replica in the place of its primary.

use super::shapes::{any, six};
use crate::{
    hand::{self, id},
    model::in_order,
    recorded,
};
use proptest::prelude::*;
use topology::{
    failover::{FailoverRefusal, plan},
    plan::{Action, FailoverKind},
};

proptest! {
    #[test]
    fn any_replica_takes_the_place_of_its_primary(mut model in any(), replica in 0..100_usize) {
        let replicas: Vec<usize> = (0..model.nodes.len()).filter(|at| model.nodes[*at].primary.is_some()).collect();
        prop_assume!(!replicas.is_empty());
        let replica = replicas[replica % replicas.len()];
        let plan = plan(&model.view(), id(replica), FailoverKind::Planned).unwrap();
        model.run(&plan);
        prop_assert_eq!(in_order(plan.expected_after.clone()), model.shards());
        prop_assert!(model.nodes[replica].primary.is_none());
    }
}

#[test]
fn a_dead_primary_cannot_hand_over_but_can_be_replaced() {
    let mut view = six().view();
    hand::silence(&mut view, 0);
    let refusal = plan(&view, id(3), FailoverKind::Planned).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "10.0.0.1:7000, the primary of 10.0.0.4:7000, cannot hand over: it refuses connections: nothing listens on this port"
    );
    assert!(refusal.advice().unwrap().ends_with("--force"));
    for kind in [FailoverKind::Forced, FailoverKind::Takeover] {
        let plan = plan(&view, id(3), kind).unwrap();
        assert!(matches!(&plan.steps[0].action, Action::Failover { kind: of, .. } if *of == kind));
        assert_eq!(plan.reasons[0], "what 10.0.0.1:7000 has written and the replica does not have is lost");
        assert_eq!(plan.based_on.len(), 5);
    }
}

#[test]
fn a_replica_without_a_link_takes_over_only_by_force() {
    let mut view = six().view();
    hand::said(&mut view, 3).server.primary_link_up = Some(false);
    let refusal = plan(&view, id(3), FailoverKind::Planned).unwrap_err();
    assert!(matches!(refusal, FailoverRefusal::LinkDown { .. }), "{refusal}");
    let forced = plan(&view, id(3), FailoverKind::Forced).unwrap();
    let expected = "10.0.0.1:7000 answers: without force it would hand over, and nothing would be lost";
    assert!(!forced.reasons.iter().any(|reason| reason == expected), "{:?}", forced.reasons);
    let forced = plan(&six().view(), id(3), FailoverKind::Forced).unwrap();
    assert!(forced.reasons.iter().any(|reason| reason == expected), "{:?}", forced.reasons);
}

#[test]
fn a_node_that_is_no_replica_is_refused() {
    let view = six().view();
    let refusal = plan(&view, id(0), FailoverKind::Forced).unwrap_err();
    assert_eq!(refusal.to_string(), "10.0.0.1:7000 is no replica: it is a primary with 5461 slots");
}

#[test]
fn the_plan_says_when_too_few_primaries_answer_for_an_election() {
    for recorded in recorded::each_engine("minority") {
        let view = recorded.view();
        let replica = view.answering().find(|(_, said)| said.myself.primary.is_some()).unwrap().1.myself.id;
        let plan = plan(&view, replica, FailoverKind::Forced).unwrap();
        let expected = "1 of 3 primaries answer here: without a majority nobody is elected";
        assert!(plan.reasons.iter().any(|reason| reason == expected), "{}: {:?}", recorded.name, plan.reasons);
    }
}

#[test]
fn kinds_are_written_as_words() {
    assert_eq!(serde_json::to_string(&FailoverKind::Takeover).unwrap(), "\"takeover\"");
}
