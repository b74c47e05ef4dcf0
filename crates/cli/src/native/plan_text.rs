//! A plan as text: what will be, what is done in which order, and why.

mod names;

use super::units;
use crate::printer::{DIM, Printer};
pub(crate) use names::Names;
use std::{collections::BTreeSet, fmt::Write as _, mem::discriminant, time::Duration};
use topology::plan::{Action, Dialect, FailoverKind, ImportShare, Plan, Step};

/// Moves of one stage that are told one by one; JSON has them all.
const SHOWN: usize = 24;
/// Columns before what a stage does.
const MARGIN: usize = 15;

/// How a plan is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Columns.
    pub(crate) width: usize,
    /// What others may wait while keys move by `MIGRATE`; none for as long as it takes.
    pub(crate) budget: Option<Duration>,
}

impl Look {
    /// As wide as the terminal.
    pub(crate) const fn on(printer: &Printer, budget: Option<Duration>) -> Self {
        Self { width: printer.width, budget }
    }
}

/// The whole plan.
pub(crate) fn text(plan: &Plan, look: Look) -> String {
    let mut text = format!("{}\n\n", plan.goal);
    if plan.steps.iter().any(|step| matches!(step.action, Action::AddSlots { .. })) {
        text.push_str(&shape(plan));
    }
    let names = Names::of(plan);
    for steps in plan.stages() {
        for kind in kinds(&steps) {
            text.push_str(&stage(&kind, &names, look));
        }
    }
    text.push('\n');
    text.push_str(&cost(plan, look));
    for reason in &plan.reasons {
        text.push_str(&sentence(&capitalised(reason), look));
    }
    text
}

/// A sentence, broken where the terminal ends.
fn sentence(words: &str, look: Look) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() + 2 <= look.width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().fold(String::new(), |text, line| text + "  " + line + "\n")
}

/// The cluster when all is done.
fn shape(plan: &Plan) -> String {
    let mut text = String::new();
    let width = plan.based_on.iter().map(|node| node.address.to_string().len()).max().unwrap_or_default();
    for (number, shard) in plan.expected_after.iter().enumerate() {
        let replicas: Vec<String> = shard.replicas.iter().map(|replica| replica.address.to_string()).collect();
        let replicas = if replicas.is_empty() { String::new() } else { format!("   replica {}", replicas.join(" ")) };
        let primary = shard.primary.address.to_string();
        let line = format!("{number:>3}  {:14} primary {primary:width$}{replicas}", shard.slots.to_string());
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text.push('\n');
    text
}

/// The steps of a stage by what they do.
fn kinds<'a>(steps: &[&'a Step]) -> Vec<Vec<&'a Step>> {
    let mut kinds: Vec<Vec<&Step>> = Vec::new();
    for step in steps {
        let same = |kind: &Vec<&Step>| {
            kind.first().is_some_and(|first| discriminant(&first.action) == discriminant(&step.action))
        };
        match kinds.iter_mut().find(|kind| same(kind)) {
            Some(kind) => kind.push(step),
            None => kinds.push(vec![step]),
        }
    }
    kinds
}

/// What steps of one kind and stage do, the first line with the stage's number.
fn stage(steps: &[&Step], names: &Names, look: Look) -> String {
    let Some(first) = steps.first() else { return String::new() };
    if matches!(first.action, Action::MoveSlots { .. }) {
        return moves(steps, names, look);
    }
    let (verb, items) = deeds(steps, names);
    let mut lines = wrapped(&items, look.width.saturating_sub(MARGIN)).into_iter();
    let line = format!("{:>3}  {verb:8}  {}", first.stage, lines.next().unwrap_or_default());
    // A reason that is only the first step's would be wrong for the others.
    let reason = if steps.iter().all(|step| step.reason == first.reason) { first.reason.as_str() } else { "" };
    let mut text = with_note(&line, &names.shortened(reason), look.width);
    for line in lines {
        let _ = writeln!(text, "{:MARGIN$}{line}", "");
    }
    text
}

