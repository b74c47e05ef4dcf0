//! What was typed, ready to run.

use super::{Stop, Terminal, Wording, grammar::Invocation, load, misuse::Misuse};
use crate::{
    connection::{ConnectionArgs, PASSWORD_VARIABLES, Verify},
    failure::Failure,
};
use node::{ConnectOptions, Connector, Family, Uri};
use operations::observe::Observation;
use std::{
    io::{self, Read as _},
    time::Duration,
};
use topology::NodeAddr;

/// What `-t 0`, no limit, comes to: nothing waits for ever.
const NO_LIMIT: Duration = Duration::from_mins(2);
/// The most that `-t` can say.
const LONGEST: Duration = Duration::from_hours(24);
/// The most that one argument can be for a server (`proto-max-bulk-len`), bytes.
const LARGEST: u64 = 512 * 1024 * 1024;

/// What was typed, ready to run.
pub(crate) struct Session {
    pub(super) invocation: Invocation,
    pub(super) arguments: Vec<String>,
    /// Which of the arguments standard input stands for (`-x`, `-X`), and its bytes: the argument has them as text.
    input: Option<(usize, Vec<u8>)>,
    /// The tool whose name the program was called by; none for `tribune`: then the servers decide.
    pub(super) wording: Option<Wording>,
    /// How to reach the servers.
    pub(super) connection: ConnectionArgs,
}

impl Session {
    /// A session of these options; whatever they say wrongly of the connection is said before anything is done.
    pub(super) fn new(
        invocation: Invocation,
        arguments: Vec<String>,
        wording: Option<Wording>,
    ) -> Result<Self, Misuse> {
        let connection = connection(&invocation)?;
        Ok(Self { invocation, arguments, input: None, wording, connection })
    }

    /// Puts standard input where `-x` (the last argument) or `-X` (the argument that is this tag) say.
    pub(super) fn take_input(&mut self) -> Result<(), Misuse> {
        let at = match self.invocation.value("-X") {
            Some(tag) => self.arguments.iter().position(|argument| argument == tag).ok_or(Misuse::NoSuchTag)?,
            None if self.invocation.has("-x") => self.arguments.len(),
            None => return Ok(()),
        };
        let mut bytes = Vec::new();
        let read = io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes);
        if read.is_err() || bytes.len() as u64 > LARGEST {
            return Err(Misuse::UnreadableInput);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        self.arguments.splice(at..(at + 1).min(self.arguments.len()), [text]);
        self.input = Some((at, bytes));
        Ok(())
    }

    /// The arguments, byte by byte.
    pub(super) fn words(&self) -> Vec<Vec<u8>> {
        let word = |(at, argument): (usize, &String)| match &self.input {
            Some((input, bytes)) if *input == at => bytes.clone(),
            _ => argument.clone().into_bytes(),
        };
        self.arguments.iter().enumerate().map(word).collect()
    }

    /// The argument at this place as `host:port`.
    pub(super) fn address(&self, at: usize) -> Result<NodeAddr, Misuse> {
        let argument = self.arguments.get(at).ok_or(Misuse::WrongArguments)?;
        argument.parse().map_err(|_| Misuse::NotAnEntry)
    }

    /// Whether a password stands on the command line, where others on this machine can see it.
    pub(super) fn shows_password(&self) -> bool {
        let uri = self.connection.uri.as_deref().and_then(|uri| Uri::parse(uri).ok());
        self.connection.pass.is_some() || uri.is_some_and(|uri| uri.credentials.password.is_some())
    }

    /// The cluster's node that the arguments name: `host port`, and `host:port` where there is one argument only.
    pub(super) fn entry(&self) -> Result<NodeAddr, Misuse> {
        let parsed = match &self.arguments[..] {
            [address] => address.parse(),
            [host, port, ..] => NodeAddr::from_parts(host, port),
            [] => return Err(Misuse::WrongArguments),
        };
        parsed.map_err(|_| Misuse::NotAnEntry)
    }

