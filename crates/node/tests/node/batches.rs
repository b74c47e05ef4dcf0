//! Batches of commands: one reply each, in order.

use crate::support::{ask, asked, dial, plain, run};
use futures_util::future::join_all;
use operations::port::Command;
use std::time::Duration;
use testservers::{Server, Servers, each_engine, wait_until};
use topology::{Engine, Flag, Reply, Slot};

const DEADLINE: Duration = Duration::from_secs(10);

/// A command that no server carries out.
const IMPOSSIBLE: Command = Command::Select(1_000_000);

fn is_error(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(line) if line.starts_with("ERR "))
}

#[test]
fn every_command_has_its_reply_in_order_and_a_refused_one_stops_no_other() {
    each_engine(|engine| {
        let server = Server::builder(engine).start();
        run(async {
            let link = dial(&plain(), &server.address()).await.unwrap();
            assert_eq!(link.address().to_string(), server.address());
            assert_eq!(link.ip().to_string(), "127.0.0.1");
            let commands = vec![Command::Ping, Command::DatabaseSize, IMPOSSIBLE, Command::ClusterInfo, Command::Ping];
            let replies = link.send(commands).await.unwrap();
            assert_eq!(replies.len(), 5);
            assert_eq!(replies[..2], [Reply::text("PONG"), Reply::Integer(0)]);
            assert!(is_error(&replies[2]), "{:?}", replies[2]);
            assert!(replies[3].as_text().unwrap().contains("cluster_known_nodes:1"));
            assert_eq!(replies[4], Reply::text("PONG"));

            assert_eq!(link.send(Vec::new()).await.unwrap(), []);
            assert_eq!(link.send(vec![Command::Ping]).await.unwrap(), [Reply::text("PONG")]);
        });
    });
}

#[test]
fn a_transaction_s_replies_come_with_its_end() {
    each_engine(|engine| {
        let server = Server::builder(engine).start();
        run(async {
            let link = dial(&plain(), &server.address()).await.unwrap();
            let batch = vec![Command::Multi, Command::Ping, IMPOSSIBLE, Command::DatabaseSize, Command::Exec];
            let replies = link.send(batch).await.unwrap();
            let queued = || Reply::text("QUEUED");
            assert_eq!(replies[..4], [Reply::text("OK"), queued(), queued(), queued()]);
            let done = replies[4].as_list().unwrap();
            assert_eq!((&done[0], &done[2]), (&Reply::text("PONG"), &Reply::Integer(0)));
            assert!(is_error(&done[1]), "{:?}", done[1]);
        });
    });
}

#[test]
fn many_tasks_send_over_one_link_and_each_gets_its_own_replies() {
    each_engine(|engine| {
        let server = Server::builder(engine).start();
        server.call_ok(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        wait_until("the server serves its slots", DEADLINE, || {
            server.call(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
        });
        // The slot of key {n} holds n keys.
        for tag in 1..=9 {
            for key in 0..tag {
                server.call_ok(&["SET", &format!("{{{tag}}}{key}"), "value"]);
            }
        }
        let count_in = |tag: i64| Command::CountKeysInSlot(Slot::of_key(tag.to_string().as_bytes()));
        run(async {
            let link = dial(&plain(), &server.address()).await.unwrap();
            let tasks = (0..200).map(|task| {
                let (link, tag) = (&link, 1 + task % 9);
                async move {
                    // Transactions that mix would be refused.
                    let batch = vec![count_in(tag), Command::Multi, count_in(10 - tag), Command::Ping, Command::Exec];
                    let replies = link.send(batch).await.unwrap();
                    assert_eq!(replies[0], Reply::Integer(tag));
                    assert_eq!(replies[4], Reply::List(vec![Reply::Integer(10 - tag), Reply::text("PONG")]));
                }
            });
            join_all(tasks).await;
        });
    });
}

#[test]
fn a_server_s_view_can_be_read() {
    each_engine(|engine| {
        let servers = Servers::start(engine, 2);
        servers[0].call_ok(&["CLUSTER", "ADDSLOTSRANGE", "0", "99", "200", "200"]);
        servers[0].call_ok(&["CLUSTER", "MEET", "127.0.0.1", &servers[1].port().to_string()]);
        wait_until("the servers know each other", DEADLINE, || {
            servers.iter().all(|server| {
                let nodes = server.call(&["CLUSTER", "NODES"]);
                nodes.lines().count() == 2 && !nodes.contains("handshake")
            })
        });
        let [first, second] = run(async {
            let [first, second] = [0, 1].map(|index| servers[index].address());
            [ask(&plain(), &first).await.unwrap(), ask(&plain(), &second).await.unwrap()]
        });
        assert_eq!(first.myself.slots.to_string(), "0-99 200");
        assert_eq!(first.cluster.known_nodes, 2);
        assert_eq!(first.peers.len(), 1);
        assert_eq!((first.peers[0].id, first.peers[0].endpoint.port), (second.myself.id, servers[1].port()));
        assert!(second.myself.flags.has(&Flag::Primary));

        let (product, version) = engine.name.split_once('-').unwrap();
        let expected = if product == "valkey" { Engine::Valkey } else { Engine::Redis };
        assert_eq!(second.server.engine, expected);
        assert!(second.server.version.starts_with(version), "{}", second.server.version);
        assert!(second.server.cluster_enabled);
    });
}

#[test]
fn long_replies_arrive_whole() {
    each_engine(|engine| {
        let server = Server::builder(engine).start();
        // Every other slot: the longest line that CLUSTER NODES can have.
        let slots: Vec<String> = (0..16384).step_by(2).map(|slot: u16| slot.to_string()).collect();
        let command: Vec<&str> = ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str)).collect();
        server.call_ok(&command);
        assert_eq!(asked(&plain(), &server.address()).unwrap().myself.slots.len(), 8192);
    });
}
