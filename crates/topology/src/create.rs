//! The planner for `create`: a cluster from empty nodes, and the way back from one that was left half-made.

mod refusal;

pub use refusal::CreateRefusal;

use crate::{
    Flag, NodeAddr, NodeEntry, NodeId, NodeView, Slot, SlotSet,
    findings::{count, no_election, replicas_of_each},
    placement::{Against, Candidate, Placement, place},
    plan::{Action, Cost, FORMAT, NodeRef, Plan, PlannedShard, Step},
    stages::Stages,
};
use std::collections::{BTreeMap, BTreeSet};

/// A node that shall become a member, and what it said when it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNode {
    /// Where it was reached.
    pub address: NodeAddr,
    /// The zone that it is in, if it is known.
    pub zone: Option<String>,
    /// What it said.
    pub view: NodeView,
}

/// How many shards a new cluster gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shards {
    /// As many as the nodes allow with this many replicas each, and not fewer than 3.
    AsManyAsPossible,
    /// As many as the nodes allow, down to 1: without 3 primaries there is no automatic failover.
    EvenFew,
    /// Exactly so many.
    Exactly(usize),
}

/// Plans a cluster of these nodes with at least `replicas` replicas for each primary; what is over becomes replicas, too.
///
/// Nodes that an earlier run has left half-made are taken as they are, if they fit: then the plan holds what is missing.
///
/// # Errors
/// When the nodes cannot form a cluster, or do not have to be touched because they hold something.
pub fn plan(nodes: &[NewNode], replicas: usize, shards: Shards) -> Result<Plan, CreateRefusal> {
    refuse_doubles(nodes)?;
    let shards = count_shards(nodes.len(), replicas, shards)?;
    refuse_occupied(nodes, |_, _| false)?;
    let candidates: Vec<Candidate> =
        nodes.iter().map(|node| Candidate { address: node.address.clone(), zone: node.zone.clone() }).collect();
    let placement = place(&candidates, shards);
    let expected = expected_shards(nodes, &placement);
    let steps = steps(nodes, &expected)?;
    let goal = format!(
        "{} with {} each from {}",
        count(shards, "shard"),
        replicas_of_each(nodes.len(), shards),
        count(nodes.len(), "node")
    );
    Ok(Plan {
        format: FORMAT,
        goal,
        based_on: nodes.iter().map(reference).collect(),
        steps,
        reasons: reasons(&placement, shards, nodes.len()),
        expected_after: expected,
        placement: Some(placement.quality),
        cost: Cost::default(),
    })
}

/// Plans the way back: nodes that hold no keys and know none but each other become as new.
///
/// # Errors
/// When one of them holds keys or belongs to a cluster with other nodes.
pub fn plan_undo(nodes: &[NewNode]) -> Result<Plan, CreateRefusal> {
    refuse_doubles(nodes)?;
    refuse_occupied(nodes, former_id)?;
    let mut stages = Stages::default();
    stages.add(nodes.iter().filter(|node| !node.view.myself.slots.is_empty()).map(|node| {
        let reason = "it owns slots and holds no keys".to_owned();
        (Action::GiveUpSlots { node: reference(node) }, reason)
    }));
    let untouched =
        |node: &NewNode| node.view.peers.is_empty() && node.view.myself.slots.is_empty() && epoch(node) == 0;
    stages.add(nodes.iter().filter(|node| !untouched(node)).map(|node| {
        let reason = "it was part of the cluster that is undone".to_owned();
        (Action::Reset { node: reference(node) }, reason)
    }));
    Ok(Plan {
        format: FORMAT,
        goal: format!("{} as new", count(nodes.len(), "node")),
        based_on: nodes.iter().map(reference).collect(),
        steps: stages.into_steps(),
        reasons: vec!["no node holds keys, and none knows a node that is not in the list".to_owned()],
        expected_after: Vec::new(),
        placement: None,
        cost: Cost::default(),
    })
}

fn reference(node: &NewNode) -> NodeRef {
    NodeRef { id: node.view.myself.id, address: node.address.clone() }
}

fn epoch(node: &NewNode) -> u64 {
    node.view.myself.config_epoch
}

fn refuse_doubles(nodes: &[NewNode]) -> Result<(), CreateRefusal> {
    let mut seen: BTreeMap<NodeId, &NodeAddr> = BTreeMap::new();
    for node in nodes {
        if let Some(first) = seen.insert(node.view.myself.id, &node.address) {
            return Err(if first.same_endpoint(&node.address) {
                CreateRefusal::SameAddressTwice { address: node.address.clone() }
            } else {
                CreateRefusal::SameNodeTwice { first: first.clone(), second: node.address.clone() }
            });
        }
    }
    Ok(())
}

