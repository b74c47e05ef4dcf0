//! Several servers at once.

use crate::{
    builder::Builder,
    engine::Engine,
    ports::{Ports, free_ports},
    proxies::Proxies,
    server::{Launch, Server},
};
use std::ops::Deref;

/// Servers that started together. A slice of them: by index, in a loop, and so on.
#[derive(Debug)]
pub struct Servers {
    // Before the ports, so that they are free when they are given back.
    servers: Vec<Server>,
    _ports: Ports,
}

impl Servers {
    /// Starts `count` cluster nodes that do not know each other. Panics as [`Builder::start`].
    #[track_caller]
    pub fn start(engine: &Engine, count: usize) -> Self {
        Self::start_with(engine, count, |builder, _| builder)
    }

    /// As [`start`](Self::start), each as `configure` wants it, which gets the index.
    #[track_caller]
    pub fn start_with(engine: &Engine, count: usize, mut configure: impl FnMut(Builder, usize) -> Builder) -> Self {
        let ports = free_ports(count);
        let builders = ports.iter().enumerate().map(|(i, port)| configure(Server::builder(engine).port(*port), i));
        // All start before the first is waited for.
        let launched: Vec<_> = builders.map(Builder::launch).collect();
        let servers = launched.into_iter().map(Launch::wait_until_ready).collect();
        Self { servers, _ports: ports }
    }

    /// As [`start_with`](Self::start_with), each behind a proxy of its own, in the same order. The nodes announce the
    /// proxies' ports to clients and to each other, so that clients, MIGRATE and replication come through them; the
    /// cluster bus does not. [`Server::call`] and [`addresses`](Self::addresses) do without the proxies.
    ///
    /// CLUSTER MEET needs the bus port as its third word, which is the server's port, not the proxy's, and 10000.
    #[track_caller]
    pub fn start_behind_proxies(
        engine: &Engine,
        count: usize,
        mut configure: impl FnMut(Builder, usize) -> Builder,
    ) -> (Self, Proxies) {
        let ports = free_ports(count);
        let announced: Vec<u16> = ports.to_vec();
        let servers = Self::start_with(engine, count, |builder, index| {
            let announced = announced.get(index).copied().unwrap_or_default();
            configure(builder, index).announce(announced)
        });
        let proxies = Proxies::start(ports, &servers);
        (servers, proxies)
    }

    /// Where clients find them, in their order: `127.0.0.1:PORT`.
    pub fn addresses(&self) -> Vec<String> {
        self.iter().map(Server::address).collect()
    }
}

impl Deref for Servers {
    type Target = [Server];

    fn deref(&self) -> &[Server] {
        &self.servers
    }
}

impl<'a> IntoIterator for &'a Servers {
    type Item = &'a Server;
    type IntoIter = std::slice::Iter<'a, Server>;

    fn into_iter(self) -> Self::IntoIter {
        self.servers.iter()
    }
}
