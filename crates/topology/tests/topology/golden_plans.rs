//! Plans from what real servers said before there was a cluster, and after.

use crate::recorded::{self, Recorded, address};
use topology::{
    NodeView,
    create::{CreateRefusal, NewNode, Shards, plan, plan_undo},
    plan::{Plan, PlannedShard},
    rebalance::{self, Rebalance},
};

/// The servers that answered, as nodes for a new cluster, in the order of their ports.
fn nodes(recorded: &Recorded) -> Vec<NewNode> {
    let node = |port, view: NodeView| NewNode { address: address(port), zone: view.server.zone.clone(), view };
    recorded.answers().map(|(port, said)| node(port, said.view())).collect()
}

fn without_keys(nodes: &mut [NewNode]) {
    for node in nodes {
        node.view.server.databases.clear();
    }
}

/// The plan as JSON with each id named after its port: those are the same for all engines.
fn named(plan: &Plan) -> String {
    let mut json = serde_json::to_string_pretty(plan).unwrap();
    for node in &plan.based_on {
        json = json.replace(&node.id.to_string(), &format!("id of {}", node.address.port));
    }
    json
}

#[test]
fn six_fresh_servers_of_any_engine_get_the_same_plan() {
    for recorded in recorded::each_engine("fresh") {
        let plan = plan(&nodes(&recorded), 1, Shards::AsManyAsPossible).unwrap();
        insta::assert_snapshot!("six-fresh-servers", named(&plan));
    }
}

#[test]
fn two_replicas_for_each_of_two_primaries() {
    for recorded in recorded::each_engine("fresh") {
        let plan = plan(&nodes(&recorded), 2, Shards::EvenFew).unwrap();
        insta::assert_snapshot!("two-shards-of-three", named(&plan));
    }
}

#[test]
fn six_primaries_without_replicas() {
    for recorded in recorded::each_engine("fresh") {
        let plan = plan(&nodes(&recorded), 0, Shards::AsManyAsPossible).unwrap();
        insta::assert_snapshot!("six-primaries", named(&plan));
    }
}

#[test]
fn a_rebalance_after_a_move_that_was_interrupted_is_the_same_for_any_engine() {
    for recorded in recorded::each_engine("open-slots") {
        let view = recorded.view();
        let shards = view.shards();
        let weights = shards.iter().zip([2.0, 1.0, 1.0]).map(|(shard, weight)| (shard.primary.account.id, weight));
        let wanted = Rebalance { weights: weights.collect(), ..Rebalance::default() };
        let mut plan = rebalance::plan(&view, &wanted).unwrap().plan;
        // Which replica follows which primary was left to the servers.
        plan.expected_after.iter_mut().for_each(|shard| shard.replicas.clear());
        insta::assert_snapshot!("rebalance-after-interruption", named(&plan));
    }
}

#[test]
fn zones_keep_primaries_and_their_replicas_apart() {
    for recorded in recorded::each_engine("fresh") {
        let mut nodes = nodes(&recorded);
        for (node, zone) in nodes.iter_mut().zip(["a", "a", "b", "b", "c", "c"]) {
            node.zone = Some(zone.to_owned());
        }
        let plan = plan(&nodes, 1, Shards::AsManyAsPossible).unwrap();
        assert_eq!(plan.placement.unwrap().replicas_in_zone_of_primary.here, 0);
        let shard = |shard: &PlannedShard| (shard.primary.address.port, shard.replicas[0].address.port);
        let shards: Vec<_> = plan.expected_after.iter().map(shard).collect();
        assert_eq!(shards, [(7001, 7004), (7003, 7006), (7005, 7002)], "{}", recorded.name);
    }
}

#[test]
fn a_plan_without_anything_undone_undoes_nothing() {
    for recorded in recorded::each_engine("fresh") {
        let plan = plan_undo(&nodes(&recorded)).unwrap();
        assert_eq!(plan.steps, [], "{}", recorded.name);
    }
}

#[test]
fn servers_with_keys_are_left_alone_in_whatever_database_they_are() {
    for recorded in recorded::each_engine("healthy") {
        for refusal in [plan(&nodes(&recorded), 1, Shards::AsManyAsPossible), plan_undo(&nodes(&recorded))] {
            let expected = CreateRefusal::HoldsKeys { address: address(7001), database: 0, keys: 14 };
            assert_eq!(refusal, Err(expected), "{}", recorded.name);
        }
    }
    let mut nodes = nodes(&Recorded::read("valkey-9.1", "databases"));
    for node in &mut nodes {
        node.view.server.databases.remove(&0);
    }
    let refusal = plan(&nodes, 1, Shards::AsManyAsPossible).unwrap_err();
    assert!(matches!(refusal, CreateRefusal::HoldsKeys { database: 3, .. }), "{refusal}");
}

#[test]
fn members_of_a_cluster_are_left_alone() {
    for recorded in recorded::each_engine("healthy") {
        let mut nodes = nodes(&recorded);
        without_keys(&mut nodes);
        nodes.truncate(5);
        let expected = CreateRefusal::InAnotherCluster { address: address(7001), strangers: 1 };
        assert_eq!(plan(&nodes, 0, Shards::AsManyAsPossible), Err(expected.clone()), "{}", recorded.name);
        assert_eq!(plan_undo(&nodes), Err(expected), "{}", recorded.name);
    }
}

#[test]
fn a_server_that_still_shakes_hands_with_a_dead_port_may_become_a_member() {
    for recorded in recorded::each_engine("handshake") {
        let mut nodes = nodes(&recorded);
        without_keys(&mut nodes);
        let undo = plan_undo(&nodes).unwrap();
        assert_eq!(undo.steps.len(), 9, "three give up their slots, all are reset: {}", recorded.name);
    }
}
