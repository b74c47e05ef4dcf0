//! What can go wrong between us and one server.

use std::time::Duration;
use topology::NodeAddr;

/// A server could not be talked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} {trouble}")]
pub struct NodeError {
    /// The server.
    pub address: NodeAddr,
    /// What went wrong.
    pub trouble: Trouble,
}

/// What went wrong; shown so that it reads well behind an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The host name has no address.
    #[error("has a host name that does not resolve: {0}")]
    Unresolvable(String),
    /// Nothing listens on the port.
    #[error("refuses connections: nothing listens on this port")]
    Refused,
    /// The network does not lead there.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// No connection within the connect timeout.
    #[error("does not take connections: no answer for {}", seconds(*.0))]
    ConnectTimedOut(Duration),
    /// Connected, but no reply within the read timeout.
    #[error("takes connections but does not answer: silent for {}", seconds(*.0))]
    ReadTimedOut(Duration),
    /// The connection ended before the answer came.
    #[error("closed the connection")]
    Closed,
    /// TLS could not be agreed on.
    #[error("{0}")]
    Tls(TlsTrouble),
    /// The server asks for a password and none was given.
    #[error("asks for a password and none was given")]
    PasswordNeeded,
    /// The server does not take this user and password.
    #[error("does not accept the user and password given")]
    WrongPassword,
    /// The user may not run a command that is needed here.
    #[error("does not allow the user given: {0}")]
    NotPermitted(String),
    /// The server takes connections from its own machine only.
    #[error("is in protected mode: without a password it talks to its own machine only")]
    ProtectedMode,
    /// The server is still reading its data from disk.
    #[error("is still loading its data from disk")]
    Loading {
        /// How much of it, percent, where it tells.
        percent: Option<u8>,
    },
    /// The server is a replica that cannot pass on what it does not get itself.
    #[error("is a replica without a link to its primary")]
    NotInSync,
    /// The server runs without cluster mode.
    #[error("is not a cluster node: it runs without cluster-enabled yes")]
    NotACluster,
    /// The server sent the client elsewhere: the whole line.
    #[error("sends the client elsewhere: {0}")]
    Moved(String),
    /// What came back is not what this protocol allows here.
    #[error("does not speak the protocol expected: {0}")]
    Protocol(String),
    /// The server refused a command: its whole line.
    #[error("answered: {0}")]
    Refusal(String),
}

/// What went wrong with TLS; shown so that it reads well behind an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsTrouble {
    /// The server answered in clear text.
    #[error("does not speak TLS on this port")]
    ServerSpeaksPlain,
    /// We spoke in clear text to a TLS port.
    #[error("speaks TLS on this port and was talked to without")]
    ServerSpeaksTls,
    /// The certificate is not signed by an authority that was given.
    #[error("has a certificate that is not signed by a trusted authority")]
    UnknownAuthority,
    /// The certificate is of version 1, which has no names that could be verified.
    #[error("has an X.509 v1 certificate, which has no name that could be verified")]
    OldCertificate,
    /// The certificate is out of its time.
    #[error("has a certificate that has expired or is not valid yet")]
    OutOfTime,
    /// The certificate is for another name.
    #[error("has a certificate for another name than {0}")]
    OtherName(String),
    /// The server wants a client certificate, or another one.
    #[error("asks for a client certificate that it trusts")]
    ClientCertificateNeeded,
    /// Anything else, in the words of the TLS library.
    #[error("cannot agree on TLS: {0}")]
    Other(String),
}

impl NodeError {
    /// A trouble with this server.
    pub const fn new(address: NodeAddr, trouble: Trouble) -> Self {
        Self { address, trouble }
    }
}

impl Trouble {
    /// What a line that the server refused a command with means.
    pub fn from_refusal(line: &str) -> Self {
        let code = line.split_whitespace().next().unwrap_or_default();
        match code {
            "NOAUTH" => Self::PasswordNeeded,
            "WRONGPASS" => Self::WrongPassword,
            "NOPERM" => Self::NotPermitted(line.to_owned()),
            "LOADING" => Self::Loading { percent: None },
            "NOMASTERLINK" => Self::NotInSync,
            "DENIED" => Self::ProtectedMode,
            "MOVED" | "ASK" => Self::Moved(line.to_owned()),
            _ if line.contains("cluster support disabled") => Self::NotACluster,
            _ if line.contains("invalid password") => Self::WrongPassword,
            _ if line.contains("without any password configured") => Self::WrongPassword,
            _ => Self::Refusal(line.to_owned()),
        }
    }

