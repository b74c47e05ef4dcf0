//! Clusters that hold keys.

use crate::setting::Setting;
use std::time::{Duration, Instant};
use testservers::{Builder, Cluster, Proxies, Proxy, Server, Servers, wait_until};

/// Keys of the whole cluster, about 61 in each slot.
pub(crate) const KEYS: u64 = 1_000_000;
/// The size of each value.
const BYTES: usize = 100;
/// For anything that servers do on their own.
const PATIENCE: Duration = Duration::from_mins(1);

/// How many nodes of which kind a cluster has.
#[derive(Clone, Copy, Default)]
pub(crate) struct Shape {
    /// Primaries that share the slots.
    pub(crate) owners: usize,
    /// Primaries without slots.
    pub(crate) empty: usize,
    /// Replicas, of the first primaries in turn.
    pub(crate) replicas: usize,
}

/// A cluster with a million keys.
pub(crate) struct Loaded {
    pub(crate) servers: Servers,
    proxies: Option<Proxies>,
}

impl Loaded {
    /// Starts and fills a cluster.
    pub(crate) fn start(setting: &Setting, shape: Shape) -> Self {
        let servers = Servers::start_with(&setting.engine, count(shape), |builder, _| configured(setting, builder));
        Self { servers, proxies: None }.formed(shape)
    }

    /// The same with a delay between everybody who talks to a node and the node: half of it each way. The cluster bus and
    /// what is done through [`Server`] have none.
    pub(crate) fn start_delayed(setting: &Setting, shape: Shape, round_trip: Duration) -> Self {
        let (servers, proxies) =
            Servers::start_behind_proxies(&setting.engine, count(shape), |builder, _| configured(setting, builder));
        let loaded = Self { servers, proxies: Some(proxies) }.formed(shape);
        if let Some(proxies) = &loaded.proxies {
            proxies.delay(round_trip / 2);
        }
        loaded
    }

    fn formed(self, shape: Shape) -> Self {
        form(&self.servers, shape);
        Cluster::of(&self.servers).fill("key", KEYS, BYTES);
        wait_until("the replicas have their data", PATIENCE, || {
            self.servers.iter().all(|server| !server.call(&["INFO", "replication"]).contains("master_link_status:down"))
        });
        self
    }

    /// Where tools enter the cluster.
    pub(crate) fn entry(&self) -> String {
        let proxy = self.proxies.as_ref().and_then(|proxies| proxies.first());
        proxy.map_or_else(|| self.address(0), Proxy::address)
    }

    /// The address of a node without any delay.
    pub(crate) fn address(&self, node: usize) -> String {
        self.servers.get(node).map(Server::address).unwrap_or_default()
    }

    /// What a node answers.
    pub(crate) fn call(&self, node: usize, command: &[&str]) -> String {
        self.servers.get(node).map(|server| server.call_ok(command)).unwrap_or_default()
    }

    /// The id of a node.
    pub(crate) fn id(&self, node: usize) -> String {
        self.call(node, &["CLUSTER", "MYID"])
    }

    /// The first slots that a node owns.
    pub(crate) fn first_slots(&self, node: usize, count: usize) -> Vec<u16> {
        own_slots(&self.call(node, &["CLUSTER", "NODES"])).into_iter().take(count).collect()
    }

    /// Returns when all nodes agree and nothing is open.
    pub(crate) fn settle(&self) {
        wait_until("the nodes agree", PATIENCE, || self.is_settled());
    }

    /// Whether all nodes agree and nothing is open.
    pub(crate) fn is_settled(&self) -> bool {
        let views: Vec<String> = self.servers.iter().map(|server| server.call(&["CLUSTER", "NODES"])).collect();
        crate::complete::agree_on_slots(&views)
    }
}

fn count(shape: Shape) -> usize {
    shape.owners + shape.empty + shape.replicas
}

fn configured(setting: &Setting, builder: Builder) -> Builder {
    builder
        .config("cluster-node-timeout", &setting.node_timeout.to_string())
        .config("repl-diskless-sync-delay", "5")
        // A primary that was drained stays one, so that slots can go back to it.
        .config("cluster-allow-replica-migration", "no")
}

/// Makes a cluster of these servers without any tool: what is measured comes later.
pub(crate) fn form(servers: &Servers, shape: Shape) {
    for (node, server) in servers.iter().enumerate() {
        // Those that come to follow others have the lower ones: see create in topology.
        server.call_ok(&["CLUSTER", "SET-CONFIG-EPOCH", &(servers.len() - node).to_string()]);
        if node < shape.owners {
            let first = (node * 16384 / shape.owners).to_string();
            let last = ((node + 1) * 16384 / shape.owners - 1).to_string();
            server.call_ok(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
        }
    }
    let ids: Vec<String> = servers.iter().map(|server| server.call_ok(&["CLUSTER", "MYID"])).collect();
    if let Some((port, bus_port)) = servers.first().and_then(ports) {
        for server in servers.iter().skip(1) {
            server.call_ok(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus_port]);
        }
    }
    let knows_all = |server: &Server| {
        let nodes = server.call(&["CLUSTER", "NODES"]);
        !nodes.contains("handshake") && ids.iter().all(|id| nodes.contains(id.as_str()))
    };
    wait_until("all nodes know each other", PATIENCE, || servers.iter().all(knows_all));
    for (node, server) in servers.iter().enumerate().skip(shape.owners + shape.empty) {
        if let Some(primary) = ids.get(node % shape.owners.max(1)) {
            server.call_ok(&["CLUSTER", "REPLICATE", primary]);
        }
    }
    let serves = |server: &Server| server.call(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
    wait_until("the cluster serves", PATIENCE, || servers.iter().all(serves));
}

/// The client port and the bus port that a node announces.
fn ports(server: &Server) -> Option<(String, String)> {
    let nodes = server.call_ok(&["CLUSTER", "NODES"]);
    let myself = nodes.lines().find(|line| line.contains("myself"))?;
    let address = myself.split(' ').nth(1)?.split(',').next()?;
    let (port, bus_port) = address.rsplit_once(':')?.1.split_once('@')?;
    Some((port.to_owned(), bus_port.to_owned()))
}

/// The slots that a node says it owns.
fn own_slots(nodes: &str) -> Vec<u16> {
    let myself = nodes.lines().find(|line| line.contains("myself")).unwrap_or_default();
    let ranges = myself.split_whitespace().skip(8).filter_map(|word| {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        Some(first.parse::<u16>().ok()?..=last.parse().ok()?)
    });
    ranges.flatten().collect()
}

/// Lets so much time pass: for measuring what is usual.
pub(crate) fn pass(time: Duration) {
    let begin = Instant::now();
    wait_until("time has passed", time * 10, || begin.elapsed() >= time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_tells_its_slots() {
        let nodes = "a 1:1@2 master - 0 0 1 connected 0-1\nb 1:3@4 myself,master - 0 0 2 connected 5 7-9 [9->-a]\n";
        assert_eq!(own_slots(nodes), [5, 7, 8, 9]);
    }
}
