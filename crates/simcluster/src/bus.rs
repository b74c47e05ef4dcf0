//! The clock, the queue of what is to happen, and the network between the servers.

use crate::{message::Message, trace::Trace};
use fastrand::Rng;
use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    fmt,
    net::IpAddr,
    ops::RangeInclusive,
};
use topology::NodeId;

/// A server, by its number.
pub(crate) type At = usize;
/// Virtual time: Unix milliseconds.
pub(crate) type Millis = u64;

/// When the world begins.
pub(crate) const START: Millis = 1_800_000_000_000;

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address {
    pub(crate) ip: IpAddr,
    pub(crate) port: u16,
    pub(crate) bus_port: u16,
}

/// What is to happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A turn of the cluster clock of a server, every 100 ms.
    Turn(At, u32),
    /// What a server has put off until the end of its last turn.
    Soon(At, u32),
    Deliver {
        to: At,
        incarnation: u32,
        message: Box<Message>,
    },
    /// A replica takes what its primary has written.
    Pull(At, u32),
    /// A replica tries to reach its primary.
    Upstream(At, u32),
    /// A replica sees that its primary has closed the link.
    Cut(At, u32),
    /// A full copy has arrived at a replica.
    Copied(At, u32, u64),
    /// A server has read its data.
    Loaded(At, u32),
    /// A migration by the servers goes on.
    Migration(u64),
}

struct Entry {
    time: Millis,
    order: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.time, self.order) == (other.time, other.order)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.time, self.order).cmp(&(other.time, other.order))
    }
}

/// The network's side of a server.
pub(crate) struct Door {
    pub(crate) address: Address,
    pub(crate) host: usize,
    /// Whether somebody listens.
    pub(crate) is_open: bool,
    pub(crate) incarnation: u32,
}

/// What becomes of a connection.
pub(crate) enum Connection {
    /// Nobody listens there.
    Refused,
    /// Nothing comes back.
    Silent,
    To(At, u32),
}

/// What the network does to messages.
pub(crate) struct Network {
    pub(crate) delay: RangeInclusive<Millis>,
    /// The part of the messages that is lost.
    pub(crate) loss: f64,
    hosts: Vec<String>,
    cut: BTreeSet<(usize, usize)>,
}

impl Network {
    /// The number of a host, which is new or not.
    pub(crate) fn host(&mut self, name: &str) -> usize {
        self.hosts.iter().position(|host| host == name).unwrap_or_else(|| {
            self.hosts.push(name.to_owned());
            self.hosts.len() - 1
        })
    }

    pub(crate) fn cut(&mut self, one: usize, other: usize, is_cut: bool) {
        let pair = (one.min(other), one.max(other));
        if is_cut {
            self.cut.insert(pair)
        } else {
            self.cut.remove(&pair)
        };
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }

    pub(crate) fn reaches(&self, one: usize, other: usize) -> bool {
        self.cut.is_empty() || !self.cut.contains(&(one.min(other), one.max(other)))
    }
}

/// All that servers share.
pub(crate) struct Bus {
    pub(crate) now: Millis,
    pub(crate) random: Rng,
    pub(crate) network: Network,
    pub(crate) doors: Vec<Door>,
    pub(crate) trace: Trace,
    /// Grows with each change of who owns what, and of who serves.
    pub(crate) revision: u64,
    /// How many servers have taken the place of their primary.
    pub(crate) takeovers: u64,
    at: BTreeMap<(IpAddr, u16), At>,
    queue: BinaryHeap<Reverse<Entry>>,
    order: u64,
    /// Until when the last message from one server to another is under way: none overtakes it.
    arrivals: Vec<Vec<Millis>>,
    links: u64,
}

impl Bus {
    pub(crate) fn new(seed: u64) -> Self {
        let network = Network { delay: 0..=1, loss: 0.0, hosts: Vec::new(), cut: BTreeSet::new() };
        Self {
            now: START,
            random: Rng::with_seed(seed),
            network,
            doors: Vec::new(),
            trace: Trace::new(START, 20_000),
            revision: 0,
            takeovers: 0,
            at: BTreeMap::new(),
            queue: BinaryHeap::new(),
            order: 0,
            arrivals: Vec::new(),
            links: 0,
        }
    }

