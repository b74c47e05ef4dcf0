//! The lines of `--cluster fix`.

use super::super::{Terminal, Wording, terminal::Tone};
use operations::port::Key;
use topology::{
    NodeAddr, Slot,
    plan::{Action, NodeRef},
    repair::{Found, Repair},
};

/// Uncovered slots that are asked about together.
pub(super) struct Group {
    /// Whether slots belong to it of which so many nodes hold keys.
    pub(super) is_meant: fn(usize) -> bool,
    pub(super) heading: &'static str,
    pub(super) question: &'static str,
}

/// The groups in the order in which they are asked about.
pub(super) const GROUPS: [Group; 3] = [
    Group {
        is_meant: |holders| holders == 0,
        heading: "The following uncovered slots have no keys across the cluster:",
        question: "Fix these slots by covering with a random node?",
    },
    Group {
        is_meant: |holders| holders == 1,
        heading: "The following uncovered slots have keys in just one node:",
        question: "Fix these slots by covering with those nodes?",
    },
    Group {
        is_meant: |holders| holders > 1,
        heading: "The following uncovered slots have keys in multiple nodes:",
        question: "Fix these slots by moving keys into a single node?",
    },
];

/// That primaries which do not answer make a repair dangerous.
pub(super) fn dangerous(what: &str, count: usize, wording: Wording) -> String {
    let (primaries, tool) = match wording {
        Wording::Redis => ("masters", "redis-cli"),
        Wording::Valkey => ("primaries", "valkey-cli"),
    };
    format!(
        "*** Fixing {what} with {count} unreachable {primaries} is dangerous: {tool} will assume that slots about {primaries} \
         that are not reachable are not covered, and will try to reassign them to the reachable nodes. This can cause data \
         loss and is rarely what you want to do. If you really want to proceed use the \
         --cluster-fix-with-unreachable-{primaries} option.\n"
    )
}

/// What is found and done about an open slot.
pub(super) fn open(repair: &Repair, terminal: &mut Terminal<'_>) {
    let Repair { slot, found, remedy } = repair;
    terminal.say(Tone::Info, &format!(">>> Fixing open slot {slot}\n"));
    let strangers = || found.keys.iter().map(|(node, _)| node).filter(|node| !claims(found, node));
    for node in strangers() {
        let line = format!("*** Found keys about slot {slot} in non-owner node {}!\n", node.address.bare());
        terminal.say(Tone::Warning, &line);
    }
    let migrating: Vec<&NodeRef> = found.migrating.iter().map(|(node, _)| node).collect();
    let mut importing: Vec<&NodeRef> = found.importing.iter().map(|(node, _)| node).collect();
    for node in strangers() {
        if !migrating.contains(&node) && !importing.contains(&node) {
            let line = format!("*** Found keys about slot {slot} in node {}!\n", node.address.bare());
            terminal.say(Tone::Warning, &line);
            importing.push(node);
        }
    }
    for (state, nodes) in [("migrating", &migrating), ("importing", &importing)] {
        if !nodes.is_empty() {
            let nodes: Vec<String> = nodes.iter().map(|node| node.address.bare()).collect();
            terminal.plain(&format!("Set as {state} in: {}\n", nodes.join(",")));
        }
    }
    let owner = remedy.owner.address.bare();
    if remedy.settle && found.owners.len() != 1 {
        terminal.say(Tone::Info, ">>> No single clear owner for the slot, selecting an owner by # of keys...\n");
        terminal.say(Tone::Warning, &format!("*** Configuring {owner} as the slot owner\n"));
    }
    if let Some(from) = &remedy.from {
        let from = from.address.bare();
        let line = if importing.len() > 1 {
            format!(
                ">>> Case 3: Moving slot {slot} from {from} to {owner} and closing it on all the other importing nodes.\n"
            )
        } else {
            format!(">>> Case 1: Moving slot {slot} from {from} to {owner}\n")
        };
        terminal.say(Tone::Info, &line);
        return;
    }
    importing.retain(|node| **node != remedy.owner);
    match (&migrating[..], importing.is_empty()) {
        ([one], true) => {
            terminal.say(Tone::Info, &format!(">>> Case 4: Closing slot {slot} on {}\n", one.address.bare()));
        }
        ([_, ..], false) if remedy.gathers.is_empty() => {
            let line = format!(">>> Case 3: Closing slot {slot} on both migrating and importing nodes.\n");
            terminal.say(Tone::Info, &line);
        }
        (_, true) => {}
        _ => {
            let line = format!(">>> Case 2: Moving all the {slot} slot keys to its owner {owner}\n");
            terminal.say(Tone::Info, &line);
            for node in importing {
                moving(*slot, node, &remedy.owner, terminal);
                terminal.say(Tone::Info, &format!(">>> Setting {slot} as STABLE in {}\n", node.address.bare()));
            }
        }
    }
}

