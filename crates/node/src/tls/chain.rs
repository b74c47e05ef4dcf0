//! A verifier that asks less of a certificate than the TLS library does on its own.
//!
//! redis-cli verifies the chain of signatures and the time, not the name, and takes X.509 v1 certificates: so do test
//! suites and clusters in the field.

use rustls::{
    CertificateError, DigitallySignedStruct, Error, PeerMisbehaved, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer, time::ASN1Time};

/// Longest chain from a server's certificate to an authority.
const LONGEST_CHAIN: usize = 8;

/// Asks of a certificate what it was told to, and never for its name.
#[derive(Debug)]
pub(super) struct LenientVerifier {
    /// Those to whom a chain of signatures must lead; none to take every certificate.
    authorities: Option<Vec<CertificateDer<'static>>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl LenientVerifier {
    /// Verifies that a chain of signatures leads to an authority and that all of it is in its time.
    pub(super) fn of_chain(authorities: Vec<CertificateDer<'static>>, provider: &CryptoProvider) -> Self {
        Self { authorities: Some(authorities), algorithms: provider.signature_verification_algorithms }
    }

    /// Verifies nothing: for those who asked for it in words, and for finding out what a port speaks.
    pub(super) fn of_nothing(provider: &CryptoProvider) -> Self {
        Self { authorities: None, algorithms: provider.signature_verification_algorithms }
    }
}

fn verify_chain(
    trusted: &[CertificateDer<'_>],
    server: &[u8],
    intermediates: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<(), Error> {
    let now = i64::try_from(now.as_secs()).ok().and_then(|now| ASN1Time::from_timestamp(now).ok());
    let now = now.ok_or(Error::FailedToGetCurrentTime)?;
    let authorities: Vec<_> = trusted.iter().filter_map(|der| parse(der).ok()).collect();
    let intermediates: Vec<_> = intermediates.iter().filter_map(|der| parse(der).ok()).collect();
    let mut current = &parse(server)?;
    for _ in 0..LONGEST_CHAIN {
        in_time(current, now)?;
        if trusted.iter().any(|authority| authority.as_ref() == current.as_raw()) {
            return Ok(());
        }
        if let Some(authority) = authorities.iter().find(|authority| issued(authority, current)) {
            return in_time(authority, now);
        }
        let next = intermediates.iter().find(|next| next.is_ca() && issued(next, current));
        current = next.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
    }
    Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
}

/// Whether this is an X.509 certificate of whatever version.
pub(super) fn is_certificate(der: &CertificateDer<'_>) -> bool {
    parse(der).is_ok()
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Error> {
    let parsed = X509Certificate::from_der(der);
    parsed.map(|(_, certificate)| certificate).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))
}

fn issued(issuer: &X509Certificate<'_>, certificate: &X509Certificate<'_>) -> bool {
    issuer.subject().as_raw() == certificate.issuer().as_raw()
        && certificate.verify_signature(Some(issuer.public_key())).is_ok()
}

fn in_time(certificate: &X509Certificate<'_>, now: ASN1Time) -> Result<(), Error> {
    let validity = certificate.validity();
    if now < validity.not_before {
        Err(Error::InvalidCertificate(CertificateError::NotValidYet))
    } else if now > validity.not_after {
        Err(Error::InvalidCertificate(CertificateError::Expired))
    } else {
        Ok(())
    }
}

/// Verifies the handshake's signature by the certificate's public key alone: the TLS library would refuse v1 certificates.
fn verify_handshake(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let certificate = parse(certificate)?;
    let key = certificate.public_key().subject_public_key.data.as_ref();
    let candidates = algorithms.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
    let (_, candidates) =
        candidates.ok_or(Error::PeerMisbehaved(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme))?;
    let verified =
        candidates.iter().any(|algorithm| algorithm.verify_signature(key, message, signed.signature()).is_ok());
    if verified {
        Ok(HandshakeSignatureValid::assertion())
    } else {
        Err(Error::InvalidCertificate(CertificateError::BadSignature))
    }
}

impl ServerCertVerifier for LenientVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(authorities) = &self.authorities {
            verify_chain(authorities, end_entity, intermediates, now)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_handshake(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_handshake(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
