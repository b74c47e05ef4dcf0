//! Blocks of lines about nodes.

use super::{Terminal, terminal::Tone};
use std::fmt::Write as _;
use topology::{Flag, NodeAddr, NodeEntry, NodeId, NodeView, SlotSet};

/// A node that was loaded: it answered and takes part in the cluster.
#[derive(Clone, Copy)]
pub(crate) struct Loaded<'a> {
    pub(crate) address: &'a NodeAddr,
    pub(crate) view: &'a NodeView,
}

impl Loaded<'_> {
    pub(crate) const fn entry(&self) -> &NodeEntry {
        &self.view.myself
    }
}

/// `[0-5460],[9000]`
pub(crate) fn bracketed(slots: &SlotSet) -> String {
    let range = |range: std::ops::RangeInclusive<topology::Slot>| {
        if range.start() == range.end() {
            format!("[{}]", range.start())
        } else {
            format!("[{}-{}]", range.start(), range.end())
        }
    };
    slots.ranges().map(range).collect::<Vec<_>>().join(",")
}

/// The lines of one node that was loaded.
pub(crate) fn node(loaded: &Loaded<'_>, replicas: usize) -> String {
    let entry = loaded.entry();
    let letter = if entry.is_replica() { 'S' } else { 'M' };
    let mut text = format!("{letter}: {} {}\n", entry.id, loaded.address.bare());
    let flags: Vec<String> =
        entry.flags.iter().filter(|flag| **flag != Flag::Myself).map(ToString::to_string).collect();
    let _ = writeln!(text, "   slots:{} ({} slots) {}", bracketed(&entry.slots), entry.slots.len(), flags.join(","));
    if let Some(primary) = entry.primary {
        let _ = writeln!(text, "   replicates {primary}");
    } else if replicas > 0 {
        let _ = writeln!(text, "   {replicas} additional replica(s)");
    }
    text
}

/// The lines of a node that create has planned, as a primary with its slots or as a replica.
pub(crate) fn planned(id: NodeId, address: &NodeAddr, role: Result<&SlotSet, NodeId>) -> String {
    match role {
        Ok(slots) => {
            format!("M: {id} {}\n   slots:{} ({} slots) master\n", address.bare(), bracketed(slots), slots.len())
        }
        Err(primary) => format!("S: {id} {}\n   replicates {primary}\n", address.bare()),
    }
}

/// How many of the loaded nodes replicate this one.
pub(crate) fn replicas_of(id: NodeId, nodes: &[Loaded<'_>]) -> usize {
    nodes.iter().filter(|node| node.entry().primary == Some(id)).count()
}

/// The primaries with their keys, slots and replicas.
pub(crate) fn info(nodes: &[Loaded<'_>], terminal: &mut Terminal<'_>) {
    let (mut all, mut primaries) = (0_u64, 0_usize);
    for loaded in nodes.iter().filter(|node| !node.entry().is_replica()) {
        let entry = loaded.entry();
        // What DBSIZE counts: the keys of database 0.
        let keys = loaded.view.server.databases.get(&0).copied().unwrap_or_default();
        all = all.saturating_add(keys);
        primaries += 1;
        terminal.plain(&format!(
            "{} ({}...) -> {keys} keys | {} slots | {} {}s.\n",
            loaded.address.bare(),
            entry.id.short(),
            entry.slots.len(),
            replicas_of(entry.id, nodes),
            terminal.wording.replica(),
        ));
    }
    terminal.say(Tone::Good, &format!("[OK] {all} keys in {primaries} {}s.\n", plural(terminal.wording.primary())));
    #[expect(clippy::cast_precision_loss, reason = "a mean with two decimals")]
    let mean = all as f64 / f64::from(topology::Slot::COUNT);
    terminal.plain(&format!("{mean:.2} keys per slot on average.\n"));
}

/// The stem to which an `s` makes the plural.
fn plural(word: &str) -> String {
    word.strip_suffix('y').map_or_else(|| word.to_owned(), |stem| format!("{stem}ie"))
}