/// Refuses an address that is given twice: the first check, before any node is asked.
pub fn refuse_same_address(addresses: &[NodeAddr]) -> Result<(), CreateRefusal> {
    let mut seen = BTreeSet::new();
    match addresses.iter().find(|address| !seen.insert((&address.host, address.port))) {
        Some(address) => Err(CreateRefusal::SameAddressTwice { address: address.clone() }),
        None => Ok(()),
    }
}

/// How many shards so many nodes form.
pub fn count_shards(nodes: usize, replicas: usize, shards: Shards) -> Result<usize, CreateRefusal> {
    let members = replicas.saturating_add(1);
    let possible = nodes / members;
    let (count, least) = match shards {
        Shards::AsManyAsPossible => (possible, 3),
        Shards::EvenFew => (possible, 1),
        Shards::Exactly(count) => (count, count),
    };
    let most = usize::from(Slot::COUNT);
    if count == 0 || possible < least {
        let needed = least.max(1).saturating_mul(members);
        return Err(CreateRefusal::TooFewNodes { nodes, replicas, shards: least.max(1), needed });
    }
    if count > most {
        return Err(CreateRefusal::TooManyShards { shards: count });
    }
    Ok(count)
}

/// Whether an entry is about a node of the list under the id that it had before it was made as new.
fn former_id(nodes: &[NewNode], entry: &NodeEntry) -> bool {
    let at = |node: &NewNode| {
        entry.endpoint.host.as_ref() == Some(&node.address.host) && entry.endpoint.port == node.address.port
    };
    nodes.iter().any(at)
}

/// Refuses nodes that are not empty, or that know others than those in the list.
fn refuse_occupied(nodes: &[NewNode], familiar: fn(&[NewNode], &NodeEntry) -> bool) -> Result<(), CreateRefusal> {
    let ids: BTreeSet<NodeId> = nodes.iter().map(|node| node.view.myself.id).collect();
    for node in nodes {
        let address = || node.address.clone();
        if !node.view.server.cluster_enabled {
            return Err(CreateRefusal::NotACluster { address: address() });
        }
        if let Some((&database, &keys)) = node.view.server.databases.iter().find(|(_, keys)| **keys > 0) {
            return Err(CreateRefusal::HoldsKeys { address: address(), database, keys });
        }
        let handshakes = |flag| flag == &Flag::Handshake;
        let strangers: Vec<NodeId> = node
            .view
            .peers
            .iter()
            .filter(|peer| !ids.contains(&peer.id) && !peer.flags.iter().any(handshakes) && !familiar(nodes, peer))
            .map(|peer| peer.id)
            .collect();
        if !strangers.is_empty() {
            return Err(CreateRefusal::InAnotherCluster { address: address(), strangers: strangers.len() });
        }
    }
    Ok(())
}

fn expected_shards(nodes: &[NewNode], placement: &Placement) -> Vec<PlannedShard> {
    let count = placement.shards.len();
    let mut shards = Vec::with_capacity(count);
    for (shard, slots) in placement.shards.iter().zip(even_slots(count)) {
        let Some(primary) = nodes.get(shard.primary) else { continue };
        let replicas = shard.replicas.iter().filter_map(|at| nodes.get(*at)).map(reference).collect();
        shards.push(PlannedShard { slots, primary: reference(primary), replicas });
    }
    shards
}

/// The 16384 slots in this many contiguous parts whose sizes differ by one at most, as redis-trib cuts them.
pub fn even_slots(parts: usize) -> Vec<SlotSet> {
    let parts = u64::try_from(parts.clamp(1, usize::from(Slot::COUNT))).unwrap_or(1);
    let count = u64::from(Slot::COUNT);
    // The cut after part n lies at n * 16384 / parts, rounded half up: 3 parts are 5461, 5462, 5461.
    let cut = |part: u64| u16::try_from((2 * part * count + parts) / (2 * parts)).unwrap_or(Slot::COUNT);
    (0..parts).map(|part| (cut(part)..cut(part + 1)).filter_map(|number| Slot::new(number).ok()).collect()).collect()
}