fn claims(found: &Found, node: &NodeRef) -> bool {
    found.owners.iter().any(|(owner, _)| owner == node)
}

fn moving(slot: Slot, from: &NodeRef, to: &NodeRef, terminal: &mut Terminal<'_>) {
    let end = match terminal.wording {
        Wording::Redis => ": \n",
        Wording::Valkey => "\n",
    };
    terminal.plain(&format!("Moving slot {slot} from {} to {}{end}", from.address.bare(), to.address.bare()));
}

/// Who gets a slot that nobody served.
pub(super) fn cover(repair: &Repair, terminal: &mut Terminal<'_>) {
    let Repair { slot, found, remedy } = repair;
    let how = if found.keys.len() > 1 { "moving keys to" } else { "with" };
    terminal.say(Tone::Info, &format!(">>> Covering slot {slot} {how} {}\n", remedy.owner.address.bare()));
    for node in &remedy.gathers {
        moving(*slot, node, &remedy.owner, terminal);
    }
}

/// That a replica is to take the place of its primary.
pub(super) fn takeover(action: &Action, terminal: &mut Terminal<'_>) {
    if let Action::Failover { replica, primary, .. } = action {
        let line = format!(
            "*** {} does not answer. Its {} {} has its data.\n",
            primary.address.bare(),
            terminal.wording.replica(),
            replica.address.bare()
        );
        terminal.say(Tone::Warning, &line);
    }
}

/// Those who claim a slot or hold keys of it.
pub(super) fn owners(found: &Found) -> Vec<&NodeRef> {
    let mut owners: Vec<&NodeRef> = found.owners.iter().map(|(node, _)| node).collect();
    for (node, _) in &found.keys {
        if !owners.contains(&node) {
            owners.push(node);
        }
    }
    owners
}

/// What is found and done about a slot with several owners.
pub(super) fn several_owners(repair: &Repair, terminal: &mut Terminal<'_>) {
    let Repair { slot, found, remedy } = repair;
    let owners = owners(found);
    terminal.say(Tone::Bad, &format!("[WARNING] Slot {slot} has {} owners:\n", owners.len()));
    for owner in owners {
        terminal.say(Tone::Bad, &format!("    {}\n", owner.address.bare()));
    }
    terminal.say(Tone::Info, &format!(">>> Fixing multiple owners for slot {slot}...\n"));
    terminal.say(Tone::Info, &format!(">>> Setting slot {slot} owner: {}\n", remedy.owner.address.bare()));
    for node in &remedy.gathers {
        moving(*slot, node, &remedy.owner, terminal);
    }
}

/// Keys that both nodes hold with different values.
pub(super) fn different(from: &NodeAddr, to: &NodeAddr, keys: &[Key]) -> String {
    let names: Vec<String> = keys.iter().map(|key| format!("    - {}\n", key.escape_ascii())).collect();
    let names = names.concat();
    format!(
        "*** Found {} key(s) in both source node and target node having different values.\n    Source node: {}\n    \
         Target node: {}\n    Keys(s):\n{names}Please fix the above key(s) manually and try again or relaunch the command \n\
         with --cluster-replace option to force key overriding.\n",
        keys.len(),
        to.bare(),
        from.bare(),
    )
}
