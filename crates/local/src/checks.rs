//! What must hold before anything is written.

use crate::LocalError;
use std::{
    net::{Ipv4Addr, TcpListener},
    ops::RangeInclusive,
    path::Path,
};

/// Client ports that leave room for the bus port, 10000 above.
const PORTS: RangeInclusive<u16> = 1024..=55535;
/// What a server's first files may take, in MB.
const ROOM: u64 = 10;

/// How many members fit from this port on.
fn most_members(first: u16) -> usize {
    if PORTS.contains(&first) { usize::from(PORTS.end() - first) + 1 } else { 0 }
}

/// The ports of so many members.
pub(crate) fn ports(first: u16, count: usize) -> Result<Vec<u16>, LocalError> {
    if count == 0 || count > most_members(first) {
        return Err(LocalError::PortRange { first, count });
    }
    Ok((first..=*PORTS.end()).take(count).collect())
}

/// Refuses a port that somebody listens on, or whose bus port somebody listens on.
pub(crate) fn port_is_free(port: u16) -> Result<(), LocalError> {
    let taken = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err();
    if taken(port) {
        return Err(LocalError::PortTaken { port, bus_of: None });
    }
    match port.checked_add(10000) {
        Some(bus) if taken(bus) => Err(LocalError::PortTaken { port: bus, bus_of: Some(port) }),
        _ => Ok(()),
    }
}

/// Refuses a disk without room for so many members.
pub(crate) fn room_for(members: usize, directory: &Path) -> Result<(), LocalError> {
    let stat = rustix::fs::statvfs(directory)
        .map_err(|error| LocalError::Directory { path: directory.to_owned(), source: error.into() })?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize) / 1_000_000;
    let needed = ROOM.saturating_mul(u64::try_from(members).unwrap_or(u64::MAX));
    if free < needed {
        return Err(LocalError::DiskFull { directory: directory.to_owned(), free, needed });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_beyond_the_range_are_refused() {
        assert_eq!(ports(7000, 2).unwrap(), [7000, 7001]);
        for (first, count) in [(80, 1), (55535, 2), (60000, 1), (7000, 0)] {
            assert!(matches!(ports(first, count), Err(LocalError::PortRange { .. })), "{first} {count}");
        }
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_taken() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(matches!(port_is_free(port), Err(LocalError::PortTaken { bus_of: None, .. })));
        if let Some(client) = port.checked_sub(10000).filter(|client| *client > 1024) {
            assert!(matches!(port_is_free(client), Err(LocalError::PortTaken { .. })));
        }
    }
}
