//! TLS where the server speaks clear text, and the other way round.

use crate::support::{ask, credentials, plain, run, timed, trusting, with_tls};
use node::{ConnectOptions, Credentials, TlsOptions, Verification};
use operations::port::{TlsTrouble, Trouble};
use std::time::Duration;
use testservers::{Certificates, Server, each_engine};

/// For finding out which protocol it is.
const GRACE: Duration = Duration::from_secs(1);

fn without_and_with_password() -> [Credentials; 2] {
    [Credentials::default(), credentials(None, "secret")]
}

#[test]
fn tls_to_a_port_without_is_called_that() {
    let certificates = Certificates::new();
    each_engine(|engine| {
        for server in [Server::builder(engine).start(), Server::builder(engine).password("secret").start()] {
            for credentials in without_and_with_password() {
                let tls = trusting(&certificates, Verification::Full);
                let connect_timeout = Duration::from_millis(500);
                let options = ConnectOptions { credentials, connect_timeout, ..with_tls(tls) };
                let (said, took) = run(timed(ask(&options, &server.address())));
                assert_eq!(said.unwrap_err(), Trouble::Tls(TlsTrouble::ServerSpeaksPlain));
                assert!(took < connect_timeout + GRACE, "{took:?}");
            }
        }
    });
}

#[test]
fn clear_text_to_a_tls_port_is_called_that() {
    let certificates = Certificates::new();
    each_engine(|engine| {
        for clients_need_certificates in [false, true] {
            for version in ["TLSv1.2", "TLSv1.3"] {
                let server = Server::builder(engine).tls(&certificates).tls_auth_clients(clients_need_certificates);
                let server = server.config("tls-protocols", version).start();
                for credentials in without_and_with_password() {
                    let options = ConnectOptions { credentials, ..plain() };
                    let (said, took) = run(timed(ask(&options, &server.address())));
                    assert_eq!(said.unwrap_err(), Trouble::Tls(TlsTrouble::ServerSpeaksTls), "{version}");
                    assert!(took < options.connect_timeout + GRACE, "{took:?}");
                }
            }
        }
    });
}

#[test]
fn a_password_goes_over_tls_too() {
    let certificates = Certificates::new();
    each_engine(|engine| {
        let server = Server::builder(engine).tls(&certificates).password("secret").start();
        let tls: TlsOptions = trusting(&certificates, Verification::Full);
        let with = |credentials| ConnectOptions { credentials, ..with_tls(tls.clone()) };
        let said = |credentials| run(ask(&with(credentials), &server.address()));
        said(credentials(None, "secret")).unwrap();
        assert_eq!(said(credentials(None, "wrong")).unwrap_err(), Trouble::WrongPassword);
        assert_eq!(said(Credentials::default()).unwrap_err(), Trouble::PasswordNeeded);
    });
}
