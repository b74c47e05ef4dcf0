//! The simulated cluster as tests see it.

use crate::{
    bus::{Address, At},
    faults::Faults,
    invariants::Violation,
    link::{SimulatedDialer, Timeouts, own_ip},
    profile::Profile,
    server::{Process, Server},
    settings::Settings,
    world::Shared,
};
use operations::port::Dialer;
use std::{collections::BTreeMap, net::IpAddr, ops::RangeInclusive, sync::Arc};
use topology::{Host, NodeAddr, NodeId, NodeView, SlotSet};

/// A server, by the order in which they were added.
pub type Number = usize;

/// What a new server is.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Engine and version.
    pub profile: &'static Profile,
    /// The machine: partitions are between machines. Its own where none is given.
    pub host: Option<String>,
    /// The zone, which only Valkey tells.
    pub zone: Option<String>,
    /// Where it listens: the address and the port for clients. An address of its own where none is given.
    pub address: Option<(IpAddr, u16)>,
    /// Settings beside those that servers come with.
    pub settings: BTreeMap<String, String>,
}

impl ServerOptions {
    /// A server on a machine of its own, with the settings that servers come with.
    pub const fn new(profile: &'static Profile) -> Self {
        Self { profile, host: None, zone: None, address: None, settings: BTreeMap::new() }
    }

    /// The same on this machine.
    #[must_use]
    pub fn on_host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    /// The same at this address.
    #[must_use]
    pub const fn at(mut self, ip: IpAddr, port: u16) -> Self {
        self.address = Some((ip, port));
        self
    }

    /// The same in this zone.
    #[must_use]
    pub fn in_zone(mut self, zone: &str) -> Self {
        self.zone = Some(zone.to_owned());
        self
    }

