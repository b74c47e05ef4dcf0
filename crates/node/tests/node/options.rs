//! Options that cannot be used: no connection at all, rather than one with less protection.

use crate::support::{pair, trusting, with_tls};
use node::{Authorities, Connector, OptionsError, TlsOptions, Verification};
use std::{fs, path::Path};
use tempfile::TempDir;
use testservers::{CertificateFiles, Certificates};

const VERIFYING: [Verification; 2] = [Verification::Full, Verification::ChainOnly];

fn refused(tls: TlsOptions) -> OptionsError {
    Connector::new(with_tls(tls)).expect_err("the options are taken")
}

/// Why these authorities are refused, whatever is verified with them.
#[track_caller]
fn authorities_are_refused(authorities: &Authorities, path: &Path) {
    for verification in VERIFYING {
        let error = refused(TlsOptions { authorities: authorities.clone(), verification, ..TlsOptions::default() });
        assert!(matches!(&error, OptionsError::File { path: named, .. } if named == path), "{error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_file_of_authorities_has_to_be_there_and_hold_certificates() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    let authorities = Authorities::File(file.clone());
    authorities_are_refused(&authorities, &file);
    let no_certificate = "-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";
    let broken = "-----BEGIN CERTIFICATE-----\n&&&\n-----END CERTIFICATE-----\n";
    for content in ["", "no certificate at all\n", no_certificate, broken] {
        fs::write(&file, content).unwrap();
        authorities_are_refused(&authorities, &file);
    }
    fs::copy(Certificates::new().server_key(), &file).unwrap();
    authorities_are_refused(&authorities, &file);
    authorities_are_refused(&Authorities::File(directory.path().to_owned()), directory.path());
}

#[test]
fn a_directory_of_authorities_has_to_be_there_and_hold_certificates() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    authorities_are_refused(&Authorities::Directory(missing.clone()), &missing);
    let authorities = Authorities::Directory(directory.path().to_owned());
    authorities_are_refused(&authorities, directory.path());
    fs::write(directory.path().join("README"), "no certificate").unwrap();
    authorities_are_refused(&authorities, directory.path());
    let file = Certificates::new().ca();
    authorities_are_refused(&Authorities::Directory(file.clone()), &file);
}

#[test]
fn a_client_certificate_has_to_be_there_with_a_key_that_fits() {
    let certificates = Certificates::new();
    let directory: TempDir = tempfile::tempdir().unwrap();
    let (missing, empty) = (directory.path().join("missing"), directory.path().join("empty"));
    fs::write(&empty, "").unwrap();
    let client = certificates.client();
    let with = |certificate: &Path, key: &Path| CertificateFiles { certificate: certificate.into(), key: key.into() };
    let cases = [
        (with(&missing, &client.key), &missing),
        (with(&empty, &client.key), &empty),
        (with(&client.certificate, &missing), &missing),
        (with(&client.certificate, &empty), &empty),
        (with(&client.certificate, &client.certificate), &client.certificate),
        (with(&client.certificate, &certificates.server_key()), &client.certificate),
    ];
    for verification in [Verification::Full, Verification::ChainOnly, Verification::None] {
        for (files, culprit) in &cases {
            let client_certificate = Some(pair(files.clone()));
            let error = refused(TlsOptions { client_certificate, ..trusting(&certificates, verification) });
            assert!(error.to_string().contains(culprit.to_str().unwrap()), "{files:?}: {error}");
        }
    }
}

#[test]
fn a_server_name_has_to_be_one() {
    let certificates = Certificates::new();
    for name in ["", "two words", "a..b", "name:7000"] {
        let server_name = Some(name.to_owned());
        let error = refused(TlsOptions { server_name, ..trusting(&certificates, Verification::Full) });
        assert!(matches!(&error, OptionsError::ServerName(named) if named == name), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
    }
}
