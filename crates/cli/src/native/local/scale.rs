//! `tribune local scale`

use super::{Name, keeping, program};
use crate::{
    failure::{ExitStatus, Failure},
    native::units,
    printer::{GREEN, Printer},
    prompt,
};
use clap::Args;
use local::{Cluster, LocalError, Settings};
use operations::control::Report;
use std::time::{Duration, Instant};

/// Time between two looks at what the loop is at.
const LOOK: Duration = Duration::from_millis(100);
/// After so long without any change there is no use in waiting on.
const STUCK: Duration = Duration::from_mins(2);

/// Give a cluster another shape, while it serves.
#[derive(Args)]
pub(crate) struct ScaleArgs {
    #[command(flatten)]
    name: Name,
    /// Shards [default: as many as there are]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    shards: Option<u16>,
    /// Replicas of each shard [default: as many as there are]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=20))]
    replicas: Option<u16>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Show what would change and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(arguments: &ScaleArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let cluster = arguments.name.existing()?;
    let lock = cluster.lock()?;
    let settings = cluster.settings()?;
    must_be_kept(&cluster, &settings)?;
    let mut wanted = settings.clone();
    wanted.shards = arguments.shards.map_or(settings.shards, usize::from);
    wanted.replicas = arguments.replicas.map_or(settings.replicas, usize::from);
    if wanted != settings {
        wanted.extra = 0;
    }
    printer.out(&change(&settings, &wanted));
    if arguments.dry_run {
        printer.out("  Nothing has been changed: add --yes.\n");
        return Ok(ExitStatus::Done);
    }
    let question = "yes lets the loop change the cluster to that shape; no key is lost on the way.";
    if wanted != settings && !arguments.yes && !prompt::confirm(printer, question)? {
        return Err(Failure::new("not confirmed; nothing was changed"));
    }
    cluster.keep(&wanted)?;
    cluster.start()?;
    drop(lock);
    tokio::select! {
        outcome = until_settled(&cluster, &wanted, printer) => outcome?,
        _ = tokio::signal::ctrl_c() => {
            let again = format!("{} local status{}", program(), arguments.name.again());
            return Err(Failure::new("stopped watching; the loop goes on").status(ExitStatus::Stopped).advice(again));
        }
    }
    let shape = shape(&wanted);
    printer.out(&format!("{GREEN}done{GREEN:#}: {shape}    {}\n", units::duration(printer.elapsed())));
    Ok(ExitStatus::Done)
}

fn must_be_kept(cluster: &Cluster, settings: &Settings) -> Result<(), Failure> {
    let name = cluster.name().to_owned();
    if !settings.formed {
        return Err(LocalError::Unformed { name }.into());
    }
    if cluster.supervisor()?.is_none() {
        return Err(LocalError::NotRunning { name }.into());
    }
    Ok(())
}

fn shape(settings: &Settings) -> String {
    let (shards, replicas) = (units::count(settings.shards, "shard"), units::count(settings.replicas, "replica"));
    let extra = if settings.extra > 0 { format!(", and {} more", settings.extra) } else { String::new() };
    format!("{shards} with {replicas} each{extra}")
}

/// What becomes of the cluster, in words.
fn change(before: &Settings, after: &Settings) -> String {
    let (had, has) = (before.desired().members(), after.desired().members());
    let members = match has.cmp(&had) {
        std::cmp::Ordering::Greater => format!("{} start", units::count(has - had, "new member")),
        std::cmp::Ordering::Less => format!("{} leave, with their data", units::count(had - has, "member")),
        std::cmp::Ordering::Equal => format!("the {} stay", units::count(had, "member")),
    };
    format!("from {} to {}\n  {members}\n", shape(before), shape(after))
}

/// Waits until the loop says that the cluster is what it is to be.
///
/// # Errors
/// When nothing changes any more, with what the loop waits for.
pub(crate) async fn until_settled(cluster: &Cluster, wanted: &Settings, printer: &mut Printer) -> Result<(), Failure> {
    let (mut last, mut since): (Option<Report>, Instant) = (None, Instant::now());
    loop {
        let report = cluster.loop_report()?;
        if let Some(report) = &report {
            if report.settled && report.desired == wanted.desired() {
                return Ok(());
            }
            printer.progress(&keeping::summary(report));
        }
        if report != last {
            (last, since) = (report, Instant::now());
        }
        if since.elapsed() >= STUCK {
            let why = last.as_ref().map(keeping::summary);
            let failure = Failure::new(format!("nothing has changed for {} s", STUCK.as_secs()));
            return Err(Failure { why, advice: Some(format!("{} local status", program())), ..failure });
        }
        tokio::time::sleep(LOOK).await;
    }
}
