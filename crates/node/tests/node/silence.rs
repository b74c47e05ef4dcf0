//! Servers that are not there, or do not answer: what is said, and how soon.

use crate::support::{Listener, address, ask, dial, plain, run, timed, trouble, with_password, with_tls};
use node::{ConnectOptions, Connector, TlsOptions};
use operations::port::{Command, Dialer as _, Migration, Trouble};
use std::time::Duration;
use testservers::{Server, any_engine, each_engine, free_ports};
use tokio::{net::TcpStream, time::timeout};
use topology::Reply;

const SHORT: Duration = Duration::from_millis(400);
/// What an error may come late.
const GRACE: Duration = Duration::from_millis(200);

fn impatient() -> ConnectOptions {
    ConnectOptions { read_timeout: SHORT, ..plain() }
}

#[test]
fn where_nothing_listens_connections_are_refused() {
    let ports = free_ports(1);
    let address = format!("127.0.0.1:{}", ports[0]);
    for options in [plain(), with_password(None, "secret"), with_tls(TlsOptions::default())] {
        assert_eq!(trouble(&options, &address), Trouble::Refused);
    }
}

#[test]
fn a_name_without_address_does_not_resolve() {
    let trouble = trouble(&plain(), "no-such-host.invalid:7000");
    assert!(matches!(trouble, Trouble::Unresolvable(_)), "{trouble:?}");
}

#[test]
fn a_stopped_server_is_silent_for_the_read_timeout_and_no_longer() {
    each_engine(|engine| {
        let server = Server::builder(engine).start();
        let with_password = ConnectOptions { read_timeout: SHORT, ..with_password(None, "secret") };
        run(async {
            let open = dial(&impatient(), &server.address()).await.unwrap();
            open.send(vec![Command::Ping]).await.unwrap();
            server.stop_process();
            let (said, took) = timed(open.send(vec![Command::Ping])).await;
            assert_eq!(said.unwrap_err().trouble, Trouble::ReadTimedOut(SHORT));
            assert!(took >= SHORT && took < SHORT + GRACE, "{took:?}");

            for options in [impatient(), with_password] {
                let (said, took) = timed(ask(&options, &server.address())).await;
                assert_eq!(said.unwrap_err(), Trouble::ReadTimedOut(SHORT));
                assert!(took >= SHORT && took < SHORT + GRACE, "{took:?}");
            }

            // What comes late is not taken for the reply to something else.
            server.continue_process();
            let replies = open.send(vec![Command::DatabaseSize, Command::Ping]).await.unwrap();
            assert_eq!(replies, [Reply::Integer(0), Reply::text("PONG")]);
        });
    });
}

#[test]
fn a_server_that_waits_for_another_is_given_that_time_on_every_connection() {
    each_engine(|engine| {
        let [from, to] = [(); 2].map(|()| Server::builder(engine).cluster(false).password("secret").start());
        from.call_ok(&["SET", "key", "value"]);
        to.stop_process();
        let options = ConnectOptions { read_timeout: SHORT, ..with_password(None, "secret") };
        let connector = Connector::new(options).unwrap();
        let migration = |timeout| Migration {
            host: "127.0.0.1".to_owned(),
            port: address(&to.address()).port,
            database: 0,
            timeout,
            replace: false,
            copy: false,
            keys: vec![b"key".to_vec()],
        };
        run(async {
            let open = async || connector.dial(&address(&from.address())).await;
            let [one, other] = [open().await.unwrap(), open().await.unwrap()];
            let waits = one.send(vec![Command::Migrate(Box::new(migration(1500)))]);
            let on_the_other = other.send(vec![Command::Ping]);
            let on_a_third = async { open().await.unwrap().send(vec![Command::Ping]).await };
            let (migrated, pong, ping) = tokio::join!(waits, on_the_other, on_a_third);
            assert!(matches!(&migrated.unwrap()[..], [Reply::Error(_)]));
            assert_eq!([pong.unwrap(), ping.unwrap()], [[Reply::text("PONG")], [Reply::text("PONG")]]);

            from.stop_process();
            let (said, took) = timed(other.send(vec![Command::Ping])).await;
            assert_eq!(said.unwrap_err().trouble, Trouble::ReadTimedOut(SHORT));
            assert!(took < SHORT + GRACE, "{took:?}");

            // However much it was sent, it is silent after the longest of all.
            let longest = SHORT + Duration::from_millis(500);
            let migrate = || one.send(vec![Command::Migrate(Box::new(migration(500)))]);
            let all = async { tokio::join!(migrate(), migrate(), other.send(vec![Command::Ping])) };
            let ((first, second, ping), took) = timed(all).await;
            for said in [first, second, ping] {
                assert_eq!(said.unwrap_err().trouble, Trouble::ReadTimedOut(longest));
            }
            assert!(took >= longest && took < longest + GRACE, "{took:?}");
        });
    });
}

#[test]
fn a_stopped_server_keeps_nobody_from_talking_to_others() {
    let Some(engine) = any_engine() else { return };
    let [stopped, well] = [Server::builder(&engine).start(), Server::builder(&engine).start()];
    run(async {
        let [to_stopped, to_well] =
            [dial(&impatient(), &stopped.address()).await.unwrap(), dial(&impatient(), &well.address()).await.unwrap()];
        stopped.stop_process();
        let waiting = to_stopped.send(vec![Command::Ping]);
        let talking = async {
            for _ in 0..100 {
                to_well.send(vec![Command::Ping]).await.unwrap();
            }
        };
        let dialling = async { ask(&impatient(), &well.address()).await.unwrap() };
        let (said, (), _) = tokio::join!(waiting, talking, dialling);
        assert_eq!(said.unwrap_err().trouble, Trouble::ReadTimedOut(SHORT));
    });
}

#[test]
fn a_stopped_tls_server_takes_no_connections() {
    let Some(engine) = any_engine() else { return };
    let certificates = testservers::Certificates::new();
    let server = Server::builder(&engine).tls(&certificates).start();
    server.stop_process();
    let tls = crate::support::trusting(&certificates, node::Verification::Full);
    let options = ConnectOptions { connect_timeout: SHORT, ..with_tls(tls) };
    let (said, took) = run(timed(ask(&options, &server.address())));
    assert_eq!(said.unwrap_err(), Trouble::ReadTimedOut(SHORT));
    assert!(took >= SHORT && took < SHORT + Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_host_that_does_not_answer_takes_no_connections() {
    run(async {
        let full = Listener::new(0);
        // The kernel connects as many as fit, and leaves out the others in silence.
        let mut connected = Vec::new();
        while let Ok(stream) = timeout(SHORT, TcpStream::connect(&full.address)).await {
            connected.push(stream.unwrap());
            assert!(connected.len() < 100, "the queue has no end");
        }
        let options = ConnectOptions { connect_timeout: SHORT, ..plain() };
        let (said, took) = timed(ask(&options, &full.address)).await;
        assert_eq!(said.unwrap_err(), Trouble::ConnectTimedOut(SHORT));
        assert!(took >= SHORT && took < SHORT + GRACE, "{took:?}");
    });
}
