//! Importing, the same in every grammar: the server that keys come from, and what became of them.

use crate::{
    connection::{ConnectionArgs, Verify, ask_password, password_of_environment},
    failure::{ExitStatus, Failure},
    moving::{Interruption, Shown, interruptible, interruption},
};
use clap::Args;
use node::{ConnectOptions, Connector, Credentials, Family};
use operations::{
    importing::{CutOver, Fate, Import, Imported},
    observe::Observation,
    port::{NodeError, Trouble},
    run::{Patience, Runner},
};
use secrecy::SecretString;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;
use topology::{NodeAddr, plan::Plan};

/// Where the password for the source is looked for when none was typed.
const PASSWORD_VARIABLE: &str = "TRIBUNE_FROM_AUTH";
/// Keys that are named at the end, of each sort.
const NAMED: usize = 10;

/// The server that keys come from, and how to reach it.
#[derive(Args, Clone, Debug, Default)]
#[expect(clippy::doc_markdown, reason = "the texts are shown on a terminal")]
#[command(next_help_heading = "Source")]
pub(crate) struct SourceArgs {
    /// The server that the keys come from: HOST:PORT; rediss://HOST:PORT over TLS, redis://HOST:PORT without
    #[arg(long, value_name = "SOURCE")]
    pub(crate) from: String,
    /// User name on the source
    #[arg(long, value_name = "NAME")]
    pub(crate) from_user: Option<String>,
    /// Ask for the source's password on the terminal; else TRIBUNE_FROM_AUTH in the environment
    #[arg(long)]
    pub(crate) from_askpass: bool,
    /// Password of the source; visible to everybody on this machine: better --from-askpass or TRIBUNE_FROM_AUTH
    #[arg(long, value_name = "PASSWORD", hide_short_help = true)]
    pub(crate) from_pass: Option<String>,
    /// Talk to the source over TLS [default: as to the cluster]
    #[arg(long)]
    pub(crate) from_tls: bool,
    /// Certificate of the authority to trust for the source [default: --cacert]
    #[arg(long, value_name = "FILE")]
    pub(crate) from_cacert: Option<PathBuf>,
    /// Client certificate for the source [default: --cert]
    #[arg(long, value_name = "FILE", requires = "from_key")]
    pub(crate) from_cert: Option<PathBuf>,
    /// Key of that certificate [default: --key]
    #[arg(long, value_name = "FILE", requires = "from_cert")]
    pub(crate) from_key: Option<PathBuf>,
    /// Name to ask for and to expect in the source's certificate
    #[arg(long, value_name = "NAME")]
    pub(crate) from_sni: Option<String>,
    /// What to verify of the source's certificate [default: --tls-verify]
    #[arg(long, value_name = "WHAT", value_enum)]
    pub(crate) from_tls_verify: Option<Verify>,
}

impl SourceArgs {
    /// The address of the source, and whether its scheme says to use TLS.
    ///
    /// # Errors
    /// When it is none, and when there is a password in it: `Err` has the text without it.
    pub(crate) fn address(&self) -> Result<(NodeAddr, Option<bool>), Failure> {
        let wrong = |what: String| Failure::new(what).status(ExitStatus::WrongWords);
        let (tls, address) = match self.from.split_once("://") {
            Some(("redis" | "valkey", address)) => (Some(false), address),
            Some(("rediss" | "valkeys", address)) => (Some(true), address),
            Some(_) => return Err(wrong("--from takes HOST:PORT, redis://HOST:PORT or rediss://HOST:PORT".into())),
            None => (None, self.from.as_str()),
        };
        let address = address.trim_end_matches('/');
        if tls.is_some() && address.contains('@') {
            return Err(wrong("user and password have no place in --from".into())
                .advice(format!("--from-user NAME, and --from-askpass or {PASSWORD_VARIABLE} in the environment")));
        }
        Ok((address.parse()?, tls))
    }

    /// The source's address, and a connector to it. What it sends to the cluster has the cluster's credentials.
    pub(crate) fn connector(
        &self,
        connection: &ConnectionArgs,
        cluster: &ConnectOptions,
        default: Verify,
        family: Family,
    ) -> Result<(NodeAddr, Connector), Failure> {
        let (address, scheme) = self.address()?;
        let own_authority = self.from_cacert.is_some();
        let arguments = ConnectionArgs {
            tls: scheme.unwrap_or_else(|| self.from_tls || cluster.tls.is_some()),
            cacert: self.from_cacert.clone().or_else(|| connection.cacert.clone()),
            cacertdir: connection.cacertdir.clone().filter(|_| !own_authority),
            cert: self.from_cert.clone().or_else(|| connection.cert.clone()),
            key: self.from_key.clone().or_else(|| connection.key.clone()),
            sni: self.from_sni.clone(),
            tls_verify: self.from_tls_verify.or(connection.tls_verify),
            insecure: connection.insecure && self.from_tls_verify.is_none(),
            connect_timeout: connection.connect_timeout,
            read_timeout: connection.read_timeout,
            ..ConnectionArgs::default()
        };
        let password = match &self.from_pass {
            _ if self.from_askpass => Some(ask_password("Please input password of the source: ")?),
            Some(password) => Some(SecretString::from(password.clone())),
            None => password_of_environment(&[PASSWORD_VARIABLE])?,
        };
        if self.from_user.is_some() && password.is_none() {
            return Err(Failure::new("a user of the source was given without a password").advice(password_advice()));
        }
        let mut options = arguments.options(&[], default, family)?;
        options.credentials = Credentials { user: self.from_user.clone(), password };
        options.peer_credentials = Some(cluster.credentials.clone());
        let connector = Connector::new(options).map_err(|error| Failure::new(format!("for the source: {error}")))?;
        Ok((address, connector))
    }
}

