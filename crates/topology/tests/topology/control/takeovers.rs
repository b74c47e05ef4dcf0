//! No majority of primaries is left.

use super::model::Model;
use topology::{
    control::Takeover,
    plan::{Action, FailoverKind},
};

/// Clusters of so many shards, of which so many primaries are down.
fn without(shards: usize, dead: usize) -> (Model, Vec<usize>) {
    let mut model = Model::new(shards, 1, 2 * shards);
    model.settle(40);
    let primaries = model.nodes.iter().filter(|(_, node)| !node.slots.is_empty()).map(|(at, _)| *at);
    let dead: Vec<usize> = primaries.take(dead).collect();
    for primary in &dead {
        model.kill(*primary);
    }
    (model, dead)
}

fn kinds(model: &Model) -> Vec<FailoverKind> {
    let kind = |action: &Action| if let Action::Failover { kind, .. } = action { Some(*kind) } else { None };
    model.decide().steps.iter().filter_map(|(action, _)| kind(action)).collect()
}

/// Lets the loop act for so many seconds; gives the failovers, in order.
fn acts(model: &mut Model, seconds: usize) -> Vec<FailoverKind> {
    let mut all = Vec::new();
    for _ in 0..seconds {
        all.extend(kinds(model));
        let decision = model.decide();
        model.carry_out(&decision);
    }
    all
}

fn waits(model: &Model) -> String {
    model.decide().waits.into_iter().map(|wait| wait.why + "\n").collect()
}

#[test]
fn the_fewest_replicas_that_make_a_majority_again_take_over_without_a_vote_one_at_a_time() {
    for (shards, dead, takeovers) in [(1, 1, 1), (2, 1, 1), (3, 2, 1), (3, 3, 2), (5, 3, 1), (5, 5, 3)] {
        let (mut model, _) = without(shards, dead);
        assert_eq!(acts(&mut model, 50), [], "they are expected back: {}", waits(&model));
        let mut all = Vec::new();
        for _ in 0..40 {
            let now = kinds(&model);
            assert!(now.iter().filter(|kind| **kind == FailoverKind::Takeover).count() <= 1, "{now:?}");
            all.extend(now);
            let decision = model.decide();
            model.carry_out(&decision);
        }
        let takeover = |kind: &&FailoverKind| **kind == FailoverKind::Takeover;
        assert_eq!(
            all.iter().filter(takeover).count(),
            takeovers,
            "{shards} shards, {dead} dead: {all:?} {}",
            waits(&model)
        );
        assert_eq!(all.len(), dead, "the others are elected: {all:?}");
    }
}

#[test]
fn primaries_that_come_back_in_time_are_better_than_a_takeover() {
    let (mut model, dead) = without(3, 2);
    assert_eq!(acts(&mut model, 40), []);
    assert!(waits(&model).contains("is waited for, which has its data"), "{}", waits(&model));
    for primary in dead {
        model.come_back(primary);
    }
    assert_eq!(acts(&mut model, 100), []);
    assert_eq!(model.shape(), [1, 1, 1]);
}

#[test]
fn a_primary_that_has_lost_its_data_is_not_waited_for() {
    let (mut model, dead) = without(3, 2);
    model.lost.extend(&dead[..1]);
    assert_eq!(acts(&mut model, 6), [FailoverKind::Takeover, FailoverKind::Forced], "{}", waits(&model));
}

#[test]
fn nobody_takes_over_from_a_primary_that_may_run_or_where_that_is_not_wanted() {
    let (mut model, dead) = without(3, 2);
    model.unreached.extend(&dead);
    assert_eq!(acts(&mut model, 200), []);
    assert!(waits(&model).contains("its machine is not reached"), "{}", waits(&model));
    let (mut model, _) = without(3, 2);
    model.desired.takeover = Takeover::Never;
    assert_eq!(acts(&mut model, 200), []);
    assert!(waits(&model).contains("takeovers without a vote are not wanted"), "{}", waits(&model));
}

#[test]
fn a_replica_without_a_copy_takes_over_from_nobody() {
    let (mut model, _) = without(3, 2);
    for node in model.nodes.values_mut().filter(|node| node.primary.is_some()) {
        (node.has_copied, node.in_sync) = (false, false);
    }
    assert_eq!(acts(&mut model, 200), []);
}
