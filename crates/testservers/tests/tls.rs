//! Certificates are what they are called, and servers use them.

use std::{path::Path, process::Stdio, time::Duration};
use testservers::{CertificateFiles, Certificates, Process, Server, Servers, any_engine, each_engine, wait_until};

const DEADLINE: Duration = Duration::from_secs(10);

#[test]
fn every_engine_serves_and_gossips_over_tls() {
    let certificates = Certificates::new();
    each_engine(|engine| {
        let servers = Servers::start_with(engine, 2, |builder, _| {
            builder.tls(&certificates).tls_auth_clients(true).password("secret")
        });
        assert_eq!(servers[0].call(&["PING"]), "PONG");
        assert_eq!(servers[0].call(&["ECHO", "-x"]), "-x");
        assert!(servers[0].call(&["NONSENSE"]).starts_with("-ERR"));
        servers[0].call_ok(&["CLUSTER", "MEET", "127.0.0.1", &servers[1].port().to_string()]);
        wait_until("both know each other", DEADLINE, || {
            servers.iter().all(|server| server.call(&["CLUSTER", "INFO"]).contains("cluster_known_nodes:2"))
        });
    });
}

#[test]
fn an_unreachable_tls_server_is_an_error_and_comes_back() {
    let Some(engine) = any_engine() else { return };
    let server = Server::builder(&engine).tls(&Certificates::new()).start();
    server.kill();
    assert!(server.try_call(&["PING"]).is_err());
    server.restart();
    assert_eq!(server.call(&["PING"]), "PONG");
}

#[test]
fn servers_show_and_demand_the_certificates_that_they_are_told_to() {
    let (Some(engine), certificates) = (any_engine(), Certificates::new()) else { return };
    let answers = |server: &Server, ca: &Path, client: Option<&CertificateFiles>| {
        let process = Process::start(&engine.cli, |cli| {
            cli.args(["-e", "-p", &server.port().to_string(), "--tls", "--cacert"]).arg(ca);
            if let Some(client) = client {
                cli.arg("--cert").arg(&client.certificate).arg("--key").arg(&client.key);
            }
            cli.arg("PING").stdout(Stdio::null()).stderr(Stdio::null());
        });
        process.finish(DEADLINE).success()
    };
    let (ca, client) = (certificates.ca(), certificates.client());

    let open = Server::builder(&engine).tls(&certificates).start();
    assert!(answers(&open, &ca, None));
    assert!(!answers(&open, &certificates.untrusted_ca(), None));

    let closed = Server::builder(&engine).tls(&certificates).tls_auth_clients(true).start();
    assert!(answers(&closed, &ca, Some(&client)));
    assert!(!answers(&closed, &ca, None));
    assert!(!answers(&closed, &ca, Some(&certificates.untrusted_client())));

    let expired = Server::builder(&engine).tls(&certificates).tls_certificate(&certificates.expired()).start();
    assert!(!answers(&expired, &ca, None));
    assert_eq!(expired.call(&["PING"]), "PONG");

    let Some(v1) = certificates.v1() else { return };
    let old = Server::builder(&engine).tls(&certificates).tls_certificate(&v1).start();
    assert!(answers(&old, &ca, None));
}

#[test]
fn certificates_are_what_they_are_called() {
    let certificates = Certificates::new();
    // Without openssl, which makes it, nothing here can be looked at.
    let Some(v1) = certificates.v1() else { return };
    let verifies = |certificate: &Path, ca: &Path, option: &str, value: &str| {
        let openssl = Process::start(Path::new("openssl"), |command| {
            command.args(["verify", "-CAfile"]).arg(ca).args([option, value]).arg(certificate);
            command.stdout(Stdio::null()).stderr(Stdio::null());
        });
        openssl.finish(DEADLINE).success()
    };
    let (ca, server) = (certificates.ca(), certificates.server_cert());
    assert!(verifies(&server, &ca, "-verify_ip", "127.0.0.1"));
    assert!(verifies(&server, &ca, "-verify_hostname", "localhost"));
    assert!(!verifies(&server, &ca, "-verify_hostname", "other.example"));
    assert!(!verifies(&server, &certificates.untrusted_ca(), "-verify_ip", "127.0.0.1"));
    assert!(verifies(&certificates.client_cert(), &ca, "-purpose", "sslclient"));

    let other_name = certificates.other_name().certificate;
    assert!(verifies(&other_name, &ca, "-verify_hostname", "other.example"));
    assert!(!verifies(&other_name, &ca, "-verify_ip", "127.0.0.1"));
    assert!(!verifies(&certificates.expired().certificate, &ca, "-verify_ip", "127.0.0.1"));

    assert!(verifies(&v1.certificate, &ca, "-verify_hostname", "localhost"));
    assert!(!verifies(&v1.certificate, &ca, "-verify_ip", "127.0.0.1"));
}
