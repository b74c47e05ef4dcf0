//! Which servers' certificates are good enough.

use crate::support::{asked, tls_trouble, trusting, with_tls};
use node::{Authorities, TlsOptions, Verification};
use operations::port::TlsTrouble;
use std::fs;
use testservers::{CertificateFiles, Certificates, Server, any_engine, each_engine};

const VERSIONS: [&str; 2] = ["TLSv1.2", "TLSv1.3"];

/// Those that look at the certificate at all.
const VERIFYING: [Verification; 2] = [Verification::Full, Verification::ChainOnly];

/// Servers that show this certificate, one for each version of TLS.
fn servers(certificates: &Certificates, shown: &CertificateFiles) -> Vec<Server> {
    let Some(engine) = any_engine() else { return Vec::new() };
    let server = |version| {
        let builder = Server::builder(&engine).tls(certificates).tls_certificate(shown);
        builder.config("tls-protocols", version).start()
    };
    VERSIONS.map(server).into()
}

fn accepted(tls: &TlsOptions, server: &Server) {
    asked(&with_tls(tls.clone()), &server.address()).unwrap();
}

#[test]
fn a_good_certificate_is_accepted() {
    let certificates = Certificates::new();
    each_engine(|engine| {
        for version in VERSIONS {
            let server = Server::builder(engine).tls(&certificates).config("tls-protocols", version).start();
            for verification in [Verification::Full, Verification::ChainOnly, Verification::None] {
                accepted(&trusting(&certificates, verification), &server);
            }
        }
    });
}

#[test]
fn authorities_may_be_in_a_directory_with_other_files() {
    let (Some(engine), certificates) = (any_engine(), Certificates::new()) else { return };
    let server = Server::builder(&engine).tls(&certificates).start();
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("README"), "These are ours.").unwrap();
    fs::create_dir(directory.path().join("old")).unwrap();
    fs::copy(certificates.untrusted_ca(), directory.path().join("a.pem")).unwrap();
    let authorities = Authorities::Directory(directory.path().to_owned());
    for verification in VERIFYING {
        let tls = TlsOptions { authorities: authorities.clone(), verification, ..TlsOptions::default() };
        assert_eq!(tls_trouble(tls, &server.address()), TlsTrouble::UnknownAuthority);
    }
    fs::copy(certificates.ca(), directory.path().join("b.pem")).unwrap();
    for verification in VERIFYING {
        let tls = TlsOptions { authorities: authorities.clone(), verification, ..TlsOptions::default() };
        accepted(&tls, &server);
    }
}

#[test]
fn a_certificate_of_another_authority_is_refused_unless_nothing_is_verified() {
    let certificates = Certificates::new();
    let trusting = |verification| {
        let authorities = Authorities::File(certificates.untrusted_ca());
        TlsOptions { authorities, verification, ..TlsOptions::default() }
    };
    for server in servers(&certificates, &certificates.server()) {
        for verification in VERIFYING {
            assert_eq!(tls_trouble(trusting(verification), &server.address()), TlsTrouble::UnknownAuthority);
        }
        accepted(&trusting(Verification::None), &server);
    }
}

#[test]
fn an_expired_certificate_is_refused_unless_nothing_is_verified() {
    let certificates = Certificates::new();
    for server in servers(&certificates, &certificates.expired()) {
        for verification in VERIFYING {
            let tls = trusting(&certificates, verification);
            assert_eq!(tls_trouble(tls, &server.address()), TlsTrouble::OutOfTime, "{verification:?}");
        }
        accepted(&trusting(&certificates, Verification::None), &server);
    }
}

#[test]
fn a_certificate_for_another_name_needs_that_name_or_a_weaker_verification() {
    let certificates = Certificates::new();
    for server in servers(&certificates, &certificates.other_name()) {
        let full = trusting(&certificates, Verification::Full);
        assert_eq!(tls_trouble(full.clone(), &server.address()), TlsTrouble::OtherName("127.0.0.1".to_owned()));
        let localhost = format!("localhost:{}", server.port());
        assert_eq!(tls_trouble(full.clone(), &localhost), TlsTrouble::OtherName("localhost".to_owned()));
        accepted(&TlsOptions { server_name: Some("other.example".to_owned()), ..full.clone() }, &server);
        let third = TlsOptions { server_name: Some("third.example".to_owned()), ..full };
        assert_eq!(tls_trouble(third, &server.address()), TlsTrouble::OtherName("third.example".to_owned()));
        accepted(&trusting(&certificates, Verification::ChainOnly), &server);
        accepted(&trusting(&certificates, Verification::None), &server);
    }
}

#[test]
fn a_certificate_of_version_1_is_good_enough_for_the_chain_only() {
    let certificates = Certificates::new();
    let Some(version_1) = certificates.v1() else { return };
    for server in servers(&certificates, &version_1) {
        let full = tls_trouble(trusting(&certificates, Verification::Full), &server.address());
        assert_eq!(full, TlsTrouble::OldCertificate);
        accepted(&trusting(&certificates, Verification::ChainOnly), &server);
        accepted(&trusting(&certificates, Verification::None), &server);
        let authorities = Authorities::File(certificates.untrusted_ca());
        let other = TlsOptions { authorities, ..trusting(&certificates, Verification::ChainOnly) };
        assert_eq!(tls_trouble(other, &server.address()), TlsTrouble::UnknownAuthority);
    }
}
