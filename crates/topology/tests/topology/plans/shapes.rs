//! Healthy clusters of any shape.

use crate::{hand::Node, model::Model};
use proptest::prelude::*;
use topology::{Slot, SlotSet};

/// A primary: its host, and the hosts of its replicas.
type Shard = (u8, Vec<u8>);

/// Up to 8 primaries, some without slots, with up to 3 replicas each, on a few hosts in a few zones; the slots in 64 blocks,
/// owned by whoever.
pub(super) fn any() -> impl Strategy<Value = Model> {
    let shard = (0..6_u8, proptest::collection::vec(0..6_u8, 0..4));
    let shards = proptest::collection::vec(shard, 1..8);
    (shards, proptest::collection::vec(0..8_usize, 64), 1..4_u8).prop_map(|(shards, owners, zones)| {
        let primaries = shards.len();
        let mut slots = vec![SlotSet::new(); primaries];
        for (block, owner) in owners.into_iter().enumerate() {
            let owner = owner % primaries;
            slots[owner] = slots[owner].union(&blocks(block));
        }
        Model::new(nodes(&shards, &slots, zones))
    })
}

/// The 256 slots of this block.
fn blocks(block: usize) -> SlotSet {
    let number = |slot: usize| Slot::new(u16::try_from(slot).unwrap()).unwrap();
    SlotSet::from(number(block * 256)..=number(block * 256 + 255))
}

fn nodes(shards: &[Shard], slots: &[SlotSet], zones: u8) -> Vec<Node> {
    let mut port = 7000;
    let mut address = |host: u8| {
        port += 1;
        format!("10.0.0.{}:{port}", host + 1)
    };
    let zone = |host: u8| format!("zone-{}", host % zones);
    let mut nodes: Vec<Node> = shards
        .iter()
        .zip(slots)
        .map(|((host, _), slots)| Node {
            slots: slots.clone(),
            ..Node::primary(&address(*host), "").in_zone(&zone(*host))
        })
        .collect();
    for (primary, (_, replicas)) in shards.iter().enumerate() {
        nodes.extend(replicas.iter().map(|host| Node::replica(&address(*host), primary).in_zone(&zone(*host))));
    }
    nodes
}

/// One primary with all slots and this many replicas, each on a host of its own.
pub(super) fn one_with(replicas: usize) -> Model {
    let address = |at: usize| format!("10.0.0.{}:7000", at + 1);
    let mut nodes = vec![Node::primary(&address(0), "0-16383")];
    nodes.extend((1..=replicas).map(|at| Node::replica(&address(at), 0)));
    Model::new(nodes)
}

/// Three primaries with a replica each, each on a host of its own.
pub(super) fn six() -> Model {
    Model::new(crate::hand::six_nodes().to_vec())
}
