//! Ports that no other test uses.

use rustix::process::getuid;
use std::{
    env,
    fs::{File, OpenOptions, create_dir_all},
    net::{Ipv4Addr, TcpListener},
    ops::{Deref, Range},
    path::Path,
    process,
    sync::atomic::{AtomicU16, Ordering},
};

/// Client ports. The bus ports, 10000 higher, begin where these end, so that no port is both.
const CLIENT_PORTS: Range<u16> = 2000..12000;

/// What servers add to their client port for the cluster bus.
pub(crate) const BUS_OFFSET: u16 = 10000;

/// What local mode adds to the client port for a member's agent.
const AGENT_OFFSET: u16 = 5000;

/// Free ports on 127.0.0.1, kept from all other test processes of this user until this is dropped.
#[derive(Debug)]
pub struct Ports {
    numbers: Vec<u16>,
    _reservations: Vec<File>,
}

impl Deref for Ports {
    type Target = [u16];

    fn deref(&self) -> &[u16] {
        &self.numbers
    }
}

/// Reserves `count` client ports, from 2000 to 11999, that are free, as are the ports 10000 higher for the cluster bus.
///
/// Panics where there are not as many.
#[track_caller]
pub fn free_ports(count: usize) -> Ports {
    let directory = env::temp_dir().join(format!("tribune-ports-{}", getuid().as_raw()));
    if let Err(error) = create_dir_all(&directory) {
        panic!("cannot make {} for port reservations: {error}", directory.display());
    }
    let (numbers, reservations): (Vec<_>, Vec<_>) =
        candidates().filter_map(|port| Some((port, reserve(port, &directory)?))).take(count).unzip();
    assert_eq!(numbers.len(), count, "not as many free ports on 127.0.0.1 as wanted");
    Ports { numbers, _reservations: reservations }
}

/// Reserves the ports 5000 above these for agents, and with them whatever a server on the same port, as client or bus port, would
/// need; none where somebody has one of them.
pub fn agent_ports(ports: &Ports) -> Option<Ports> {
    let directory = env::temp_dir().join(format!("tribune-ports-{}", getuid().as_raw()));
    // The agents' ports are client ports of the upper half or bus ports of the lower half: both halves keep each other's.
    let other_half = |port: u16| {
        if port + AGENT_OFFSET < CLIENT_PORTS.end { port + AGENT_OFFSET } else { port - AGENT_OFFSET }
    };
    let numbers: Vec<u16> = ports.iter().copied().map(other_half).collect();
    let reservations: Option<Vec<File>> = numbers.iter().map(|port| reserve(*port, &directory)).collect();
    Some(Ports { numbers, _reservations: reservations? })
}

/// Every client port once. Processes begin at places far apart, and a process goes on where it was.
fn candidates() -> impl Iterator<Item = u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = CLIENT_PORTS.end - CLIENT_PORTS.start;
    let first = process::id().wrapping_mul(67) % u32::from(count);
    CLIENT_PORTS.map(move |_| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let offset = (first + u32::from(step)) % u32::from(count);
        CLIENT_PORTS.start + u16::try_from(offset).unwrap_or_default()
    })
}

/// The lock that holds `port`; none where another test has it or something listens there.
///
/// Lock files stay: to remove one is to take it from a process that has just opened it.
fn reserve(port: u16, directory: &Path) -> Option<File> {
    let path = directory.join(port.to_string());
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).ok()?;
    file.try_lock().ok()?;
    let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    (is_free(port) && is_free(port + BUS_OFFSET)).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_reservations_share_a_port() {
        let (first, second) = (free_ports(50), free_ports(50));
        let distinct: BTreeSet<_> = first.iter().chain(second.iter()).collect();
        assert_eq!(distinct.len(), 100);
        assert!(distinct.iter().all(|port| CLIENT_PORTS.contains(port)));
    }

    #[test]
    fn a_reserved_or_used_port_is_not_given_away() {
        let ports = free_ports(2);
        let directory = env::temp_dir().join(format!("tribune-ports-{}", getuid().as_raw()));
        assert!(reserve(ports[0], &directory).is_none());

        let port = ports[1];
        drop(ports);
        let _bus = TcpListener::bind((Ipv4Addr::LOCALHOST, port + BUS_OFFSET)).unwrap();
        assert!(reserve(port, &directory).is_none());
    }
}
