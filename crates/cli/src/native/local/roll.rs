//! `tribune local roll`

use super::{
    Name, again,
    changing::{change_to, settings_of},
    consent::Consent,
    program,
};
use crate::{
    failure::{ExitStatus, Failure},
    native::units,
    printer::{GREEN, Printer},
};
use clap::Args;
use local::Engine;

/// Restart all servers one after another while the cluster serves, with another program or with the same.
#[derive(Args)]
pub(crate) struct RollArgs {
    #[command(flatten)]
    name: Name,
    /// A program, `redis`, `valkey`, or a name in the cache such as `valkey-9.1` [default: what they run with]
    #[arg(long, value_name = "ENGINE")]
    engine: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Show what would change and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(arguments: &RollArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let cluster = arguments.name.existing()?;
    let lock = cluster.lock()?;
    let settings = settings_of(&cluster)?;
    let mut wanted = settings.clone();
    match &arguments.engine {
        Some(engine) => wanted.engine = Engine::find(Some(engine)).await?,
        None => wanted.round += 1,
    }
    let is_other = settings.engine != wanted.engine;
    let (from, mut to) = (describe(&settings.engine), describe(&wanted.engine));
    if is_other && from == to {
        to = format!("{to}, {}", wanted.engine.program.display());
    }
    let members = units::count(settings.desired().members(), "member");
    printer.out(&if wanted == settings {
        format!("{members} with {to}, as they are\n")
    } else if !is_other {
        format!("{members} with {to} again\n{}", how(settings.replicas))
    } else {
        format!("{members} from {from} to {to}\n{}", how(settings.replicas))
    });
    let question = "yes lets the loop restart the servers so; no write that was acknowledged is lost on the way.";
    let consent = Consent { yes: arguments.yes || wanted == settings, dry_run: arguments.dry_run };
    if !consent.is_given(question, printer)? {
        return Ok(ExitStatus::Done);
    }
    if let Err(not_yet) = change_to(&cluster, lock, &wanted, printer).await {
        let failure = Failure::from(not_yet);
        let back = format!(
            "{} local roll{} --engine {} --yes      goes back",
            program(),
            again(cluster.name()),
            settings.engine.program.display()
        );
        return Err(if is_other { failure.or_else_do(&back) } else { failure });
    }
    printer.out(&format!("{GREEN}done{GREEN:#}: {members} with {to}    {}\n", units::duration(printer.elapsed())));
    Ok(ExitStatus::Done)
}

fn describe(engine: &Engine) -> String {
    format!("{} {}", engine.product, engine.version)
}

fn how(replicas: usize) -> &'static str {
    if replicas == 0 {
        "  one member more starts with it and takes over from one after another, which are restarted; the last one leaves\n"
    } else {
        "  one replica first, then shards side by side: replicas, then primaries, after they have handed over\n"
    }
}
