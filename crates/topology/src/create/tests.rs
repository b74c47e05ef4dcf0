use super::*;
use proptest::prelude::*;
use std::sync::Arc;

/// A fresh node as servers of 7.0 and later describe it, at this address.
fn fresh(number: usize, host: &str, zone: Option<&str>) -> NewNode {
    let address: NodeAddr = format!("{host}:{}", 7000 + number).parse().unwrap();
    let nodes = format!("{number:040x} :{}@{} myself,master - 0 0 0 connected\n", address.port, address.port + 10000);
    let view = NodeView::parse(&nodes, "cluster_state:fail\r\n", "redis_version:7.0.15\r\ncluster_enabled:1\r\n");
    NewNode { address, zone: zone.map(str::to_owned), view: view.unwrap() }
}

fn six() -> Vec<NewNode> {
    (0..6).map(|number| fresh(number, "127.0.0.1", None)).collect()
}

#[test]
fn six_nodes_on_one_machine() {
    let plan = plan(&six(), 1, Shards::AsManyAsPossible).unwrap();
    insta::assert_json_snapshot!("six-nodes", plan);
}

#[test]
fn three_zones_with_two_hosts_each() {
    let nodes: Vec<_> = (0..6)
        .map(|number| fresh(number, &format!("10.0.{}.{}", number / 2, number), Some(["a", "b", "c"][number / 2])))
        .collect();
    let plan = plan(&nodes, 1, Shards::AsManyAsPossible).unwrap();
    assert!(plan.placement.unwrap().is_best());
    insta::assert_json_snapshot!("three-zones", (&plan.expected_after, &plan.reasons));
}

#[test]
fn nodes_that_come_to_follow_others_get_lower_epochs_than_these() {
    let plan = plan(&six(), 1, Shards::AsManyAsPossible).unwrap();
    let epochs: BTreeMap<NodeId, u64> = plan
        .steps
        .iter()
        .filter_map(
            |step| if let Action::SetEpoch { node, epoch } = &step.action { Some((node.id, *epoch)) } else { None },
        )
        .collect();
    assert_eq!(epochs.len(), 6);
    for shard in &plan.expected_after {
        assert!(shard.replicas.iter().all(|replica| epochs[&replica.id] < epochs[&shard.primary.id]), "{epochs:?}");
    }
}

#[test]
fn slots_are_cut_as_redis_trib_cuts_them() {
    let sizes: Vec<_> = even_slots(3).iter().map(ToString::to_string).collect();
    assert_eq!(sizes, ["0-5460", "5461-10922", "10923-16383"]);
}

#[test]
fn too_few_nodes_are_told_how_many_are_needed() {
    let refusal = plan(&six()[..5], 1, Shards::AsManyAsPossible).unwrap_err();
    assert_eq!(refusal, CreateRefusal::TooFewNodes { nodes: 5, replicas: 1, shards: 3, needed: 6 });
    let refusal = plan(&six()[..5], 5, Shards::Exactly(1)).unwrap_err();
    assert_eq!(refusal, CreateRefusal::TooFewNodes { nodes: 5, replicas: 5, shards: 1, needed: 6 });
    assert_eq!(plan(&six(), 5, Shards::Exactly(1)).unwrap().expected_after.len(), 1);
    assert!(plan(&[], 0, Shards::EvenFew).is_err());
}

#[test]
fn nodes_that_are_not_free_are_refused() {
    let mut nodes = six();
    nodes[2].view.server.databases.insert(3, 12);
    let refusal = plan(&nodes, 1, Shards::AsManyAsPossible).unwrap_err();
    assert_eq!(refusal.to_string(), "127.0.0.1:7002 holds 12 keys in database 3");

    let mut nodes = six();
    Arc::make_mut(&mut nodes[5].view.peers).push(fresh(9, "127.0.0.1", None).view.myself);
    let refusal = plan(&nodes, 1, Shards::AsManyAsPossible).unwrap_err();
    assert!(matches!(refusal, CreateRefusal::InAnotherCluster { strangers: 1, .. }));

    let mut nodes = six();
    nodes[1].view.server.cluster_enabled = false;
    assert!(matches!(plan(&nodes, 1, Shards::AsManyAsPossible), Err(CreateRefusal::NotACluster { .. })));

    let mut nodes = six();
    nodes[1].view.myself.id = nodes[0].view.myself.id;
    assert!(matches!(plan(&nodes, 1, Shards::AsManyAsPossible), Err(CreateRefusal::SameNodeTwice { .. })));
}

