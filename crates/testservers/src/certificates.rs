//! Certificates: good ones, and ones that have to be refused.

mod sign;
mod version_1;

use crate::skipped::skipped;
use std::{path::PathBuf, sync::Arc};
use tempfile::TempDir;

/// An authority and what it signed, as PEM files in a directory that goes away with the last clone.
#[derive(Clone, Debug)]
pub struct Certificates {
    directory: Arc<TempDir>,
}

/// A certificate and its private key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Certificates {
    /// Makes them all, apart from [`v1`](Self::v1).
    #[expect(clippy::new_without_default, reason = "it writes files")]
    #[track_caller]
    pub fn new() -> Self {
        sign::make().unwrap_or_else(|error| panic!("cannot make certificates: {error}"))
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.files("ca").certificate
    }

    /// Another authority's certificate, which signed none of these but [`untrusted_client`](Self::untrusted_client).
    pub fn untrusted_ca(&self) -> PathBuf {
        self.files("untrusted-ca").certificate
    }

    /// A server's certificate for 127.0.0.1 and localhost, and its key.
    pub fn server(&self) -> CertificateFiles {
        self.files("server")
    }

    /// The certificate of [`server`](Self::server).
    pub fn server_cert(&self) -> PathBuf {
        self.server().certificate
    }

    /// The key of [`server`](Self::server).
    pub fn server_key(&self) -> PathBuf {
        self.server().key
    }

    /// A client's certificate and key.
    pub fn client(&self) -> CertificateFiles {
        self.files("client")
    }

    /// The certificate of [`client`](Self::client).
    pub fn client_cert(&self) -> PathBuf {
        self.client().certificate
    }

    /// The key of [`client`](Self::client).
    pub fn client_key(&self) -> PathBuf {
        self.client().key
    }

    /// A client's certificate and key, signed by the other authority.
    pub fn untrusted_client(&self) -> CertificateFiles {
        self.files("untrusted-client")
    }

    /// A server's certificate that was good until 2001, and its key.
    pub fn expired(&self) -> CertificateFiles {
        self.files("expired")
    }

    /// A server's certificate for `other.example` only, and its key.
    pub fn other_name(&self) -> CertificateFiles {
        self.files("other-name")
    }

    /// A server's certificate in X.509 version 1, thus without alternative names, for the common name localhost, and its
    /// key. Made by openssl; none, said loudly, where that is missing or makes later versions only.
    #[track_caller]
    pub fn v1(&self) -> Option<CertificateFiles> {
        let files = self.files("v1");
        if files.certificate.exists() || self.make_version_1(&files) {
            return Some(files);
        }
        skipped("X.509 version 1 certificates: openssl is missing or makes no such certificates");
        None
    }

    fn files(&self, name: &str) -> CertificateFiles {
        CertificateFiles { certificate: self.path(&format!("{name}.crt")), key: self.path(&format!("{name}.key")) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}
