//! Clusters made by hand: healthy ones, to be spoilt one thing at a time.

use std::{fmt::Write as _, sync::Arc};
use topology::{ClusterView, Flags, NodeEntry, NodeId, NodeView, ObservedNode, Silence, SlotSet};

/// A node of a cluster made by hand.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// `host:port[@busport]`
    pub(crate) address: String,
    /// Of a replica: which node of the list it follows.
    pub(crate) primary: Option<usize>,
    pub(crate) slots: SlotSet,
    pub(crate) zone: Option<String>,
}

impl Node {
    pub(crate) fn primary(address: &str, slots: &str) -> Self {
        Self { address: address.to_owned(), primary: None, slots: slots.parse().unwrap(), zone: None }
    }

    pub(crate) fn replica(address: &str, primary: usize) -> Self {
        Self { address: address.to_owned(), primary: Some(primary), slots: SlotSet::new(), zone: None }
    }

    pub(crate) fn in_zone(mut self, zone: &str) -> Self {
        self.zone = Some(zone.to_owned());
        self
    }
}

/// Three primaries and three replicas, each on a host of its own: 10.0.0.1:7000 to 10.0.0.6:7000.
pub(crate) fn six() -> ClusterView {
    view(&six_nodes())
}

pub(crate) fn six_nodes() -> [Node; 6] {
    [
        Node::primary("10.0.0.1:7000", "0-5460"),
        Node::primary("10.0.0.2:7000", "5461-10922"),
        Node::primary("10.0.0.3:7000", "10923-16383"),
        Node::replica("10.0.0.4:7000", 0),
        Node::replica("10.0.0.5:7000", 1),
        Node::replica("10.0.0.6:7000", 2),
    ]
}

/// What these nodes say when all know all. Epochs of primaries are 1, 2, ….
pub(crate) fn view(nodes: &[Node]) -> ClusterView {
    let observed = |at: usize| {
        let node = &nodes[at];
        let state = format!("cluster_state:ok\r\ncluster_known_nodes:{}\r\n", nodes.len());
        let view = NodeView::parse(&lines(nodes, at), &state, &info(node)).unwrap();
        ObservedNode { address: node.address.parse().unwrap(), id: Some(id(at)), said: Ok(view) }
    };
    ClusterView { nodes: (0..nodes.len()).map(observed).collect() }
}

/// `CLUSTER NODES` of the node at this place.
pub(crate) fn lines(nodes: &[Node], of: usize) -> String {
    let mut text = String::new();
    for (at, node) in nodes.iter().enumerate() {
        let address: topology::NodeAddr = node.address.parse().unwrap();
        let endpoint = format!("{}@{}", address.bare(), address.bus_port().unwrap());
        let myself = if at == of { "myself," } else { "" };
        let role = if node.primary.is_some() { "slave" } else { "master" };
        let primary = node.primary.map_or_else(|| "-".to_owned(), |at| id(at).to_string());
        let epoch = node.primary.unwrap_or(at) + 1;
        let heard = if at == of { 0 } else { CLOCK_SECONDS * 1000 };
        let slots = &node.slots;
        let line = format!("{} {endpoint} {myself}{role} {primary} 0 {heard} {epoch} connected {slots}", id(at));
        writeln!(text, "{}", line.trim_end()).unwrap();
    }
    text
}

/// What all clocks of the cluster show, Unix seconds.
pub(crate) const CLOCK_SECONDS: u64 = 1_700_000_000;

fn info(node: &Node) -> String {
    let mut info = "redis_version:7.0.15\r\ncluster_enabled:1\r\nmaster_repl_offset:100\r\n".to_owned();
    writeln!(info, "server_time_usec:{CLOCK_SECONDS}000000\r").unwrap();
    if node.primary.is_some() {
        info += "role:slave\r\nmaster_link_status:up\r\n";
    }
    if let Some(zone) = &node.zone {
        writeln!(info, "availability_zone:{zone}\r").unwrap();
    }
    info
}

/// The id of the node at this place.
pub(crate) fn id(at: usize) -> NodeId {
    let mut bytes = [0xab; 20];
    bytes[..8].copy_from_slice(&u64::try_from(at + 1).unwrap().to_be_bytes());
    NodeId::from_bytes(bytes)
}

/// What the node at this place says.
pub(crate) fn said(view: &mut ClusterView, at: usize) -> &mut NodeView {
    view.nodes[at].said.as_mut().unwrap()
}

/// What the node at `witness` says of the one at `about`.
pub(crate) fn entry(view: &mut ClusterView, witness: usize, about: usize) -> &mut NodeEntry {
    let view = said(view, witness);
    if view.myself.id == id(about) {
        &mut view.myself
    } else {
        Arc::make_mut(&mut view.peers).iter_mut().find(|entry| entry.id == id(about)).unwrap()
    }
}

/// All but the nodes in `except` say that the node at `about` has these flags.
pub(crate) fn flag(view: &mut ClusterView, about: usize, flags: &str, except: &[usize]) {
    for witness in 0..view.nodes.len() {
        if witness != about && !except.contains(&witness) && view.nodes[witness].said.is_ok() {
            entry(view, witness, about).flags = flags.parse::<Flags>().unwrap();
        }
    }
}

/// The node at this place does not answer.
pub(crate) fn silence(view: &mut ClusterView, at: usize) {
    view.nodes[at].said = Err(Silence {
        reason: "refuses connections: nothing listens on this port".to_owned(),
        advice: Some("see whether the server runs and listens there, and look at its log".to_owned()),
        answers: false,
        progress: None,
    });
}

/// All nodes agree that the slots of the node at this place are these.
pub(crate) fn own(view: &mut ClusterView, at: usize, slots: &str) {
    for witness in 0..view.nodes.len() {
        entry(view, witness, at).slots = slots.parse().unwrap();
    }
}