    /// The same with this setting.
    #[must_use]
    pub fn with_setting(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// Simulated servers, the network between them, and what happens to both.
///
/// Make it inside of the runtime in whose (paused) time it lives: see [`run`](crate::run). Clones are the same simulation.
#[derive(Clone)]
pub struct Simulation {
    pub(crate) shared: Arc<Shared>,
}

impl Simulation {
    /// An empty one. The same seed and the same calls at the same virtual times give the same events.
    pub fn new(seed: u64) -> Self {
        Self { shared: Arc::new(Shared::new(seed)) }
    }

    /// Adds a server with an empty volume, and starts it.
    pub fn add_server(&self, options: &ServerOptions) -> Number {
        self.shared.look(|world| {
            let at = world.servers.len();
            let host = options.host.clone().unwrap_or_else(|| format!("host-{at}"));
            let host = world.bus.network.host(&host);
            let number = u32::try_from(at).unwrap_or(u32::MAX);
            let (ip, port) = options.address.unwrap_or_else(|| (own_ip(number + 1), 7000));
            let address = Address { ip, port, bus_port: port.saturating_add(10_000) };
            world.bus.doors.push(crate::bus::Door { address, host, is_open: false, incarnation: 0 });
            let settings = Settings::new(&options.settings);
            let (name, zone) = (format!("server-{at}"), options.zone.clone());
            let server = Server::new(at, name, options.profile, zone, address, settings, &mut world.bus);
            world.servers.push(server);
            if let Some(server) = world.servers.get_mut(at) {
                server.start(&mut world.bus, address, 0);
            }
            at
        })
    }

    /// Adds so many servers, each on a machine of its own.
    pub fn add_servers(&self, count: usize, profile: &'static Profile) -> Vec<Number> {
        (0..count).map(|_| self.add_server(&ServerOptions::new(profile))).collect()
    }

    /// Where a server listens, or did last.
    pub fn address(&self, number: Number) -> NodeAddr {
        self.shared.look(|world| {
            let address = world.servers.get(number).map(|server| server.address);
            address.map_or_else(
                || NodeAddr::new(Host::Name("nowhere".to_owned()), 0),
                |address| NodeAddr::new(Host::Ip(address.ip), address.port),
            )
        })
    }

    /// Where all servers listen, or did last.
    pub fn addresses(&self) -> Vec<NodeAddr> {
        let count = self.shared.look(|world| world.servers.len());
        (0..count).map(|number| self.address(number)).collect()
    }

    /// The id that a server has now.
    pub fn id(&self, number: Number) -> NodeId {
        self.shared.look(|world| world.servers.get(number).map_or(NodeId::from_bytes([0; 20]), |server| server.me))
    }

    /// The server that has this id now.
    pub fn number(&self, id: NodeId) -> Option<Number> {
        self.shared.look(|world| world.servers.iter().position(|server| server.me == id))
    }

    /// Opens links from this machine. The faults of the ports happen to them.
    pub fn dialer(&self, host: &str, timeouts: Timeouts) -> Arc<dyn Dialer> {
        self.dialer_with(host, timeouts, true)
    }

    pub(crate) fn dialer_with(&self, host: &str, timeouts: Timeouts, has_faults: bool) -> Arc<dyn Dialer> {
        let host = self.shared.look(|world| world.bus.network.host(host));
        Arc::new(SimulatedDialer { shared: Arc::clone(&self.shared), host, timeouts, has_faults })
    }

    /// Ends a process, as `kill -9` does; its volume stays.
    pub fn kill(&self, number: Number) {
        self.shared.look(|world| world.kill(number));
    }

    /// Starts a process that does not run, on its volume, at the address that it had.
    pub fn start(&self, number: Number) {
        self.shared.look(|world| {
            let loading = world.loading;
            if let Some(server) = down(&mut world.servers, number) {
                let address = server.address;
                server.start(&mut world.bus, address, loading);
            }
        });
    }

    /// Starts it at an address that nobody has had.
    pub fn start_elsewhere(&self, number: Number) {
        self.shared.look(|world| {
            let (loading, count) = (world.loading, u32::try_from(world.servers.len()).unwrap_or(u32::MAX));
            let Some(server) = down(&mut world.servers, number) else { return };
            let mut address = server.address;
            let mut next = count + 1;
            while !world.bus.is_free(address, usize::MAX) {
                address.ip = own_ip(next);
                next += 1;
            }
            server.start(&mut world.bus, address, loading);
        });
    }

    /// Empties the volume of a server that does not run.
    pub fn wipe(&self, number: Number) {
        self.shared.look(|world| {
            if let Some(server) = down(&mut world.servers, number) {
                server.become_new(&mut world.bus);
                server.note(&mut world.bus, format_args!("loses its volume"));
            }
        });
    }

    /// Stops a process without ending it, as `kill -STOP` does: it takes connections and never answers.
    pub fn pause(&self, number: Number) {
        self.shared.look(|world| {
            if let Some(server) = world.servers.get_mut(number).filter(|server| server.process == Process::Up) {
                server.process = Process::Paused;
                server.note(&mut world.bus, format_args!("is paused"));
                world.bus.changed();
            }
        });
    }

    /// Lets a paused process go on.
    pub fn resume(&self, number: Number) {
        self.shared.look(|world| {
            if let Some(server) = world.servers.get_mut(number).filter(|server| server.process == Process::Paused) {
                server.process = Process::Up;
                server.note(&mut world.bus, format_args!("goes on"));
                world.bus.changed();
                world.deliver_waiting(number);
            }
        });
    }

    /// Whether a process runs, paused or not.
    pub fn is_up(&self, number: Number) -> bool {
        self.shared.look(|world| world.servers.get(number).is_some_and(|server| server.process != Process::Down))
    }

    /// The machine of a server.
    pub fn host(&self, number: Number) -> usize {
        self.shared.look(|world| world.bus.doors.get(number).map_or(0, |door| door.host))
    }

    /// Cuts the network between these servers and all others, and the machines named; within either part it works.
    pub fn isolate(&self, numbers: &[Number], hosts: &[&str]) {
        self.shared.look(|world| {
            let mut inside: Vec<usize> =
                numbers.iter().filter_map(|at| world.bus.doors.get(*at)).map(|door| door.host).collect();
            inside.sort_unstable();
            inside.dedup();
            let mut outside: Vec<usize> = world.bus.doors.iter().map(|door| door.host).collect();
            outside.extend(hosts.iter().map(|host| world.bus.network.host(host)).collect::<Vec<_>>());
            for one in &inside {
                for other in outside.iter().filter(|other| !inside.contains(other)) {
                    world.bus.network.cut(*one, *other, true);
                }
            }
            world.bus.note(format_args!("servers {numbers:?} are cut off"));
        });
    }

    /// Cuts or mends the network between a server and a machine, such as that of a dialer.
    pub fn cut_from(&self, number: Number, host: &str, is_cut: bool) {
        self.shared.look(|world| {
            let other = world.bus.network.host(host);
            if let Some(here) = world.bus.doors.get(number).map(|door| door.host) {
                world.bus.network.cut(here, other, is_cut);
                let word = if is_cut { "cut" } else { "mended" };
                world.bus.note(format_args!("the network between server {number} and {host} is {word}"));
            }
        });
    }

    /// Cuts or mends the network between the machines of two servers.
    pub fn cut(&self, one: Number, other: Number, is_cut: bool) {
        self.shared.look(|world| {
            let host = |at: At| world.bus.doors.get(at).map(|door| door.host);
            if let (Some(here), Some(there)) = (host(one), host(other)) {
                world.bus.network.cut(here, there, is_cut);
                let word = if is_cut { "cut" } else { "mended" };
                world.bus.note(format_args!("the network between servers {one} and {other} is {word}"));
            }
        });
    }

    /// Mends the whole network.
    pub fn heal(&self) {
        self.shared.look(|world| {
            world.bus.network.heal();
            world.bus.note(format_args!("the network is whole"));
        });
    }

    /// How long messages between servers take, milliseconds, and which part of them is lost.
    pub fn set_network(&self, delay: RangeInclusive<u64>, loss: f64) {
        self.shared.look(|world| {
            (world.bus.network.delay, world.bus.network.loss) = (delay, loss);
        });
    }

    /// What goes wrong at the ports from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.look(|world| world.faults = faults);
    }

    /// How long reading its data takes a server that starts from now on, milliseconds.
    pub fn set_loading(&self, milliseconds: u64) {
        self.shared.look(|world| world.loading = milliseconds);
    }

    /// Gives a server a library of functions, as if somebody had loaded it.
    pub fn add_function(&self, number: Number, library: &str) {
        self.shared.look(|world| world.write(number, crate::replication::Change::Function(library.to_owned())));
    }

    /// A number below this one, from the simulation's own seed.
    pub fn draw(&self, below: u64) -> u64 {
        self.shared.look(|world| world.bus.random.u64(0..below.max(1)))
    }

    /// What must not have been and was.
    pub fn violations(&self) -> Vec<Violation> {
        self.shared.look(|world| {
            world.check_invariants();
            world.violations.clone()
        })
    }

    /// Slots that no server claims, whether it runs or not: none on the way out of every operation.
    pub fn unowned_slots(&self) -> SlotSet {
        self.shared.look(|world| world.unowned())
    }

    /// Slots for which no server takes writes now.
    pub fn unserved_slots(&self) -> SlotSet {
        self.shared.look(|world| world.unserved())
    }

    /// The version that the owner of a key has of it.
    pub fn value(&self, key: &[u8]) -> Option<u64> {
        self.shared.look(|world| Some(world.holder(topology::Slot::of_key(key))?.data.get(key)?.version))
    }

    /// What a server would say now, whether it can be reached or not; none of one that does not run.
    pub fn said(&self, number: Number) -> Option<NodeView> {
        self.shared.look(|world| {
            let replicas = world.count_replicas(number);
            let now = world.bus.now;
            let server = world.servers.get_mut(number).filter(|server| server.process != Process::Down)?;
            let info = server.info_text(now, replicas, None);
            NodeView::parse(&server.nodes_text(), &server.cluster_text(), &info).ok()
        })
    }

    /// How many keys a server holds.
    pub fn keys(&self, number: Number) -> u64 {
        self.shared.look(|world| world.servers.get(number).map_or(0, |server| server.data.len()))
    }

    /// Keeps so many lines of the trace; none makes it cost nothing.
    pub fn keep_trace(&self, lines: usize) {
        self.shared.look(|world| world.bus.trace.keep(lines));
    }

    /// What has happened, one line an event.
    pub fn trace(&self) -> String {
        self.shared.look(|world| world.bus.trace.text())
    }

    /// Writes a line of the test's own into the trace.
    pub fn note(&self, line: &str) {
        self.shared.look(|world| world.bus.note(format_args!("{line}")));
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.shared.look(|world| world.events)
    }
}

fn down(servers: &mut [Server], number: Number) -> Option<&mut Server> {
    servers.get_mut(number).filter(|server| server.process == Process::Down)
}
