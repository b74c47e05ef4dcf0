//! A backup of a cluster: what is copied from where, under which name, and the file that says who owned what.

use crate::{ClusterView, Engine, Flag, NodeAddr, NodeEntry, NodeId, ServerInfo, Shard, SlotSet, plan::NodeRef};
use std::fmt::Write as _;

/// The name of the file that says who owned what.
pub const NODES_FILE: &str = "nodes.json";

/// The data of one shard, to be copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The shard's primary.
    pub primary: NodeRef,
    /// The node that is copied: the primary, or a replica of it.
    pub from: NodeRef,
    /// The name of its file.
    pub file: String,
    /// The slots of the shard.
    pub slots: SlotSet,
    /// How many keys the node held, in all databases.
    pub keys: u64,
    /// Memory that they took, bytes: a snapshot is smaller as a rule.
    pub memory: u64,
}

/// A shard that cannot be copied, since its primary does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The primary.
    pub primary: NodeRef,
    /// Its slots.
    pub slots: SlotSet,
    /// Why it does not answer, so that it reads well behind its address.
    pub reason: String,
    /// What can be done.
    pub advice: Option<String>,
}

/// What of a cluster can be copied, by the shards' first slots, and what cannot.
///
/// With `from_replicas`, each shard that has a replica with a link to its primary is copied from the one that has applied most.
pub fn sources(view: &ClusterView, from_replicas: bool) -> (Vec<Source>, Vec<Missing>) {
    let (mut sources, mut missing) = (Vec::new(), Vec::new());
    for shard in view.shards() {
        let address = shard.primary.node.address.clone();
        let primary = NodeRef { id: shard.primary.account.id, address };
        match &shard.primary.node.said {
            Ok(said) => {
                let replica = if from_replicas { in_sync(&shard) } else { None };
                let (from, server) = replica.unwrap_or_else(|| (primary.clone(), &said.server));
                let file = file_name(said.server.engine, &primary);
                let (keys, memory) = (server.databases.values().sum(), memory(server));
                sources.push(Source { primary, from, file, slots: shard.slots().clone(), keys, memory });
            }
            Err(silence) => missing.push(Missing {
                primary,
                slots: shard.slots().clone(),
                reason: silence.reason.clone(),
                advice: silence.advice.clone(),
            }),
        }
    }
    (sources, missing)
}

/// The replica in sync that has applied most of what its primary wrote.
fn in_sync<'view>(shard: &Shard<'view>) -> Option<(NodeRef, &'view ServerInfo)> {
    let linked = shard.replicas.iter().filter_map(|replica| {
        let server = &replica.node.view()?.server;
        let linked = server.primary_link_up == Some(true) && !server.sync_in_progress;
        linked.then(|| (NodeRef { id: replica.account.id, address: replica.node.address.clone() }, server))
    });
    linked.max_by_key(|(_, server)| server.replication_offset)
}

fn memory(server: &ServerInfo) -> u64 {
    server.dataset_memory.or(server.used_memory).unwrap_or_default()
}

/// The name that the reference tools give to the file of a primary.
pub fn file_name(engine: Engine, primary: &NodeRef) -> String {
    let NodeRef { id, address } = primary;
    format!("{engine}-node-{}-{}-{id}.rdb", address.host, address.port)
}

/// The text of [`NODES_FILE`] for these nodes, as the reference tools write it; `errors` is how many problems their check counts.
pub fn nodes_file<'a>(nodes: impl IntoIterator<Item = (&'a NodeAddr, &'a NodeEntry)>, errors: usize) -> String {
    let nodes: Vec<String> = nodes.into_iter().map(|(address, entry)| object(address, entry, errors)).collect();
    format!("[\n{}\n]", nodes.join(",\n"))
}

fn object(address: &NodeAddr, entry: &NodeEntry, errors: usize) -> String {
    let flags = entry.flags.iter().filter(|flag| **flag != Flag::Myself);
    let flags: Vec<String> = flags.map(ToString::to_string).collect();
    let mut fields = vec![
        format!("\"name\": \"{}\"", entry.id),
        // Neither hosts nor flags hold anything that JSON and Rust quote differently.
        format!("\"host\": {:?}", address.host.to_string()),
        format!("\"port\": {}", address.port),
        format!(
            "\"replicate\": {}",
            entry.primary.map_or_else(|| "null".to_owned(), |primary| format!("\"{primary}\""))
        ),
        format!("\"slots\": [{}]", ranges(&entry.slots)),
        format!("\"slots_count\": {}", entry.slots.len()),
        format!("\"flags\": {:?}", flags.join(",")),
        format!("\"current_epoch\": {}", entry.config_epoch),
    ];
    if errors > 0 {
        fields.push(format!("\"cluster_errors\": {errors}"));
    }
    for (name, open) in [("migrating", &entry.migrating), ("importing", &entry.importing)] {
        if !open.is_empty() {
            let pairs: Vec<String> =
                open.iter().map(|(slot, node): (_, &NodeId)| format!("\"{slot}\": \"{node}\"")).collect();
            fields.push(format!("\"{name}\": {{{}}}", pairs.join(",")));
        }
    }
    format!("  {{\n    {}\n  }}", fields.join(",\n    "))
}

