//! `tribune local scale`

use super::{
    Name,
    changing::{change_to, settings_of},
    consent::Consent,
};
use crate::{
    failure::{ExitStatus, Failure},
    native::units,
    printer::{GREEN, Printer},
};
use clap::Args;
use local::Settings;
use topology::control::{Takeover, WhenShardLost};

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
    /// A shard of whose data no copy is left anywhere: wait until told otherwise, or give its slots to a primary again, empty [default: as it is]
    #[arg(long, value_name = "wait|recreate", value_parser = when_shard_lost)]
    when_shard_lost: Option<WhenShardLost>,
    /// Where no majority of primaries is left: let replicas take over without a vote, once it is proved that their primaries do not run, or never
    /// [default: as it is]
    #[arg(long, value_name = "when-fenced|never", value_parser = takeover)]
    takeover: Option<Takeover>,
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
    wanted.takeover = arguments.takeover.unwrap_or(settings.takeover);
    wanted.when_shard_lost = arguments.when_shard_lost.unwrap_or(settings.when_shard_lost);
    printer.out(&change(&settings, &wanted));
    let question =
        if wanted.when_shard_lost != settings.when_shard_lost && wanted.when_shard_lost == WhenShardLost::Recreate {
            "yes gives up the data of shards of which no copy is left, now and from now on; that cannot be undone."
        } else {
            "yes lets the loop change the cluster to that shape; no key is lost on the way."
        };
    let consent = Consent { yes: arguments.yes || wanted == settings, dry_run: arguments.dry_run };
    if !consent.is_given(question, printer)? {
        return Ok(ExitStatus::Done);
    }
    change_to(&cluster, lock, &wanted, printer).await?;
    let shape = shape(&wanted);
    printer.out(&format!("{GREEN}done{GREEN:#}: {shape}    {}\n", units::duration(printer.elapsed())));
    Ok(ExitStatus::Done)
}

fn takeover(word: &str) -> Result<Takeover, String> {
    match word {
        "when-fenced" => Ok(Takeover::WhenFenced),
        "never" => Ok(Takeover::Never),
        _ => Err("when-fenced or never".to_owned()),
    }
}

fn when_shard_lost(word: &str) -> Result<WhenShardLost, String> {
    match word {
        "wait" => Ok(WhenShardLost::Wait),
        "recreate" => Ok(WhenShardLost::Recreate),
        _ => Err("wait or recreate".to_owned()),
    }
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
    let lost = match after.when_shard_lost {
        lost if lost == before.when_shard_lost => "",
        WhenShardLost::Wait => "  shards of whose data no copy is left are waited for\n",
        WhenShardLost::Recreate => "  shards of whose data no copy is left begin anew, empty\n",
    };
    let takeover = match after.takeover {
        takeover if takeover == before.takeover => "",
        Takeover::WhenFenced => "  without a majority, replicas take over from primaries that are proved not to run\n",
        Takeover::Never => "  without a majority, nobody takes over\n",
    };
    format!("from {} to {}\n  {members}\n{lost}{takeover}", shape(before), shape(after))
}
