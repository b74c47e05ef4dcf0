//! The pictures of `tribune top`, as lines.

use crate::native::units;
use topology::{
    ClusterView,
    findings::slot_list,
    load::{Load, NodeLoad, OpenMove},
    plan::{Action, Plan},
    slot_stats::HotSlot,
};

/// A run of a tribune of this machine.
pub(crate) struct Run {
    /// Its process.
    pub(crate) pid: i32,
    /// What it is to reach.
    pub(crate) goal: String,
    /// Slots that have their new owner.
    pub(crate) moved: usize,
    /// Slots that move.
    pub(crate) slots: usize,
}

/// How many slots a plan moves.
pub(crate) fn slots_of(plan: &Plan) -> usize {
    let slots = plan.steps.iter().map(|step| match &step.action {
        Action::MoveSlots { slots, .. } => slots.len(),
        _ => 0,
    });
    slots.sum()
}

/// One picture, no line wider than this.
pub(crate) fn lines(view: &ClusterView, load: &Load, run: Option<&Run>, width: usize) -> Vec<String> {
    let mut lines = vec![headline(view, load), String::new()];
    lines.extend(nodes(load));
    let moves = moves(load, run);
    if !moves.is_empty() {
        lines.push(String::new());
        lines.extend(moves);
    }
    if !load.hottest_slots.is_empty() {
        lines.push(String::new());
        lines.extend(hottest(&load.hottest_slots));
    }
    // A terminal breaks a line that reaches its last column in different ways.
    lines.into_iter().map(|line| line.chars().take(width.saturating_sub(1)).collect()).collect()
}

fn headline(view: &ClusterView, load: &Load) -> String {
    let servers = view.answering().map(|(_, said)| format!("{} {}", said.server.engine, said.server.version));
    let mut servers: Vec<String> = servers.collect();
    servers.sort();
    servers.dedup();
    let silent = load.nodes.iter().filter(|node| node.silence.is_some()).count();
    let mut parts = vec![
        servers.join(", "),
        format!("{} op/s", units::grouped(load.operations_per_second)),
        units::many(load.keys, "key"),
        units::bytes(load.memory_bytes),
    ];
    if silent > 0 {
        parts.push(format!("{} silent", units::count(silent, "node")));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("   ")
}

fn nodes(load: &Load) -> Vec<String> {
    let addresses = load.nodes.iter().map(|node| node.address.bare().len()).max().unwrap_or_default().max(4);
    let head = format!(
        "  # {:addresses$} role    {:>8} {:>7} {:>7} {:>7} {:>7} {:>7}",
        "node", "op/s", "memory", "clients", "in/s", "out/s", "lag"
    );
    std::iter::once(head).chain(load.nodes.iter().map(|node| line(node, addresses))).collect()
}

fn line(node: &NodeLoad, addresses: usize) -> String {
    let shard = node.shard.filter(|_| !node.replica).map_or_else(String::new, |shard| shard.to_string());
    let role = if node.replica { "replica" } else { "primary" };
    let address = node.address.bare();
    let head = format!("{shard:>3} {address:addresses$} {role}");
    if let Some(silence) = &node.silence {
        return format!("{head}  ! {silence}");
    }
    let number = |number: Option<u64>, text: fn(u64) -> String| number.map_or_else(|| "-".to_owned(), text);
    let lag = match (node.replica, node.lag_bytes) {
        (false, _) => String::new(),
        (true, None) => "no link".to_owned(),
        (true, Some(lag)) => amount(lag),
    };
    format!(
        "{head} {:>8} {:>7} {:>7} {:>7} {:>7} {lag:>7}",
        number(node.operations_per_second, units::grouped),
        number(node.memory_bytes, units::bytes),
        number(node.clients, units::grouped),
        number(node.bytes_in_per_second, amount),
        number(node.bytes_out_per_second, amount),
    )
}

/// Bytes, the small ones exactly.
fn amount(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{} kB", bytes / 1000),
        _ => units::bytes(bytes),
    }
}

