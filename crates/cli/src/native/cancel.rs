//! `tribune cancel`: a move of slots that is under way ends where no slot is open.

use super::{Target, change::Change, print_json, units};
use crate::{
    failure::{ExitStatus, Failure},
    printer::{GREEN, Printer},
    prompt, unfinished,
};
use clap::Args;
use operations::server_migrations::{self, CancelError, Running};
use std::{fmt::Write as _, time::Duration};
use topology::{ClusterView, NodeAddr, SlotSet, findings::slot_list, open_moves};

/// Stop a move of slots that is under way, by a tribune of this machine or by the servers themselves.
#[derive(Args)]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    target: Target,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Show what would be stopped and stop nothing
    #[arg(long)]
    dry_run: bool,
    /// Write what was found and done as JSON
    #[arg(long)]
    json: bool,
    /// Seconds to wait until it has ended
    #[arg(long, value_name = "SECONDS", value_parser = crate::connection::seconds, default_value = "60")]
    patience: Duration,
}

/// What `tribune cancel --json` writes.
#[derive(Debug, serde::Serialize, schemars::JsonSchema)]
pub(crate) struct CancelReport {
    /// Whether anything was under way.
    found: bool,
    /// Whether it has been stopped; not by a dry run.
    stopped: bool,
    /// The process of this machine that was changing the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<Process>,
    /// What the servers were moving by themselves, for nobody on this machine.
    server_moves: Vec<Way>,
    /// Slots that are open now, by moves that can be finished.
    open: Vec<Way>,
    /// Slots that are open now in another way.
    unclear: SlotSet,
}

/// A process that changes the cluster.
#[derive(Debug, serde::Serialize, schemars::JsonSchema)]
struct Process {
    /// Its number.
    pid: i32,
    /// What it was to reach.
    goal: String,
}

/// Slots and between which nodes they go.
#[derive(Debug, serde::Serialize, schemars::JsonSchema)]
struct Way {
    /// The slots.
    slots: SlotSet,
    /// Their owner.
    from: NodeAddr,
    /// Their owner to be.
    to: NodeAddr,
}

pub(crate) async fn run(arguments: &CancelArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let observation = Change::look(&arguments.target).await?;
    let found = unfinished::of(&observation.view);
    let running = found.as_ref().and_then(|found| Some((found, found.runner()?)));
    // A tribune that is asked to stop cancels what it has the servers do.
    let moves = if running.is_some() { Vec::new() } else { server_migrations::running(&observation.links).await };
    let mut report = CancelReport {
        found: running.is_some() || !moves.is_empty(),
        stopped: false,
        process: running.map(|(found, pid)| Process { pid, goal: found.run.plan.goal.clone() }),
        server_moves: moves.iter().filter_map(|running| way_of(&observation.view, running)).collect(),
        open: Vec::new(),
        unclear: SlotSet::new(),
    };
    let mut view = observation.view;
    if report.found && agree(arguments, &report, printer)? {
        match running {
            Some((found, _)) => found.interrupt(arguments.patience)?,
            None => server_migrations::cancel(&observation.links, &moves, arguments.patience).await?,
        }
        report.stopped = true;
        view = Change::look(&arguments.target).await?.view;
    }
    (report.open, report.unclear) = open(&view);
    if arguments.json {
        print_json(printer, &report)?;
    } else {
        printer.out(&ending(arguments, &report, printer.elapsed())?);
    }
    Ok(ExitStatus::Done)
}

/// Shows what is under way and asks; false for a dry run.
fn agree(arguments: &CancelArgs, report: &CancelReport, printer: &mut Printer) -> Result<bool, Failure> {
    let text = under_way(report);
    if !arguments.json {
        printer.out(&text);
    } else if !arguments.yes && !arguments.dry_run {
        printer.note(&text);
    }
    if arguments.dry_run {
        return Ok(false);
    }
    let question = "yes stops it where no slot is open; what has moved stays where it is.";
    if !arguments.yes && !prompt::confirm(printer, question)? {
        return Err(Failure::new("not confirmed; it goes on"));
    }
    Ok(true)
}

fn under_way(report: &CancelReport) -> String {
    let mut text = String::new();
    if let Some(process) = &report.process {
        let _ = writeln!(text, "process {} of this machine runs: {}", process.pid, process.goal);
    }
    for Way { slots, from, to } in &report.server_moves {
        let count = units::count(slots.len(), "slot");
        let _ = writeln!(text, "the servers move {count} by themselves: {from} > {to}, for nobody on this machine");
    }
    text
}

/// What has become of it, what is open, and what ends that.
fn ending(arguments: &CancelArgs, report: &CancelReport, took: Duration) -> Result<String, Failure> {
    let mut text = match report {
        CancelReport { stopped: true, .. } => format!("{GREEN}stopped{GREEN:#}    {}\n", units::duration(took)),
        CancelReport { found: true, .. } => "  Nothing has been stopped: add --yes.\n".to_owned(),
        _ => {
            "nothing to cancel: no tribune of this machine changes this cluster, and no server moves slots by itself\n"
                .to_owned()
        }
    };
    let address = format!("{}{}", arguments.target.address()?.bare(), arguments.target.connection.again());
    for Way { slots, from, to } in &report.open {
        let verb = if slots.len() == 1 { "is" } else { "are" };
        let _ = writeln!(text, "  {} {verb} open: {from} > {to}", slot_list(slots));
    }
    if !report.unclear.is_empty() {
        let _ = writeln!(text, "  {} open in a way that is no move", slot_list(&report.unclear));
        let _ = writeln!(text, "  do   tribune fix {address}");
    } else if !report.open.is_empty() {
        let _ = writeln!(text, "  do   tribune resume {address}      unless a tribune of another machine is at it");
    } else if report.found || report.stopped {
        let _ = writeln!(text, "  no slot is open");
        if report.stopped {
            let _ = writeln!(text, "  do   the same command as before continues      or  tribune resume {address}");
        }
    }
    Ok(text)
}

fn open(view: &ClusterView) -> (Vec<Way>, SlotSet) {
    let way =
        |open: topology::rebalance::SlotMove| Way { slots: open.slots, from: open.from.address, to: open.to.address };
    let unclear = open_moves::unclear(view).into_iter().map(|open| open.slot).collect();
    (open_moves::interrupted(view).into_iter().map(way).collect(), unclear)
}

fn way_of(view: &ClusterView, running: &Running) -> Option<Way> {
    let address = |id| view.node(id).map(|node| node.address.clone());
    let migration = &running.migration;
    Some(Way { slots: migration.slots.clone(), from: address(migration.from)?, to: address(migration.to)? })
}

impl From<CancelError> for Failure {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::Node(error) => error.into(),
            other => Self::new(other.to_string()).advice("look at its log; the same command waits on"),
        }
    }
}
