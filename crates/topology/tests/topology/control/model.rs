//! Servers and a platform that do what they are told, as long as that is allowed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::Duration,
};
use topology::{
    ClusterView, Data, FleetMember, NodeAddr, NodeId, NodeView, ObservedNode, Process, Silence, SlotSet, Update,
    control::{Decision, Desired, Memory, World, decide},
    plan::{Action, FailoverKind, NodeRef},
};

/// A cluster and its platform. Nodes are numbered in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) nodes: BTreeMap<usize, Node>,
    pub(crate) desired: Desired,
    made: usize,
    prepared: BTreeSet<NodeId>,
    /// How often each slot has moved.
    pub(crate) moved: usize,
    /// For how long there has been nothing to do, as the loop is told.
    pub(crate) calm: Duration,
    /// What members are to run with, and what nobody can run with.
    pub(crate) wanted: u32,
    pub(crate) bad: Option<u32>,
    pub(crate) restarts: usize,
    pub(crate) failovers: usize,
    /// Those whose machines the platform does not reach.
    pub(crate) unreached: BTreeSet<usize>,
    /// Those whose data is gone.
    pub(crate) lost: BTreeSet<usize>,
    /// Whether the loop has just begun, and has heard nobody before.
    pub(crate) is_forgetful: bool,
    /// For how many seconds the loop has watched, where that is less than servers do.
    pub(crate) watched: Option<u64>,
    /// How many hosts there are; members are put on them in turn.
    hosts: usize,
}

#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts of a server")]
pub(crate) struct Node {
    pub(crate) slots: SlotSet,
    pub(crate) primary: Option<usize>,
    /// Whom it knows.
    pub(crate) knows: BTreeSet<usize>,
    pub(crate) is_up: bool,
    /// For how many passes it has not answered.
    pub(crate) silent: u64,
    /// Whether it has what its primary has.
    pub(crate) in_sync: bool,
    /// Whether it had that once.
    pub(crate) has_copied: bool,
    /// For how many seconds it has had no link to its primary, if for longer than that has been down.
    pub(crate) unlinked: Option<u64>,
    /// What it runs with, or is started with next.
    pub(crate) runs: u32,
    /// Whether it is being started.
    starts: bool,
}

/// What all servers' clocks say, Unix milliseconds.
const CLOCK: u64 = 1_800_000_000_000;

impl Model {
    pub(crate) fn new(shards: usize, replicas: usize, hosts: usize) -> Self {
        Self { desired: Desired { shards, replicas, ..Desired::default() }, hosts, ..Self::default() }
    }

    pub(crate) fn want(&mut self, shards: usize, replicas: usize) {
        self.desired = Desired { shards, replicas, ..Desired::default() };
    }

    /// Lets the loop look and act until it has nothing to do, so many times at most.
    pub(crate) fn settle(&mut self, passes: usize) -> usize {
        for pass in 0..passes {
            let decision = self.decide();
            if decision.is_settled() {
                return pass;
            }
            self.carry_out(&decision);
        }
        panic!("not settled after {passes} passes: {:#?}\n{self:#?}", self.decide());
    }

    pub(crate) fn decide(&self) -> Decision {
        let (members, view) = (self.members(), self.view());
        let silent = |node: &Node| Duration::from_secs(self.watched.map_or(node.silent, |most| node.silent.min(most)));
        let down = || self.nodes.iter().filter(|(_, node)| !node.is_up);
        let memory = Memory {
            calm: self.calm,
            silent: down().map(|(at, node)| (id(*at), silent(node))).collect(),
            absent: down().map(|(at, node)| (at.to_string(), silent(node))).collect(),
            histories: self.nodes.keys().filter(|_| !self.is_forgetful).map(|at| (id(*at), "one".to_owned())).collect(),
            prepared: self.prepared.clone(),
            ..Memory::default()
        };
        decide(&World { desired: &self.desired, members: &members, view: &view, memory: &memory })
    }

