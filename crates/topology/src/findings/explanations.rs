//! What each kind of finding means: the longer text behind its three lines.

use super::{Finding, FindingCode};
use crate::ClusterView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a kind of finding means, for whoever sees it for the first time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// What it means.
    pub meaning: String,
    /// What happens when nothing is done.
    pub otherwise: String,
    /// What mends it, and why that is safe.
    pub mending: String,
}

/// A finding with what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnosis {
    /// The finding.
    #[serde(flatten)]
    pub finding: Finding,
    /// What its kind means.
    pub explanation: Explanation,
}

/// What `doctor` tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoctorReport {
    /// The version of this form, 1.
    pub format: u32,
    /// Whether no finding is a problem.
    pub healthy: bool,
    /// How many nodes are known.
    pub nodes: usize,
    /// How many of them answered.
    pub nodes_answering: usize,
    /// What is wrong, problems first, each with what it means.
    pub findings: Vec<Diagnosis>,
}

impl DoctorReport {
    /// The report of a view, with findings that took more than the view (such as stray keys) added.
    pub fn new(view: &ClusterView, more: Vec<Finding>) -> Self {
        let report = crate::report::CheckReport::new(view, more);
        let diagnosis = |finding: Finding| Diagnosis { explanation: explain(finding.code), finding };
        Self {
            format: report.format,
            healthy: report.healthy,
            nodes: report.nodes,
            nodes_answering: report.nodes_answering,
            findings: report.findings.into_iter().map(diagnosis).collect(),
        }
    }
}

/// What a kind of finding means.
pub fn explain(code: FindingCode) -> Explanation {
    let [meaning, otherwise, mending] = texts(code).map(str::to_owned);
    Explanation { meaning, otherwise, mending }
}

