//! Links end when nobody holds them any more.

use crate::support::{dial, plain, run};
use operations::port::Command;
use std::{sync::Arc, time::Duration};
use testservers::{Server, each_engine, wait_until};
use tokio::task::spawn_blocking;

const DEADLINE: Duration = Duration::from_secs(10);

/// How many clients a server has besides the one that asks.
fn clients(server: &Server) -> usize {
    server.call_ok(&["CLIENT", "LIST"]).lines().count() - 1
}

#[test]
fn dropping_a_link_closes_its_connection() {
    each_engine(|engine| {
        let server = Arc::new(Server::builder(engine).start());
        run(async {
            let [first, second] =
                [dial(&plain(), &server.address()).await.unwrap(), dial(&plain(), &server.address()).await.unwrap()];
            first.send(vec![Command::Ping]).await.unwrap();
            second.send(vec![Command::Ping]).await.unwrap();
            assert_eq!(clients(&server), 2);

            drop(first);
            wait_for_clients(&server, 1).await;
            second.send(vec![Command::Ping]).await.unwrap();
            let other = Arc::clone(&second);
            drop(second);
            other.send(vec![Command::Ping]).await.unwrap();
            drop(other);
            wait_for_clients(&server, 0).await;
        });
    });
}

#[test]
fn dropping_a_link_while_it_waits_for_a_reply_closes_its_connection() {
    each_engine(|engine| {
        let server = Arc::new(Server::builder(engine).start());
        run(async {
            let link = dial(&plain(), &server.address()).await.unwrap();
            link.send(vec![Command::Ping]).await.unwrap();
            server.stop_process();
            let waiting = tokio::time::timeout(Duration::from_millis(50), link.send(vec![Command::Ping]));
            assert!(waiting.await.is_err());
            drop(link);
            server.continue_process();
            wait_for_clients(&server, 0).await;
        });
    });
}

/// Waits on another thread, so that the connections go on meanwhile.
async fn wait_for_clients(server: &Arc<Server>, count: usize) {
    let server = Arc::clone(server);
    let waited = spawn_blocking(move || {
        wait_until(&format!("{count} clients are left"), DEADLINE, || clients(&server) == count);
    });
    waited.await.unwrap();
}
