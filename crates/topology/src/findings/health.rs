//! Nodes: reachable, in the eyes of the others too, and serving.

use super::{Finding, FindingCode};
use crate::{ClusterView, Flag, NodeId, ObservedNode};

/// Nodes that did not answer.
pub(super) fn unreachable(view: &ClusterView) -> Vec<Finding> {
    let finding = |(node, silence): (&ObservedNode, &crate::Silence)| {
        let mut finding =
            Finding::problem(FindingCode::NodeUnreachable, format!("{} {}", node.address, silence.reason))
                .about([&node.address]);
        if let Some(id) = node.id {
            finding = finding.because(what_others_say(view, id));
        }
        if let Some(advice) = &silence.advice {
            finding = finding.remedy(advice.clone());
        }
        finding
    };
    view.silent().map(finding).collect()
}

/// Nodes that answered, while others cannot reach them over the cluster bus.
pub(super) fn failing(view: &ClusterView) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (node, own) in view.answering() {
        let id = own.myself.id;
        let (failing, all) = view.flagged(id, &Flag::Failing);
        let (possibly, _) = view.flagged(id, &Flag::PossiblyFailing);
        if failing + possibly == 0 {
            continue;
        }
        let bus = own.myself.endpoint.bus_port.map_or_else(String::new, |port| format!(" (port {port})"));
        findings.push(
            Finding::problem(
                FindingCode::NodeFailing,
                format!("{} answers here, but {} of {all} nodes do not reach it", node.address, failing + possibly),
            )
            .because(what_others_say(view, id))
            .remedy(format!(
                "see whether its cluster bus{bus} is open to the other nodes; if it was just restarted, wait"
            ))
            .about([&node.address]),
        );
    }
    findings
}

fn what_others_say(view: &ClusterView, id: NodeId) -> String {
    let (failing, all) = view.flagged(id, &Flag::Failing);
    let (possibly, _) = view.flagged(id, &Flag::PossiblyFailing);
    let age = last_heard_seconds(view, id).map_or_else(String::new, |age| format!("; last heard of {age} s ago"));
    match (failing, possibly) {
        _ if all == 0 => "no other node knows it".to_owned(),
        (0, 0) => format!("none of {all} nodes calls it failed{age}"),
        (0, _) => format!("{possibly} of {all} nodes suspect it{age}"),
        _ => format!("{failing} of {all} nodes call it failed{age}"),
    }
}

/// How long ago any witness last had a pong from the node, by the witness's own clock.
fn last_heard_seconds(view: &ClusterView, id: NodeId) -> Option<u64> {
    let ages = view.answering().filter(|(witness, _)| witness.id != Some(id)).filter_map(|(_, own)| {
        let heard = own.entry(id)?.pong_received;
        let now = own.server.clock_microseconds? / 1000;
        (heard > 0).then(|| now.saturating_sub(heard) / 1000)
    });
    ages.min()
}

/// Nodes that refuse to serve: `cluster_state:fail`.
pub(super) fn cluster_state(view: &ClusterView) -> Option<Finding> {
    let all = view.answering().count();
    let down: Vec<_> = view.answering().filter(|(_, own)| !own.cluster.state_ok).map(|(node, _)| node).collect();
    let names: Vec<_> = down.iter().map(|node| node.address.to_string()).collect();
    let what = match &names[..] {
        [] => return None,
        [one] => format!("{one} does not serve: its cluster_state is fail"),
        many if many.len() == all => format!("none of {all} nodes serves: their cluster_state is fail"),
        many => format!("{} of {all} nodes do not serve, their cluster_state is fail: {}", many.len(), many.join(", ")),
    };
    Some(
        Finding::problem(FindingCode::ClusterStateDown, what)
            .because("a node serves when all slots are covered and it reaches a majority of primaries; one that just joined or restarted waits up to 5 s")
            .remedy("mend what is listed above first; if nothing is, wait 5 s and check again")
            .about(down.iter().map(|node| &node.address)),
    )
}

/// Replicas without a link to their primary.
pub(super) fn replica_links(view: &ClusterView) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (node, own) in view.answering().filter(|(_, own)| own.myself.is_replica()) {
        let known = own.myself.primary.and_then(|id| view.node(id));
        let Some(primary) = known else {
            findings.push(
                Finding::problem(
                    FindingCode::ReplicaOfUnknownPrimary,
                    format!("{} follows a node that is not of this cluster", node.address),
                )
                .because(format!(
                    "its primary is {}",
                    own.myself.primary.map_or_else(|| "unknown".into(), |id| id.to_string())
                ))
                .remedy(format!(
                    "{} -h {} -p {} CLUSTER REPLICATE ID-OF-A-PRIMARY",
                    super::reference_tool(view),
                    node.address.host,
                    node.address.port
                ))
                .about([&node.address]),
            );
            continue;
        };
        if own.server.primary_link_up != Some(false) {
            continue;
        }
        let lost = primary.said.is_err();
        let why = match (own.server.sync_in_progress, own.server.primary_link_down_seconds) {
            _ if lost => "its primary does not answer".to_owned(),
            (true, _) => "it is reading the primary's data now".to_owned(),
            (false, Some(seconds)) => format!("the link has been down for {seconds} s"),
            (false, None) => "the link was never up".to_owned(),
        };
        findings.push(
            Finding::problem(
                FindingCode::ReplicaLinkDown,
                format!("{} has no link to its primary {}", node.address, primary.address),
            )
            .because(why)
            .remedy(if lost {
                "it can take over when a majority of primaries calls its primary failed: wait for the node timeout, 15 s by default"
            } else {
                "wait for the sync (a new replica starts after repl-diskless-sync-delay, 5 s by default); else see the replica's log: a wrong masterauth is the usual cause"
            })
            .about([&node.address, &primary.address]),
        );
    }
    findings
}
