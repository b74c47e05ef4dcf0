//! Proxies in front of several servers.

use crate::{
    ports::Ports,
    proxy::{Direction, Proxy},
    server::Server,
};
use std::{ops::Deref, time::Duration};

/// One proxy for each of several servers, in their order. A slice of them: by index, in a loop, and so on.
/// Made by [`Servers::start_behind_proxies`](crate::Servers::start_behind_proxies).
#[derive(Debug)]
pub struct Proxies {
    // Before the ports, so that they are free when they are given back.
    proxies: Vec<Proxy>,
    _ports: Ports,
}

impl Proxies {
    #[track_caller]
    pub(crate) fn start(ports: Ports, servers: &[Server]) -> Self {
        let proxies =
            ports.iter().zip(servers).map(|(port, server)| Proxy::listen(*port, server.port(), None)).collect();
        Self { proxies, _ports: ports }
    }

    /// Where clients find the servers, in their order: `127.0.0.1:PORT`.
    pub fn addresses(&self) -> Vec<String> {
        self.iter().map(Proxy::address).collect()
    }

    /// [`Proxy::delay`] for all.
    pub fn delay(&self, each_way: Duration) {
        self.iter().for_each(|proxy| proxy.delay(each_way));
    }

    /// [`Proxy::cut`] for all.
    pub fn cut(&self) {
        self.iter().for_each(Proxy::cut);
    }

    /// The bytes that have gone on in `direction` through all of them.
    pub fn bytes(&self, direction: Direction) -> u64 {
        self.iter().map(|proxy| proxy.bytes(direction)).sum()
    }
}

impl Deref for Proxies {
    type Target = [Proxy];

    fn deref(&self) -> &[Proxy] {
        &self.proxies
    }
}

impl<'a> IntoIterator for &'a Proxies {
    type Item = &'a Proxy;
    type IntoIter = std::slice::Iter<'a, Proxy>;

    fn into_iter(self) -> Self::IntoIter {
        self.proxies.iter()
    }
}
