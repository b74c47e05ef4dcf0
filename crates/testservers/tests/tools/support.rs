//! Clusters to try the tools on.

use std::time::Duration;
use testservers::{Server, wait_until};

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Makes a cluster of these servers: the first `primaries` share the slots, the others follow them in turn.
pub(crate) fn form(servers: &[Server], primaries: usize) {
    for (i, server) in servers.iter().enumerate() {
        server.call_ok(&["CLUSTER", "SET-CONFIG-EPOCH", &(i + 1).to_string()]);
        if i < primaries {
            let first = i * 16384 / primaries;
            let last = (i + 1) * 16384 / primaries - 1;
            server.call_ok(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
        }
    }
    let (port, bus_port) = ports(&servers[0]);
    for server in &servers[1..] {
        server.call_ok(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus_port]);
    }
    let knows_all = |server: &Server| {
        let known = format!("cluster_known_nodes:{}\r\n", servers.len());
        server.call(&["CLUSTER", "INFO"]).contains(&known) && !nodes(server).contains("handshake")
    };
    wait_until("all nodes know each other", DEADLINE, || servers.iter().all(knows_all));
    for (i, replica) in servers.iter().enumerate().skip(primaries) {
        let primary = id(&servers[i % primaries]);
        replica.call_ok(&["CLUSTER", "REPLICATE", &primary]);
    }
    wait_until("the cluster serves", DEADLINE, || {
        let replicas = servers.len() - primaries;
        servers.iter().all(|server| {
            server.call(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
                && nodes(server).matches(" slave ").count() + nodes(server).matches("myself,slave ").count() >= replicas
        })
    });
    wait_until("the replicas follow", DEADLINE, || {
        servers[primaries..]
            .iter()
            .all(|server| server.call(&["INFO", "replication"]).contains("master_link_status:up"))
    });
}

/// Its name in the cluster.
pub(crate) fn id(server: &Server) -> String {
    server.call_ok(&["CLUSTER", "MYID"])
}

pub(crate) fn nodes(server: &Server) -> String {
    server.call_ok(&["CLUSTER", "NODES"])
}

/// The client port and the bus port that it announces.
fn ports(server: &Server) -> (String, String) {
    let nodes = nodes(server);
    let myself = nodes.lines().find(|line| line.contains("myself")).unwrap();
    let address = myself.split(' ').nth(1).unwrap().split(',').next().unwrap();
    let (port, bus_port) = address.rsplit_once(':').unwrap().1.split_once('@').unwrap();
    (port.to_owned(), bus_port.to_owned())
}

/// Opens a slot from one server to another, as the first half of a move.
pub(crate) fn open_slot(slot: &str, source: &Server, destination: &Server) {
    destination.call_ok(&["CLUSTER", "SETSLOT", slot, "IMPORTING", &id(source)]);
    source.call_ok(&["CLUSTER", "SETSLOT", slot, "MIGRATING", &id(destination)]);
}

/// Moves a slot with its keys, at the port that the destination announces.
pub(crate) fn move_slot(slot: &str, source: &Server, destination: &Server, all: &[Server]) {
    open_slot(slot, source, destination);
    let (port, _) = ports(destination);
    loop {
        let keys = source.call_ok(&["CLUSTER", "GETKEYSINSLOT", slot, "10"]);
        if keys.is_empty() {
            break;
        }
        let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
        words.extend(keys.lines());
        source.call_ok(&words);
    }
    let owner = id(destination);
    destination.call_ok(&["CLUSTER", "SETSLOT", slot, "NODE", &owner]);
    source.call_ok(&["CLUSTER", "SETSLOT", slot, "NODE", &owner]);
    for server in all {
        server.call_ok(&["CLUSTER", "SETSLOT", slot, "NODE", &owner]);
    }
}
