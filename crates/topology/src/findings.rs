//! What is wrong with a cluster, by its view: what `check` reports.

pub(crate) mod agreement;
mod coverage;
mod explanations;
mod health;
mod redundancy;

pub use agreement::node_timeouts;
pub use coverage::{StrayKeys, keys_outside_their_owner};
pub use explanations::{Diagnosis, DoctorReport, Explanation, explain};

use crate::{ClusterView, NodeAddr, SlotSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that a person should know of, with what was seen and what can be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Which kind of finding this is; a stable word.
    pub code: FindingCode,
    /// Whether the cluster is not healthy because of it.
    pub severity: Severity,
    /// What is wrong, with addresses and numbers.
    pub what: String,
    /// What was seen, and by whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What can be done: a command, or what is being waited for.
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The nodes that it is about.
    pub nodes: Vec<NodeAddr>,
    /// The slots that it is about.
    pub slots: SlotSet,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The cluster is not healthy.
    Problem,
    /// The cluster is healthy, but will not take the next failure well.
    Warning,
}

/// The kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FindingCode {
    /// Slots that no node serves.
    SlotsUncovered,
    /// Slots that several nodes claim.
    SlotsWithSeveralOwners,
    /// Slots whose keys lie on a node that does not own them.
    KeysOutsideTheirOwner,
    /// Slots that are importing or migrating.
    SlotsOpen,
    /// Nodes that hold another slot map than most.
    SlotMapsDiffer,
    /// Nodes that do not know each other.
    NodesUnknownToOthers,
    /// Nodes that others take for what they are not.
    RolesDiffer,
    /// Primaries with the same config epoch.
    EpochCollision,
    /// A node that does not answer.
    NodeUnreachable,
    /// A node that answers us, but not others.
    NodeFailing,
    /// A node whose `cluster_state` is `fail`.
    ClusterStateDown,
    /// A replica without a link to its primary.
    ReplicaLinkDown,
    /// A replica of a node that is not a primary of this cluster.
    ReplicaOfUnknownPrimary,
    /// A shard with slots and no replica in service.
    ShardWithoutReplica,
    /// A shard whose members are all on one host.
    ShardOnOneHost,
    /// A shard whose members are all in one zone.
    ShardInOneZone,
    /// Not enough primaries for an election when one is lost.
    TooFewPrimaries,
    /// Nodes with another node timeout than most.
    NodeTimeoutsDiffer,
}

/// All findings, problems first.
pub fn check(view: &ClusterView) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(health::unreachable(view));
    findings.extend(health::failing(view));
    findings.extend(coverage::uncovered(view));
    findings.extend(coverage::several_owners(view));
    findings.extend(coverage::open(view));
    findings.extend(agreement::slot_maps(view));
    findings.extend(agreement::membership(view));
    findings.extend(agreement::roles(view));
    findings.extend(agreement::epochs(view));
    findings.extend(health::cluster_state(view));
    findings.extend(health::replica_links(view));
    findings.extend(redundancy::without_replica(view));
    findings.extend(redundancy::placement(view));
    findings.extend(redundancy::primaries(view));
    findings.sort_by_key(|finding| finding.severity);
    findings
}

/// Whether no finding is a problem.
pub fn healthy(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.severity > Severity::Problem)
}

impl Finding {
    fn new(code: FindingCode, severity: Severity, what: String) -> Self {
        Self { code, severity, what, why: None, remedy: None, nodes: Vec::new(), slots: SlotSet::new() }
    }

    fn problem(code: FindingCode, what: String) -> Self {
        Self::new(code, Severity::Problem, what)
    }

    fn warning(code: FindingCode, what: String) -> Self {
        Self::new(code, Severity::Warning, what)
    }

    fn because(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    fn about<'a>(mut self, nodes: impl IntoIterator<Item = &'a NodeAddr>) -> Self {
        self.nodes = nodes.into_iter().cloned().collect();
        self
    }

    fn slots(mut self, slots: SlotSet) -> Self {
        self.slots = slots;
        self
    }
}

/// `1 slot`, `2 slots`.
pub fn count<N: std::fmt::Display + PartialEq + From<u8> + Copy>(number: N, thing: &str) -> String {
    if number == N::from(1) { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// `1 primary`, `2 primaries`.
pub(crate) fn primaries(number: usize) -> String {
    if number == 1 { "1 primary".to_owned() } else { format!("{number} primaries") }
}

/// How many replicas each of so many shards has when the nodes are spread evenly: `1 replica`, `1 or 2 replicas`.
pub(crate) fn replicas_of_each(nodes: usize, shards: usize) -> String {
    let most = nodes.div_ceil(shards.max(1)).saturating_sub(1);
    if nodes.is_multiple_of(shards) { count(most, "replica") } else { format!("{} or {most} replicas", most - 1) }
}

/// What it means that a cluster has so few primaries, if it does.
pub(crate) fn no_election(primaries: usize) -> Option<String> {
    let lost = match primaries {
        1 => "1 primary cannot elect a successor when it is lost",
        2 => "2 primaries cannot elect a successor when one is lost",
        _ => return None,
    };
    Some(format!("{lost}: no automatic failover below 3"))
}

/// Slots as ranges, cut after the first few, with the noun in front: `slot 5`, `slots 0-10 12`.
pub fn slot_list(slots: &SlotSet) -> String {
    const SHOWN: usize = 8;
    let noun = if slots.len() == 1 { "slot" } else { "slots" };
    let ranges = slots.ranges();
    if ranges.len() <= SHOWN {
        return format!("{noun} {slots}");
    }
    let shown = ranges.take(SHOWN).fold(SlotSet::new(), |shown, range| shown.union(&range.into()));
    format!("{noun} {shown} and {} more", slots.len() - shown.len())
}

/// The command-line tool that belongs to the cluster's servers, for advice.
pub(crate) fn reference_tool(view: &ClusterView) -> &'static str {
    match view.answering().next().map(|(_, view)| view.server.engine) {
        Some(crate::Engine::Valkey) => "valkey-cli",
        _ => "redis-cli",
    }
}

/// An address of the cluster that answers, for commands in advice: as the reference tools take it.
pub(crate) fn entry_point(view: &ClusterView) -> String {
    view.answering().next().map_or_else(|| "HOST:PORT".to_owned(), |(node, _)| node.address.bare())
}
