//! `--cluster check`

use super::{
    Session, Stop, Terminal,
    blocks::{self, Loaded},
    load::{self, unreachable},
    terminal::Tone,
};
use crate::failure::ExitStatus;
use futures_util::future::join_all;
use operations::{
    observe::{Observation, ask},
    stray::stray_keys,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tokio::time::sleep;
use topology::{NodeId, Slot, SlotMap, SlotSet, findings::StrayKeys};

/// A node that has just joined, or got its slots, refuses to serve for its `cluster-node-timeout`, at most 5 s; then it tells.
const REJOIN: Duration = Duration::from_secs(6);
/// Time between two looks at those that do not serve.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) async fn run(session: &Session, terminal: &mut Terminal<'_>) -> Result<ExitStatus, Stop> {
    let observation = session.load(terminal).await?;
    let nodes = load::loaded(&observation, terminal);
    blocks::info(&nodes, terminal);
    let mut healthy = check(&nodes, true, terminal);
    if session.invocation.has("--cluster-search-multiple-owners") {
        healthy &= search_multiple_owners(&observation, &nodes, terminal).await?;
    }
    healthy &= all_answer(&observation, terminal);
    let healthy = healthy && all_serve(&observation, &nodes, terminal).await;
    Ok(if healthy { ExitStatus::Done } else { ExitStatus::NotDone })
}

