//! Listeners that are no servers, or not today.

use crate::support::{Listener, ask, plain, run, with_password, with_tls};
use node::{TlsOptions, Verification};
use operations::port::{TlsTrouble, Trouble};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

fn with_any_tls() -> node::ConnectOptions {
    with_tls(TlsOptions { verification: Verification::None, ..TlsOptions::default() })
}

async fn close(_: TcpStream) {}

/// Reads something, and says this.
async fn answer(mut stream: TcpStream, with: &str) {
    let mut buffer = [0; 1000];
    let _ = stream.read(&mut buffer).await;
    let _ = stream.write_all(with.as_bytes()).await;
    let _ = stream.shutdown().await;
    // What is left unread would tear down the connection before the answer is read.
    while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
}

async fn answer_http(stream: TcpStream) {
    answer(stream, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
}

#[test]
fn a_listener_that_closes_closed_the_connection() {
    run(async {
        let (address, _serving) = Listener::serve(close);
        for options in [plain(), with_password(None, "secret"), with_any_tls()] {
            assert_eq!(ask(&options, &address).await.unwrap_err(), Trouble::Closed);
        }
    });
}

/// What a server in protected mode does with clients of other machines.
async fn turn_away(mut stream: TcpStream) {
    let _ = stream.write_all(b"-DENIED Redis is running in protected mode\r\n").await;
}

#[test]
fn a_server_that_turns_clients_away_is_heard() {
    run(async {
        let (address, _serving) = Listener::serve(turn_away);
        for options in [plain(), with_password(None, "secret")] {
            let trouble = ask(&options, &address).await.unwrap_err();
            assert_eq!(trouble, Trouble::ProtectedMode);
        }
        assert_eq!(ask(&with_any_tls(), &address).await.unwrap_err(), Trouble::Tls(TlsTrouble::ServerSpeaksPlain));
    });
}

#[test]
fn a_web_server_does_not_speak_the_protocol() {
    run(async {
        let (address, _serving) = Listener::serve(answer_http);
        for options in [plain(), with_password(None, "secret")] {
            let trouble = ask(&options, &address).await.unwrap_err();
            assert_eq!(trouble, Trouble::Protocol("it says \"HTTP/1.1 400 Bad Request\"".to_owned()));
        }
        let trouble = ask(&with_any_tls(), &address).await.unwrap_err();
        assert_eq!(trouble, Trouble::Tls(TlsTrouble::ServerSpeaksPlain));
    });
}
