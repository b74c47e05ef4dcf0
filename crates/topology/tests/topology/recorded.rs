//! Replies that `testbed/record-replies` recorded from real servers.

use serde_json::Value;
use std::{collections::BTreeMap, fs, path::PathBuf};
use topology::{ClusterView, NodeAddr, NodeEntry, NodeId, NodeView, ObservedNode, Reply, ShardEntry, Silence};

/// The engines that were recorded.
pub(crate) const ENGINES: [&str; 5] = ["redis-7.0", "redis-8.0", "redis-8.6", "valkey-8.1", "valkey-9.1"];

/// The states that were recorded of every engine. Of `valkey-9.1` there is `databases`, too.
pub(crate) const STATES: [&str; 12] = [
    "fresh",
    "healthy",
    "named",
    "open-slots",
    "disagreement",
    "uncovered",
    "handshake",
    "suspected",
    "minority",
    "killed",
    "failed-over",
    "noaddr",
];

/// What six servers of one engine said in one state.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// Engine and state, for messages.
    pub(crate) name: String,
    pub(crate) engine: &'static str,
    pub(crate) state: &'static str,
    /// By port: what the server said, or why it said nothing (`killed`, `paused`).
    pub(crate) servers: BTreeMap<u16, Result<Said, String>>,
}

/// The replies of one server, as they came.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) nodes: String,
    pub(crate) cluster: String,
    pub(crate) info: String,
    pub(crate) shards: Reply,
}

/// Every state of every engine.
pub(crate) fn all() -> Vec<Recorded> {
    let mut all: Vec<_> =
        ENGINES.iter().flat_map(|engine| STATES.iter().map(|state| Recorded::read(engine, state))).collect();
    all.push(Recorded::read("valkey-9.1", "databases"));
    all
}

/// This state of every engine.
pub(crate) fn each_engine(state: &'static str) -> impl Iterator<Item = Recorded> {
    ENGINES.iter().map(move |engine| Recorded::read(engine, state))
}

impl Recorded {
    pub(crate) fn read(engine: &'static str, state: &'static str) -> Self {
        let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/recorded").join(engine).join(state);
        let files = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let server = |path: PathBuf| {
            let port = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
            (port, sections(&fs::read_to_string(&path).unwrap()))
        };
        let servers: BTreeMap<_, _> = files.map(|file| server(file.unwrap().path())).collect();
        assert_eq!(servers.len(), 6, "{engine} {state}");
        Self { name: format!("{engine} {state}"), engine, state, servers }
    }

    /// The servers that answered, with their ports.
    pub(crate) fn answers(&self) -> impl Iterator<Item = (u16, &Said)> {
        self.servers.iter().filter_map(|(port, said)| Some((*port, said.as_ref().ok()?)))
    }

    pub(crate) fn said(&self, port: u16) -> &Said {
        self.servers[&port].as_ref().unwrap()
    }

    /// The view of the whole cluster, the nodes in the order of their ports.
    pub(crate) fn view(&self) -> ClusterView {
        let nodes = self.servers.iter().map(|(port, said)| match said {
            Ok(said) => observed(*port, said.view()),
            Err(reason) => ObservedNode {
                address: address(*port),
                id: self.known_by_others(*port),
                said: Err(Silence {
                    reason: format!("is {reason}"),
                    advice: Some("start it again".to_owned()),
                    answers: false,
                    progress: None,
                }),
            },
        });
        ClusterView { nodes: nodes.collect() }
    }

    /// The view of one server, when only it is asked and it knows no other.
    pub(crate) fn view_of_one(&self, port: u16) -> ClusterView {
        ClusterView { nodes: vec![observed(port, self.said(port).view())] }
    }

    /// The view without a server that the others do not lead to.
    pub(crate) fn view_without(&self, port: u16) -> ClusterView {
        let mut view = self.view();
        view.nodes.retain(|node| node.address != address(port));
        view
    }

    fn known_by_others(&self, port: u16) -> Option<NodeId> {
        let entries = self.answers().flat_map(|(_, said)| said.entries());
        entries.into_iter().find(|entry| entry.endpoint.port == port).map(|entry| entry.id)
    }
}

impl Said {
    pub(crate) fn entries(&self) -> Vec<NodeEntry> {
        NodeEntry::parse_all(&self.nodes).unwrap()
    }

    pub(crate) fn view(&self) -> NodeView {
        NodeView::parse(&self.nodes, &self.cluster, &self.info).unwrap()
    }

    pub(crate) fn shards(&self) -> Vec<ShardEntry> {
        ShardEntry::parse_all(&self.shards).unwrap()
    }
}

pub(crate) fn address(port: u16) -> NodeAddr {
    format!("127.0.0.1:{port}").parse().unwrap()
}

fn observed(port: u16, view: NodeView) -> ObservedNode {
    ObservedNode { address: address(port), id: Some(view.myself.id), said: Ok(view) }
}

/// The sections of a record: what a server said, or why it said nothing.
fn sections(file: &str) -> Result<Said, String> {
    let sections = file.strip_prefix("> ").unwrap_or_default().split("\n> ");
    let mut sections: BTreeMap<&str, &str> = sections.filter_map(|section| section.split_once('\n')).collect();
    if let Some(reason) = sections.get("SILENCE") {
        return Err(reason.trim_end().to_owned());
    }
    let mut section = |name: &str| sections.remove(name).unwrap_or_else(|| panic!("no {name}: {file}"));
    Ok(Said {
        nodes: section("CLUSTER NODES").to_owned(),
        cluster: section("CLUSTER INFO").to_owned(),
        info: section("INFO").to_owned(),
        shards: reply_of(section("CLUSTER SHARDS")),
    })
}

fn reply_of(json: &str) -> Reply {
    reply(&serde_json::from_str(json).unwrap())
}

fn reply(json: &Value) -> Reply {
    match json {
        Value::Null => Reply::Nil,
        Value::Number(number) => Reply::Integer(number.as_i64().unwrap()),
        Value::String(text) => Reply::text(text),
        Value::Array(items) => Reply::List(items.iter().map(reply).collect()),
        other => panic!("{other} is no reply"),
    }
}