/// The check without the info block, with or without the nodes; whether all is well.
pub(crate) fn check(nodes: &[Loaded<'_>], blocks: bool, terminal: &mut Terminal<'_>) -> bool {
    let agree = introduce(nodes, blocks, terminal);
    let closed = open_slots(nodes, terminal);
    let covered = coverage(nodes, terminal);
    agree && closed && covered
}

/// The nodes, and whether they agree.
pub(super) fn introduce(nodes: &[Loaded<'_>], blocks: bool, terminal: &mut Terminal<'_>) -> bool {
    let Some(first) = nodes.first() else { return false };
    terminal.say(Tone::Info, &format!(">>> Performing Cluster Check (using node {})\n", first.address.bare()));
    for loaded in nodes.iter().filter(|_| blocks) {
        let replicas = blocks::replicas_of(loaded.entry().id, nodes);
        terminal.plain(&blocks::node(loaded, replicas));
    }
    agreement(nodes, terminal)
}

fn agreement(nodes: &[Loaded<'_>], terminal: &mut Terminal<'_>) -> bool {
    let maps: BTreeSet<SlotMap> = nodes.iter().map(|node| node.view.slot_map()).collect();
    if maps.len() > 1 {
        terminal.say(Tone::Bad, "[ERR] Nodes don't agree about configuration!\n");
        return false;
    }
    terminal.say(Tone::Good, "[OK] All nodes agree about slots configuration.\n");
    true
}

/// Whether no slot is open.
pub(super) fn open_slots(nodes: &[Loaded<'_>], terminal: &mut Terminal<'_>) -> bool {
    terminal.say(Tone::Info, ">>> Check for open slots...\n");
    let mut open = SlotSet::new();
    for loaded in nodes {
        for (state, slots) in [("migrating", &loaded.entry().migrating), ("importing", &loaded.entry().importing)] {
            if !slots.is_empty() {
                let slots: SlotSet = slots.keys().copied().collect();
                let node = loaded.address.bare();
                terminal
                    .say(Tone::Bad, &format!("[WARNING] Node {node} has slots in {state} state {}.\n", listed(&slots)));
                open = open.union(&slots);
            }
        }
    }
    if !open.is_empty() {
        terminal.say(Tone::Bad, &format!("[WARNING] The following slots are open: {}.\n", listed(&open)));
    }
    open.is_empty()
}

/// Whether every node could be looked at. The reference says nothing of the others on standard output, and ends with 0.
fn all_answer(observation: &Observation, terminal: &mut Terminal<'_>) -> bool {
    let silent: Vec<String> = observation.view.silent().map(|(node, _)| node.address.bare().clone()).collect();
    if !silent.is_empty() {
        let line = format!("[WARNING] The following nodes could not be looked at: {}.\n", silent.join(","));
        terminal.say(Tone::Bad, &line);
    }
    silent.is_empty()
}

/// Whether every node serves, although every slot has an owner: one that sees too few others does not. One that has just joined will, and
/// is waited for.
async fn all_serve(observation: &Observation, nodes: &[Loaded<'_>], terminal: &mut Terminal<'_>) -> bool {
    let begin = Instant::now();
    let mut idle: Vec<&Loaded<'_>> = nodes.iter().filter(|node| !node.view.cluster.state_ok).collect();
    while !idle.is_empty() && begin.elapsed() < REJOIN {
        sleep(LOOK).await;
        let asked = idle.into_iter().map(async |node| (!serves(observation, node.entry().id).await).then_some(node));
        idle = join_all(asked).await.into_iter().flatten().collect();
    }
    if !idle.is_empty() {
        let idle: Vec<String> = idle.iter().map(|node| node.address.bare().clone()).collect();
        let line = format!("[WARNING] The following nodes do not serve (cluster_state:fail): {}.\n", idle.join(","));
        terminal.say(Tone::Bad, &line);
    }
    idle.is_empty()
}

async fn serves(observation: &Observation, node: NodeId) -> bool {
    match observation.links.get(&node) {
        Some(link) => ask(link.as_ref()).await.is_ok_and(|view| view.cluster.state_ok),
        None => false,
    }
}

fn listed(slots: &SlotSet) -> String {
    slots.iter().map(|slot| slot.to_string()).collect::<Vec<_>>().join(",")
}

/// Whether every slot has an owner.
pub(super) fn coverage(nodes: &[Loaded<'_>], terminal: &mut Terminal<'_>) -> bool {
    terminal.say(Tone::Info, ">>> Check slots coverage...\n");
    let covered = nodes.iter().fold(SlotSet::new(), |covered, node| covered.union(&node.entry().slots));
    if covered.len() == usize::from(Slot::COUNT) {
        terminal.say(Tone::Good, "[OK] All 16384 slots covered.\n");
        return true;
    }
    terminal.say(Tone::Bad, "[ERR] Not all 16384 slots are covered by nodes.\n\n");
    false
}

async fn search_multiple_owners(
    observation: &Observation,
    nodes: &[Loaded<'_>],
    terminal: &mut Terminal<'_>,
) -> Result<bool, Stop> {
    terminal.say(Tone::Info, ">>> Check for multiple slot owners...\n");
    let stray = stray_keys(observation).await.map_err(|error| unreachable(&error, terminal))?;
    let owners = owners(nodes, &stray);
    for (slot, owners) in &owners {
        terminal.say(Tone::Warning, &format!("[WARNING] Slot {slot} has {} owners:\n", owners.len()));
        for owner in owners {
            terminal.plain(&format!("    {owner}\n"));
        }
    }
    if owners.is_empty() {
        terminal.say(Tone::Good, "[OK] No multiple owners found.\n");
    }
    Ok(owners.is_empty())
}

/// The slots that several primaries claim or hold keys of, with these primaries.
fn owners(nodes: &[Loaded<'_>], stray: &BTreeMap<NodeId, StrayKeys>) -> BTreeMap<Slot, Vec<String>> {
    let mut owners: BTreeMap<Slot, Vec<String>> = BTreeMap::new();
    for loaded in nodes.iter().filter(|node| !node.entry().is_replica()) {
        let held = stray.get(&loaded.entry().id).map(|stray| stray.slots.clone()).unwrap_or_default();
        for slot in loaded.entry().slots.union(&held).iter() {
            owners.entry(slot).or_default().push(loaded.address.bare());
        }
    }
    owners.retain(|_, owners| owners.len() > 1);
    owners
}
