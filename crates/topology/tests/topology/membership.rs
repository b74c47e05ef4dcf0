//! Who may join a recorded cluster, and who may leave it.

use crate::recorded::{self, Recorded, address};
use topology::{
    ClusterView, NodeAddr, NodeId,
    create::NewNode,
    membership::{MembershipRefusal, Role, plan_join, plan_leave},
    plan::{Action, Plan},
};

fn id_on(view: &ClusterView, port: u16) -> NodeId {
    view.nodes.iter().find(|node| node.address == address(port)).unwrap().id.unwrap()
}

/// The ports of the nodes that forget the one that leaves.
fn forgetting(plan: &Plan) -> Vec<u16> {
    let [step] = &plan.steps[..] else { panic!("{:?}", plan.steps) };
    let Action::Forget { by, .. } = &step.action else { panic!("{step:?}") };
    by.iter().map(|node| node.address.port).collect()
}

/// A fresh server, at an address that the recorded clusters do not have.
fn newcomer(engine: &'static str) -> NewNode {
    let fresh = Recorded::read(engine, "fresh");
    let mut view = fresh.said(7001).view();
    // The recorded server of this id has joined in the other states.
    view.myself.id = "f".repeat(40).parse().unwrap();
    NewNode { address: "10.0.0.9:7000".parse().unwrap(), zone: None, view }
}

/// People read the numbers: none is left out.
fn assert_numbered_from_one(plan: &Plan) {
    let numbers: Vec<u32> = plan.stages().map(|stage| stage[0].stage).collect();
    assert_eq!(numbers, (1..).take(numbers.len()).collect::<Vec<u32>>(), "{}", plan.goal);
}

#[test]
fn a_failed_node_that_was_succeeded_may_leave() {
    for recorded in recorded::each_engine("failed-over") {
        let view = recorded.view();
        let plan = plan_leave(&view, id_on(&view, 7001)).unwrap();
        assert_eq!(plan.goal, "127.0.0.1:7001 leaves");
        assert_eq!(forgetting(&plan), [7002, 7003, 7004, 7005, 7006], "{}", recorded.name);
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }
}

#[test]
fn a_node_whose_slots_nobody_has_taken_over_may_not_leave() {
    for state in ["healthy", "killed", "suspected", "minority"] {
        for recorded in recorded::each_engine(state) {
            let view = recorded.view();
            let refusal = plan_leave(&view, id_on(&view, 7001)).unwrap_err();
            let MembershipRefusal::OwnsSlots { address: of, slots, .. } = refusal else { panic!("{refusal}") };
            assert_eq!((of, slots), (address(7001), 5461), "{}", recorded.name);
        }
    }
}

#[test]
fn a_replica_in_service_is_named_as_the_one_to_take_over() {
    for recorded in recorded::each_engine("healthy") {
        let view = recorded.view();
        let id = id_on(&view, 7002);
        let refusal = plan_leave(&view, id).unwrap_err();
        let MembershipRefusal::OwnsSlots { successor: Some(successor), .. } = refusal else { panic!("{refusal}") };
        let follows = |node: &&topology::ObservedNode| node.view().is_some_and(|said| said.myself.primary == Some(id));
        assert_eq!(Some(&successor), view.nodes.iter().find(follows).map(|node| &node.address), "{}", recorded.name);
    }
}

#[test]
fn a_replica_may_leave_and_the_plan_says_what_that_costs() {
    for recorded in recorded::each_engine("healthy") {
        let view = recorded.view();
        let plan = plan_leave(&view, id_on(&view, 7004)).unwrap();
        assert_eq!(forgetting(&plan), [7001, 7002, 7003, 7005, 7006], "{}", recorded.name);
        let [reason] = &plan.reasons[..] else { panic!("{:?}", plan.reasons) };
        assert!(reason.ends_with(" has no replica then: losing it loses its data"), "{reason}");
    }
}

#[test]
fn nobody_leaves_without_a_majority_of_primaries() {
    for recorded in recorded::each_engine("minority") {
        let view = recorded.view();
        let expected = MembershipRefusal::NoMajority { address: address(7004), answering: 1, primaries: 3 };
        assert_eq!(plan_leave(&view, id_on(&view, 7004)), Err(expected), "{}", recorded.name);
    }
}

#[test]
fn an_id_without_address_may_be_forgotten() {
    for recorded in recorded::each_engine("noaddr") {
        let view = recorded.view_without(7001);
        let told = view.answering().flat_map(|(_, said)| said.entries());
        let ghost = told.into_iter().find(|entry| entry.endpoint.port == 0).unwrap().id;
        let plan = plan_leave(&view, ghost).unwrap();
        assert_eq!(forgetting(&plan), [7002, 7003, 7004, 7005, 7006], "{}", recorded.name);
        let written = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<topology::plan::Plan>(&written).unwrap(), plan);
    }
}

#[test]
fn a_fresh_server_joins_the_shard_that_has_lost_its_replica() {
    for recorded in recorded::each_engine("failed-over") {
        let view = recorded.view();
        let new = newcomer(recorded.engine);
        let plan = plan_join(&view, &new, Role::ReplicaWhereFewest, None).unwrap();
        let primary = view.shards()[0].primary.node.address.clone();
        assert_eq!(plan.goal, format!("10.0.0.9:7000 joins as a replica of {primary}"), "{}", recorded.name);
        let Action::Meet { nodes } = &plan.steps[0].action else { panic!("{:?}", plan.steps) };
        assert_eq!(nodes.len(), 6, "five that answer and the new one: {}", recorded.name);
        assert_numbered_from_one(&plan);
        assert_numbered_from_one(&plan_join(&view, &new, Role::Primary, None).unwrap());
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }
}

#[test]
fn a_server_with_keys_or_of_another_cluster_does_not_join() {
    for recorded in recorded::each_engine("healthy") {
        let elsewhere: NodeAddr = "10.0.0.9:7000".parse().unwrap();
        let engine = if recorded.engine == "valkey-9.1" { "redis-7.0" } else { "valkey-9.1" };
        let other = Recorded::read(engine, "healthy");
        let mut new = NewNode { address: elsewhere.clone(), zone: None, view: other.said(7001).view() };
        let refusal = plan_join(&recorded.view(), &new, Role::Primary, None);
        assert_eq!(refusal, Err(MembershipRefusal::HoldsKeys { address: elsewhere.clone(), keys: 14 }));
        new.view.server.databases.clear();
        let refusal = plan_join(&recorded.view(), &new, Role::Primary, None);
        assert_eq!(refusal, Err(MembershipRefusal::InAnotherCluster { address: elsewhere }), "{}", recorded.name);
    }
}

#[test]
fn a_replica_needs_a_primary_that_answers() {
    for recorded in recorded::each_engine("killed") {
        let view = recorded.view();
        let role = Role::ReplicaOf(id_on(&view, 7001));
        let refusal = plan_join(&view, &newcomer(recorded.engine), role, None).unwrap_err();
        assert!(matches!(refusal, MembershipRefusal::NoSuchPrimary { .. }), "{refusal}");
    }
}
