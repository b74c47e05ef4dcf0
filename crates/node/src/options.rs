//! How to connect.

use secrecy::SecretString;
use std::{net::IpAddr, path::PathBuf, time::Duration};

/// How to connect to servers, the same for all of a cluster.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Who we are.
    pub credentials: Credentials,
    /// Who we are for the servers that this one is told to send keys to; none for the same.
    pub peer_credentials: Option<Credentials>,
    /// TLS; none to talk in clear text.
    pub tls: Option<TlsOptions>,
    /// For resolving, connecting and agreeing on TLS together. Default 2 s.
    pub connect_timeout: Duration,
    /// For the replies to one batch of commands. Default 5 s.
    pub read_timeout: Duration,
    /// Which addresses of a host name to use.
    pub family: Family,
    /// The address of this machine that connections come from; none to leave that to the system.
    pub source: Option<IpAddr>,
}

/// User and password.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The ACL user; none for the default user.
    pub user: Option<String>,
    /// The password; without one nothing is sent.
    pub password: Option<SecretString>,
}

/// Which addresses of a host name to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// All, in the order that the system gives them.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// How to use TLS.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// Whom to trust.
    pub authorities: Authorities,
    /// Files with our certificate and its key, PEM.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// The name to ask for and to expect; none for the host dialled.
    pub server_name: Option<String>,
    /// What to verify of the server's certificate.
    pub verification: Verification,
}

/// Whom to trust.
#[derive(Clone, Debug, Default)]
pub enum Authorities {
    /// The certificates in this PEM file.
    File(PathBuf),
    /// The certificates in the PEM files of this directory.
    Directory(PathBuf),
    /// Those that the system trusts.
    #[default]
    System,
}

/// What to verify of a server's certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// That a trusted authority signed it, that it is in its time, and that it is for the name dialled.
    #[default]
    Full,
    /// That a trusted authority signed it and that it is in its time; for whatever name, and X.509 v1 is good enough: what
    /// redis-cli does.
    ChainOnly,
    /// Nothing: anybody could answer. Files that are named must still be there.
    None,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            credentials: Credentials::default(),
            peer_credentials: None,
            tls: None,
            connect_timeout: Duration::from_secs(2),
            read_timeout: Duration::from_secs(5),
            family: Family::Any,
            source: None,
        }
    }
}

/// Options that cannot be used: then there is no connection at all, rather than one with less protection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// A file with certificates or a key cannot be read or holds none.
    #[error("{} cannot be used as {role}: {reason}", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What it is for.
        role: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The system has no certificates of authorities.
    #[error("this system trusts no certificate authority: give one with --cacert FILE")]
    NoSystemAuthorities,
    /// The certificate and its key do not fit together, or cannot be used.
    #[error("the client certificate {} cannot be used with its key: {reason}", certificate.display())]
    ClientCertificate {
        /// The certificate's file.
        certificate: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Without a password a user cannot be told apart from anybody.
    #[error("a user was given without a password: --askpass, or TRIBUNE_AUTH in the environment")]
    UserWithoutPassword,
    /// A name that cannot be in a certificate.
    #[error("{0:?} is not a name for --sni")]
    ServerName(String),
    /// Anything else that the TLS library refuses.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}
