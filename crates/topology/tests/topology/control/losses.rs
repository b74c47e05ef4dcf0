//! Data is lost, here and there.

use super::model::Model;
use topology::plan::{Action, FailoverKind};

/// Three shards with a replica each, of which one primary is down and has lost its data: that one, and its replica.
fn without_data() -> (Model, usize, usize) {
    let mut model = Model::new(3, 1, 6);
    model.settle(30);
    let gone = *model.nodes.iter().find(|(_, node)| !node.slots.is_empty()).unwrap().0;
    let replica = *model.nodes.iter().find(|(_, node)| node.primary == Some(gone)).unwrap().0;
    model.kill(gone);
    model.lost.insert(gone);
    (model, gone, replica)
}

fn failovers(model: &Model) -> Vec<FailoverKind> {
    let kind = |action: &Action| if let Action::Failover { kind, .. } = action { Some(*kind) } else { None };
    model.decide().steps.iter().filter_map(|(action, _)| kind(action)).collect()
}

fn let_seconds_pass(model: &mut Model, seconds: usize) {
    (0..seconds).for_each(|_| model.time_passes());
}

#[test]
fn a_replica_with_keys_takes_the_place_of_a_primary_without_data_though_the_loop_never_heard_that_one() {
    let (mut model, gone, replica) = without_data();
    model.is_forgetful = true;
    let_seconds_pass(&mut model, 3);
    assert_eq!(failovers(&model), [FailoverKind::Forced]);
    let decision = model.decide();
    model.carry_out(&decision);
    assert!(!model.nodes[&replica].slots.is_empty());
    model.come_back(gone);
    model.settle(30);
    assert_eq!(model.shape(), [1, 1, 1]);
}

#[test]
fn a_primary_whose_data_is_kept_is_not_replaced_by_a_replica_that_nothing_is_known_of() {
    let (mut model, gone, _) = without_data();
    model.lost.remove(&gone);
    model.is_forgetful = true;
    let_seconds_pass(&mut model, 30);
    assert_eq!(failovers(&model), []);
    assert!(model.decide().waits.iter().any(|wait| wait.why.contains("has never answered this loop")));
}

#[test]
fn a_replica_that_never_got_a_copy_does_not_take_the_place_of_a_primary_without_data() {
    let (mut model, _, replica) = without_data();
    let node = model.nodes.get_mut(&replica).unwrap();
    (node.has_copied, node.in_sync) = (false, false);
    for is_forgetful in [true, false] {
        model.is_forgetful = is_forgetful;
        let_seconds_pass(&mut model, 30);
        assert_eq!(failovers(&model), [], "forgetful: {is_forgetful}");
    }
}
