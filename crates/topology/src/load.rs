//! What a cluster does now: from two looks at its servers' counters.

use crate::{
    ClusterView, NodeAddr, NodeId, NodeView, ObservedNode, ServerInfo, ServerMigration, SlotSet,
    open_moves::interrupted,
    slot_stats::{HotSlot, SlotStats, hottest, per_second},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Slots that are told as the hottest.
const HOTTEST: usize = 5;

/// What one look at a cluster has shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// What the nodes say.
    pub view: ClusterView,
    /// What they count for their slots, where they do.
    pub slots: BTreeMap<NodeId, Vec<SlotStats>>,
    /// The moves that they carry out themselves.
    pub migrations: Vec<ServerMigration>,
}

/// What a cluster does.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Load {
    /// The nodes by shard, each primary before its replicas; those in no shard last.
    pub nodes: Vec<NodeLoad>,
    /// All commands a second, of the primaries.
    pub operations_per_second: u64,
    /// Memory that the primaries use, bytes.
    pub memory_bytes: u64,
    /// Keys that the primaries hold.
    pub keys: u64,
    /// The hottest slots: by the time spent on them where servers count it, else by their keys.
    pub hottest_slots: Vec<HotSlot>,
    /// Moves that are under way or were interrupted.
    pub moves: Vec<OpenMove>,
}

/// What a node does.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct NodeLoad {
    /// Its shard, counted from 0 by the first slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<usize>,
    /// Where it was asked.
    pub address: NodeAddr,
    /// Whether it is a replica.
    pub replica: bool,
    /// Why it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence: Option<String>,
    /// Commands a second; none before the second look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations_per_second: Option<u64>,
    /// Memory, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Connected clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients: Option<u64>,
    /// Bytes a second from clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_in_per_second: Option<u64>,
    /// Bytes a second to clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_out_per_second: Option<u64>,
    /// Of a replica: how many bytes of its primary's stream it has not applied; none without a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_bytes: Option<u64>,
}

/// Slots on their way.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct OpenMove {
    /// The slots.
    pub slots: SlotSet,
    /// Their owner.
    pub from: String,
    /// Their owner to be.
    pub to: String,
    /// What servers that move them by themselves are at, in their word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

impl Load {
    /// What the cluster does, as the second of these looks shows it; rates come from the difference of both.
    pub fn between(before: Option<&Sample>, now: &Sample) -> Self {
        let mut nodes = Vec::new();
        let mut placed = BTreeSet::new();
        for (number, shard) in now.view.shards().into_iter().enumerate() {
            let primary = shard.primary.node.view();
            for member in shard.members() {
                placed.insert(member.account.id);
                let mut node = of_node(before, member.node);
                (node.shard, node.replica) = (Some(number), member.account.is_replica());
                if let Some(said) = member.node.view().filter(|_| node.replica) {
                    node.lag_bytes = primary.and_then(|primary| lag(primary, said));
                }
                nodes.push(node);
            }
        }
        let others = now.view.nodes.iter().filter(|node| node.id.is_none_or(|id| !placed.contains(&id)));
        nodes.extend(others.map(|node| of_node(before, node)));
        let primaries = || now.view.answering().map(|(_, said)| said).filter(|said| said.myself.is_primary());
        Self {
            operations_per_second: nodes
                .iter()
                .filter(|node| !node.replica)
                .filter_map(|node| node.operations_per_second)
                .fold(0, u64::saturating_add),
            memory_bytes: primaries().filter_map(|said| said.server.used_memory).fold(0, u64::saturating_add),
            keys: primaries().map(|said| said.server.keys()).fold(0, u64::saturating_add),
            hottest_slots: hottest_slots(before, now),
            moves: moves(now),
            nodes,
        }
    }
}

fn of_node(before: Option<&Sample>, node: &ObservedNode) -> NodeLoad {
    let server = node.view().map(|said| &said.server);
    let then = before.and_then(|before| before.view.node(node.id?)).and_then(|node| node.view());
    let rates = server.zip(then).map(|(now, then)| rates(&then.server, now)).unwrap_or_default();
    NodeLoad {
        shard: None,
        address: node.address.clone(),
        replica: false,
        silence: node.said.as_ref().err().map(|silence| silence.reason.clone()),
        operations_per_second: rates.operations,
        memory_bytes: server.and_then(|server| server.used_memory),
        clients: server.and_then(|server| server.clients),
        bytes_in_per_second: rates.bytes_in,
        bytes_out_per_second: rates.bytes_out,
        lag_bytes: None,
    }
}

#[derive(Default)]
struct Rates {
    operations: Option<u64>,
    bytes_in: Option<u64>,
    bytes_out: Option<u64>,
}

/// What has grown between two looks, by the server's own clock; nothing where its counters began anew.
fn rates(then: &ServerInfo, now: &ServerInfo) -> Rates {
    let Some(microseconds) = elapsed(then, now) else { return Rates::default() };
    let rate = |of: fn(&ServerInfo) -> Option<u64>| Some(per_second(of(now)?.checked_sub(of(then)?)?, microseconds));
    Rates {
        operations: rate(|server| server.commands_processed),
        bytes_in: rate(|server| server.bytes_in),
        bytes_out: rate(|server| server.bytes_out),
    }
}

fn elapsed(then: &ServerInfo, now: &ServerInfo) -> Option<u64> {
    now.clock_microseconds?.checked_sub(then.clock_microseconds?).filter(|elapsed| *elapsed > 0)
}

/// What a replica has not applied of its primary's stream; they are asked one after the other, so a little is always missing.
fn lag(primary: &NodeView, replica: &NodeView) -> Option<u64> {
    let linked = replica.server.primary_link_up == Some(true);
    let (written, applied) = primary.server.replication_offset.zip(replica.server.replication_offset)?;
    linked.then(|| written.saturating_sub(applied))
}

fn hottest_slots(before: Option<&Sample>, now: &Sample) -> Vec<HotSlot> {
    let mut hot = Vec::new();
    for (id, stats) in &now.slots {
        let clock = |sample: &Sample| sample.view.node(*id)?.view()?.server.clock_microseconds;
        let earlier = before.and_then(|before| Some((before.slots.get(id)?.as_slice(), clock(before)?)));
        let elapsed = earlier.and_then(|(_, then)| clock(now)?.checked_sub(then));
        let earlier = earlier.map_or(&[][..], |(stats, _)| stats);
        hot.extend(hottest(earlier, stats, elapsed.unwrap_or_default(), HOTTEST));
    }
    let heat = |slot: &HotSlot| slot.cpu_percent.unwrap_or_default();
    hot.sort_by(|a, b| heat(b).total_cmp(&heat(a)).then(b.keys.cmp(&a.keys)));
    hot.truncate(HOTTEST);
    hot
}

fn moves(now: &Sample) -> Vec<OpenMove> {
    let by_us = interrupted(&now.view).into_iter().map(|open| OpenMove {
        slots: open.slots,
        from: open.from.address.to_string(),
        to: open.to.address.to_string(),
        state: None,
    });
    let under_way = now.migrations.iter().filter(|migration| migration.cancelled_here && !migration.is_over);
    let by_servers = under_way.map(|migration| OpenMove {
        slots: migration.slots.clone(),
        from: now.view.name(migration.from),
        to: now.view.name(migration.to),
        state: Some(migration.state.clone()),
    });
    by_us.chain(by_servers).collect()
}