    pub(crate) fn carry_out(&mut self, decision: &Decision) {
        for (action, _) in &decision.steps {
            self.act(action);
            self.check();
        }
        self.time_passes();
    }

    /// A second goes by: copies arrive, and what is down stays down.
    pub(crate) fn time_passes(&mut self) {
        let bad = self.bad;
        for node in self.nodes.values_mut() {
            if node.starts && bad != Some(node.runs) {
                (node.is_up, node.starts) = (true, false);
            }
            node.silent = if node.is_up { 0 } else { node.silent + 1 };
        }
        let up: BTreeSet<usize> = self.nodes.iter().filter(|(_, node)| node.is_up).map(|(at, _)| *at).collect();
        for node in self.nodes.values_mut().filter(|node| node.is_up) {
            node.in_sync = node.primary.is_some_and(|primary| up.contains(&primary));
            node.has_copied |= node.in_sync;
        }
    }

    pub(crate) fn kill(&mut self, at: usize) {
        let node = self.nodes.get_mut(&at).unwrap();
        (node.is_up, node.in_sync) = (false, false);
        self.time_passes();
    }

    /// A server comes back: as a replica of whoever has its slots now.
    pub(crate) fn come_back(&mut self, at: usize) {
        let had = self.nodes[&at].slots.clone();
        let heir = self
            .nodes
            .iter()
            .find(|(other, node)| **other != at && !had.is_empty() && !node.slots.intersection(&had).is_empty());
        let heir = heir.map(|(heir, _)| *heir);
        let node = self.nodes.get_mut(&at).unwrap();
        node.is_up = true;
        if heir.is_some() {
            (node.primary, node.slots) = (heir, SlotSet::new());
        }
        self.time_passes();
    }

    pub(crate) fn shape(&self) -> Vec<usize> {
        let primaries = self.nodes.iter().filter(|(_, node)| !node.slots.is_empty());
        primaries.map(|(at, _)| self.nodes.values().filter(|node| node.primary == Some(*at)).count()).collect()
    }

