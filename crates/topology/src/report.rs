//! A cluster as people and programs look at it: shards with their members, and what is wrong. The form of `--json`.

use crate::{
    ClusterView, Engine, Member, NodeAddr, NodeId, Slot, SlotSet,
    findings::{self, Finding},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The version of the form in which reports are written as JSON.
pub const FORMAT: u32 = 1;

/// A cluster at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterReport {
    /// The version of this form, 1.
    pub format: u32,
    /// Whether no finding is a problem.
    pub healthy: bool,
    /// The engines and versions of the nodes that answered, such as `valkey 9.1.2`.
    pub servers: Vec<String>,
    /// The shards by their first slot.
    pub shards: Vec<ShardReport>,
    /// Nodes that are in no shard: silent ones without slots, replicas of an unknown primary, addresses without answer.
    pub others: Vec<NodeReport>,
    /// How many slots are served, 0 to 16384.
    pub slots_served: usize,
    /// Keys of all primaries that answered.
    pub keys: u64,
    /// Memory that the primaries which answered use, bytes.
    pub memory_bytes: u64,
    /// What is wrong, problems first.
    pub findings: Vec<Finding>,
}

/// A shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShardReport {
    /// Its slots.
    pub slots: SlotSet,
    /// How many slots that are.
    pub slot_count: usize,
    /// Its primary.
    pub primary: NodeReport,
    /// Its replicas.
    pub replicas: Vec<NodeReport>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeReport {
    /// Its id, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<NodeId>,
    /// Where it listens.
    pub address: NodeAddr,
    /// Whether it answered.
    pub answers: bool,
    /// Why it did not, behind the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence: Option<String>,
    /// Its engine, if it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// Its version, if it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The zone that it says it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Its keys in all databases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<u64>,
    /// Memory that it uses, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Memory that it may use, bytes; none for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
    /// Commands a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations_per_second: Option<u64>,
    /// Of a replica that answered: whether it is linked to its primary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linked: Option<bool>,
    /// Of a linked replica: bytes of the replication stream that it had not applied yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_bytes: Option<u64>,
}

/// What `check` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckReport {
    /// The version of this form, 1.
    pub format: u32,
    /// Whether no finding is a problem.
    pub healthy: bool,
    /// How many nodes are known.
    pub nodes: usize,
    /// How many of them answered.
    pub nodes_answering: usize,
    /// How many slots are served, 0 to 16384.
    pub slots_served: usize,
    /// What is wrong, problems first.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// The report of a view, with findings that took more than the view (such as stray keys) added.
    pub fn new(view: &ClusterView, more: Vec<Finding>) -> Self {
        let mut findings = findings::check(view);
        findings.extend(more);
        findings.sort_by_key(|finding| finding.severity);
        Self {
            format: FORMAT,
            healthy: findings::healthy(&findings),
            nodes: view.nodes.len(),
            nodes_answering: view.answering().count(),
            slots_served: view.served().len(),
            findings,
        }
    }
}

impl ShardReport {
    /// The primary and the replicas.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeReport> {
        std::iter::once(&self.primary).chain(&self.replicas)
    }
}

impl ClusterReport {
    /// All nodes: shard by shard, then the others.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeReport> {
        self.shards.iter().flat_map(ShardReport::nodes).chain(&self.others)
    }

    /// The report of a view.
    pub fn new(view: &ClusterView) -> Self {
        let shards = view.shards();
        let placed: BTreeSet<&NodeAddr> =
            shards.iter().flat_map(|shard| shard.members().map(|member| &member.node.address)).collect();
        let others = view.nodes.iter().filter(|node| !placed.contains(&node.address));
        let findings = findings::check(view);
        let servers: BTreeSet<String> =
            view.answering().map(|(_, view)| format!("{} {}", view.server.engine, view.server.version)).collect();
        let others = others.map(|node| node_report(node, None)).collect();
        let shards: Vec<ShardReport> = shards
            .iter()
            .map(|shard| {
                let written = shard.primary.node.view().and_then(|view| view.server.replication_offset);
                let report = |member: &Member<'_>| node_report(member.node, written);
                ShardReport {
                    slots: shard.slots().clone(),
                    slot_count: shard.slots().len(),
                    primary: report(&shard.primary),
                    replicas: shard.replicas.iter().map(report).collect(),
                }
            })
            .collect();
        let sum = |value: fn(&NodeReport) -> Option<u64>| {
            shards.iter().filter_map(|shard| value(&shard.primary)).fold(0, u64::saturating_add)
        };
        Self {
            format: FORMAT,
            healthy: findings::healthy(&findings),
            servers: servers.into_iter().collect(),
            slots_served: view.served().len().min(usize::from(Slot::COUNT)),
            keys: sum(|primary| primary.keys),
            memory_bytes: sum(|primary| primary.memory_bytes),
            shards,
            others,
            findings,
        }
    }
}

fn node_report(node: &crate::ObservedNode, written: Option<u64>) -> NodeReport {
    let server = node.view().map(|view| &view.server);
    let linked = server.and_then(|server| server.primary_link_up);
    let applied = server.and_then(|server| server.replication_offset);
    NodeReport {
        id: node.id,
        address: node.address.clone(),
        answers: node.said.is_ok(),
        silence: node.said.as_ref().err().map(|silence| silence.reason.clone()),
        engine: server.map(|server| server.engine),
        version: server.map(|server| server.version.clone()),
        zone: server.and_then(|server| server.zone.clone()),
        keys: server.map(crate::ServerInfo::keys),
        memory_bytes: server.and_then(|server| server.used_memory),
        memory_limit_bytes: server.and_then(|server| server.max_memory).filter(|limit| *limit > 0),
        operations_per_second: server.and_then(|server| server.operations_per_second),
        linked,
        lag_bytes: linked
            .filter(|linked| *linked)
            .and_then(|_| written.zip(applied))
            .map(|(written, applied)| written.saturating_sub(applied)),
    }
}
