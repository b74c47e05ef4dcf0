//! One server: connections over TCP and TLS, authentication, commands on the wire, typed errors.
//!
//! The only crate that names the client library.

mod busy;
mod commands;
mod connector;
mod link;
mod options;
mod probe;
mod replication;
mod tls;
mod trouble;
mod uri;
mod witness;

pub use connector::Connector;
pub use options::{Authorities, ConnectOptions, Credentials, Family, OptionsError, TlsOptions, Verification};
pub use uri::{NotAUri, Uri};
