//! A plan as text: what will be, what is done in which order, and why.

use super::units;
use std::fmt::Write as _;
use topology::plan::{Action, Plan, Step};

/// The whole plan.
pub(crate) fn text(plan: &Plan) -> String {
    let mut text = format!("{}\n\n", plan.goal);
    let width = plan.based_on.iter().map(|node| node.address.to_string().len()).max().unwrap_or_default();
    for (number, shard) in plan.expected_after.iter().enumerate() {
        let replicas: Vec<String> = shard.replicas.iter().map(|replica| replica.address.to_string()).collect();
        let replicas = if replicas.is_empty() { String::new() } else { format!("   replica {}", replicas.join(" ")) };
        let primary = shard.primary.address.to_string();
        let _ = writeln!(text, "{number:>3}  {:14} primary {primary:width$}{replicas}", shard.slots.to_string());
    }
    if !plan.expected_after.is_empty() {
        text.push('\n');
    }
    for (number, steps) in plan.stages().enumerate() {
        if let Some(first) = steps.first() {
            let moves = moves_of(&steps, width);
            let reason = if moves.is_empty() { &first.reason } else { "" };
            let line = format!("{:>3}  {:58} {reason}", number + 1, stage(&steps));
            let _ = write!(text, "{}\n{moves}", line.trim_end());
        }
    }
    text.push('\n');
    text.push_str(&cost(plan));
    for reason in &plan.reasons {
        let _ = writeln!(text, "  {reason}");
    }
    text
}

/// What the moves cost.
fn cost(plan: &Plan) -> String {
    let cost = &plan.cost;
    if cost.slots_moved == 0 {
        return String::new();
    }
    format!(
        "  {}: {}, {}, about {} s\n",
        if cost.slots_moved == 1 {
            "1 slot moves".to_owned()
        } else {
            format!("{} slots move", units::grouped(cost.slots_moved as u64))
        },
        units::count(cost.keys_moved, "key"),
        units::bytes(cost.bytes_moved),
        cost.seconds,
    )
}

/// What the steps of a stage do together.
fn stage(steps: &[&Step]) -> String {
    let Some(first) = steps.first() else { return String::new() };
    match &first.action {
        Action::AddSlots { .. } => {
            format!("give {} their slots", units::count(steps.len(), "primary").replace("primarys", "primaries"))
        }
        Action::SetEpoch { .. } => format!("give {} a config epoch each", units::count(steps.len(), "node")),
        Action::Meet { nodes } => format!("introduce all {} nodes to each other", nodes.len()),
        Action::Replicate { .. } if steps.len() == 1 => "make 1 node follow its primary".to_owned(),
        Action::Replicate { .. } => format!("make {} follow their primary", units::count(steps.len(), "node")),
        Action::AwaitAgreement { .. } => "wait until all nodes agree".to_owned(),
        Action::AwaitService { .. } => "wait until all nodes serve".to_owned(),
        Action::AwaitReplicas { .. } => "wait until all replicas have their data".to_owned(),
        Action::MoveSlots { .. } => moves(steps),
        Action::GiveUpSlots { .. } => format!("take the slots of {}", units::count(steps.len(), "empty node")),
        Action::Reset { .. } => format!("make {} forget the cluster", units::count(steps.len(), "empty node")),
        Action::Forget { node, by } => format!("let {} forget {}", units::count(by.len(), "node"), node.address),
        Action::Configure { nodes, setting, value } => {
            format!("set {setting} to {value} on {}", units::count(nodes.len(), "node"))
        }
        Action::Detach { .. } if steps.len() == 1 => "let 1 replica leave its primary".to_owned(),
        Action::Detach { .. } => {
            format!("let {} leave their primary", units::count(steps.len(), "replica"))
        }
        Action::Failover { replica, primary, .. } => {
            format!("make {} primary for {}", replica.address, primary.address)
        }
        other => format!("{other:?}"),
    }
}

/// The moves of a stage, a line for each.
fn moves_of(steps: &[&Step], width: usize) -> String {
    let mut text = String::new();
    for step in steps {
        if let Action::MoveSlots { slots, from, to, .. } = &step.action {
            let slots = units::count(slots.len(), "slot");
            let way = format!("{slots:>12}  {:width$} > {}", from.address.to_string(), to.address);
            let _ = writeln!(text, "     {way:58} {}", step.reason);
        }
    }
    text
}

/// How many slots move, and between how many nodes.
fn moves(steps: &[&Step]) -> String {
    let slots = steps.iter().map(|step| match &step.action {
        Action::MoveSlots { slots, .. } => slots.len(),
        _ => 0,
    });
    format!("move {}", units::count(slots.sum::<usize>(), "slot"))
}
