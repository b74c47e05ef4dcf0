//! TLS set up from files, once for all connections.

mod chain;

use crate::{Authorities, OptionsError, TlsOptions, Verification, tls::chain::LenientVerifier};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use std::{path::Path, sync::Arc};

/// Everything that a TLS connection needs.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl Tls {
    /// Reads all files; whatever cannot be read or used is an error.
    pub(crate) fn new(options: &TlsOptions) -> Result<Self, OptionsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let broken = |error: rustls::Error| OptionsError::Tls(error.to_string());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(broken)?;
        let builder = match options.verification {
            Verification::Full => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(authorities(&options.authorities)?);
                if roots.is_empty() {
                    return Err(OptionsError::Tls("none of the authorities' certificates can be used".to_owned()));
                }
                builder.with_root_certificates(roots)
            }
            Verification::ChainOnly => {
                let verifier = LenientVerifier::of_chain(authorities(&options.authorities)?, &provider);
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
            Verification::None => {
                if !matches!(options.authorities, Authorities::System) {
                    self::authorities(&options.authorities)?;
                }
                builder.dangerous().with_custom_certificate_verifier(Arc::new(LenientVerifier::of_nothing(&provider)))
            }
        };
        let config = match &options.client_certificate {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate, "the client certificate")?;
                let key = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| unusable(key, "the client certificate's key", &error.to_string()))?;
                builder.with_client_auth_cert(chain, key).map_err(|error| OptionsError::ClientCertificate {
                    certificate: certificate.clone(),
                    reason: error.to_string(),
                })?
            }
        };
        let named =
            |name: &String| ServerName::try_from(name.clone()).map_err(|_| OptionsError::ServerName(name.clone()));
        let server_name = options.server_name.as_ref().map(named).transpose()?;
        Ok(Self { config: Arc::new(config), server_name })
    }

    /// For finding out whether a server speaks TLS at all; verifies nothing and must carry nothing.
    pub(crate) fn for_probing() -> Option<Self> {
        Self::new(&TlsOptions { verification: Verification::None, ..TlsOptions::default() }).ok()
    }

    /// The name to ask for and to expect of this host.
    pub(crate) fn server_name(&self, host: &topology::Host) -> Option<ServerName<'static>> {
        match (&self.server_name, host) {
            (Some(name), _) => Some(name.clone()),
            (None, topology::Host::Ip(ip)) => Some(ServerName::from(*ip)),
            (None, topology::Host::Name(name)) => ServerName::try_from(name.clone()).ok(),
        }
    }
}

fn authorities(authorities: &Authorities) -> Result<Vec<CertificateDer<'static>>, OptionsError> {
    const ROLE: &str = "certificates of authorities";
    match authorities {
        Authorities::File(file) => certificates(file, ROLE),
        Authorities::Directory(directory) => {
            let failed = |error: std::io::Error| unusable(directory, ROLE, &error.to_string());
            let mut found = Vec::new();
            for entry in std::fs::read_dir(directory).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                // A directory of authorities may hold other files, too: lists of revoked ones, notes.
                if path.is_file() {
                    found.extend(certificates(&path, ROLE).unwrap_or_default());
                }
            }
            if found.is_empty() {
                return Err(unusable(directory, ROLE, "no file in it holds a certificate"));
            }
            Ok(found)
        }
        Authorities::System => {
            let found = rustls_native_certs::load_native_certs().certs;
            if found.is_empty() { Err(OptionsError::NoSystemAuthorities) } else { Ok(found) }
        }
    }
}

fn certificates(file: &Path, role: &'static str) -> Result<Vec<CertificateDer<'static>>, OptionsError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err(unusable(file, role, "it holds no certificate in PEM form")),
        Ok(found) if !found.iter().any(chain::is_certificate) => {
            Err(unusable(file, role, "it holds no X.509 certificate"))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(file, role, &error.to_string())),
    }
}

fn unusable(path: &Path, role: &'static str, reason: &str) -> OptionsError {
    OptionsError::File { path: path.to_owned(), role, reason: reason.to_owned() }
}