    pub(crate) fn slots(&self) -> Vec<usize> {
        self.nodes.values().map(|node| node.slots.len()).filter(|slots| *slots > 0).collect()
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::AddMembers { count } => (0..*count).for_each(|_| self.make()),
            Action::RemoveMember { member, .. } => {
                let at: usize = member.parse().unwrap();
                let node = self.nodes.remove(&at).unwrap();
                assert!(node.slots.is_empty() || self.has_heir(&node), "{at} owns slots");
                for (other, node) in &self.nodes {
                    assert!(node.primary != Some(at), "{other} follows {at}");
                    assert!(!node.is_up || !node.knows.contains(&at), "{other} still knows {at}");
                }
                self.nodes.values_mut().for_each(|node| node.knows.retain(|known| *known != at));
            }
            Action::SetEpoch { .. }
            | Action::AwaitAgreement { .. }
            | Action::AwaitService { .. }
            | Action::AwaitReplicas { .. } => {}
            Action::CopyFunctions { to, .. } => self.prepared.extend([to.id]),
            Action::AddSlots { node, slots } => {
                assert!(self.nodes.values().all(|node| node.slots.intersection(slots).is_empty()));
                let node = self.up(node);
                node.slots = node.slots.union(slots);
            }
            Action::Meet { nodes } => {
                let all: BTreeSet<usize> = nodes.iter().map(number).collect();
                for node in nodes {
                    self.up(node).knows.extend(&all);
                }
            }
            Action::Replicate { replica, primary } => {
                let (at, leader) = (number(replica), number(primary));
                assert!(self.up(primary).primary.is_none(), "{leader} is no primary");
                let follower = self.up(replica);
                assert!(follower.slots.is_empty(), "{at} owns slots");
                (follower.primary, follower.in_sync, follower.has_copied) = (Some(leader), false, false);
            }
            Action::Detach { node, from } => {
                let from = number(from);
                let node = self.up(node);
                assert_eq!(node.primary, Some(from));
                (node.primary, node.in_sync) = (None, false);
            }
            Action::SettleSlots { node, slots, .. } => {
                for other in self.nodes.values_mut().filter(|other| !other.is_up) {
                    other.slots = other.slots.difference(slots);
                }
                self.up(node).slots = self.up(node).slots.union(slots);
            }
            Action::MoveSlots { slots, from, to, .. } => {
                assert!(slots.difference(&self.up(from).slots).is_empty());
                assert!(self.up(to).primary.is_none());
                self.up(from).slots = self.up(from).slots.difference(slots);
                self.up(to).slots = self.up(to).slots.union(slots);
                self.moved += slots.len();
            }
            Action::Failover { replica, primary, kind } => {
                let (heir, old) = (number(replica), number(primary));
                self.failovers += 1;
                assert_eq!(self.up(replica).primary, Some(old));
                let slots = self.nodes[&old].slots.clone();
                if *kind == FailoverKind::Planned {
                    assert!(self.nodes[&heir].in_sync);
                    let old = self.up(primary);
                    (old.slots, old.primary) = (SlotSet::new(), Some(heir));
                }
                for node in self.nodes.values_mut().filter(|node| node.is_up && node.primary == Some(old)) {
                    node.primary = Some(heir);
                }
                let heir = self.up(replica);
                (heir.primary, heir.slots) = (None, slots);
            }
            Action::RestartMember { member, .. } => {
                let at: usize = member.parse().unwrap();
                self.check_restart(at);
                let wanted = self.wanted;
                let node = self.nodes.get_mut(&at).unwrap();
                (node.is_up, node.in_sync, node.starts, node.runs) = (false, false, true, wanted);
                self.restarts += 1;
            }
            Action::Forget { node, by } => {
                let gone = number(node);
                assert!(self.nodes.get(&gone).is_none_or(|node| node.slots.is_empty() || self.has_heir(node)));
                let follower = self.nodes.iter().find(|(_, node)| node.is_up && node.primary == Some(gone));
                assert!(follower.is_none(), "{follower:?} follows {gone}");
                for by in by {
                    assert!(self.up(by).knows.remove(&gone));
                }
            }
            other => panic!("the loop does not do this: {other:?}"),
        }
    }

    fn up(&mut self, node: &NodeRef) -> &mut Node {
        let node = self.nodes.get_mut(&number(node)).unwrap();
        assert!(node.is_up, "it is down");
        node
    }

    /// No slot has two owners that run, and none that had one has none.
    fn check(&self) {
        let mut all = SlotSet::new();
        for node in self.nodes.values().filter(|node| node.is_up || !self.has_heir(node)) {
            assert!(all.intersection(&node.slots).is_empty(), "a slot has two owners: {self:#?}");
            all = all.union(&node.slots);
        }
    }

    /// Who is restarted serves nobody, and leaves its shard with as many others as before.
    fn check_restart(&self, at: usize) {
        let node = &self.nodes[&at];
        assert!(node.slots.is_empty(), "{at} owns slots");
        if !node.is_up {
            return;
        }
        let others = self.nodes.iter().filter(|(other, _)| **other != at);
        let mut shard = others.filter(|(other, peer)| {
            node.primary.is_some() && (Some(**other) == node.primary || peer.primary == node.primary)
        });
        let down = shard.find(|(_, peer)| !peer.is_up || peer.primary.is_some() && !peer.in_sync);
        assert!(down.is_none(), "{at} is restarted while {down:?} of its shard does not serve");
    }

    fn has_heir(&self, node: &Node) -> bool {
        self.nodes.values().any(|other| other.is_up && !other.slots.intersection(&node.slots).is_empty())
    }

    fn make(&mut self) {
        let knows = [self.made].into();
        let runs = self.wanted;
        let is_up = self.bad != Some(runs);
        self.nodes.insert(self.made, Node { knows, is_up, starts: !is_up, runs, ..Node::default() });
        self.made += 1;
    }

    fn members(&self) -> Vec<FleetMember> {
        let members = self.nodes.iter();
        let member = |(at, node): (&usize, &Node)| FleetMember {
            name: at.to_string(),
            address: Some(address(*at)),
            host: (at % self.hosts.max(1)).to_string(),
            zone: None,
            process: match (self.unreached.contains(at), node.is_up) {
                (true, _) => Process::Unknown,
                (false, true) => Process::Runs,
                (false, false) => Process::Starts,
            },
            id: Some(id(*at)),
            update: if node.runs == self.wanted { Update::Current } else { Update::NeedsRestart },
            trouble: None,
            data: if self.lost.contains(at) { Data::Nothing } else { Data::Kept },
        };
        members.map(member).collect()
    }

    /// What those say that are up, and those that they know.
    fn view(&self) -> ClusterView {
        let known: BTreeSet<usize> =
            self.nodes.values().filter(|node| node.is_up).flat_map(|node| node.knows.clone()).collect();
        let silence =
            || Silence { reason: "refuses connections".to_owned(), advice: None, answers: false, progress: None };
        let mut nodes = Vec::new();
        for at in self.nodes.keys().copied().chain(known).collect::<BTreeSet<usize>>() {
            let is_up = self.nodes.get(&at).is_some_and(|node| node.is_up);
            let said = if is_up { Ok(self.said(at)) } else { Err(silence()) };
            nodes.push(ObservedNode { address: address(at), id: Some(id(at)), said });
        }
        ClusterView { nodes }
    }

    fn said(&self, at: usize) -> NodeView {
        let mut lines = String::new();
        for other in &self.nodes[&at].knows {
            let empty = Node::default();
            let node = self.nodes.get(other).unwrap_or(&empty);
            // Whoever has taken over from one that is down is known for it.
            let slots = if !node.is_up && self.has_heir(node) { SlotSet::new() } else { node.slots.clone() };
            let role = if node.primary.is_some() { "slave" } else { "master" };
            let myself = if *other == at { "myself," } else { "" };
            let fail = if node.is_up { "" } else { ",fail" };
            let primary = node.primary.map_or_else(|| "-".to_owned(), |primary| id(primary).to_string());
            let epoch = node.primary.unwrap_or(*other) + 1;
            let heard = CLOCK - node.silent * 1000;
            let line = format!(
                "{} {} {myself}{role}{fail} {primary} 0 {heard} {epoch} connected {slots}",
                id(*other),
                address(*other)
            );
            writeln!(lines, "{}", line.trim_end()).unwrap();
        }
        let mut info = "redis_version:7.0.15\r\ncluster_enabled:1\r\nmaster_repl_offset:100\r\n".to_owned();
        writeln!(info, "server_time_usec:{}\r", CLOCK * 1000).unwrap();
        let history = if self.nodes[&at].has_copied { "one" } else { "none" };
        writeln!(info, "master_replid:{history}\r").unwrap();
        if let Some(primary) = self.nodes[&at].primary {
            let link = if self.nodes[&at].in_sync { "up" } else { "down" };
            writeln!(info, "master_link_status:{link}\r").unwrap();
            let lost = self.nodes.get(&primary).filter(|_| self.nodes[&at].has_copied && link == "down");
            if let Some(seconds) = self.nodes[&at].unlinked.or_else(|| Some(lost?.silent)) {
                writeln!(info, "master_link_down_since_seconds:{seconds}\r").unwrap();
            }
            if self.nodes[&at].has_copied {
                info.push_str("db0:keys=1,expires=0\r\n");
            }
        }
        NodeView::parse(&lines, "cluster_state:ok\r\n", &info).unwrap()
    }
}

pub(crate) fn id(at: usize) -> NodeId {
    format!("{:040x}", at + 1).parse().unwrap()
}

fn number(node: &NodeRef) -> usize {
    usize::from_str_radix(&node.id.to_string(), 16).unwrap() - 1
}

fn address(at: usize) -> NodeAddr {
    format!("10.0.{}.{}:7000", at / 200, at % 200 + 1).parse().unwrap()
}