fn steps(nodes: &[NewNode], expected: &[PlannedShard]) -> Result<Vec<Step>, CreateRefusal> {
    let mut primary_of: BTreeMap<NodeId, &NodeRef> = BTreeMap::new();
    let mut slots_of: BTreeMap<NodeId, &SlotSet> = BTreeMap::new();
    for shard in expected {
        slots_of.insert(shard.primary.id, &shard.slots);
        primary_of.extend(shard.replicas.iter().map(|replica| (replica.id, &shard.primary)));
    }
    let all: Vec<NodeRef> = nodes.iter().map(reference).collect();
    let mut stages = Stages::default();
    let mut assignments = Vec::new();
    for node in nodes {
        let myself = &node.view.myself;
        let wanted = slots_of.get(&myself.id).copied().cloned().unwrap_or_default();
        let conflict = !myself.slots.difference(&wanted).is_empty()
            || myself.primary.is_some_and(|primary| primary_of.get(&myself.id).is_none_or(|p| p.id != primary))
            || !myself.migrating.is_empty()
            || !myself.importing.is_empty();
        if conflict {
            return Err(CreateRefusal::HalfMadeOtherwise {
                address: node.address.clone(),
                all: nodes.iter().map(|node| node.address.clone()).collect(),
            });
        }
        let missing = wanted.difference(&myself.slots);
        if !missing.is_empty() {
            let reason = format!("{} of 16384: an even share", count(wanted.len(), "slot"));
            assignments.push((Action::AddSlots { node: reference(node), slots: missing }, reason));
        }
    }
    stages.add(assignments);
    let unnumbered = |node: &NewNode| node.view.peers.is_empty() && node.view.myself.config_epoch == 0;
    // Those that come to follow others get the lower ones. A server that has once taken a node for a primary with an epoch takes what it says
    // with a lower one, that of its primary, for old news: where messages overtake each other it is never known as a replica (Redis 7.2,
    // Valkey 8.0.10, 8.1.9, 9.0.5, 9.1).
    let (followers, leaders): (Vec<_>, Vec<_>) =
        nodes.iter().partition(|node| primary_of.contains_key(&node.view.myself.id));
    let numbered = followers.into_iter().chain(leaders).zip(1..);
    stages.add(numbered.filter(|(node, _)| unnumbered(node)).map(|(node, epoch)| {
        let reason = "each node needs an epoch of its own before it meets others".to_owned();
        (Action::SetEpoch { node: reference(node), epoch }, reason)
    }));
    let acquainted = nodes.iter().all(|node| all.iter().all(|other| node.view.entry(other.id).is_some()));
    if !acquainted {
        stages.add([(Action::Meet { nodes: all.clone() }, "every node is to know every other".to_owned())]);
    }
    let unattached = nodes.iter().filter(|node| node.view.myself.primary.is_none());
    stages.add(unattached.filter_map(|node| {
        let primary = primary_of.get(&node.view.myself.id)?;
        let reason = format!("a copy of the data of {}", primary.address);
        Some((Action::Replicate { replica: reference(node), primary: (*primary).clone() }, reason))
    }));
    add_waits(&mut stages, nodes, !primary_of.is_empty());
    Ok(stages.into_steps())
}

/// Adds what is to be waited for: all of it after changes, else what is not so yet, because an earlier attempt stopped waiting.
fn add_waits(stages: &mut Stages, nodes: &[NewNode], replicas: bool) {
    let changes = stages.last() > 0;
    let all: Vec<NodeRef> = nodes.iter().map(reference).collect();
    let knows = |witness: &NewNode, about: &NewNode| {
        let own = &about.view.myself;
        witness.view.entry(own.id).is_some_and(|entry| {
            entry.slots == own.slots && entry.primary == own.primary && entry.is_primary() == own.is_primary()
        })
    };
    if changes || !nodes.iter().all(|witness| nodes.iter().all(|about| knows(witness, about))) {
        stages.add([(Action::AwaitAgreement { nodes: all.clone() }, "clients may ask any node".to_owned())]);
    }
    if changes || !nodes.iter().all(|node| node.view.cluster.state_ok) {
        stages.add([(
            Action::AwaitService { nodes: all.clone() },
            "the cluster is to be usable when this ends".to_owned(),
        )]);
    }
    if replicas && (changes || nodes.iter().any(|node| node.view.server.primary_link_up == Some(false))) {
        stages.add([(
            Action::AwaitReplicas { nodes: all },
            "from then on a node can be lost without its data".to_owned(),
        )]);
    }
}

/// Why the placement is as it is, and what it means.
fn reasons(placement: &Placement, shards: usize, nodes: usize) -> Vec<String> {
    let quality = placement.quality;
    let replicas = nodes - shards;
    let mut reasons = Vec::new();
    if replicas > 0 {
        reasons.push(beside_primary(quality.replicas_on_host_of_primary, replicas, "on the host"));
        // Without zones every replica is in the zone of its primary, and nobody wants to read that.
        if quality.replicas_in_zone_of_primary.here != replicas {
            reasons.push(beside_primary(quality.replicas_in_zone_of_primary, replicas, "in the zone"));
        }
    } else {
        reasons.push("no replicas were asked for: a lost node loses its data".to_owned());
    }
    reasons.extend(no_election(shards));
    reasons
}

/// How many replicas are where their primary is, and whether that can be avoided.
fn beside_primary(against: Against, replicas: usize, place: &str) -> String {
    let here = against.here;
    let who = match here {
        0 => return format!("no replica is {place} of its primary"),
        1 => format!("1 replica is {place} of its primary"),
        _ if here == replicas => format!("all {replicas} replicas are {place} of their primary"),
        _ => format!("{here} replicas are {place} of their primary"),
    };
    if against.is_best() {
        format!("{who}: no placement of these nodes avoids it")
    } else {
        format!("{who}, at most {} more than the least possible", here - against.bound)
    }
}

#[cfg(test)]
mod tests;
