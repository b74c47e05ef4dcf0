//! The simulated cluster as tests see it.

use crate::{
    bus::Address,
    link::{SimulatedDialer, Timeouts, own_ip},
    profile::Profile,
    schedule::{Happened, Place},
    server::Server,
    settings::Settings,
    world::Shared,
};
use operations::port::Dialer;
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};
use topology::{Host, NodeAddr, NodeId};

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
        Self::again(seed, None)
    }

    /// The same where only what is in a list goes wrong or is done; what happens is drawn where there is none.
    pub fn again(seed: u64, given: Option<&[Happened]>) -> Self {
        Self { shared: Arc::new(Shared::new(seed, given)) }
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

    /// How many servers were ever added.
    pub fn servers(&self) -> usize {
        self.shared.look(|world| world.servers.len())
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
        self.shared
            .look(|world| world.servers.get(number).map_or_else(|| NodeId::from_bytes([0; 20]), |server| server.me))
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
        self.dialer_at(host, timeouts, has_faults)
    }

    pub(crate) fn dialer_at(&self, host: usize, timeouts: Timeouts, has_faults: bool) -> Arc<dyn Dialer> {
        Arc::new(SimulatedDialer { shared: Arc::clone(&self.shared), host, timeouts, has_faults })
    }

    /// Gives a server a library of functions, as if somebody had loaded it.
    pub fn add_function(&self, number: Number, library: &str) {
        self.shared.look(|world| world.write(number, crate::stream::Change::Function(library.to_owned())));
    }

    /// A number below this one, from the seed, for what a test decides: by a stream of its own, so that the same test draws the same numbers
    /// whatever the servers do.
    pub fn draw(&self, below: u64) -> u64 {
        self.shared.look(|world| world.drawn.u64(0..below.max(1)))
    }

    /// Whether a test is to do now what it says here. It is in a course of its own; where a course is tried again, a list decides.
    pub fn occurs(&self, what: impl std::fmt::Display) -> bool {
        self.shared.look(|world| world.happens(Place::Event, 0, |_| 1, |_| what.to_string()) > 0)
    }

    /// What has gone wrong and what was done, in its order.
    pub fn happened(&self) -> Vec<Happened> {
        self.shared.then(|world| world.schedule.happened.clone())
    }
}