/// What each stage does in one line, in the order of the stages.
pub(crate) fn stages(plan: &Plan) -> Vec<String> {
    let names = Names::of(plan);
    let line = |steps: Vec<&Step>| {
        let slots: usize = steps
            .iter()
            .map(|step| if let Action::MoveSlots { slots, .. } = &step.action { slots.len() } else { 0 })
            .sum();
        if slots > 0 {
            return format!("move {}", units::count(slots, "slot"));
        }
        let (verb, items) = deeds(&steps, &names);
        format!("{verb} {}", items.join("   "))
    };
    plan.stages().map(line).collect()
}

/// What one step does, in one line.
pub(crate) fn deed(action: &Action) -> String {
    let plan = Plan::of_one_stage(String::new(), action.nodes(), vec![(action.clone(), String::new())]);
    let names = Names::of(&plan);
    if let Action::MoveSlots { slots, from, to, .. } = action {
        return format!("{:8}  {}  {}", "move", units::count(slots.len(), "slot"), names.pair(from, ">", to));
    }
    let (verb, items) = deeds(&plan.steps.iter().collect::<Vec<_>>(), &names);
    format!("{verb:8}  {}", items.join("   "))
}

/// What the steps of a stage do, as a verb and to what; moves have lines of their own.
fn deeds(steps: &[&Step], names: &Names) -> (&'static str, Vec<String>) {
    let Some(first) = steps.first() else { return ("", Vec::new()) };
    let each = |what: &dyn Fn(&Action) -> Option<String>| steps.iter().filter_map(|step| what(&step.action)).collect();
    let count = |noun: &str| units::count(steps.len(), noun);
    match &first.action {
        Action::AddSlots { .. } => {
            ("assign", vec![format!("the slots of {}", count("primary").replace("primarys", "primaries"))])
        }
        Action::SetEpoch { .. } => ("number", vec![format!("{}: a config epoch each", count("node"))]),
        Action::Meet { nodes } => ("meet", vec![format!("all {} nodes, each with each", nodes.len())]),
        Action::AwaitAgreement { .. } => ("wait", vec!["until all nodes agree".to_owned()]),
        Action::AwaitService { nodes } => {
            let serve = if nodes.len() == 1 { "serves" } else { "serve" };
            ("wait", vec![format!("until {} {serve}", names.all_or(nodes))])
        }
        Action::AwaitReplicas { .. } => ("wait", vec!["until all replicas have their data".to_owned()]),
        Action::YieldSlots { .. }
        | Action::SettleSlots { .. }
        | Action::CloseSlots { .. }
        | Action::GatherKeys { .. } => (repair(&first.action), each(&|action| repaired(action, names))),
        Action::GiveUpSlots { .. } => ("take", vec![format!("the slots of {}", count("empty node"))]),
        Action::Reset { .. } => ("reset", vec![format!("{}: the cluster is forgotten", count("empty node"))]),
        Action::Forget { node, by } => {
            ("forget", vec![format!("{} on {}", names.of_node(node), units::count(by.len(), "node"))])
        }
        Action::CopyFunctions { from, to } => ("copy", vec![format!("functions {}", names.pair(from, ">", to))]),
        Action::Retire { node, .. } => ("reset", vec![format!("{}: the cluster is forgotten", names.of_node(node))]),
        Action::Configure { nodes, setting, value } => {
            ("set", vec![format!("{setting} {value} on {}", units::count(nodes.len(), "node"))])
        }
        Action::Detach { .. } => {
            let what = |action: &Action| match action {
                Action::Detach { node, .. } => Some(names.of_node(node)),
                _ => None,
            };
            ("promote", each(&what))
        }
        Action::Failover { .. } => {
            let what = |action: &Action| match action {
                Action::Failover { replica, primary, kind } => {
                    Some(format!("{}{}", names.pair(replica, "for", primary), manner(*kind)))
                }
                _ => None,
            };
            ("promote", each(&what))
        }
        Action::Replicate { .. } => {
            let what = |action: &Action| match action {
                Action::Replicate { replica, primary } => Some(names.pair(replica, ">", primary)),
                _ => None,
            };
            ("follow", each(&what))
        }
        Action::ImportKeys { source, databases, to, copy, .. } => {
            let numbers: Vec<String> = databases.iter().map(|held| held.database.to_string()).collect();
            let plural = if numbers.len() == 1 { "" } else { "s" };
            let what = format!("database{plural} {} of {source}", numbers.join(", "));
            let share = |share: &ImportShare| format!("{} > {}", units::many(share.keys, "key"), share.node.address);
            (if *copy { "copy" } else { "move" }, std::iter::once(what).chain(to.iter().map(share)).collect())
        }
        Action::Repair { .. } => ("mend", vec!["slots that are not as they should be".to_owned()]),
        Action::AddMembers { count } => ("start", vec![units::count(*count, "new member")]),
        Action::RemoveMember { .. } => ("remove", each(&member)),
        Action::UpdateMember { .. } => ("set", each(&member)),
        Action::RestartMember { .. } => ("restart", each(&member)),
        other => ("step", vec![format!("{other:?}")]),
    }
}

