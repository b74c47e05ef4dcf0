//! `tribune local set`

use super::{
    Name, again,
    changing::{NotYet, change_to, settings_of},
    connector,
    consent::Consent,
    program,
};
use crate::{
    failure::{ExitStatus, Failure},
    native::units,
    printer::{GREEN, Printer},
};
use clap::Args;
use local::{Cluster, Settings, address};
use operations::port::{Command, Dialer};
use topology::Reply;

/// Give all servers a setting: at run time where they take it so, else by restarts one after another. Without words: show those that were given.
#[derive(Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    name: Name,
    /// The setting, as in the servers' configuration files
    #[arg(value_name = "SETTING")]
    setting: Option<String>,
    /// Its value
    #[arg(value_name = "VALUE", allow_hyphen_values = true, requires = "setting")]
    value: Option<String>,
    /// What the servers' configuration files say again
    #[arg(long, conflicts_with = "value", requires = "setting")]
    default: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Show what would change and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Settings that local mode needs as they are, and such as are secret: settings are seen by whoever sees the files.
const KEPT: [&str; 24] = [
    "aclfile",
    "bind",
    "bind-source-addr",
    "cluster-config-file",
    "cluster-enabled",
    "cluster-port",
    "daemonize",
    "dir",
    "include",
    "loadmodule",
    "logfile",
    "masterauth",
    "masteruser",
    "pidfile",
    "port",
    "primaryauth",
    "primaryuser",
    "requirepass",
    "supervised",
    "tls-client-key-file-pass",
    "tls-key-file-pass",
    "tls-port",
    "unixsocket",
    "user",
];

/// How a server takes a setting.
enum Way {
    AtRunTime,
    ByRestart,
}

pub(crate) async fn run(arguments: &SetArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let cluster = arguments.name.existing()?;
    let lock = cluster.lock()?;
    let settings = settings_of(&cluster)?;
    let Some(name) = &arguments.setting else {
        printer.out(&listed(&settings));
        return Ok(ExitStatus::Done);
    };
    let name = name.to_lowercase();
    let mut wanted = settings.clone();
    let before = wanted.settings.remove(&name);
    match &arguments.value {
        Some(value) => drop(wanted.settings.insert(name.clone(), value.clone())),
        None if arguments.default => {}
        None => {
            let words = format!(
                "{} local set{} {name} VALUE\n       {name} --default takes it back",
                program(),
                again(cluster.name())
            );
            return Err(Failure::new(format!("no value for {name}")).status(ExitStatus::WrongWords).advice(words));
        }
    }
    let way = way(&cluster, &name, arguments.value.as_deref()).await?;
    let members = units::count(settings.desired().members(), "member");
    let is_removed = arguments.default && before.is_some();
    let how = match way {
        _ if wanted == settings => "as it is",
        Way::AtRunTime if !is_removed => "at run time, one member first",
        _ => "by restarts: one replica first, then shards side by side, primaries after they have handed over",
    };
    let value = arguments.value.as_deref().unwrap_or("what its file says");
    let was = before.as_deref().unwrap_or("what its file says");
    printer.out(&format!("{name} of {members} from {was} to {value}\n  {how}\n"));
    let question = "yes lets the loop give it to all servers; no write that was acknowledged is lost on the way.";
    let consent = Consent { yes: arguments.yes || wanted == settings, dry_run: arguments.dry_run };
    if !consent.is_given(question, printer)? {
        return Ok(ExitStatus::Done);
    }
    match change_to(&cluster, lock, &wanted, printer).await {
        Ok(()) => {}
        // One that a member refuses is taken back, so that it does not wait there for the next change.
        Err(NotYet::Refused(failure)) => {
            let lock = cluster.lock()?;
            change_to(&cluster, lock, &settings, printer).await?;
            let what = format!("{}; {name} is {was} everywhere again", failure.what);
            return Err(Failure { what, ..failure });
        }
        Err(NotYet::Unfinished(failure)) => {
            let value = before.as_deref().unwrap_or("--default");
            let back = format!("{} local set{} {name} {value}      takes it back", program(), again(cluster.name()));
            return Err(failure.or_else_do(&back));
        }
    }
    let took = units::duration(printer.elapsed());
    printer.out(&format!("{GREEN}done{GREEN:#}: {name} is {value}    {took}\n"));
    Ok(ExitStatus::Done)
}

fn listed(settings: &Settings) -> String {
    if settings.settings.is_empty() {
        return "no settings but those of the configuration files\n".to_owned();
    }
    settings.settings.iter().map(|(name, value)| format!("{name} {value}\n")).collect::<Vec<_>>().concat()
}

/// How the servers take a setting: one of them is asked.
async fn way(cluster: &Cluster, name: &str, value: Option<&str>) -> Result<Way, Failure> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(Failure::new(format!("{name:?} is not the name of a setting")).status(ExitStatus::WrongWords));
    }
    if KEPT.contains(&name) || name.starts_with("cluster-announce") {
        let why = "local mode needs it as it is, or it is a secret, which files that others read are no place for";
        return Err(Failure { why: Some(why.to_owned()), ..Failure::new(format!("{name} is not set in this way")) });
    }
    if value.is_some_and(|value| value.chars().any(char::is_control)) {
        return Err(Failure::new(format!("the value for {name} is more than one line")).status(ExitStatus::WrongWords));
    }
    let connector = connector()?;
    let running = cluster.members()?.into_iter().find(|member| member.server_pid.is_some());
    let port = running.ok_or_else(|| Failure::new("no server runs that could be asked"))?.port;
    let link = connector.dial(&address(port)).await.map_err(|error| Failure::new(error.to_string()))?;
    let ask = async |command| link.send(vec![command]).await.map_err(|error| Failure::new(error.to_string()));
    let told = ask(Command::ConfigGet(name.to_owned())).await?;
    let pairs = told.first().and_then(Reply::as_list).unwrap_or_default();
    let Some(now) = pairs.get(1).and_then(Reply::as_text).filter(|_| pairs.len() == 2) else {
        let why = format!("{port} does not know it: CONFIG GET {name} finds nothing");
        return Err(Failure { why: Some(why), ..Failure::new(format!("there is no setting {name}")) });
    };
    // What it has already is no change, and is refused where no change is possible.
    let outcome = ask(Command::ConfigSet(name.to_owned(), now.into_owned())).await?;
    let refused = |reply: &Reply| matches!(reply, Reply::Error(why) if agent::is_for_starts(why));
    Ok(if outcome.iter().any(refused) { Way::ByRestart } else { Way::AtRunTime })
}
