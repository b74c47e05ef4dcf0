//! What the agents beside the servers do for a cluster, whether there is a loop or not.
//!
//! Each knows at once when the server of another one ends whose machine it reaches: the best replica asks for an election, and the dead one
//! is not started again before its shard has settled. And each tells its own server where nodes are that it has lost. How agents find
//! each other, and how long they take to answer, is left out: they know the members, and answer at once.

use crate::{
    electable::continues,
    fleet::{SimulatedFleet, lock},
    link::Timeouts,
    server::{Known, Process, Server},
    simulation::Number,
    world::World,
};
use operations::port::{Command, Failover};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::{Instant, sleep};
use topology::NodeId;

/// How long replicas may take to lose their links to a primary that is dead.
const LINKS_DOWN: Duration = Duration::from_secs(2);
/// Time between two looks until they have, and until an election has a result.
const LOOK: Duration = Duration::from_millis(4);
/// How long an election may take.
const ELECTION: Duration = Duration::from_secs(1);
/// No more elections are tried.
const TRIES: u32 = 10;
/// While no majority could vote it is looked again after this time, so many times.
const MAJORITY: Duration = Duration::from_millis(100);
const LOOKS: u32 = 10;
/// How long a link may have been down of a replica that takes over.
const FRESH: u64 = 10_000;
/// How long a dead server is not started while its shard is not settled.
const SETTLED: Duration = Duration::from_secs(5);
/// Time between two introductions while the lost nodes stay the same: at first and at last.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);
/// A node at the address that a server knows is introduced after this time.
const BY_ITSELF: Duration = Duration::from_secs(3);
/// Agents look at servers with which all is well this often.
const CALM: Duration = Duration::from_secs(1);

/// What the agents are at.
#[derive(Debug, Default)]
pub(crate) struct Agents {
    /// Members that are dead and whose shards choose somebody else.
    undecided: BTreeSet<Number>,
    introduces: bool,
}

/// What is to be done about a dead primary.
enum Decision {
    /// This member takes over.
    Takes(Number),
    /// Nobody can as long as so many primaries are dead.
    NoMajority,
    /// Replicas have their links still.
    TooSoon,
    /// No replica has the data, or another primary is followed already.
    Nobody,
}

impl SimulatedFleet {
    /// A member has died: the agents of its replicas let one of them take over.
    pub(crate) fn let_succeed(&self, dead: Number) {
        if !self.has_agents() {
            return;
        }
        lock(&self.agents).undecided.insert(dead);
        let (fleet, id) = (self.clone(), self.simulation.id(dead));
        tokio::spawn(async move {
            fleet.succeed(dead, id).await;
            lock(&fleet.agents).undecided.remove(&dead);
        });
    }

    /// Waits until the shards of these dead members have settled, if they do in time.
    pub(crate) async fn settle(&self, dead: &[Number]) {
        let deadline = Instant::now() + SETTLED;
        let is_undecided = || dead.iter().any(|number| lock(&self.agents).undecided.contains(number));
        while is_undecided() && Instant::now() < deadline {
            sleep(LOOK).await;
        }
    }

    async fn succeed(&self, dead: Number, id: NodeId) {
        let deadline = Instant::now() + LINKS_DOWN;
        let (mut passed, mut elections, mut looks) = (BTreeSet::new(), 0, 0);
        while elections < TRIES {
            let members = self.numbers();
            match self.simulation.shared.look(|world| decide(world, &members, dead, id, &passed)) {
                Decision::Takes(heir) => {
                    elections += 1;
                    self.send(heir, Command::Failover(Failover::ForcedFrom(id))).await;
                    self.await_another(heir, id).await;
                    passed.insert(heir);
                }
                Decision::TooSoon if Instant::now() < deadline => sleep(LOOK).await,
                Decision::NoMajority if looks < LOOKS => {
                    looks += 1;
                    sleep(MAJORITY).await;
                }
                Decision::TooSoon | Decision::NoMajority | Decision::Nobody => return,
            }
        }
    }

    /// Waits until a member follows another primary than this one or is one itself, for as long as an election may take.
    async fn await_another(&self, number: Number, primary: NodeId) {
        let deadline = Instant::now() + ELECTION;
        let follows = || self.simulation.shared.look(|world| world.servers.get(number).and_then(Server::primary));
        while follows() == Some(primary) && Instant::now() < deadline {
            sleep(LOOK).await;
        }
    }

    /// Sends a command to a server from beside it.
    async fn send(&self, to: Number, command: Command) {
        let host = self.simulation.shared.look(|world| world.bus.doors.get(to).map_or(0, |door| door.host));
        let dialer = self.simulation.dialer_at(host, Timeouts::default(), false);
        if let Ok(link) = dialer.dial(&self.simulation.address(to)).await {
            // What it says shows in what it does.
            let _ = link.send(vec![command]).await;
        }
    }

    /// Begins to tell servers where those are that they have lost, until they have lost nobody.
    pub(crate) fn introduce(&self) {
        if !self.has_agents() || std::mem::replace(&mut lock(&self.agents).introduces, true) {
            return;
        }
        let fleet = self.clone();
        tokio::spawn(async move {
            fleet.introduce_all().await;
            lock(&fleet.agents).introduces = false;
        });
    }