/// The member that a step of the platform is about.
fn member(action: &Action) -> Option<String> {
    match action {
        Action::RemoveMember { member, .. }
        | Action::UpdateMember { member, .. }
        | Action::RestartMember { member, .. } => Some(format!("member {member}")),
        _ => None,
    }
}

/// What a step of a repair does, as a verb.
const fn repair(action: &Action) -> &'static str {
    match action {
        Action::YieldSlots { .. } => "take",
        Action::SettleSlots { .. } => "assign",
        Action::CloseSlots { .. } => "close",
        _ => "gather",
    }
}

/// To what it does that.
fn repaired(action: &Action, names: &Names) -> Option<String> {
    Some(match action {
        Action::YieldSlots { node, owner, slots } => {
            format!("{} of {}", units::count(slots.len(), "slot"), names.pair(node, "for", owner))
        }
        Action::SettleSlots { node, slots, .. } => {
            format!("{} > {}", units::count(slots.len(), "slot"), names.of_node(node))
        }
        Action::CloseSlots { node, slots } => {
            format!("{} on {}", units::count(slots.len(), "slot"), names.of_node(node))
        }
        Action::GatherKeys { from, to, keys, .. } => {
            format!("{} {}", units::count(*keys, "key"), names.pair(from, ">", to))
        }
        _ => return None,
    })
}

const fn manner(kind: FailoverKind) -> &'static str {
    match kind {
        FailoverKind::Planned => "",
        FailoverKind::Forced => ", without asking it",
        FailoverKind::Takeover => ", without asking anybody",
    }
}

/// The moves of a stage, a line for each.
fn moves(steps: &[&Step], names: &Names, look: Look) -> String {
    struct Row {
        slots: String,
        way: String,
        weight: String,
    }
    let row = |step: &&Step| match &step.action {
        Action::MoveSlots { slots, from, to, keys, bytes, .. } => Some(Row {
            slots: units::count(slots.len(), "slot"),
            way: names.pair(from, ">", to),
            weight: format!("{}, {}", units::many(*keys, "key"), units::bytes(*bytes)),
        }),
        _ => None,
    };
    let rows: Vec<Row> = steps.iter().filter_map(row).collect();
    let shown = rows.len().min(if rows.len() == SHOWN + 1 { rows.len() } else { SHOWN });
    let widest = |of: &dyn Fn(&Row) -> &str| rows.iter().take(shown).map(|row| of(row).len()).max().unwrap_or_default();
    let (slots, ways, weights) = (widest(&|row| &row.slots), widest(&|row| &row.way), widest(&|row| &row.weight));
    // What all have in common is said once.
    let reasons: BTreeSet<&str> = steps.iter().map(|step| step.reason.as_str()).collect();
    let mut text = String::new();
    for (at, (row, step)) in rows.iter().zip(steps).take(shown).enumerate() {
        let brace = match at {
            _ if rows.len() == 1 => "",
            0 => "  \\ together",
            at if at + 1 == rows.len() => "  /         ",
            _ => "  |         ",
        };
        let head = if at == 0 { format!("{:>3}  move    ", step.stage) } else { "     move    ".to_owned() };
        let Row { slots: count, way, weight } = row;
        let line = format!("{head}  {count:>slots$}  {way:ways$}   {weight:weights$}{brace}");
        let reason = if reasons.len() > 1 || at == 0 { names.shortened(&step.reason) } else { String::new() };
        let own_line = reasons.len() == 1;
        text.push_str(&note_if_it_fits(&line, &reason, look.width, own_line));
    }
    if shown < rows.len() {
        let _ = writeln!(text, "{:MARGIN$}and {} more  /", "", units::count(rows.len() - shown, "move"));
    }
    text
}

