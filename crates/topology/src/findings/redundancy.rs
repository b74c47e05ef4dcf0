//! Whether the cluster can stand the next loss.

use super::{Finding, FindingCode, Severity, count, slot_list};
use crate::{ClusterView, Member, Shard};
use std::collections::BTreeSet;

/// Shards whose primary answers and owns slots, without a replica in service.
pub(super) fn without_replica(view: &ClusterView) -> Vec<Finding> {
    let shards = view.shards();
    let serving = || shards.iter().filter(|shard| !shard.slots().is_empty());
    // A cluster that has no replicas anywhere was made so.
    let has_replicas = serving().any(|shard| !shard.replicas.is_empty());
    let severity = if has_replicas { Severity::Problem } else { Severity::Warning };
    let finding = |shard: &Shard<'_>| {
        let primary = &shard.primary.node.address;
        let address = |replica: &Member<'_>| replica.node.address.to_string();
        let names: Vec<_> = shard.replicas.iter().map(address).collect();
        let (idle, silent): (Vec<_>, Vec<_>) = shard.replicas.iter().partition(|replica| replica.answers());
        let [idle, silent] =
            [idle, silent].map(|replicas| replicas.into_iter().map(address).collect::<Vec<_>>().join(", "));
        let why = if names.is_empty() {
            "no node follows it".to_owned()
        } else {
            format!("{} follows it, but is not in service", names.join(", "))
        };
        Finding::new(
            FindingCode::ShardWithoutReplica,
            severity,
            format!(
                "the shard of {primary} ({}) has no replica: losing {primary} loses its data",
                slot_list(shard.slots())
            ),
        )
        .because(why)
        .remedy(match (idle.is_empty(), silent.is_empty()) {
            (_, false) => format!("start {silent} again, or: {}", another(view, shard)),
            (false, true) => format!("mend {idle} first, or: {}", another(view, shard)),
            (true, true) => another(view, shard),
        })
        .about([primary])
        .slots(shard.slots().clone())
    };
    // Without its primary a shard has worse to tell, and a replica that lost its link may hold all of the data.
    let lacking = |shard: &&Shard<'_>| shard.primary.answers() && !shard.replicas.iter().any(Member::in_service);
    serving().filter(lacking).map(finding).collect()
}

/// The command that gives a shard one more replica.
fn another(view: &ClusterView, shard: &Shard<'_>) -> String {
    let primary = shard.primary.account.id.short();
    format!("tribune add-node NEW {} --replica-of {primary}", super::entry_point(view))
}

/// Shards whose members are all on one host, or all in one zone, where the cluster has several.
pub(super) fn placement(view: &ClusterView) -> Vec<Finding> {
    let hosts: BTreeSet<_> = view.nodes.iter().map(|node| node.host().to_string()).collect();
    let zone = |node: &crate::ObservedNode| node.view().and_then(|view| view.server.zone.clone());
    let zones: BTreeSet<_> = view.nodes.iter().filter_map(zone).collect();
    let mut findings = Vec::new();
    for shard in view.shards().iter().filter(|shard| !shard.replicas.is_empty()) {
        let primary = &shard.primary.node.address;
        let on: BTreeSet<_> = shard.members().map(|member| member.node.host().to_string()).collect();
        let within: BTreeSet<_> = shard.members().map(|member| zone(member.node)).collect();
        let finding = |code, place: String| {
            Finding::warning(code, format!("all members of the shard of {primary} are {place}"))
                .because("losing it loses the shard; other members are elsewhere")
                .remedy(format!("add a replica elsewhere: {}", another(view, shard)))
                .about(shard.members().map(|member| &member.node.address))
        };
        if let (true, 1, Some(host)) = (hosts.len() > 1, on.len(), on.first()) {
            findings.push(finding(FindingCode::ShardOnOneHost, format!("on host {host}")));
        } else if let (true, 1, Some(Some(zone))) = (zones.len() > 1, within.len(), within.first()) {
            findings.push(finding(FindingCode::ShardInOneZone, format!("in zone {zone}")));
        }
    }
    findings
}

/// Three primaries with a replica each.
const NODES: usize = 6;

/// Fewer than three primaries with slots: no majority is left to vote when one of them is lost.
pub(super) fn primaries(view: &ClusterView) -> Option<Finding> {
    let shards = view.shards();
    let voters = shards.iter().filter(|shard| !shard.slots().is_empty()).count();
    let replicas = shards.iter().any(|shard| !shard.replicas.is_empty());
    (replicas && (1..3).contains(&voters)).then(|| {
        let noun = if voters == 1 { "1 primary" } else { "2 primaries" };
        Finding::warning(FindingCode::TooFewPrimaries, format!("only {noun} with slots: no automatic failover"))
            .because("a failover needs the votes of a majority of primaries, and the one that failed cannot vote")
            .remedy(match (NODES.checked_sub(view.nodes.len()), super::entry_point(view)) {
                (None | Some(0), entry) => format!("tribune scale {entry} --shards 3"),
                (Some(more), entry) => {
                    let more = count(more, "more node");
                    format!("add {more}, before the slots can be spread: tribune add-node NEW {entry}")
                }
            })
    })
}
