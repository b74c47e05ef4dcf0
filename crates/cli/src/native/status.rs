//! `tribune status`: a cluster on one screen, problems first.

use super::{Target, check, print_json, units};
use crate::{
    failure::{ExitStatus, Failure},
    printer::{DIM, GREEN, Printer, RED},
};
use clap::Args;
use operations::observe::look;
use std::fmt::Write as _;
use topology::{
    Slot, SlotSet,
    report::{ClusterReport, NodeReport, ShardReport},
};

/// Show a cluster on one screen, problems first.
#[derive(Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    target: Target,
    /// Write the report as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: &StatusArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let address = arguments.target.address()?;
    let report = ClusterReport::new(&look(&arguments.target.connector()?, &[address]).await?.view);
    if arguments.json {
        print_json(printer, &report)?;
    } else {
        printer.out(&text(&report, printer.width));
    }
    Ok(if report.healthy { ExitStatus::Done } else { ExitStatus::NotDone })
}

/// The whole screen.
pub(crate) fn text(report: &ClusterReport, width: usize) -> String {
    let mut text = check::findings(&report.findings);
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&headline(report, width));
    text.push('\n');
    let addresses = report.nodes().map(|node| node.address.to_string().len()).max().unwrap_or_default();
    for (number, shard) in report.shards.iter().enumerate() {
        text.push_str(&shard_lines(number, shard, addresses, width));
    }
    for node in &report.others {
        let _ = writeln!(text, "  -  in no shard\n{}", node_line("node", node, addresses));
    }
    text
}

fn headline(report: &ClusterReport, width: usize) -> String {
    let replicas: usize = report.shards.iter().map(|shard| shard.replicas.len()).sum();
    let parts = [
        report.servers.join(", "),
        format!("{}, {}", units::count(report.shards.len(), "shard"), units::count(replicas, "replica")),
        match report.slots_served {
            16384 => "16384 slots".to_owned(),
            served => format!("{served} of 16384 slots"),
        },
        units::count(report.keys, "key"),
        units::bytes(report.memory_bytes),
    ];
    let line = parts.join("   ");
    let (colour, word) = if report.healthy { (GREEN, "healthy") } else { (RED, "not healthy") };
    let gap = width.saturating_sub(line.chars().count() + word.len()).max(3);
    format!("{line}{:gap$}{colour}{word}{colour:#}\n", "")
}

fn shard_lines(number: usize, shard: &ShardReport, addresses: usize, width: usize) -> String {
    /// Ranges longer than this are cut, so that the bar stays in its column.
    const RANGES: usize = 16;
    let ranges = ranges(&shard.slots, RANGES);
    let keys = shard.primary.keys.map_or_else(|| "keys unknown".to_owned(), |keys| units::count(keys, "key"));
    let memory = shard.primary.memory_bytes.map_or_else(String::new, |memory| format!("   {}", units::bytes(memory)));
    let tail = format!("{keys}{memory}");
    let room = width.saturating_sub(5 + RANGES + 2 + 3 + tail.chars().count()).clamp(8, 64);
    let mut text = format!("{number:>3}  {ranges:RANGES$}  {}   {tail}\n", bar(&shard.slots, room));
    text.push_str(&node_line("primary", &shard.primary, addresses));
    for replica in &shard.replicas {
        text.push_str(&node_line("replica", replica, addresses));
    }
    text
}

/// The slots as ranges in no more than so many characters.
fn ranges(slots: &SlotSet, room: usize) -> String {
    let all = slots.to_string();
    match all {
        all if all.is_empty() => "no slots".to_owned(),
        all if all.len() <= room => all,
        all => {
            let mut shown = String::new();
            for range in all.split(' ').take_while({
                let mut length = 1;
                move |range| {
                    length += range.len() + 1;
                    length <= room
                }
            }) {
                shown.push_str(range);
                shown.push(' ');
            }
            shown + "…"
        }
    }
}

/// The 16384 slots as so many characters: full where the set has most of the slots there, empty where it has none.
fn bar(slots: &SlotSet, characters: usize) -> String {
    let characters = characters.clamp(1, usize::from(Slot::COUNT));
    let mut full = vec![0_usize; characters];
    for slot in slots.iter() {
        let at = usize::from(slot.number()) * characters / usize::from(Slot::COUNT);
        if let Some(count) = full.get_mut(at) {
            *count += 1;
        }
    }
    let share = usize::from(Slot::COUNT) / characters;
    let character = |count: usize| match count {
        0 => '░',
        count if count * 4 >= share * 3 => '█',
        count if count * 2 >= share => '▓',
        _ => '▒',
    };
    full.into_iter().map(character).collect()
}

fn node_line(role: &str, node: &NodeReport, addresses: usize) -> String {
    let id = node.id.map_or_else(|| "unknown ".to_owned(), |id| id.short());
    let mut parts = Vec::new();
    if let Some(silence) = &node.silence {
        parts.push(format!("{RED}{silence}{RED:#}"));
    }
    match (node.linked, node.lag_bytes) {
        (Some(true), Some(0) | None) => parts.push("in sync".to_owned()),
        (Some(true), Some(lag)) => parts.push(format!("{} bytes behind", units::grouped(lag))),
        (Some(false), _) => parts.push(format!("{RED}no link to its primary{RED:#}")),
        (None, _) => {}
    }
    if let Some(operations) = node.operations_per_second.filter(|_| role == "primary") {
        parts.push(format!("{} op/s", units::grouped(operations)));
    }
    if let Some(zone) = &node.zone {
        parts.push(format!("zone {zone}"));
    }
    format!("     {role}  {:addresses$}  {DIM}{id}{DIM:#}  {}\n", node.address.to_string(), parts.join("  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_where_slots_are() {
        let slots = |text: &str| text.parse::<SlotSet>().unwrap();
        assert_eq!(bar(&slots("0-8191"), 8), "████░░░░");
        assert_eq!(bar(&slots("0"), 4), "▒░░░");
        assert_eq!(bar(&SlotSet::new(), 2), "░░");
    }
}
