//! Servers that say what a test lets them say, and keep what they were sent.

use futures_util::future::BoxFuture;
use operations::port::{Command, Dialer, NodeError, NodeLink, Trouble};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
};
use topology::{NodeAddr, NodeId, Reply};

/// A server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Server {
    /// `CLUSTER NODES`
    pub(crate) nodes: String,
    /// Lines of `INFO` beside those that every server has.
    pub(crate) info: String,
    /// What it answers to anything that changes it; `OK` when empty.
    pub(crate) refusal: String,
}

/// All servers by port, and what they were sent.
#[derive(Clone, Default)]
pub(crate) struct Stage {
    pub(crate) servers: Arc<Mutex<BTreeMap<u16, Server>>>,
    pub(crate) sent: Arc<Mutex<Vec<(u16, Command)>>>,
}

struct Link {
    stage: Stage,
    address: NodeAddr,
}

/// The id of the server on a port: the port's number, forty digits wide.
pub(crate) fn id(port: u16) -> NodeId {
    format!("{port:040}").parse().unwrap()
}

pub(crate) fn address(port: u16) -> NodeAddr {
    format!("127.0.0.1:{port}").parse().unwrap()
}

/// A line of `CLUSTER NODES`.
pub(crate) fn line(port: u16, flags: &str, primary: &str, slots: &str) -> String {
    format!("{} 127.0.0.1:{port}@1{port} {flags} {primary} 0 0 1 connected {slots}\n", id(port))
}

impl Stage {
    pub(crate) fn put(&self, port: u16, nodes: String) {
        let server = Server { nodes, ..Server::default() };
        self.servers.lock().unwrap().insert(port, server);
    }

    pub(crate) fn change(&self, port: u16, change: impl FnOnce(&mut Server)) {
        change(self.servers.lock().unwrap().get_mut(&port).unwrap());
    }

    /// What was sent beside questions.
    pub(crate) fn changes(&self) -> Vec<(u16, Command)> {
        let asks = |command: &Command| matches!(command, Command::ClusterNodes | Command::ClusterInfo | Command::Info);
        self.sent.lock().unwrap().iter().filter(|(_, command)| !asks(command)).cloned().collect()
    }

    pub(crate) fn link(&self, port: u16) -> Arc<dyn NodeLink> {
        Arc::new(Link { stage: self.clone(), address: address(port) })
    }
}

impl Dialer for Stage {
    fn dial<'a>(&'a self, address: &'a NodeAddr) -> BoxFuture<'a, Result<Arc<dyn NodeLink>, NodeError>> {
        let there = self.servers.lock().unwrap().contains_key(&address.port);
        let link = self.link(address.port);
        Box::pin(async move { if there { Ok(link) } else { Err(NodeError::new(address.clone(), Trouble::Refused)) } })
    }
}

impl NodeLink for Link {
    fn address(&self) -> &NodeAddr {
        &self.address
    }

    fn ip(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    fn send(&self, commands: Vec<Command>) -> BoxFuture<'_, Result<Vec<Reply>, NodeError>> {
        let server = self.stage.servers.lock().unwrap().get(&self.address.port).cloned();
        let mut sent = self.stage.sent.lock().unwrap();
        sent.extend(commands.iter().map(|command| (self.address.port, command.clone())));
        Box::pin(async move {
            let server = server.ok_or_else(|| NodeError::new(self.address.clone(), Trouble::Closed))?;
            let text = |text: String| Reply::Bytes(text.into_bytes());
            let reply = |command: &Command| match command {
                Command::ClusterNodes => text(server.nodes.clone()),
                Command::ClusterInfo => text("cluster_state:ok\r\n".to_owned()),
                Command::Info => text(format!("redis_version:7.0.15\r\ncluster_enabled:1\r\n{}", server.info)),
                _ if !server.refusal.is_empty() => Reply::Error(server.refusal.clone()),
                _ => text("OK".to_owned()),
            };
            Ok(commands.iter().map(reply).collect())
        })
    }
}
