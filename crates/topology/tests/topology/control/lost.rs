//! Servers end, come back, or do not.

use super::model::Model;
use topology::plan::Action;

fn three() -> Model {
    let mut model = Model::new(3, 1, 6);
    model.settle(30);
    model
}

fn primary(model: &Model) -> usize {
    *model.nodes.iter().find(|(_, node)| !node.slots.is_empty()).unwrap().0
}

#[test]
fn a_primary_that_nobody_has_replaced_is_replaced_and_comes_back_as_a_replica() {
    let mut model = three();
    let gone = primary(&model);
    model.kill(gone);
    assert!(model.decide().steps.is_empty(), "whoever sees the death at once acts first");
    for _ in 0..10 {
        let decision = model.decide();
        model.carry_out(&decision);
    }
    assert_eq!(model.slots().len(), 4, "the one that is down does not know it yet");
    model.come_back(gone);
    model.settle(30);
    assert_eq!(model.shape(), [1, 1, 1]);
    assert_eq!(model.nodes.len(), 6);
}

#[test]
fn without_a_majority_nobody_is_told_to_take_over_and_it_is_said() {
    let mut model = three();
    let primaries: Vec<usize> =
        model.nodes.iter().filter(|(_, node)| !node.slots.is_empty()).map(|(at, _)| *at).take(2).collect();
    for primary in primaries {
        model.kill(primary);
    }
    for _ in 0..50 {
        let decision = model.decide();
        let is_failover = |(action, _): &(Action, String)| matches!(action, Action::Failover { .. });
        assert!(!decision.steps.iter().any(is_failover));
        assert!(decision.waits.iter().any(|wait| wait.why.contains("without a majority")), "{decision:#?}");
        model.carry_out(&decision);
    }
}

#[test]
fn a_member_that_stays_away_is_replaced_and_removed() {
    let mut model = three();
    let gone = *model.nodes.iter().find(|(_, node)| node.primary.is_some()).unwrap().0;
    model.kill(gone);
    for _ in 0..100 {
        let decision = model.decide();
        model.carry_out(&decision);
    }
    assert!(!model.nodes.contains_key(&gone));
    assert_eq!(model.shape(), [1, 1, 1]);
    assert!(model.decide().is_settled(), "{:#?}", model.decide());
}

#[test]
fn the_only_copy_of_data_is_waited_for_however_long() {
    let mut model = Model::new(3, 0, 3);
    model.settle(30);
    let gone = primary(&model);
    model.kill(gone);
    for _ in 0..200 {
        let decision = model.decide();
        model.carry_out(&decision);
    }
    assert!(model.nodes.contains_key(&gone));
    model.come_back(gone);
    model.settle(30);
    assert_eq!(model.shape(), [0, 0, 0]);
    assert_eq!(model.nodes.len(), 3);
    assert_eq!(model.slots().iter().sum::<usize>(), 16384);
}
