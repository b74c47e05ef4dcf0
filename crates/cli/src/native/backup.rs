//! `tribune backup`: the data of all shards as files, and who owned what.

mod progress;
mod report;

pub(crate) use report::{BackupOutlook, BackupReport};

use super::{Target, check, print_json, units};
use crate::{
    connection::ConnectionArgs,
    failure::{ExitStatus, Failure},
    printer::{Printer, RED},
    saving,
};
use clap::Args;
use operations::{
    backup::{Backup, BackupError, Directory, FileTrouble, Saved},
    observe::{Observation, look},
};
use progress::Line;
use std::{path::PathBuf, sync::Mutex};
use topology::{
    backup::{Missing, NODES_FILE, Source, nodes_file, sources},
    findings::{self, FindingCode, Severity},
};

/// Save the data of every shard into a directory, all at once, and check it.
#[derive(Args)]
#[command(after_help = "Each file has its name only once it is whole, on the disk, and its checksum right.\n\
                        How to restore: docs/backup.md")]
pub(crate) struct BackupArgs {
    /// Any node of the cluster
    #[arg(value_name = "HOST:PORT")]
    address: String,
    /// Where the files go
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
    /// Copy replicas in sync where there are some, to spare the primaries
    #[arg(long)]
    from_replicas: bool,
    #[command(flatten)]
    way: Way,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// How it is done.
#[derive(Args)]
struct Way {
    /// Replace files that are there already
    #[arg(long)]
    overwrite: bool,
    /// Show what would be written, how much that is and whether there is room
    #[arg(long)]
    dry_run: bool,
    /// Write the report as JSON
    #[arg(long)]
    json: bool,
}

/// What can be said before anything is copied.
pub(crate) struct Prospect<'a> {
    directory: &'a Directory,
    sources: &'a [Source],
    missing: &'a [Missing],
    findings: Vec<findings::Finding>,
    /// Files that are there already.
    present: Vec<PathBuf>,
}

pub(crate) async fn run(arguments: &BackupArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let way = &arguments.way;
    let target = Target { address: vec![arguments.address.clone()], connection: arguments.connection.clone() };
    let directory = Directory::open(&arguments.directory)?;
    let connector = target.connector()?;
    let observation = look(&connector, &[target.address()?]).await?;
    let (sources, missing) = sources(&observation.view, arguments.from_replicas);
    let names = sources.iter().map(|source| source.file.as_str()).chain([NODES_FILE]);
    let present = names.map(|name| directory.file(name)).filter(|file| file.exists()).collect();
    let findings = findings::check(&observation.view);
    let prospect = Prospect { directory: &directory, sources: &sources, missing: &missing, findings, present };
    if way.dry_run {
        return dry_run(way, &prospect, printer);
    }
    if !way.overwrite {
        refuse_to_replace(&prospect)?;
    }
    if !way.json {
        printer.note(&problems(&prospect));
    }
    let nodes = nodes(&observation, &prospect);
    let backup = Backup { sources: &sources, directory: &directory, nodes: &nodes, overwrite: way.overwrite };
    let line = Mutex::new(Line::new(printer, &sources, way.json));
    let show = |progress| {
        if let Ok(mut line) = line.lock() {
            line.show(progress);
        }
    };
    let saved = saving::interruptible(&connector, backup, &show).await?;
    drop(line);
    finish(way, &prospect, &saved, printer)
}

fn dry_run(way: &Way, prospect: &Prospect<'_>, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let outlook = BackupOutlook::new(prospect);
    if way.json {
        print_json(printer, &outlook)?;
    } else {
        printer.note(&problems(prospect));
        printer.out(&outlook.text());
    }
    let present = !prospect.present.is_empty() && !way.overwrite;
    Ok(if outlook.succeeds() && !present { ExitStatus::Done } else { ExitStatus::NotDone })
}

/// What is wrong with the cluster, and what of it matters here.
fn problems(prospect: &Prospect<'_>) -> String {
    let mut text = check::findings(&prospect.findings);
    if prospect.findings.iter().any(|finding| finding.code == FindingCode::SlotsOpen) {
        text.push_str(
            "  slots are open: a key that moves while this is saved may be in no file; save when nothing moves\n",
        );
    }
    text
}

fn refuse_to_replace(prospect: &Prospect<'_>) -> Result<(), Failure> {
    let mut files = prospect.present.iter().map(|file| format!("{} is there already", file.display()));
    let Some(first) = files.next() else { return Ok(()) };
    let failure = Failure { more: files.collect(), ..Failure::new(first) };
    Err(failure.advice("take another directory      or, to replace what is there, add --overwrite"))
}

/// The file of nodes, those included that others tell of.
fn nodes(observation: &Observation, prospect: &Prospect<'_>) -> String {
    let problems = prospect.findings.iter().filter(|finding| finding.severity == Severity::Problem).count();
    nodes_file(observation.view.members().map(|member| (&member.node.address, member.account)), problems)
}

fn finish(
    way: &Way,
    prospect: &Prospect<'_>,
    saved: &[Result<Saved, BackupError>],
    printer: &mut Printer,
) -> Result<ExitStatus, Failure> {
    let report = BackupReport::new(prospect, saved, printer.elapsed());
    if way.json {
        print_json(printer, &report)?;
    } else {
        printer.out(&report.text());
    }
    let Some(failure) = failure(prospect, saved) else { return Ok(ExitStatus::Done) };
    if way.json {
        // The report names them; whoever looks on is told, too.
        printer.note(&format!("{RED}error:{RED:#} {}\n", failure.what));
        return Ok(failure.status);
    }
    Ok(printer.failure(&failure))
}

/// The shards that were not saved.
fn failure(prospect: &Prospect<'_>, saved: &[Result<Saved, BackupError>]) -> Option<Failure> {
    let failed = saved.iter().filter_map(|saved| saved.as_ref().err()).map(|error| Failure::from(error.clone()));
    let missing = prospect.missing.iter().map(|missing| Failure {
        advice: missing.advice.clone(),
        ..Failure::new(format!("{} {}", missing.primary.address, missing.reason))
    });
    let failures: Vec<Failure> = failed.chain(missing).collect();
    let advice = failures.first()?.advice.clone();
    // What is there of the others is not of this run.
    let unsaved = prospect.sources.iter().zip(saved).filter(|(_, saved)| saved.is_err());
    let files = unsaved.map(|(source, _)| prospect.directory.file(&source.file));
    let stale = files.filter(|file| prospect.present.contains(file));
    let stale: Vec<String> = stale.map(|file| format!("{} is of an earlier run", file.display())).collect();
    let (kept, all) = (saved.iter().filter(|saved| saved.is_ok()).count(), saved.len() + prospect.missing.len());
    let what = format!("{kept} of {} saved", units::count(all, "shard"));
    let again = match kept {
        0 => "then the same command again",
        _ => "then the same command again with another directory or --overwrite",
    };
    Some(Failure {
        more: failures.into_iter().map(|failure| failure.what).chain(stale).collect(),
        advice: Some(advice.map_or_else(|| again.to_owned(), |advice| format!("{advice}\n       {again}"))),
        ..Failure::new(what)
    })
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Node(error) => error.into(),
            BackupError::File(trouble) => trouble.into(),
            BackupError::Stopped => Self::new("stopped: nothing was kept").status(ExitStatus::Stopped),
            other => Self::new(other.to_string()).advice("look for what changes data on the way, then copy it again"),
        }
    }
}

impl From<FileTrouble> for Failure {
    fn from(trouble: FileTrouble) -> Self {
        Self::new(trouble.to_string()).advice("take a directory that is there, may be written and has room")
    }
}
