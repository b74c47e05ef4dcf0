//! A create that stops anywhere can be repeated to its end, or undone.

use crate::support::{addresses, assert_as_new, assert_cluster, assert_replicas_linked, eventually, start, tribune};
use futures_util::future::BoxFuture;
use node::{ConnectOptions, Connector};
use operations::{
    observe::{Answer, ask_all},
    port::{Command, NodeError, NodeLink, Trouble},
    run::{Patience, Runner},
};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use testservers::{Servers, any_engine};
use topology::{
    NodeAddr, Reply,
    create::{NewNode, Shards, plan},
};

/// A link that breaks once all links together have sent so many batches.
struct Breaking {
    link: Arc<dyn NodeLink>,
    left: Arc<AtomicUsize>,
}

impl NodeLink for Breaking {
    fn address(&self) -> &NodeAddr {
        self.link.address()
    }

    fn ip(&self) -> IpAddr {
        self.link.ip()
    }

    fn send(&self, commands: Vec<Command>) -> BoxFuture<'_, Result<Vec<Reply>, NodeError>> {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_err() {
            let error = NodeError::new(self.address().clone(), Trouble::Closed);
            return Box::pin(async move { Err(error) });
        }
        self.link.send(commands)
    }
}

/// Runs a create that breaks after so many batches; whether it came to its end.
fn create_breaking_after(servers: &Servers, batches: usize) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let connector = Connector::new(ConnectOptions::default()).unwrap();
        let addresses: Vec<NodeAddr> = servers.addresses().iter().map(|address| address.parse().unwrap()).collect();
        let left = Arc::new(AtomicUsize::new(batches));
        let mut links: BTreeMap<_, Arc<dyn NodeLink>> = BTreeMap::new();
        let mut nodes = Vec::new();
        for answer in ask_all(&connector, &addresses).await {
            let Answer { link, view } = answer.unwrap();
            nodes.push(NewNode { address: link.address().clone(), zone: None, view: view.clone() });
            links.insert(view.myself.id, Arc::new(Breaking { link, left: Arc::clone(&left) }));
        }
        let plan = plan(&nodes, 1, Shards::AsManyAsPossible).unwrap();
        let patience = Patience { agreement: Duration::from_secs(30), service: Duration::from_secs(30) };
        Runner::new(links, patience, &|_| {}).run(&plan).await.is_ok()
    })
}

#[test]
fn a_create_that_broke_after_any_number_of_commands_is_completed_by_the_same_command_or_undone() {
    let Some(engine) = any_engine() else { return };
    let servers = Servers::start(&engine, 6);
    let nodes = addresses(&servers);
    // Fine steps where every batch changes something, coarse ones where it mostly waits.
    let mut breaks: Vec<usize> = (0..30).step_by(3).collect();
    breaks.extend((30..90).step_by(10));
    for (number, batches) in breaks.into_iter().enumerate() {
        let whole = create_breaking_after(&servers, batches);
        if number % 2 == 0 {
            let run = tribune(&format!("create --yes --replicas 1 {nodes}"));
            assert_eq!(run.code, Some(0), "after {batches} batches (whole: {whole}): {run:#?}");
            assert_cluster(&servers, 3);
            assert_replicas_linked(&servers, 3);
        }
        let run = tribune(&format!("create --undo --yes {nodes}"));
        assert_eq!(run.code, Some(0), "undo after {batches} batches (whole: {whole}): {run:#?}");
        servers.iter().for_each(assert_as_new);
    }
}

#[test]
fn a_create_that_was_killed_is_completed_by_the_same_command() {
    let Some(engine) = any_engine() else { return };
    let servers = Servers::start(&engine, 6);
    let words = format!("create --yes --replicas 1 {}", addresses(&servers));
    let running = start(&words);
    eventually("the first node owns slots", || {
        !servers[0].call_ok(&["CLUSTER", "INFO"]).contains("cluster_slots_assigned:0")
    });
    // Dropping kills.
    drop(running);
    tribune(&words).succeeded();
    assert_cluster(&servers, 3);
    assert_replicas_linked(&servers, 3);
}

#[test]
fn undo_refuses_nodes_that_hold_keys() {
    let Some(engine) = any_engine() else { return };
    let servers = Servers::start(&engine, 3);
    tribune(&format!("create --yes {}", addresses(&servers))).succeeded();
    let (key, holder) = ["a", "b", "c", "d", "e"]
        .iter()
        .find_map(|key| {
            servers.iter().find(|server| server.call(&["SET", key, "1"]) == "OK").map(|server| (key, server))
        })
        .unwrap();
    let address = holder.address();
    tribune(&format!("create --undo --yes {}", addresses(&servers))).refused(1, &[&format!("{address} holds 1 key")]);
    assert_eq!(holder.call_ok(&["GET", key]), "1");
}
