//! Any division of the slots is the same in every form it takes.

use crate::hand::{Node, id, lines, view};
use proptest::prelude::*;
use std::collections::BTreeMap;
use topology::{
    NodeEntry, NodeId, Reply, ShardEntry, Slot, SlotSet,
    findings::{FindingCode, check},
};

/// The slots of each of some primaries, in runs of any length; some slots are nobody's.
fn partitions() -> impl Strategy<Value = Vec<SlotSet>> {
    let run = prop_oneof![1..4_u16, 1..3000_u16];
    let runs = proptest::collection::vec((0..9_usize, run), 1..400);
    (1..8_usize, runs).prop_map(|(primaries, runs)| {
        let mut parts = vec![SlotSet::new(); primaries];
        let mut next = 0;
        for (owner, length) in runs.into_iter().cycle().take(20_000) {
            let last = (next + length - 1).min(Slot::LAST.number());
            if let Some(part) = parts.get_mut(owner) {
                part.insert_range(Slot::new(next).unwrap()..=Slot::new(last).unwrap());
            }
            next = last + 1;
            if next >= Slot::COUNT {
                break;
            }
        }
        parts
    })
}

fn nodes(parts: &[SlotSet]) -> Vec<Node> {
    let node = |(at, slots): (usize, &SlotSet)| Node::primary(&format!("10.0.0.1:{}", 7000 + at), &slots.to_string());
    parts.iter().enumerate().map(node).collect()
}

fn owned(parts: &[SlotSet]) -> BTreeMap<NodeId, SlotSet> {
    let all = parts.iter().enumerate().map(|(at, slots)| (id(at), slots.clone()));
    all.filter(|(_, slots)| !slots.is_empty()).collect()
}

/// `CLUSTER SHARDS` of these primaries.
fn shards(parts: &[SlotSet]) -> Reply {
    let list = |items: Vec<Reply>| Reply::List(items);
    let shard = |(at, slots): (usize, &SlotSet)| {
        let ends = slots.ranges().flat_map(|range| [*range.start(), *range.end()]);
        let slots = ends.map(|slot| Reply::Integer(slot.number().into())).collect();
        let node = ["id", &id(at).to_string(), "role", "master", "health", "online"].map(Reply::text).to_vec();
        list(vec![Reply::text("slots"), list(slots), Reply::text("nodes"), list(vec![list(node)])])
    };
    list(parts.iter().enumerate().map(shard).collect())
}

proptest! {
    #[test]
    fn it_is_the_same_in_cluster_nodes(parts in partitions()) {
        let entries = NodeEntry::parse_all(&lines(&nodes(&parts), 0)).unwrap();
        let read: Vec<_> = entries.iter().map(|entry| entry.slots.clone()).collect();
        prop_assert_eq!(read, parts);
    }

    #[test]
    fn it_is_the_same_in_cluster_shards(parts in partitions()) {
        let read: Vec<_> = ShardEntry::parse_all(&shards(&parts)).unwrap();
        prop_assert_eq!(read.iter().map(|shard| &shard.slots).collect::<Vec<_>>(), parts.iter().collect::<Vec<_>>());
    }

    #[test]
    fn it_is_the_same_in_json(parts in partitions()) {
        let text = serde_json::to_string(&parts).unwrap();
        prop_assert_eq!(serde_json::from_str::<Vec<SlotSet>>(&text).unwrap(), parts);
    }

    #[test]
    fn it_is_the_same_in_a_view(parts in partitions()) {
        let view = view(&nodes(&parts));
        let maps = view.slot_maps();
        prop_assert_eq!(maps.len(), 1);
        prop_assert_eq!(&maps[0].0, &owned(&parts));
        let shards = view.shards();
        let of_shards: BTreeMap<_, _> = shards.iter().map(|shard| (shard.primary.account.id, shard.slots())).collect();
        prop_assert_eq!(of_shards.len(), parts.len());
        prop_assert!(owned(&parts).iter().all(|(id, slots)| of_shards[id] == slots));
    }

    #[test]
    fn what_nobody_owns_is_found_and_nothing_else(parts in partitions()) {
        let all = parts.iter().fold(SlotSet::new(), |all, part| all.union(part));
        let findings = check(&view(&nodes(&parts)));
        let uncovered = findings.iter().find(|finding| finding.code == FindingCode::SlotsUncovered);
        prop_assert_eq!(uncovered.map(|finding| finding.slots.clone()).unwrap_or_default(), all.complement());
        let others = [FindingCode::SlotsUncovered, FindingCode::ShardWithoutReplica];
        prop_assert!(findings.iter().all(|finding| others.contains(&finding.code)), "{findings:?}");
    }
}
