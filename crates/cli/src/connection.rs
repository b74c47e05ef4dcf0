//! The options by which servers are reached, the same for every command.

use crate::failure::{ExitStatus, Failure};
use clap::{Args, ValueEnum};
use node::{Authorities, ConnectOptions, Connector, Credentials, Family, TlsOptions, Uri, Verification};
use secrecy::SecretString;
use std::{path::PathBuf, time::Duration};

/// How to reach the servers.
#[derive(Args, Clone, Debug, Default)]
#[expect(clippy::doc_markdown, reason = "the texts are shown on a terminal")]
pub(crate) struct ConnectionArgs {
    /// User name for authentication
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Ask for the password on the terminal
    #[arg(long)]
    pub(crate) askpass: bool,
    /// Password; visible to everybody on this machine: better --askpass or TRIBUNE_AUTH
    #[arg(short = 'a', long = "pass", value_name = "PASSWORD", hide_short_help = true)]
    pub(crate) pass: Option<String>,
    /// User, password and TLS from a URI: redis://user:password@host, rediss for TLS, valkey and valkeys alike
    #[arg(short = 'u', long, value_name = "URI", hide_short_help = true)]
    pub(crate) uri: Option<String>,
    /// Use TLS
    #[arg(long)]
    pub(crate) tls: bool,
    /// Certificate of the authority to trust
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,
    /// Directory with certificates of authorities to trust
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) cacertdir: Option<PathBuf>,
    /// Client certificate
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// Key of the client certificate
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// Name to ask for and to expect in the server's certificate
    #[arg(long, value_name = "NAME")]
    pub(crate) sni: Option<String>,
    /// What to verify of the server's certificate
    #[arg(long, value_name = "WHAT", value_enum)]
    pub(crate) tls_verify: Option<Verify>,
    /// The same as --tls-verify none
    #[arg(long, hide_short_help = true)]
    pub(crate) insecure: bool,
    /// Seconds to wait for a connection [default: 2]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) connect_timeout: Option<Duration>,
    /// Seconds to wait for an answer [default: 5]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) read_timeout: Option<Duration>,
}

/// What to verify of a server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Verify {
    /// That a trusted authority signed it and that it is for the name dialled
    Full,
    /// That a trusted authority signed it, for whatever name
    Chain,
    /// Nothing: anybody could answer
    None,
}

/// Where a password is looked for when none was typed, in order. No server and no agent gets to see them
/// ([`agent::SECRET_VARIABLES`]).
pub(crate) const PASSWORD_VARIABLES: [&str; 3] = ["TRIBUNE_AUTH", "REDISCLI_AUTH", "VALKEYCLI_AUTH"];

impl ConnectionArgs {
    /// A connector by these options, `verification` where they do not say what to verify.
    pub(crate) fn connector(&self, variables: &[&str], default: Verify, family: Family) -> Result<Connector, Failure> {
        let options = self.options(variables, default, family)?;
        Connector::new(options).map_err(|error| Failure::new(error.to_string()))
    }

    /// What they come to.
    pub(crate) fn options(
        &self,
        variables: &[&str],
        default: Verify,
        family: Family,
    ) -> Result<ConnectOptions, Failure> {
        let uri = self
            .uri
            .as_deref()
            .map(Uri::parse)
            .transpose()
            .map_err(|error| Failure::new(error.to_string()).status(ExitStatus::WrongWords))?;
        let (uri_user, uri_password, uri_tls) = match uri {
            Some(uri) => (uri.credentials.user, uri.credentials.password, uri.tls),
            None => (None, None, false),
        };
        let password = match (&self.pass, uri_password) {
            _ if self.askpass => Some(ask_password("Please input password: ")?),
            (Some(password), _) => Some(SecretString::from(password.clone())),
            (None, Some(password)) => Some(password),
            (None, None) => password_of_environment(variables)?,
        };
        let verify = if self.insecure { Verify::None } else { self.tls_verify.unwrap_or(default) };
        let tls = (self.tls || uri_tls).then(|| TlsOptions {
            authorities: match (&self.cacert, &self.cacertdir) {
                (Some(file), _) => Authorities::File(file.clone()),
                (None, Some(directory)) => Authorities::Directory(directory.clone()),
                (None, None) => Authorities::System,
            },
            client_certificate: self.cert.clone().zip(self.key.clone()),
            server_name: self.sni.clone(),
            verification: match verify {
                Verify::Full => Verification::Full,
                Verify::Chain => Verification::ChainOnly,
                Verify::None => Verification::None,
            },
        });
        let mut options = ConnectOptions {
            credentials: Credentials { user: self.user.clone().or(uri_user), password },
            tls,
            family,
            ..ConnectOptions::default()
        };
        options.connect_timeout = self.connect_timeout.unwrap_or(options.connect_timeout);
        options.read_timeout = self.read_timeout.unwrap_or(options.read_timeout);
        Ok(options)
    }

    /// The options that must be typed again with another command to reach the same servers; never the password.
    pub(crate) fn again(&self) -> String {
        let mut words = Vec::new();
        let mut option = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                words.push(format!(" {name} {}", quoted(&value)));
            }
        };
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        option("--user", self.user.clone());
        option("--cacert", path(&self.cacert));
        option("--cacertdir", path(&self.cacertdir));
        option("--cert", path(&self.cert));
        option("--key", path(&self.key));
        option("--sni", self.sni.clone());
        let verify = self.tls_verify.and_then(|verify| verify.to_possible_value());
        option("--tls-verify", verify.map(|value| value.get_name().to_owned()));
        let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs_f64().to_string());
        option("--connect-timeout", seconds(self.connect_timeout));
        option("--read-timeout", seconds(self.read_timeout));
        let tls = self.tls || self.uri.as_deref().is_some_and(|uri| Uri::parse(uri).is_ok_and(|uri| uri.tls));
        let flag = |set: bool, name: &str| if set { format!(" {name}") } else { String::new() };
        format!(
            "{}{}{}{}",
            flag(tls, "--tls"),
            flag(self.askpass, "--askpass"),
            flag(self.insecure, "--insecure"),
            words.concat()
        )
    }
}

/// The password in the first of these variables that is set and not empty.
pub(crate) fn password_of_environment(variables: &[&str]) -> Result<Option<SecretString>, Failure> {
    for name in variables {
        match std::env::var(name) {
            Ok(password) if !password.is_empty() => return Ok(Some(SecretString::from(password))),
            Err(std::env::VarError::NotUnicode(_)) => {
                return Err(Failure::new(format!("the password in {name} is not UTF-8 and cannot be used")));
            }
            _ => {}
        }
    }
    Ok(None)
}

pub(crate) fn ask_password(question: &str) -> Result<SecretString, Failure> {
    let typed = rpassword::prompt_password(question);
    typed.map(SecretString::from).map_err(|_| Failure::new("no password was typed; nothing was done"))
}

/// A word so that a shell takes it as one.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%=,".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// A duration typed as seconds, `0.5` or `3`.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let typed: Result<f64, _> = text.parse();
    match typed.ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(duration) if !duration.is_zero() && duration <= Duration::from_hours(24) => Ok(duration),
        _ => Err("not a number of seconds above 0, such as 0.5 or 3".to_owned()),
    }
}
