//! `tribune local scale`

use super::{
    Name,
    changing::{change_to, settings_of},
};
use crate::{
    failure::{ExitStatus, Failure},
    native::units,
    printer::{GREEN, Printer},
    prompt,
};
use clap::Args;
use local::Settings;

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
    let settings = settings_of(&cluster)?;
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
    change_to(&cluster, lock, &wanted, printer).await?;
    let shape = shape(&wanted);
    printer.out(&format!("{GREEN}done{GREEN:#}: {shape}    {}\n", units::duration(printer.elapsed())));
    Ok(ExitStatus::Done)
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
