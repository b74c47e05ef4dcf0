//! Data is lost, here and there.

use super::model::Model;
use topology::{
    control::{Advice, WhenShardLost},
    plan::{Action, FailoverKind},
};

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
fn a_replica_that_had_lost_its_link_long_before_its_primary_died_takes_over_only_when_that_ones_data_is_gone() {
    let (mut model, gone, replica) = without_data();
    model.lost.remove(&gone);
    let node = model.nodes.get_mut(&replica).unwrap();
    (node.in_sync, node.unlinked) = (false, Some(12));
    let_seconds_pass(&mut model, 2);
    assert_eq!(failovers(&model), [FailoverKind::Forced], "10 s are nothing that anybody would notice");
    model.nodes.get_mut(&replica).unwrap().unlinked = Some(3600);
    let_seconds_pass(&mut model, 100);
    assert_eq!(failovers(&model), [], "it would cost an hour of writes, which are on a disk");
    let wait =
        model.decide().waits.into_iter().find(|wait| wait.why.contains("had lost its link to it before")).unwrap();
    assert!(matches!(wait.advice, Some(Advice::StartMemberOrFailOver { .. })), "{wait:#?}");
    model.lost.insert(gone);
    assert_eq!(failovers(&model), [FailoverKind::Forced], "nothing newer is left");
}

#[test]
fn a_loop_that_has_just_begun_is_told_by_the_servers_for_how_long_a_primary_has_been_dead() {
    let mut model = Model::new(1, 1, 2);
    model.settle(30);
    let gone = *model.nodes.iter().find(|(_, node)| !node.slots.is_empty()).unwrap().0;
    model.kill(gone);
    // The replica's link has been down for as long as its primary is dead.
    let_seconds_pass(&mut model, 100);
    model.watched = Some(61);
    assert_eq!(failovers(&model), [FailoverKind::Takeover], "{:#?}", model.decide());
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

fn begins_anew(model: &Model) -> bool {
    model.decide().steps.iter().any(|(action, _)| matches!(action, Action::SettleSlots { .. }))
}

fn advice(model: &Model) -> Vec<Advice> {
    model.decide().waits.into_iter().filter_map(|wait| wait.advice).collect()
}

/// Lets the loop act for so many seconds, in which no shard may begin anew.
fn waits_for(model: &mut Model, seconds: usize) {
    for second in 0..seconds {
        assert!(!begins_anew(model), "after {second} s");
        let decision = model.decide();
        model.carry_out(&decision);
    }
}

#[test]
fn a_shard_without_any_copy_begins_anew_when_that_is_wanted_and_not_before() {
    let mut model = Model::new(3, 0, 3);
    model.settle(30);
    let gone = *model.nodes.keys().next().unwrap();
    model.kill(gone);
    model.lost.insert(gone);
    waits_for(&mut model, 100);
    assert_eq!(advice(&model), [Advice::RecreateLost]);
    model.desired.when_shard_lost = WhenShardLost::Recreate;
    assert!(begins_anew(&model));
    model.settle(60);
    assert_eq!(model.shape(), [0, 0, 0]);
    assert_eq!(model.slots().iter().sum::<usize>(), 16384);
    assert!(!model.nodes.contains_key(&gone), "nothing is left of it");
}

#[test]
fn a_member_that_has_lost_its_data_has_its_time_to_come_back_before_its_shard_begins_anew() {
    let mut model = Model::new(3, 0, 3);
    model.settle(30);
    model.desired.when_shard_lost = WhenShardLost::Recreate;
    let gone = *model.nodes.keys().next().unwrap();
    model.kill(gone);
    model.lost.insert(gone);
    waits_for(&mut model, 50);
    model.lost.clear();
    model.come_back(gone);
    model.settle(30);
    assert!(model.nodes.contains_key(&gone));
}

#[test]
fn data_on_a_disk_is_waited_for_however_long_and_it_is_said_whose() {
    let (mut model, gone, replica) = without_data();
    model.desired.when_shard_lost = WhenShardLost::Recreate;
    model.kill(replica);
    waits_for(&mut model, 200);
    assert_eq!(advice(&model), [Advice::StartMember { member: replica.to_string() }]);
    assert!(model.nodes.contains_key(&gone));
}