fn moves(load: &Load, run: Option<&Run>) -> Vec<String> {
    const BAR: usize = 24;
    let mut lines = Vec::new();
    if let Some(Run { pid, goal, moved, slots }) = run {
        let full = (moved * BAR / (*slots).max(1)).min(BAR);
        let bar = format!("{}{}", "━".repeat(full), "╌".repeat(BAR - full));
        let of = format!("{} of {} slots", units::grouped(*moved as u64), units::grouped(*slots as u64));
        lines.push(format!("process {pid}: {goal}"));
        lines.push(format!("  {bar}  {of}"));
    }
    for OpenMove { slots, from, to, state } in &load.moves {
        let what = match state {
            Some(state) => format!("by the servers themselves ({state})"),
            None => "open".to_owned(),
        };
        lines.push(format!("  {from} > {to}   {what}: {}", slot_list(slots)));
    }
    lines
}

fn hottest(slots: &[HotSlot]) -> Vec<String> {
    let timed = slots.iter().any(|slot| slot.cpu_percent.is_some());
    let head = if timed {
        "hottest slots, by the time spent on them"
    } else {
        "largest slots, by keys; cluster-slot-stats-enabled would tell the hottest"
    };
    let line = |slot: &HotSlot| {
        let keys = units::many(slot.keys, "key");
        let cpu = slot.cpu_percent.map(|percent| format!("  {percent:>5.1} % of a core"));
        let bytes = slot.bytes_per_second.map(|bytes| format!("  {}/s", amount(bytes)));
        format!("  {:>5}  {keys:>12}{}{}", slot.slot, cpu.unwrap_or_default(), bytes.unwrap_or_default())
    };
    std::iter::once(head.to_owned()).chain(slots.iter().map(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(shard: usize, port: u16, replica: bool) -> NodeLoad {
        NodeLoad {
            shard: Some(shard),
            address: format!("127.0.0.1:{port}").parse().unwrap(),
            replica,
            silence: None,
            operations_per_second: Some(21_400),
            memory_bytes: Some(137_000_000),
            clients: Some(104),
            bytes_in_per_second: Some(1_200_000),
            bytes_out_per_second: Some(950),
            lag_bytes: replica.then_some(0),
        }
    }

    fn load() -> Load {
        let silent = NodeLoad { silence: Some("has not answered for 3.1 s".to_owned()), ..node(1, 7001, false) };
        Load {
            nodes: vec![node(0, 7000, false), node(0, 7003, true), silent],
            operations_per_second: 21_400,
            memory_bytes: 137_000_000,
            keys: 333_412,
            hottest_slots: vec![HotSlot {
                slot: topology::Slot::new(6000).unwrap(),
                keys: 23,
                cpu_percent: Some(12.34),
                bytes_per_second: Some(1_200_000),
            }],
            moves: vec![OpenMove {
                slots: "1-3".parse().unwrap(),
                from: "127.0.0.1:7000".to_owned(),
                to: "127.0.0.1:7001".to_owned(),
                state: None,
            }],
        }
    }

    #[test]
    fn a_picture_has_a_line_for_each_node_each_move_and_each_hot_slot() {
        let run = Run { pid: 4711, goal: "100 slots to 127.0.0.1:7001".to_owned(), moved: 50, slots: 100 };
        let expected = "\
21 400 op/s   333 k keys   137 MB   1 node silent

  # node           role        op/s  memory clients    in/s   out/s     lag
  0 127.0.0.1:7000 primary   21 400  137 MB     104  1.2 MB   950 B
    127.0.0.1:7003 replica   21 400  137 MB     104  1.2 MB   950 B     0 B
  1 127.0.0.1:7001 primary  ! has not answered for 3.1 s

process 4711: 100 slots to 127.0.0.1:7001
  ━━━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌  50 of 100 slots
  127.0.0.1:7000 > 127.0.0.1:7001   open: slots 1-3

hottest slots, by the time spent on them
   6000       23 keys   12.3 % of a core  1.2 MB/s";
        let shown = lines(&ClusterView::default(), &load(), Some(&run), 120);
        let shown: Vec<&str> = shown.iter().map(|line| line.trim_end()).collect();
        assert_eq!(shown.join("\n"), expected);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let whole = lines(&ClusterView::default(), &load(), None, 80);
        assert!(whole[2].ends_with("lag") && whole[4].ends_with("0 B"), "all columns have room: {whole:#?}");
        assert!(lines(&ClusterView::default(), &load(), None, 40).iter().all(|line| line.chars().count() < 40));
    }
}
