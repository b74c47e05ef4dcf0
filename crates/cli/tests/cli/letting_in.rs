//! Nodes that join are let in sooner by a short node timeout: it does not stay.

use crate::support::{addresses, eventually, start, tribune};
use testservers::{Server, Servers, each_engine};

fn timeout(server: &Server) -> String {
    server.call_ok(&["CONFIG", "GET", "cluster-node-timeout"]).lines().last().unwrap_or_default().to_owned()
}

fn timeouts(servers: &Servers) -> Vec<String> {
    servers.iter().map(timeout).collect()
}

#[test]
fn the_node_timeout_is_as_before_when_a_scale_that_was_killed_is_resumed() {
    each_engine(|engine| {
        let servers = Servers::start(engine, 3);
        tribune(&format!("create --yes --shards 1 --replicas 2 {}", addresses(&servers))).succeeded();
        let (entry, before) = (servers[0].address(), timeouts(&servers));
        assert!(!before.contains(&"500".to_owned()), "{before:?}");
        let killed = start(&format!("scale {entry} --shards 3 --yes"));
        eventually("a node is being let in", || timeouts(&servers).contains(&"500".to_owned()));
        drop(killed);
        tribune(&format!("resume {entry} --yes")).succeeded();
        assert_eq!(timeouts(&servers), before);
        tribune(&format!("check {entry}")).succeeded();
    });
}
