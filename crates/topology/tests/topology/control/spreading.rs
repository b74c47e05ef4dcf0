//! Primaries that piled up are spread again.

use super::model::Model;
use std::{collections::BTreeMap, time::Duration};

/// How many primaries are on each of three hosts.
fn primaries(model: &Model) -> Vec<usize> {
    let mut hosts: BTreeMap<usize, usize> = (0..3).map(|host| (host, 0)).collect();
    for (at, _) in model.nodes.iter().filter(|(_, node)| !node.slots.is_empty()) {
        *hosts.entry(at % 3).or_default() += 1;
    }
    hosts.into_values().collect()
}

#[test]
fn after_a_machine_was_lost_and_came_back_its_share_of_primaries_comes_back_in_a_quiet_moment() {
    let mut model = Model::new(6, 1, 3);
    model.settle(30);
    let lost: Vec<usize> = model.nodes.keys().copied().filter(|at| at % 3 == 0).collect();
    for at in &lost {
        model.kill(*at);
    }
    for _ in 0..10 {
        let decision = model.decide();
        model.carry_out(&decision);
    }
    for at in lost {
        model.come_back(at);
    }
    model.settle(30);
    assert_eq!(primaries(&model)[0], 0, "{:?}", primaries(&model));
    model.calm = Duration::from_secs(30);
    assert!(model.decide().is_settled(), "too soon after the last change");
    model.calm = Duration::from_secs(70);
    let failovers = model.settle(10);
    assert_eq!(primaries(&model), [2, 2, 2], "after {failovers} failovers");
    assert_eq!(model.shape(), [1; 6]);
}

#[test]
fn primaries_that_are_spread_stay_where_they_are() {
    let mut model = Model::new(6, 1, 3);
    model.settle(30);
    model.calm = Duration::from_hours(1);
    assert!(model.decide().is_settled(), "{:#?}", model.decide());
}