fn password_advice() -> String {
    format!("--from-askpass, or {PASSWORD_VARIABLE} in the environment")
}

/// What is wrong with the source.
pub(crate) fn source_failure(error: NodeError) -> Failure {
    let advice = match &error.trouble {
        Trouble::PasswordNeeded => password_advice(),
        Trouble::WrongPassword => format!("check --from-user and the password: {}", password_advice()),
        _ => return error.into(),
    };
    Failure::from(error).advice(advice)
}

/// Imports by a plan until its end, or until Ctrl-C: the first lets the parcels on their way arrive.
pub(crate) async fn carry_out(
    plan: &Plan,
    cluster: Observation,
    import: Import,
    patience: Patience,
    show: &(dyn Fn(Shown) + Send + Sync),
) -> Result<(), Interruption> {
    let stop = CancellationToken::new();
    let tell = |progress| show(Shown::Progress(progress));
    let runner = Runner::new(cluster.links, patience, &tell).with_import(import).stopped_by(stop.clone());
    interruptible(runner.run(plan), true, &stop, show).await
}

/// The same with a source that is followed: as soon as all keys were copied, the first Ctrl-C cuts over. Before that, and during the
/// cut-over, it stops, and one more ends it at once.
pub(crate) async fn follow(
    plan: &Plan,
    cluster: Observation,
    import: Import,
    cut_over: &CutOver,
    patience: Patience,
    show: &(dyn Fn(Shown) + Send + Sync),
) -> Result<(), Interruption> {
    let stop = CancellationToken::new();
    let tell = |progress| show(Shown::Progress(progress));
    let runner = Runner::new(cluster.links, patience, &tell).with_import(import).stopped_by(stop.clone());
    let mut running = std::pin::pin!(runner.run(plan));
    loop {
        tokio::select! {
            biased;
            Ok(()) = tokio::signal::ctrl_c() => {}
            outcome = &mut running => return outcome.map_err(interruption),
        }
        if cut_over.ask() {
            show(Shown::Stopping);
            continue;
        }
        if stop.is_cancelled() {
            return Err(Interruption::StoppedHard);
        }
        stop.cancel();
    }
}

/// What became of the keys so far.
#[derive(Clone, Debug, Default, serde::Serialize, schemars::JsonSchema)]
pub(crate) struct Tally {
    /// Keys that are in the cluster now.
    pub(crate) arrived: u64,
    /// Keys of which the cluster had the same value already.
    pub(crate) already_there: u64,
    /// Keys of which the cluster had another value, which it keeps.
    pub(crate) kept: u64,
    /// Keys that the cluster did not take.
    pub(crate) refused: u64,
    /// Keys that were deleted or have expired meanwhile.
    pub(crate) vanished: u64,
    /// How many times a key that had changed on a source which is followed was copied again, or deleted.
    pub(crate) changed: u64,
    /// The first keys of which the cluster keeps another value; bytes that are no text as \xNN.
    pub(crate) kept_keys: Vec<String>,
    /// The first keys that the cluster did not take, each with what it said.
    pub(crate) refused_keys: Vec<String>,
}

impl Tally {
    /// Takes in what became of some keys.
    pub(crate) fn take(&mut self, imported: &Imported) {
        let count = imported.keys.len() as u64;
        let (number, names) = match &imported.fate {
            Fate::Arrived => (&mut self.arrived, None),
            Fate::AlreadyThere => (&mut self.already_there, None),
            Fate::Vanished => (&mut self.vanished, None),
            Fate::Changed => (&mut self.changed, None),
            Fate::Kept => (&mut self.kept, Some((&mut self.kept_keys, ""))),
            Fate::Refused(line) => (&mut self.refused, Some((&mut self.refused_keys, line.as_str()))),
        };
        *number += count;
        if let Some((names, line)) = names {
            let left = NAMED.saturating_sub(names.len());
            let named = imported.keys.iter().take(left).map(|key| match line {
                "" => shown(key),
                line => format!("{}: {line}", shown(key)),
            });
            names.extend(named);
        }
    }

    /// Keys that are where they were to go.
    pub(crate) const fn done(&self) -> u64 {
        self.arrived + self.already_there
    }

    /// Keys of which is known what becomes of them.
    pub(crate) const fn seen(&self) -> u64 {
        self.done() + self.kept + self.refused + self.vanished
    }

    /// Whether keys have stayed behind.
    pub(crate) const fn is_incomplete(&self) -> bool {
        self.kept > 0 || self.refused > 0
    }
}

/// A key as text; bytes that are none as `\xNN`.
pub(crate) fn shown(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => key.escape_ascii().to_string(),
    }
}
