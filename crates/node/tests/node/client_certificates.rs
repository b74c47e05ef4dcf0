//! Servers that want to see a certificate of ours.

use crate::support::{ask, credentials, dial, run, showing, trusting, with_tls};
use node::{ConnectOptions, Credentials, Verification};
use operations::port::{Command, TlsTrouble, Trouble};
use testservers::{Certificates, Server, each_engine};

const VERSIONS: [&str; 2] = ["TLSv1.2", "TLSv1.3"];

#[test]
fn a_client_certificate_is_needed_where_the_server_asks_for_one_and_has_to_be_trusted() {
    let certificates = Certificates::new();
    let none = trusting(&certificates, Verification::Full);
    let good = showing(none.clone(), certificates.client());
    let bad = showing(none.clone(), certificates.untrusted_client());
    each_engine(|engine| {
        for version in VERSIONS {
            let builder = Server::builder(engine).tls(&certificates).tls_auth_clients(true).password("secret");
            let server = builder.config("tls-protocols", version).start();
            let said = |tls, credentials| {
                let options = ConnectOptions { credentials, ..with_tls(tls) };
                run(ask(&options, &server.address()))
            };
            said(good.clone(), credentials(None, "secret")).unwrap();
            assert_eq!(said(good.clone(), Credentials::default()).unwrap_err(), Trouble::PasswordNeeded);
            let needed = Trouble::Tls(TlsTrouble::ClientCertificateNeeded);
            for tls in [&none, &bad] {
                for credentials in [Credentials::default(), credentials(None, "secret")] {
                    assert_eq!(said(tls.clone(), credentials).unwrap_err(), needed, "{version}");
                }
            }
        }
    });
}

#[test]
fn a_link_that_lacks_a_certificate_says_so_whenever_it_is_used() {
    let certificates = Certificates::new();
    each_engine(|engine| {
        let builder = Server::builder(engine).tls(&certificates).tls_auth_clients(true);
        let server = builder.config("tls-protocols", "TLSv1.3").start();
        run(async {
            // With TLS 1.3, the server objects only after the client believes itself connected.
            let link = dial(&with_tls(trusting(&certificates, Verification::Full)), &server.address()).await.unwrap();
            for _ in 0..2 {
                let error = link.send(vec![Command::Ping]).await.unwrap_err();
                assert_eq!(error.trouble, Trouble::Tls(TlsTrouble::ClientCertificateNeeded));
            }
        });
    });
}

#[test]
fn a_client_certificate_does_no_harm_where_none_is_asked_for() {
    let certificates = Certificates::new();
    each_engine(|engine| {
        let server = Server::builder(engine).tls(&certificates).start();
        let tls = showing(trusting(&certificates, Verification::ChainOnly), certificates.client());
        run(ask(&with_tls(tls), &server.address())).unwrap();
    });
}
