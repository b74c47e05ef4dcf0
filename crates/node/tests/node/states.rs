//! Servers that are there and cannot do what they are asked for.

use crate::support::{ask, asked, dial, plain, run, trouble};
use operations::port::{Command, Trouble};
use std::{thread, time::Duration};
use testservers::{Server, each_engine, wait_until};
use topology::Reply;

const DEADLINE: Duration = Duration::from_secs(10);

#[test]
fn a_server_killed_with_a_command_in_flight_closes_the_connection() {
    each_engine(|engine| {
        let server = Server::builder(engine).start();
        run(async {
            let [used, fresh] =
                [dial(&plain(), &server.address()).await.unwrap(), dial(&plain(), &server.address()).await.unwrap()];
            used.send(vec![Command::Ping]).await.unwrap();
            // So that the command is in flight for sure.
            server.stop_process();
            let kill = async { server.kill() };
            let (used_said, fresh_said, ()) =
                tokio::join!(used.send(vec![Command::Ping]), fresh.send(vec![Command::Ping]), kill);
            assert_eq!(used_said.unwrap_err().trouble, Trouble::Closed);
            assert_eq!(fresh_said.unwrap_err().trouble, Trouble::Closed);
            assert_eq!(used.send(vec![Command::Ping]).await.unwrap_err().trouble, Trouble::Closed);
        });
        assert_eq!(trouble(&plain(), &server.address()), Trouble::Refused);
    });
}

#[test]
fn a_server_without_cluster_mode_is_not_a_cluster_node() {
    each_engine(|engine| {
        let server = Server::builder(engine).cluster(false).start();
        assert_eq!(trouble(&plain(), &server.address()), Trouble::NotACluster);
    });
}

#[test]
fn a_server_that_reads_its_data_is_loading() {
    each_engine(|engine| {
        let server = Server::builder(engine)
            // Microseconds for each key, and clients are served every so many bytes.
            .config("key-load-delay", "300")
            .config("loading-process-events-interval-bytes", "1024")
            .start();
        server.call_ok(&["DEBUG", "POPULATE", "4000"]);
        thread::scope(|scope| {
            let reload = scope.spawn(|| server.call(&["DEBUG", "RELOAD"]));
            wait_until("the server says that it loads", DEADLINE, || match asked(&plain(), &server.address()) {
                // Some servers show their view all the same.
                Ok(view) => view.server.loading,
                Err(trouble) => {
                    assert!(matches!(trouble, Trouble::Loading { .. }), "{trouble:?}");
                    true
                }
            });
            let refused = run(async {
                let link = dial(&plain(), &server.address()).await.unwrap();
                link.send(vec![Command::DatabaseSize]).await.unwrap().remove(0)
            });
            assert!(matches!(&refused, Reply::Error(line) if line.starts_with("LOADING ")), "{refused:?}");
            assert_eq!(reload.join().unwrap(), "OK");
        });
        asked(&plain(), &server.address()).unwrap();
    });
}

#[test]
fn a_server_that_takes_no_more_clients_says_so() {
    each_engine(|engine| {
        let server = Server::builder(engine).config("maxclients", "1").start();
        run(async {
            let first = dial(&plain(), &server.address()).await.unwrap();
            first.send(vec![Command::Ping]).await.unwrap();
            for _ in 0..20 {
                // Cluster nodes have their own words for it.
                let second = ask(&plain(), &server.address()).await.unwrap_err();
                let said = |line: &str| line.starts_with("ERR max number of clients");
                assert!(matches!(&second, Trouble::Refusal(line) if said(line)), "{second:?}");
            }
        });
    });
}
