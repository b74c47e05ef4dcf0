//! What one pass of the loop costs by itself: to read what all servers of a calm cluster have said, and to decide.
//!
//! `cargo run --profile sim -p simcluster --example pass [SHARDS REPLICAS]`
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement")]

use std::{fmt::Write as _, time::Instant};
use topology::{
    ClusterView, Data, FleetMember, NodeAddr, NodeId, NodeView, ObservedNode, Process, Update,
    control::{Desired, Memory, World, decide},
    create::even_slots,
};

fn id(number: usize) -> NodeId {
    let mut bytes = [7; 20];
    bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
    NodeId::from_bytes(bytes)
}

fn address(number: usize) -> NodeAddr {
    format!("10.0.{}.{}:7000@17000", number / 250, number % 250 + 1).parse().unwrap()
}

/// What all servers say of all, but for who says it.
fn lines(shards: usize, replicas: usize) -> Vec<String> {
    let slots = even_slots(shards);
    let line = |number: usize| {
        let (shard, address) = (number % shards, address(number));
        let address = format!("{}@17000", address.bare());
        if number < shards {
            let slots = slots.get(shard).unwrap();
            format!("{} {address} ROLE - 0 1800000000000 {} connected {slots}", id(number), shard + 1)
                .replace("ROLE", "master")
        } else {
            format!("{} {address} slave {} 0 1800000000000 {} connected", id(number), id(shard), shard + 1)
        }
    };
    (0..shards * (replicas + 1)).map(line).collect()
}

fn text(lines: &[String], own: usize) -> String {
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let marked = if number == own {
            line.replacen("master", "myself,master", 1).replacen("slave", "myself,slave", 1)
        } else {
            line.clone()
        };
        writeln!(text, "{marked}").unwrap();
    }
    text
}

fn main() {
    let mut words = std::env::args().skip(1).map(|word| word.parse::<usize>().unwrap());
    let (shards, replicas) = (words.next().unwrap_or(100), words.next().unwrap_or(2));
    let lines = lines(shards, replicas);
    let texts: Vec<String> = (0..lines.len()).map(|own| text(&lines, own)).collect();
    let info = "redis_version:7.0.15\r\nrun_id:1\r\nmaster_replid:1\r\nmaster_link_status:up\r\n";
    let begin = Instant::now();
    let said = texts.iter().map(|text| NodeView::parse(text, "cluster_state:ok\r\n", info).unwrap());
    let nodes = said.enumerate().map(|(number, said)| ObservedNode {
        address: address(number),
        id: Some(id(number)),
        said: Ok(said),
    });
    let view = ClusterView { nodes: nodes.collect() };
    let read = begin.elapsed();
    let member = |number: usize| FleetMember {
        name: number.to_string(),
        address: Some(address(number)),
        host: format!("host-{}", number % 50),
        zone: None,
        process: Process::Runs,
        id: Some(id(number)),
        data: Data::Kept,
        update: Update::Current,
        trouble: None,
    };
    let members: Vec<FleetMember> = (0..lines.len()).map(member).collect();
    let (desired, memory) = (Desired { shards, replicas, ..Desired::default() }, Memory::default());
    let begin = Instant::now();
    let decision = decide(&World { desired: &desired, members: &members, view: &view, memory: &memory });
    let decided = begin.elapsed();
    assert!(decision.is_settled(), "{decision:?}");
    println!("{shards} shards with {replicas} replicas each: reading takes {read:.1?}, deciding {decided:.1?}");
}