/// Meaning, what happens when nothing is done, and what mends it.
const fn texts(code: FindingCode) -> [&'static str; 3] {
    match code {
        FindingCode::SlotsUncovered => [
            "Every key belongs to one of 16384 slots, and each slot to one primary. These slots belong to nobody, so their keys can neither be read nor written.",
            "Clients get CLUSTERDOWN for these keys; with cluster-require-full-coverage yes, the default, for all keys of the cluster.",
            "If their primary is only down, its slots come back with it, or with a replica that takes its place. Otherwise tribune fix gives each slot to the node that holds its keys, and those without keys to the primaries that have fewest slots.",
        ],
        FindingCode::SlotsWithSeveralOwners => [
            "Several primaries say that a slot is theirs. Each takes writes for it from clients that ask there.",
            "When these nodes hear of each other the one with the higher config epoch wins, and the other drops its keys of the slot: what was written only there is gone.",
            "Soon after a failover it passes by itself. If it lasts, tribune fix takes the slot from all but one of them first, and then brings their keys to that one. A key with different values on both is named and left alone.",
        ],
        FindingCode::KeysOutsideTheirOwner => [
            "A node holds keys of slots that another one owns. Clients are never sent there, so that nobody sees these keys.",
            "They use memory, and come to light, old as they may be, when the slot moves to this node.",
            "tribune fix --search-multiple-owners brings them to the owner. Of a key that both hold the owner's value stays, unless the other may be newer: then it is named and left alone.",
        ],
        FindingCode::SlotsOpen => [
            "A slot is marked as being on its way from one node to another. Until it is closed its keys may be on both; clients are redirected from one to the other, key by key.",
            "Nothing is lost, but requests with several keys of the slot can fail with TRYAGAIN, and most tools refuse to move other slots.",
            "While a move is running it passes by itself. If one was interrupted, the same command or tribune resume goes on with it. Marks that belong to no such move are closed by tribune fix, which brings all keys to one owner.",
        ],
        FindingCode::SlotMapsDiffer => [
            "Nodes do not agree on whose slots are whose. Clients that ask one of them are sent to the wrong node first, or in a circle.",
            "Nodes tell each other about slots all the time, so it passes within seconds. It lasts where nodes cannot reach each other, or where a node believes an older claim with a higher config epoch.",
            "If it lasts, see that every node reaches every other on its cluster bus port; tribune fix then gives the owner a higher epoch, by which all take its word.",
        ],
        FindingCode::NodesUnknownToOthers => [
            "Some nodes have not met others: they do not ping them, do not vote for them, and do not tell clients of them.",
            "A failover may find no majority, and clients that start at such a node see only a part of the cluster.",
            "Nodes that know each other introduce third ones within seconds. If it lasts, their cluster bus ports do not reach each other: open them in both directions.",
        ],
        FindingCode::RolesDiffer => [
            "A node says that it is a primary, or whose replica it is, and others take it for something else.",
            "They may send clients to a node that refuses their writes, or count it for a shard to which it does not belong.",
            "The news travels with the nodes' pings and arrives within seconds, after a failover above all. If it lasts, the nodes do not reach each other on the cluster bus port.",
        ],
        FindingCode::EpochCollision => [
            "A config epoch tells which claim to a slot is the newest. Two primaries have the same one, so that between them this is undecided.",
            "As long as they claim different slots nothing happens. If both claimed one, neither would give in.",
            "The servers notice it when they exchange pings, and one of them takes a new epoch. That takes a few seconds.",
        ],
        FindingCode::NodeUnreachable => [
            "The cluster knows this node, and it gave no answer here: it is down, stopped, too busy, or the way to it is blocked.",
            "If it is a primary, its slots are not served until it is back or a replica has taken its place. If it is a replica, its primary has one less to take its place.",
            "Look at the process and its log, and start it again: it comes back with its node id, its slots and its data. If it is lost for good, let a replica take over, and remove the node.",
        ],
        FindingCode::NodeFailing => [
            "The node answers here, but other nodes of the cluster do not get its pongs and suspect or call it failed.",
            "A replica may be elected in its place although it works; until then, clients that trust the others avoid it.",
            "Nodes talk over the cluster bus, which is a port of its own: the client port + 10000 unless configured. Open it between all nodes. A node that was just started is trusted again within seconds.",
        ],
        FindingCode::ClusterStateDown => [
            "The node refuses to serve: by its own count slots are missing, or it does not reach a majority of primaries.",
            "All clients that ask it get CLUSTERDOWN.",
            "It is a consequence: mend the other problems, and the node serves again by itself, after some seconds at most.",
        ],
        FindingCode::ReplicaLinkDown => [
            "A replica has no replication link to its primary. Its copy is as old as the moment in which the link broke.",
            "If the primary is lost, what was written since then is lost with it; after long enough the replica is not even electable.",
            "The replica tries again every second. If it cannot: its masterauth or primaryauth is wrong, the primary is not reachable from there, or the sync breaks off; the replica's log says which.",
        ],
        FindingCode::ReplicaOfUnknownPrimary => [
            "A node follows a primary that is no part of this cluster, most often because that was removed while the replica was still there.",
            "It has the data of nobody here, serves nothing, and can take nobody's place.",
            "Tell it to follow a primary of the cluster. It drops what it holds and copies that primary's data.",
        ],
        FindingCode::ShardWithoutReplica => [
            "A primary with slots has no replica in service: nothing else holds a copy of its keys.",
            "When it is lost, its slots are not served, and with its disk its keys are lost, too.",
            "Add a node as its replica, or let a replica of a shard that has several follow it.",
        ],
        FindingCode::ShardOnOneHost => [
            "A primary and all its replicas run on the same host, though the cluster has others.",
            "When this host is lost the shard is lost as a whole: no replica is left that could take over.",
            "Put a replica of it on another host, and remove one here if there are enough.",
        ],
        FindingCode::ShardInOneZone => [
            "A primary and all its replicas run in the same availability zone, though the cluster has others.",
            "When this zone is lost the shard is lost as a whole: no replica is left that could take over.",
            "Put a replica of it into another zone, and remove one here if there are enough.",
        ],
        FindingCode::TooFewPrimaries => [
            "A replica is elected by a majority of the primaries that own slots, and the one that failed has no vote.",
            "With one or two primaries no majority is left when one is lost: its replica waits for a person to promote it.",
            "Spread the slots over at least three primaries: tribune scale. Until then a lost primary needs tribune failover REPLICA --takeover.",
        ],
        FindingCode::NodeTimeoutsDiffer => [
            "Each node takes others for lost after a time of its own (cluster-node-timeout), and not all have the same.",
            "Some nodes suspect others while the rest still wait for them: a failover takes as long as the slowest of a majority of the primaries, and nodes that are only slow are suspected early.",
            "tribune set-timeout gives all nodes the same, in their files, too. They differ where it was interrupted, or a node was set up in another way.",
        ],
    }
}