    async fn introduce_all(&self) {
        let mut states: BTreeMap<Number, Losing> = BTreeMap::new();
        let mut calm_since = Instant::now();
        while calm_since.elapsed() < LONGEST * 6 {
            let now = Instant::now();
            let members = self.numbers();
            for number in members.iter().copied() {
                let lost = self.simulation.shared.look(|world| lost(world, number));
                let state = states.entry(number).or_insert_with(|| Losing::new(now));
                if state.is_due(now, lost) {
                    let long = state.since.elapsed() >= BY_ITSELF;
                    for to in
                        self.simulation.shared.look(|world| introductions(world, &members, number, &state.lost, long))
                    {
                        self.send(number, to).await;
                    }
                }
            }
            if states.values().any(|state| !state.lost.is_empty()) {
                calm_since = now;
            }
            sleep(if calm_since == now { SHORTEST } else { CALM }).await;
        }
    }
}

/// Whom a server has lost, and when it is told of them.
struct Losing {
    lost: BTreeSet<NodeId>,
    since: Instant,
    due: Instant,
    pause: Duration,
}

impl Losing {
    const fn new(now: Instant) -> Self {
        Self { lost: BTreeSet::new(), since: now, due: now, pause: SHORTEST }
    }

    fn is_due(&mut self, now: Instant, lost: BTreeSet<NodeId>) -> bool {
        if self.lost != lost {
            (self.since, self.due, self.pause) = (now, now, SHORTEST);
            self.lost = lost;
        }
        let is_due = !self.lost.is_empty() && now >= self.due;
        if is_due {
            (self.due, self.pause) = (now + self.pause, (self.pause * 2).min(LONGEST));
        }
        is_due
    }
}

/// Nodes that a server knows and does not find.
fn lost(world: &World, number: Number) -> BTreeSet<NodeId> {
    let Some(server) = world.servers.get(number).filter(|server| server.runs()) else { return BTreeSet::new() };
    let is_lost = |known: &&Known| {
        let is_linked = known.link.is_some_and(|link| link.to.is_some());
        known.id != server.me && !known.in_handshake && (!is_linked || known.is_down() || known.address.is_none())
    };
    server.nodes.values().filter(is_lost).map(|known| known.id).collect()
}

/// Where these lost nodes are now, as a server is told it; with `long` also those that are where they were. One that knows nobody has
/// left the cluster.
fn introductions(
    world: &World,
    members: &[Number],
    number: Number,
    lost: &BTreeSet<NodeId>,
    long: bool,
) -> Vec<Command> {
    let Some(server) = world.servers.get(number) else { return Vec::new() };
    let found = members.iter().filter_map(|member| world.servers.get(*member));
    let found = found.filter(|other| lost.contains(&other.me) && other.runs() && other.nodes.len() > 1);
    let is_news =
        |other: &&Server| long || server.nodes.get(&other.me).and_then(|known| known.address) != Some(other.address);
    let found = found.filter(|other| world.bus.reaches(number, other.at)).filter(is_news);
    let meet = |other: &Server| {
        let address = other.address;
        Command::Meet { ip: address.ip, port: address.port, bus_port: address.bus_port }
    };
    found.map(meet).collect()
}

fn decide(world: &World, members: &[Number], dead: Number, id: NodeId, passed: &BTreeSet<Number>) -> Decision {
    let of_platform = || members.iter().filter_map(|number| world.servers.get(*number));
    let reached = || of_platform().filter(|server| world.bus.reaches(server.at, dead));
    if of_platform().any(|server| server.at == dead && server.process != Process::Down) {
        return Decision::Nobody;
    }
    let replicas: Vec<&Server> = reached().filter(|server| server.runs() && server.primary() == Some(id)).collect();
    let is_linked = |server: &Server| server.upstream.as_ref().is_some_and(|upstream| upstream.is_linked);
    if replicas.iter().any(|server| is_linked(server)) {
        return Decision::TooSoon;
    }
    let is_fresh = |server: &Server| {
        let upstream = server.upstream.as_ref();
        let down = upstream.filter(|upstream| !upstream.is_copying).and_then(|upstream| upstream.down_since);
        down.is_some_and(|since| world.bus.now.saturating_sub(since) <= FRESH) && continues(world, server, id)
    };
    let able = || replicas.iter().filter(|server| is_fresh(server));
    let best = |among: &dyn Fn(&Server) -> bool| {
        able().filter(|server| among(server)).max_by_key(|server| (server.stream.offset, Reverse(server.me)))
    };
    let heir = best(&|server: &Server| !passed.contains(&server.at)).or_else(|| best(&|_| true));
    match heir {
        None => Decision::Nobody,
        Some(heir) if can_elect(heir, &reached().collect::<Vec<_>>(), id) => Decision::Takes(heir.at),
        Some(_) => Decision::NoMajority,
    }
}

/// Whether a majority of all primaries with slots can vote, as one of its replicas sees them and the agents know.
fn can_elect(replica: &Server, members: &[&Server], dead: NodeId) -> bool {
    let votes = || replica.nodes.values().filter(|known| !known.is_replica && known.owns_slots());
    let runs = |id: NodeId| !members.iter().any(|server| server.me == id && server.process == Process::Down);
    let has_slots = votes().any(|known| known.id == dead);
    let alive = votes().filter(|known| known.id != dead && !known.has_failed && runs(known.id)).count();
    has_slots && alive > votes().count() / 2
}
