//! Any set of nodes gets a whole plan.

use proptest::prelude::*;
use std::collections::BTreeSet;
use topology::{
    NodeAddr, NodeView, Slot, SlotSet,
    create::{CreateRefusal, NewNode, Shards, plan},
    plan::{Action, NodeRef, Plan},
};

/// A fresh node for each host; the zones are those of the hosts.
pub(super) fn fresh(hosts: &[u8], zone_of_host: &[Option<u8>]) -> Vec<NewNode> {
    let node = |(at, host): (usize, &u8)| {
        let address: NodeAddr = format!("10.0.0.{host}:{}", 7000 + at).parse().unwrap();
        let line = format!("{at:040x} :{}@{} myself,master - 0 0 0 connected", address.port, address.port + 10000);
        let view = NodeView::parse(&line, "cluster_state:fail", "redis_version:7.0.15\ncluster_enabled:1").unwrap();
        NewNode { address, zone: zone_of_host[usize::from(*host)].map(|zone| format!("zone-{zone}")), view }
    };
    hosts.iter().enumerate().map(node).collect()
}

pub(super) fn zones() -> impl Strategy<Value = Vec<Option<u8>>> {
    prop_oneof![
        Just(vec![None; 12]),
        proptest::collection::vec((0..4_u8).prop_map(Some), 12),
        proptest::collection::vec(proptest::option::of(0..3_u8), 12),
    ]
}

fn many() -> impl Strategy<Value = Vec<NewNode>> {
    (proptest::collection::vec(0..12_u8, 1..=60), zones()).prop_map(|(hosts, zones)| fresh(&hosts, &zones))
}

fn shards() -> impl Strategy<Value = Shards> {
    prop_oneof![Just(Shards::AsManyAsPossible), Just(Shards::EvenFew), (1..30_usize).prop_map(Shards::Exactly)]
}

fn members(plan: &Plan) -> Vec<&NodeRef> {
    plan.expected_after.iter().flat_map(|shard| shard.replicas.iter().chain([&shard.primary])).collect()
}

proptest! {
    #[test]
    fn a_plan_covers_all_slots_once_and_uses_each_node_once(
        nodes in many(),
        replicas in 0..6_usize,
        shards in shards(),
    ) {
        let plan = match plan(&nodes, replicas, shards) {
            Ok(plan) => plan,
            Err(CreateRefusal::TooFewNodes { needed, .. }) => {
                prop_assert!(nodes.len() < needed);
                return Ok(());
            }
            Err(refusal) => return Err(TestCaseError::fail(refusal.to_string())),
        };
        let mut covered = SlotSet::new();
        for shard in &plan.expected_after {
            prop_assert!(covered.intersection(&shard.slots).is_empty());
            covered = covered.union(&shard.slots);
            prop_assert!(shard.replicas.len() >= replicas);
        }
        prop_assert_eq!(covered, SlotSet::all());
        let used: BTreeSet<_> = members(&plan).into_iter().collect();
        prop_assert_eq!(members(&plan).len(), nodes.len());
        prop_assert_eq!(used, plan.based_on.iter().collect());
        if let Shards::Exactly(count) = shards {
            prop_assert_eq!(plan.expected_after.len(), count);
        }
        prop_assert!(plan.expected_after.len() >= 3 || shards != Shards::AsManyAsPossible);
    }

    #[test]
    fn the_steps_lead_to_what_is_expected(nodes in many(), replicas in 0..4_usize) {
        let Ok(plan) = plan(&nodes, replicas, Shards::EvenFew) else { return Ok(()) };
        let mut epochs = BTreeSet::new();
        for step in &plan.steps {
            match &step.action {
                Action::AddSlots { node, slots } => {
                    let shard = plan.expected_after.iter().find(|shard| shard.primary == *node);
                    prop_assert_eq!(shard.map(|shard| &shard.slots), Some(slots));
                }
                Action::Replicate { replica, primary } => {
                    let shard = plan.expected_after.iter().find(|shard| shard.primary == *primary).unwrap();
                    prop_assert!(shard.replicas.contains(replica));
                }
                Action::SetEpoch { epoch, .. } => prop_assert!(*epoch > 0 && epochs.insert(*epoch)),
                Action::Meet { nodes } => prop_assert_eq!(nodes, &plan.based_on),
                other => prop_assert!(other.waits(), "{other:?}"),
            }
        }
        prop_assert_eq!(epochs.len(), nodes.len());
        let of = |wanted: fn(&Action) -> bool| plan.steps.iter().filter(|step| wanted(&step.action)).count();
        prop_assert_eq!(of(|action| matches!(action, Action::AddSlots { .. })), plan.expected_after.len());
        let replicas = nodes.len() - plan.expected_after.len();
        prop_assert_eq!(of(|action| matches!(action, Action::Replicate { .. })), replicas);
        prop_assert!(plan.steps.is_sorted_by_key(|step| step.stage), "stages in order");
        prop_assert_eq!(plan.stages().map(|steps| steps.len()).sum::<usize>(), plan.steps.len());
    }

    #[test]
    fn a_plan_is_the_same_each_time_and_after_it_was_written_down(nodes in many(), replicas in 0..4_usize) {
        let Ok(first) = plan(&nodes, replicas, Shards::EvenFew) else { return Ok(()) };
        prop_assert_eq!(&plan(&nodes, replicas, Shards::EvenFew).unwrap(), &first);
        let text = serde_json::to_string(&first).unwrap();
        prop_assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), first);
    }
}

proptest! {
    // Each case makes and looks at all parts.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn parts_are_even_and_in_order(parts in 1..=Slot::COUNT) {
        let sets = topology::create::even_slots(parts.into());
        let sizes: BTreeSet<usize> = sets.iter().map(SlotSet::len).collect();
        prop_assert!(sizes.len() <= 2 && sizes.last().unwrap() - sizes.first().unwrap() <= 1);
        let starts: Vec<_> = sets.iter().map(|set| set.iter().next().unwrap()).collect();
        prop_assert!(starts.is_sorted() && sets.iter().all(|set| set.ranges().len() == 1));
        prop_assert_eq!(sizes_sum(&sets), 16384);
    }
}

fn sizes_sum(sets: &[SlotSet]) -> usize {
    sets.iter().map(SlotSet::len).sum()
}