    /// Whether prompts are answered with yes.
    pub(super) fn says_yes(&self) -> bool {
        let said = |variable| std::env::var(variable).is_ok_and(|value| value == "1");
        self.invocation.has("--cluster-yes") || ["VALKEYCLI_CLUSTER_YES", "REDISCLI_CLUSTER_YES"].into_iter().any(said)
    }

    /// The number given for an option.
    pub(super) fn number<T: std::str::FromStr>(&self, option: &'static str) -> Result<Option<T>, Misuse> {
        let Some(value) = self.invocation.value(option) else { return Ok(None) };
        value.trim().parse().map(Some).map_err(|_| Misuse::NotANumber { option, value: value.to_owned() })
    }

    /// Loads the cluster that the arguments name.
    pub(super) async fn load(&self, terminal: &mut Terminal<'_>) -> Result<Observation, Stop> {
        let entry = self.entry().map_err(|misuse| misuse.stop(terminal))?;
        load::load(&self.connector()?, &entry, self.wording, terminal).await
    }

    /// Loads the cluster that the argument at this place names as `host:port`.
    pub(super) async fn load_address(&self, at: usize, terminal: &mut Terminal<'_>) -> Result<Observation, Stop> {
        let entry = self.address(at).map_err(|misuse| misuse.stop(terminal))?;
        load::load(&self.connector()?, &entry, self.wording, terminal).await
    }

    pub(super) fn connector(&self) -> Result<Connector, Failure> {
        Connector::new(self.options()?).map_err(|error| Failure::new(error.to_string()))
    }

    /// Which addresses of a host name to use.
    pub(super) fn family(&self) -> Family {
        match (self.invocation.has("-4"), self.invocation.has("-6")) {
            (true, false) => Family::V4,
            (false, true) => Family::V6,
            _ => Family::Any,
        }
    }

    /// How to connect.
    pub(super) fn options(&self) -> Result<ConnectOptions, Failure> {
        let variables = match self.wording {
            Some(Wording::Redis) => &["REDISCLI_AUTH"][..],
            Some(Wording::Valkey) => &["VALKEYCLI_AUTH", "REDISCLI_AUTH"][..],
            None => &PASSWORD_VARIABLES[..],
        };
        self.connection.options(variables, Verify::Chain, self.family())
    }
}

/// The options of the connection, complete enough to be typed again in the native words.
fn connection(invocation: &Invocation) -> Result<ConnectionArgs, Misuse> {
    let text = |name: &str| invocation.value(name).map(str::to_owned);
    let uri = invocation.value("-u").map(Uri::parse).transpose().map_err(|_| Misuse::NotAUri)?.unwrap_or_default();
    let tls = invocation.has("--tls") || uri.tls;
    let insecure = invocation.has("--insecure");
    Ok(ConnectionArgs {
        user: text("--user").or(uri.credentials.user),
        askpass: invocation.has("--askpass"),
        pass: text("--pass"),
        uri: text("-u"),
        tls,
        cacert: text("--cacert").map(Into::into),
        cacertdir: text("--cacertdir").map(Into::into),
        cert: text("--cert").map(Into::into),
        key: text("--key").map(Into::into),
        sni: text("--sni"),
        tls_verify: (tls && !insecure).then_some(Verify::Chain),
        insecure,
        connect_timeout: invocation.value("-t").map(timeout).transpose()?,
        ..ConnectionArgs::default()
    })
}

/// Seconds from 0, which stands for no limit.
fn timeout(text: &str) -> Result<Duration, Misuse> {
    let seconds: f64 = text.parse().map_err(|_| Misuse::NotATimeout)?;
    if seconds.is_nan() || seconds < 0.0 {
        return Err(Misuse::NotATimeout);
    }
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST);
    Ok(if duration.is_zero() { NO_LIMIT } else { duration.min(LONGEST) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_of_0_is_long_but_not_for_ever() {
        for (typed, seconds) in [("0", 120), ("0.0", 120), ("3", 3), ("300", 300), ("1e30", 86_400)] {
            assert_eq!(timeout(typed), Ok(Duration::from_secs(seconds)), "{typed}");
        }
        for typed in ["x", "-1", "nan", "3s"] {
            assert_eq!(timeout(typed), Err(Misuse::NotATimeout), "{typed}");
        }
    }
}