    /// Whether it may have passed when the server is dialled again a little later: what was asked for has to be looked at again.
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Closed
                | Self::Refused
                | Self::Unreachable(_)
                | Self::ConnectTimedOut(_)
                | Self::ReadTimedOut(_)
                | Self::Loading { .. }
        )
    }

    /// How far the server is with what keeps it from answering, where it tells.
    pub fn progress(&self) -> Option<String> {
        if let Self::Loading { percent } = self { percent.map(|percent| format!("{percent} % loaded")) } else { None }
    }

    /// Whether the server answers all the same.
    pub const fn answers(&self) -> bool {
        matches!(
            self,
            Self::PasswordNeeded
                | Self::WrongPassword
                | Self::NotPermitted(_)
                | Self::ProtectedMode
                | Self::Tls(_)
                | Self::Loading { .. }
                | Self::NotInSync
                | Self::NotACluster
                | Self::Moved(_)
                | Self::Refusal(_)
        )
    }

    /// What the user can do about it, where there is something: a command or an option, in one line.
    pub const fn advice(&self) -> Option<&'static str> {
        Some(match self {
            Self::PasswordNeeded => {
                "--askpass, or TRIBUNE_AUTH in the environment (REDISCLI_AUTH and VALKEYCLI_AUTH are read too)"
            }
            Self::WrongPassword => "check --user and the password: --askpass, or TRIBUNE_AUTH in the environment",
            Self::Refused | Self::Closed => "see whether the server runs and listens there, and look at its log",
            Self::ConnectTimedOut(_) | Self::Unreachable(_) => {
                "see whether the host is up and no firewall is in the way"
            }
            Self::ReadTimedOut(_) => "see whether the process is stopped or busy: its log, redis-cli SLOWLOG GET",
            Self::Unresolvable(_) => "check the spelling, or use the IP address",
            Self::NotInSync => "wait until the replica is in sync, or take another node",
            Self::Loading { .. } => "wait until it has loaded, then repeat the command",
            Self::NotACluster => "set cluster-enabled yes in its configuration and restart it",
            Self::Tls(TlsTrouble::ServerSpeaksPlain) => "leave out --tls, or use the TLS port",
            Self::Tls(TlsTrouble::ServerSpeaksTls) => "add --tls, or use the port without TLS",
            Self::Tls(TlsTrouble::UnknownAuthority) => "give the authority's certificate: --cacert FILE",
            Self::Tls(TlsTrouble::OtherName(_)) => {
                "give the name that it has: --sni NAME, or check the chain only: --tls-verify chain"
            }
            Self::Tls(TlsTrouble::ClientCertificateNeeded) => "give the client's certificate: --cert FILE --key FILE",
            Self::Tls(TlsTrouble::OldCertificate) => {
                "check the chain only: --tls-verify chain, or renew the certificate as v3"
            }
            Self::ProtectedMode => "set a password for the server, or protected-mode no and bind it to its own network",
            Self::Tls(TlsTrouble::OutOfTime) => "renew the certificate, or check this machine's clock",
            _ => return None,
        })
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_one_sentence() {
        let error = |trouble| NodeError::new("127.0.0.1:7004".parse().unwrap(), trouble).to_string();
        assert_eq!(
            error(Trouble::ReadTimedOut(Duration::from_millis(1500))),
            "127.0.0.1:7004 takes connections but does not answer: silent for 1.5 s"
        );
        assert_eq!(
            error(Trouble::from_refusal("NOAUTH Authentication required.")),
            "127.0.0.1:7004 asks for a password and none was given"
        );
    }

    #[test]
    fn refusals_are_told_apart() {
        for (line, trouble) in [
            ("WRONGPASS invalid username-password pair or user is disabled.", Trouble::WrongPassword),
            ("ERR invalid password", Trouble::WrongPassword),
            ("LOADING Redis is loading the dataset in memory", Trouble::Loading { percent: None }),
            ("NOMASTERLINK Can't SYNC while not connected with my master", Trouble::NotInSync),
            ("ERR This instance has cluster support disabled", Trouble::NotACluster),
            ("MOVED 1 127.0.0.1:7000", Trouble::Moved("MOVED 1 127.0.0.1:7000".into())),
            ("ERR Unknown node x", Trouble::Refusal("ERR Unknown node x".into())),
        ] {
            assert_eq!(Trouble::from_refusal(line), trouble, "{line}");
        }
    }
}