/// A line with a note at its right; below it where there is no room.
fn with_note(line: &str, note: &str, width: usize) -> String {
    note_if_it_fits(line, note, width, true)
}

/// A line with a note at its right. Where there is no room it comes below, if that is wanted.
fn note_if_it_fits(line: &str, note: &str, width: usize, below: bool) -> String {
    /// Where notes begin, so that short lines look alike.
    const COLUMN: usize = 47;
    let length = line.chars().count();
    let line_with = |gap: usize| format!("{line}{:gap$}{DIM}{note}{DIM:#}\n", "");
    let gap = COLUMN.saturating_sub(length).max(3);
    match note.chars().count() {
        0 => format!("{}\n", line.trim_end()),
        note if length + gap + note <= width => line_with(gap),
        note if length + 3 + note <= width => line_with(3),
        _ if below => format!("{}\n{:MARGIN$}{DIM}{note}{DIM:#}\n", line.trim_end(), ""),
        _ => format!("{}\n", line.trim_end()),
    }
}

/// Items side by side, in lines of no more than so many characters.
fn wrapped(items: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for item in items {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 3 + item.chars().count() <= width => {
                line.push_str("   ");
                line.push_str(item);
            }
            _ => lines.push(item.clone()),
        }
    }
    lines
}

/// What the moves cost.
fn cost(plan: &Plan, look: Look) -> String {
    let cost = &plan.cost;
    if cost.slots_moved == 0 {
        let weight = format!("{}, {}", units::many(cost.keys_moved, "key"), units::bytes(cost.bytes_moved));
        let text = format!("  {weight}. About {}.\n", units::seconds(cost.seconds));
        return if cost.keys_moved == 0 { String::new() } else { text };
    }
    let verb = if cost.slots_moved == 1 { "moves" } else { "move" };
    let least = if cost.fewest { ": the least possible" } else { "" };
    let dialects: BTreeSet<Dialect> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::MoveSlots { dialect, .. } => Some(*dialect),
            _ => None,
        })
        .collect();
    let pace = match (dialects.contains(&Dialect::Migrate), look.budget) {
        (false, _) => ", by the servers themselves".to_owned(),
        (true, Some(budget)) => format!(", foreground p99 under {} ms", budget.as_secs_f64() * 1000.0),
        (true, None) => ", at full speed, however long others wait".to_owned(),
    };
    let weight = format!("{}, {}", units::many(cost.keys_moved, "key"), units::bytes(cost.bytes_moved));
    let slots = units::count(cost.slots_moved, "slot");
    sentence(&format!("{slots} {verb}{least}. {weight}. About {}{pace}.", units::seconds(cost.seconds)), look)
}