/// `[0,5460],[9000]`
fn ranges(slots: &SlotSet) -> String {
    let mut text = String::new();
    for range in slots.ranges() {
        let comma = if text.is_empty() { "" } else { "," };
        let _ = if range.start() == range.end() {
            write!(text, "{comma}[{}]", range.start())
        } else {
            write!(text, "{comma}[{},{}]", range.start(), range.end())
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NodeView, ObservedNode, Silence};

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const C: &str = "cccccccccccccccccccccccccccccccccccccccc";

    fn node(port: u16, line: &str, info: &str) -> ObservedNode {
        let entries = [
            (A, "7000", "master - 0 0 3 connected 0-5460 9000"),
            (B, "7001", &format!("slave {A} 0 0 3 connected")),
            (C, "7002", &format!("slave {A} 0 0 3 connected")),
        ];
        let lines = entries.map(|(id, port, rest)| {
            let myself = if id == line { "myself," } else { "" };
            format!("{id} 127.0.0.1:{port}@1{port} {myself}{rest}\n")
        });
        let view = NodeView::parse(&lines.concat(), "", info).unwrap();
        let address = format!("127.0.0.1:{port}").parse().unwrap();
        ObservedNode { address, id: Some(line.parse().unwrap()), said: Ok(view) }
    }

    fn view() -> ClusterView {
        let replica = |offset| {
            format!("master_link_status:up\nmaster_repl_offset:{offset}\nused_memory:7\ndb0:keys=4,expires=0\n")
        };
        let primary = "used_memory_dataset:90\nused_memory:100\ndb0:keys=5,expires=0\ndb3:keys=2,expires=0\n";
        ClusterView { nodes: vec![node(7000, A, primary), node(7001, B, &replica(10)), node(7002, C, &replica(20))] }
    }

    fn reference(id: &str, port: u16) -> NodeRef {
        NodeRef { id: id.parse().unwrap(), address: format!("127.0.0.1:{port}").parse().unwrap() }
    }

    #[test]
    fn a_primary_is_copied_under_its_own_name() {
        let (sources, missing) = sources(&view(), false);
        assert_eq!(missing, []);
        let [source] = &sources[..] else { panic!("{sources:?}") };
        assert_eq!((&source.primary, &source.from), (&reference(A, 7000), &reference(A, 7000)));
        assert_eq!(source.file, format!("redis-node-127.0.0.1-7000-{A}.rdb"));
        assert_eq!((source.keys, source.memory), (7, 90));
    }

    #[test]
    fn the_replica_that_has_applied_most_spares_its_primary() {
        let (sources_then, _) = sources(&view(), true);
        assert_eq!(sources_then[0].from, reference(C, 7002));
        assert_eq!(sources_then[0].file, format!("redis-node-127.0.0.1-7000-{A}.rdb"));

        let mut cut = view();
        for node in &mut cut.nodes[1..] {
            node.said.as_mut().unwrap().server.primary_link_up = Some(false);
        }
        assert_eq!(sources(&cut, true).0[0].from, reference(A, 7000));
    }

    #[test]
    fn a_primary_that_does_not_answer_is_missing() {
        let mut view = view();
        view.nodes[0].said = Err(Silence { reason: "is gone".into(), advice: None, answers: false, progress: None });
        let (sources, missing) = sources(&view, true);
        assert_eq!(sources, []);
        assert_eq!((&missing[0].primary, missing[0].slots.len()), (&reference(A, 7000), 5462));
    }

    #[test]
    fn the_file_of_nodes_is_that_of_the_reference_tools() {
        let mut view = view();
        let said = view.nodes[0].said.as_mut().unwrap();
        said.myself.migrating.insert(crate::Slot::new(6).unwrap(), B.parse().unwrap());
        let nodes = view.answering().take(2).map(|(node, view)| (&node.address, &view.myself));
        let expected = format!(
            r#"[
  {{
    "name": "{A}",
    "host": "127.0.0.1",
    "port": 7000,
    "replicate": null,
    "slots": [[0,5460],[9000]],
    "slots_count": 5462,
    "flags": "master",
    "current_epoch": 3,
    "cluster_errors": 1,
    "migrating": {{"6": "{B}"}}
  }},
  {{
    "name": "{B}",
    "host": "127.0.0.1",
    "port": 7001,
    "replicate": "{A}",
    "slots": [],
    "slots_count": 0,
    "flags": "slave",
    "current_epoch": 3,
    "cluster_errors": 1
  }}
]"#
        );
        assert_eq!(nodes_file(nodes, 1), expected);
    }
}