    pub(crate) fn note(&mut self, line: fmt::Arguments<'_>) {
        self.trace.note(self.now, line);
    }

    pub(crate) const fn changed(&mut self) {
        self.revision += 1;
    }

    pub(crate) fn after(&mut self, delay: Millis, event: Event) {
        self.order += 1;
        self.queue.push(Reverse(Entry { time: self.now + delay, order: self.order, event }));
    }

    /// The next event that is due until then.
    pub(crate) fn next(&mut self, until: Millis) -> Option<Event> {
        if self.queue.peek().is_none_or(|Reverse(entry)| entry.time > until) {
            self.now = self.now.max(until);
            return None;
        }
        let Reverse(entry) = self.queue.pop()?;
        self.now = self.now.max(entry.time);
        Some(entry.event)
    }

    /// How long something is under way.
    pub(crate) fn delay(&mut self) -> Millis {
        let delay = self.network.delay.clone();
        if delay.start() == delay.end() { *delay.start() } else { self.random.u64(delay) }
    }

    pub(crate) fn chance(&mut self, part: f64) -> bool {
        part > 0.0 && self.random.f64() < part
    }

    pub(crate) fn new_id(&mut self) -> NodeId {
        let mut bytes = [0; 20];
        self.random.fill(&mut bytes);
        NodeId::from_bytes(bytes)
    }

    /// 40 hexadecimal digits.
    pub(crate) fn new_name(&mut self) -> String {
        self.new_id().to_string()
    }

    pub(crate) const fn new_link(&mut self) -> u64 {
        self.links += 1;
        self.links
    }

    /// Lets a server listen at this address.
    pub(crate) fn open(&mut self, at: At, address: Address) {
        if let Some(door) = self.doors.get_mut(at) {
            self.at.remove(&(door.address.ip, door.address.port));
            door.address = address;
            door.is_open = true;
            door.incarnation += 1;
        }
        self.at.insert((address.ip, address.port), at);
    }

    pub(crate) fn close(&mut self, at: At) {
        if let Some(door) = self.doors.get_mut(at) {
            door.is_open = false;
            door.incarnation += 1;
        }
    }

    pub(crate) fn is_free(&self, address: Address, at: At) -> bool {
        self.at.get(&(address.ip, address.port)).is_none_or(|other| *other == at)
    }

    pub(crate) fn reaches(&self, one: At, other: At) -> bool {
        match (self.doors.get(one), self.doors.get(other)) {
            (Some(one), Some(other)) => self.network.reaches(one.host, other.host),
            _ => false,
        }
    }

    /// The server whose address this is or was last.
    pub(crate) fn who_listens(&self, ip: IpAddr, port: u16) -> Option<At> {
        self.at.get(&(ip, port)).copied()
    }

    /// What becomes of a connection from a host to an address.
    pub(crate) fn connect(&self, host: usize, ip: IpAddr, port: u16) -> Connection {
        match self.at.get(&(ip, port)).and_then(|at| Some((*at, self.doors.get(*at)?))) {
            None => Connection::Silent,
            Some((_, door)) if !self.network.reaches(host, door.host) => Connection::Silent,
            Some((_, door)) if !door.is_open => Connection::Refused,
            Some((at, door)) => Connection::To(at, door.incarnation),
        }
    }

    /// Sends a message to this process of a server.
    pub(crate) fn send(&mut self, to: At, incarnation: u32, message: Message) {
        if !self.reaches(message.from, to) || self.chance(self.network.loss) {
            return;
        }
        let delay = self.delay();
        let arrival = self.arrival(message.from, to, self.now + delay);
        let delay = arrival - self.now;
        self.after(delay, Event::Deliver { to, incarnation, message: Box::new(message) });
    }

    /// When what is sent now arrives, if not before this.
    fn arrival(&mut self, from: At, to: At, earliest: Millis) -> Millis {
        let servers = self.doors.len();
        self.arrivals.resize_with(servers, Vec::new);
        let Some(of) = self.arrivals.get_mut(from) else { return earliest };
        of.resize(servers, 0);
        let Some(last) = of.get_mut(to) else { return earliest };
        *last = earliest.max(*last);
        *last
    }
}
