//! Two authorities, and what they sign.

use super::Certificates;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use std::{error::Error, fs, io, sync::Arc};

pub(super) fn make() -> Result<Certificates, Box<dyn Error>> {
    let directory = Arc::new(tempfile::Builder::new().prefix("tribune-certificates-").tempdir()?);
    let made = Certificates { directory };
    let (trusted, untrusted) = (made.authority("ca")?, made.authority("untrusted-ca")?);
    let here = ["127.0.0.1", "localhost"];

    made.sign(&trusted, "server", &named("server", &here)?)?;
    made.sign(&trusted, "client", &named("client", &[])?)?;
    made.sign(&untrusted, "untrusted-client", &named("client", &[])?)?;
    made.sign(&trusted, "other-name", &named("other", &["other.example"])?)?;
    let mut expired = named("expired", &here)?;
    (expired.not_before, expired.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
    made.sign(&trusted, "expired", &expired)?;
    Ok(made)
}

impl Certificates {
    fn write(&self, name: &str, certificate: &rcgen::Certificate, key: &KeyPair) -> Result<(), io::Error> {
        let files = self.files(name);
        fs::write(files.certificate, certificate.pem())?;
        fs::write(files.key, key.serialize_pem())
    }

    fn authority(&self, name: &str) -> Result<Issuer<'static, KeyPair>, Box<dyn Error>> {
        let mut parameters = named(name, &[])?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        self.write(name, &parameters.self_signed(&key)?, &key)?;
        Ok(Issuer::new(parameters, key))
    }

    fn sign(
        &self,
        issuer: &Issuer<'static, KeyPair>,
        name: &str,
        parameters: &CertificateParams,
    ) -> Result<(), Box<dyn Error>> {
        let key = KeyPair::generate()?;
        Ok(self.write(name, &parameters.signed_by(&key, issuer)?, &key)?)
    }
}

/// What is the same for all: good for both ends, because nodes connect to each other with their server certificate.
fn named(common_name: &str, alternative_names: &[&str]) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new(alternative_names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters.use_authority_key_identifier_extension = true;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(parameters)
}