/// A reason as a sentence of its own: an address or a number at its beginning stays as it is.
fn capitalised(reason: &str) -> String {
    let mut characters = reason.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    let looks_like_a_name = reason.split(' ').next().is_some_and(|word| word.contains([':', '.']));
    match first {
        Some(first) if !looks_like_a_name => format!("{first}{}.", characters.as_str()),
        _ => format!("{reason}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use topology::plan::{Cost, FORMAT, NodeRef};

    fn node(port: u16) -> NodeRef {
        NodeRef { id: format!("{port:040x}").parse().unwrap(), address: format!("127.0.0.1:{port}").parse().unwrap() }
    }

    fn plan(steps: Vec<(u32, Action, &str)>) -> Plan {
        let slots_moved = steps.iter().map(|(_, action, _)| match action {
            Action::MoveSlots { slots, .. } => slots.len(),
            _ => 0,
        });
        let cost = Cost {
            slots_moved: slots_moved.sum(),
            fewest: true,
            keys_moved: 666_000,
            bytes_moved: 82_000_000,
            seconds: 4,
        };
        let step = |(stage, action, reason): (u32, Action, &str)| Step { stage, action, reason: reason.to_owned() };
        Plan {
            format: FORMAT,
            goal: "3 shards with 1 replica each".to_owned(),
            based_on: (7000..7006).map(node).collect(),
            steps: steps.into_iter().map(step).collect(),
            reasons: vec!["until step 4 is done 127.0.0.1:7001 has no replica".to_owned()],
            expected_after: Vec::new(),
            placement: None,
            cost,
        }
    }

    fn slots(slots: &str, to: u16, dialect: Dialect) -> Action {
        let slots = slots.parse().unwrap();
        Action::MoveSlots { slots, from: node(7000), to: node(to), dialect, keys: 333_000, bytes: 41_000_000 }
    }

    fn scale(dialect: Dialect) -> Plan {
        let detach = |number| Action::Detach { node: node(number), from: node(7000) };
        let follow = |replica, primary| Action::Replicate { replica: node(replica), primary: node(primary) };
        plan(vec![
            (1, detach(7001), "one of 5 replicas of 127.0.0.1:7000"),
            (1, detach(7002), "one of 5 replicas of 127.0.0.1:7000"),
            (2, slots("5461-10921", 7001, dialect), "an even share for 127.0.0.1:7001"),
            (2, slots("10922-16382", 7002, dialect), "an even share for 127.0.0.1:7002"),
            (3, follow(7004, 7001), "a copy of the data of 127.0.0.1:7001"),
            (3, follow(7005, 7002), "a copy of the data of 127.0.0.1:7002"),
            (4, Action::AwaitReplicas { nodes: vec![node(7004)] }, "from then on a node can be lost without its data"),
        ])
    }

    /// As it is without colours.
    fn plain(plan: &Plan, width: usize) -> String {
        let shown = text(plan, Look { width, budget: Some(Duration::from_millis(3)) });
        anstream::adapter::strip_str(&shown).to_string()
    }

    #[test]
    fn a_plan_is_read_at_a_glance() {
        assert_eq!(
            plain(&scale(Dialect::Migrate), 100),
            "3 shards with 1 replica each\n\
             \n\
             \x20 1  promote   7001   7002                     one of 5 replicas of 7000\n\
             \x20 2  move      5 461 slots  7000 > 7001   333 k keys, 41 MB  \\ together   an even share for 7001\n\
             \x20    move      5 461 slots  7000 > 7002   333 k keys, 41 MB  /            an even share for 7002\n\
             \x20 3  follow    7004 > 7001   7005 > 7002\n\
             \x20 4  wait      until all replicas have their data   from then on a node can be lost without its data\n\
             \n\
             \x20 10 922 slots move: the least possible. 666 k keys, 82 MB. About 4 s, foreground p99 under 3 ms.\n\
             \x20 Until step 4 is done 127.0.0.1:7001 has no replica.\n"
        );
    }

    #[test]
    fn no_line_of_a_step_is_wider_than_the_terminal() {
        for width in [72, 80, 100] {
            let shown = plain(&scale(Dialect::Migrate), width);
            for line in shown.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn what_is_not_proved_or_not_paced_is_not_promised() {
        let mut plan = scale(Dialect::MigrateSlots);
        plan.cost.fewest = false;
        let shown = plain(&plan, 100);
        assert!(
            shown.contains("10 922 slots move. 666 k keys, 82 MB. About 4 s, by the servers themselves."),
            "{shown}"
        );
    }

    #[test]
    fn many_moves_are_cut_short() {
        let many: Vec<_> = (0..100).map(|at| (1, slots(&at.to_string(), 7001, Dialect::Migrate), "")).collect();
        let shown = plain(&plan(many), 80);
        assert!(shown.contains("and 76 moves more  /") && shown.lines().count() < 40, "{shown}");
    }
}