/// What the node knows after some steps of the plan were run: enough to plan again from there.
fn run(nodes: &mut [NewNode], action: &Action) {
    let of = |nodes: &mut [NewNode], id| nodes.iter().position(|node| node.view.myself.id == id).unwrap();
    match action {
        Action::SetEpoch { node, epoch } => {
            let at = of(nodes, node.id);
            nodes[at].view.myself.config_epoch = *epoch;
        }
        Action::AddSlots { node, slots } => {
            let at = of(nodes, node.id);
            nodes[at].view.myself.slots = nodes[at].view.myself.slots.union(slots);
        }
        Action::Meet { .. } => {
            let all: Vec<_> = nodes.iter().map(|node| node.view.myself.clone()).collect();
            for node in nodes {
                let others = all.iter().filter(|entry| entry.id != node.view.myself.id);
                node.view.peers = Arc::new(others.cloned().collect());
            }
        }
        Action::Replicate { replica, primary } => {
            let at = of(nodes, replica.id);
            nodes[at].view.myself.primary = Some(primary.id);
        }
        Action::GiveUpSlots { node } => {
            let at = of(nodes, node.id);
            nodes[at].view.myself.slots = SlotSet::new();
        }
        Action::Reset { node } => {
            let at = of(nodes, node.id);
            let view = &mut nodes[at].view;
            assert!(view.myself.slots.is_empty(), "a node is reset only without slots");
            Arc::make_mut(&mut view.peers).clear();
            view.myself.config_epoch = 0;
            view.myself.primary = None;
        }
        _ => {}
    }
}

/// People read the numbers: none is left out.
fn assert_numbered_from_one(plan: &Plan) {
    let numbers: Vec<u32> = plan.stages().map(|stage| stage[0].stage).collect();
    assert_eq!(numbers, (1..).take(numbers.len()).collect::<Vec<u32>>(), "{}", plan.goal);
}

#[test]
fn a_create_that_was_stopped_anywhere_is_continued_or_undone() {
    let whole = plan(&six(), 1, Shards::AsManyAsPossible).unwrap();
    for done in 0..whole.steps.len() {
        let mut nodes = six();
        whole.steps[..done].iter().for_each(|step| run(&mut nodes, &step.action));
        let mut undone = nodes.clone();

        let rest = plan(&nodes, 1, Shards::AsManyAsPossible).unwrap();
        assert_eq!(rest.expected_after, whole.expected_after, "after {done} steps");
        assert_numbered_from_one(&rest);
        rest.steps.iter().for_each(|step| run(&mut nodes, &step.action));
        let nothing = plan(&nodes, 1, Shards::AsManyAsPossible).unwrap();
        assert!(!nothing.changes_anything(), "after {done} steps and the rest: {:?}", nothing.steps);

        let undo = plan_undo(&undone).unwrap();
        assert_numbered_from_one(&undo);
        undo.steps.iter().for_each(|step| run(&mut undone, &step.action));
        assert_eq!(undone, six(), "undone after {done} steps");
    }
}

#[test]
fn a_half_made_cluster_of_another_shape_is_not_continued() {
    let mut nodes = six();
    let whole = plan(&nodes, 1, Shards::AsManyAsPossible).unwrap();
    whole.steps.iter().for_each(|step| run(&mut nodes, &step.action));
    let refusal = plan(&nodes, 0, Shards::AsManyAsPossible).unwrap_err();
    assert!(matches!(refusal, CreateRefusal::HalfMadeOtherwise { .. }));
    assert!(refusal.advice().unwrap().contains("tribune create --undo 127.0.0.1:7000 "));
}

proptest! {
    #[test]
    fn any_set_of_nodes_gets_a_plan_that_covers_all_slots_once(
        hosts in proptest::collection::vec(0..6_u8, 1..40),
        replicas in 0..4_usize,
    ) {
        let nodes: Vec<_> =
            hosts.iter().enumerate().map(|(number, host)| fresh(number, &format!("10.0.0.{host}"), None)).collect();
        match plan(&nodes, replicas, Shards::EvenFew) {
            Err(refusal) => prop_assert!(nodes.len() <= replicas, "{refusal}"),
            Ok(plan) => {
                let mut covered = SlotSet::new();
                for shard in &plan.expected_after {
                    prop_assert!(covered.intersection(&shard.slots).is_empty());
                    covered = covered.union(&shard.slots);
                    prop_assert!(shard.replicas.len() >= replicas);
                }
                prop_assert_eq!(covered, SlotSet::all());
                let sizes: Vec<_> = plan.expected_after.iter().map(|shard| shard.slots.len()).collect();
                prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
                let text = serde_json::to_string(&plan).unwrap();
                prop_assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
            }
        }
    }
}
