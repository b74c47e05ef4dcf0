//! Which changes of a cluster keep a plan that was made before from being carried out.

use super::shapes::{any, one_with, six};
use crate::{
    hand,
    model::{Model, moved, open},
};
use proptest::prelude::*;
use topology::{
    ClusterView, Silence,
    changed::{changes, readdressed},
    failover,
    plan::{FailoverKind, Plan},
    rebalance::{self, Rebalance},
    repurpose,
    reshard::{self, Sources},
    scale,
};

/// 100 slots of the first primary of six nodes go to the second.
fn small(model: &Model) -> Plan {
    reshard::plan(&model.view(), &Sources::These(vec![hand::id(0)]), hand::id(1), 100).unwrap()
}

fn told(plan: &Plan, view: &ClusterView) -> Vec<String> {
    changes(plan, view).iter().map(ToString::to_string).collect()
}

/// The first so many stages of a plan.
fn begin(plan: &Plan, stages: u32) -> Plan {
    let mut begin = plan.clone();
    begin.steps.retain(|step| step.stage <= stages);
    begin.cost.slots_moved = moved(&begin);
    begin
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_plan_fits_at_every_stage_of_its_own_run_and_survives_a_file(mut model in any(), share in 0.0..1.0_f64, done in 0..12_u32) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "small numbers")]
        let shards = 1 + (share * model.nodes.len() as f64) as usize;
        let plan = scale::plan(&model.view(), shards, None).unwrap();
        let read: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
        prop_assert_eq!(&read, &plan);
        model.run(&begin(&plan, done));
        prop_assert_eq!(changes(&read, &model.view()), []);
    }

    #[test]
    fn a_rebalance_fits_where_it_was_made_and_not_where_a_slot_that_it_moves_has_gone_elsewhere(model in any()) {
        let wanted = Rebalance { use_empty: true, threshold_percent: 0.0, ..Rebalance::default() };
        let plan = rebalance::plan(&model.view(), &wanted).unwrap().plan;
        prop_assert_eq!(changes(&plan, &model.view()), []);
        let slot_move = plan.steps.iter().find_map(|step| match &step.action {
            topology::plan::Action::MoveSlots { slots, from, to, .. } => Some((slots.clone(), from.id, to.id)),
            _ => None,
        });
        let primaries: Vec<usize> = (0..model.nodes.len()).filter(|at| model.nodes[*at].primary.is_none()).collect();
        if let Some((slots, from, to)) = slot_move {
            let thief = primaries.iter().copied().find(|at| ![from, to].contains(&hand::id(*at)));
            if let Some(thief) = thief {
                let mut after = model;
                let slot: topology::SlotSet = slots.iter().take(1).collect();
                let owner = primaries.iter().copied().find(|at| hand::id(*at) == from).unwrap();
                after.nodes[owner].slots = after.nodes[owner].slots.difference(&slot);
                after.nodes[thief].slots = after.nodes[thief].slots.union(&slot);
                prop_assert_eq!(changes(&plan, &after.view()).len(), 1);
            }
        }
    }
}

#[test]
fn what_the_plan_does_not_touch_does_not_matter() {
    let model = six();
    let plan = small(&model);
    let mut other = model.clone();
    // A slot of the third primary goes to the second, a replica moves, another one lags, and there are more keys.
    other.nodes[2].slots = "10924-16383".parse().unwrap();
    other.nodes[1].slots = other.nodes[1].slots.union(&"10923".parse().unwrap());
    other.nodes[5].primary = Some(1);
    let mut view = other.view();
    hand::said(&mut view, 4).server.primary_link_up = Some(false);
    hand::said(&mut view, 0).server.databases.insert(0, 1_000_000);
    assert_eq!(told(&plan, &view), [""; 0]);
}

