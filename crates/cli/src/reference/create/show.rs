//! What `create` is about to make.

use crate::reference::{Terminal, Wording, blocks, terminal::Tone};
use std::collections::BTreeSet;
use topology::plan::Plan;

/// What will be, in the reference's lines.
pub(super) fn show(plan: &Plan, replicas: usize, terminal: &mut Terminal<'_>) {
    let nodes = plan.based_on.len();
    let (noun, primary, replica) = match terminal.wording {
        Wording::Redis => ("nodes", "Master", "slaves"),
        Wording::Valkey => ("node(s)", "Primary", "replicas"),
    };
    terminal.say(Tone::Info, &format!(">>> Performing hash slots allocation on {nodes} {noun}...\n"));
    for (number, shard) in plan.expected_after.iter().enumerate() {
        if let (Some(first), Some(last)) = (shard.slots.ranges().next(), shard.slots.ranges().next_back()) {
            terminal.plain(&format!("{primary}[{number}] -> Slots {} - {}\n", first.start(), last.end()));
        }
    }
    let lines = |shard: &topology::plan::PlannedShard, from: usize, to: usize| -> String {
        let chosen = shard.replicas.iter().skip(from).take(to.saturating_sub(from));
        let line = |replica: &topology::plan::NodeRef| {
            format!("Adding replica {} to {}\n", replica.address.bare(), shard.primary.address.bare())
        };
        chosen.map(line).collect()
    };
    for shard in &plan.expected_after {
        terminal.plain(&lines(shard, 0, replicas));
    }
    if plan.expected_after.iter().any(|shard| shard.replicas.len() > replicas) {
        terminal.plain("Adding extra replicas...\n");
        for shard in &plan.expected_after {
            terminal.plain(&lines(shard, replicas, usize::MAX));
        }
    }
    if let Some(warning) = affinity(plan, terminal.wording) {
        terminal.say(Tone::Info, &format!(">>> Trying to optimize {replica} allocation for anti-affinity\n"));
        terminal.say(Tone::Bad, &warning);
    }
    for node in &plan.based_on {
        let own = plan.expected_after.iter().find(|shard| shard.primary.id == node.id);
        let of = plan.expected_after.iter().find(|shard| shard.replicas.iter().any(|replica| replica.id == node.id));
        let role = match (own, of) {
            (Some(shard), _) => Ok(&shard.slots),
            (None, Some(shard)) => Err(shard.primary.id),
            (None, None) => continue,
        };
        terminal.plain(&blocks::planned(node.id, &node.address, role));
    }
}

/// What is not ideal about hosts, in the reference's words.
fn affinity(plan: &Plan, wording: Wording) -> Option<String> {
    let (primary, replicas) = (wording.primary(), format!("{}s", wording.replica()));
    if plan.placement.is_some_and(|quality| quality.replicas_on_host_of_primary.here > 0) {
        return Some(format!("[WARNING] Some {replicas} are in the same host as their {primary}\n"));
    }
    let together = plan.expected_after.iter().any(|shard| {
        let hosts: BTreeSet<_> = shard.replicas.iter().map(|replica| &replica.address.host).collect();
        hosts.len() < shard.replicas.len()
    });
    together.then(|| format!("[WARNING] Some {replicas} of the same {primary} are in the same host\n"))
}