#[test]
fn what_the_plan_relies_on_is_named_when_it_has_changed() {
    let model = six();
    let plan = small(&model);
    let mut other = model.clone();
    other.nodes[0].slots = "3-5460".parse().unwrap();
    other.nodes[2].slots = other.nodes[2].slots.union(&"0-2".parse().unwrap());
    let moved: topology::SlotSet = plan
        .steps
        .iter()
        .find_map(|step| match &step.action {
            topology::plan::Action::MoveSlots { slots, .. } => Some(slots.clone()),
            _ => None,
        })
        .unwrap();
    let away = moved.intersection(&"0-2".parse().unwrap());
    let expected: &[&str] =
        if away.is_empty() { &[] } else { &["slots 0-2 belong to 10.0.0.3:7000 now, not to 10.0.0.1:7000"] };
    assert_eq!(told(&plan, &other.view()), expected);

    // The second primary's replica has taken over.
    let mut other = model.clone();
    other.nodes[4] = crate::hand::Node::primary("10.0.0.5:7000", "5461-10922");
    other.nodes[1] = crate::hand::Node::replica("10.0.0.2:7000", 4);
    let expected = ["10.0.0.2:7000 is a replica of 10.0.0.5:7000 now; the plan takes it for a primary"];
    assert_eq!(told(&plan, &other.view()), expected);

    let mut view = model.view();
    view.nodes[0].said =
        Err(Silence { reason: "does not answer".to_owned(), advice: None, answers: false, progress: None });
    assert_eq!(told(&plan, &view), ["10.0.0.1:7000 does not answer"]);

    let mut view = model.view();
    view.nodes.remove(5);
    let gone = format!("10.0.0.6:7000 ({}) is no node of the cluster any more", hand::id(5).short());
    assert_eq!(told(&plan, &view), [gone]);

    let mut view = model.view();
    let slot = moved.iter().next().unwrap().to_string();
    open(&mut view, &slot, 0, 2, (true, true));
    let expected = format!("slot {slot} is open on 10.0.0.1:7000: it is on its way to 10.0.0.3:7000");
    assert_eq!(told(&plan, &view), [expected]);
}

#[test]
fn a_plan_of_another_cluster_is_told_apart() {
    let plan = small(&six());
    let mut view = one_with(2).view();
    for (at, node) in view.nodes.iter_mut().enumerate() {
        let id = hand::id(100 + at);
        node.id = Some(id);
        node.said.as_mut().unwrap().myself.id = id;
    }
    assert_eq!(told(&plan, &view), ["none of the nodes of this plan is in this cluster"]);
}

#[test]
fn a_replica_that_follows_another_or_took_over_cannot_be_detached_as_planned() {
    let model = six();
    let plan = repurpose::plan(&model.view(), hand::id(3), false).unwrap();
    assert_eq!(told(&plan, &model.view()), [""; 0]);
    let mut other = model.clone();
    other.nodes[3].primary = Some(1);
    let expected = "10.0.0.4:7000 is a replica of 10.0.0.2:7000 now; the plan takes it for a replica of 10.0.0.1:7000";
    assert_eq!(told(&plan, &other.view()), [expected]);
    let takeover = failover::plan(&model.view(), hand::id(3), FailoverKind::Planned).unwrap();
    let mut other = model.clone();
    other.run(&takeover);
    let expected = "10.0.0.4:7000 is a primary with 5461 slots now; the plan takes it for a replica of 10.0.0.1:7000";
    assert_eq!(told(&plan, &other.view()), [expected]);
    // The failover itself is done then, which is no change to its own plan.
    assert_eq!(told(&takeover, &other.view()), [""; 0]);
}

#[test]
fn nodes_that_are_reached_by_another_name_are_addressed_by_it() {
    let model = six();
    let plan = small(&model);
    let mut view = model.view();
    for node in &mut view.nodes {
        node.address.port += 1;
    }
    let mut plan = readdressed(plan, &view);
    // What is told in words stays as it was told.
    plan.goal.clear();
    let json = serde_json::to_string(&plan).unwrap();
    assert!(!json.contains(":7000") && json.contains(":7001"), "{json}");
}

#[test]
fn a_stage_of_a_file_may_have_any_number() {
    let mut plan = small(&six());
    plan.steps[0].stage = 0;
    plan.steps.last_mut().unwrap().stage = u32::MAX;
    assert_eq!(plan.stages().map(|stage| stage.len()).sum::<usize>(), plan.steps.len());
}
