//! What must hold before anything is written.

use crate::{LocalError, PortOf};
use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, TcpListener},
    ops::RangeInclusive,
    path::Path,
};

/// How far the port of a member's agent lies above the client port.
pub(crate) const AGENT: u16 = 5000;
/// How far a server's cluster bus port lies above its client port.
const BUS: u16 = 10000;
/// Client ports that leave room for the bus port, 10000 above, and the agent's, 5000 above.
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
    if taken(port) {
        return Err(LocalError::PortTaken { port, of: None });
    }
    match port.checked_add(BUS) {
        Some(bus) if taken(bus) => Err(LocalError::PortTaken { port: bus, of: Some(PortOf::Bus(port)) }),
        _ => Ok(()),
    }
}

/// Refuses the agent's port of the member with this client port when somebody listens on it.
pub(crate) fn agent_port_is_free(agent: u16, port: u16) -> Result<(), LocalError> {
    if taken(agent) { Err(LocalError::PortTaken { port: agent, of: Some(PortOf::Agent(port)) }) } else { Ok(()) }
}

fn taken(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err()
}

/// All ports of the member with this client port: for clients, for the cluster bus, and its agent's.
pub fn ports_of(port: u16) -> impl Iterator<Item = u16> {
    [Some(port), port.checked_add(BUS), port.checked_add(AGENT)].into_iter().flatten()
}

/// Refuses new members of which a port is one of these members', running or not, or of another new one.
pub(crate) fn ports_differ(new: &[u16], present: &[u16]) -> Result<(), LocalError> {
    let mut all: BTreeSet<u16> = present.iter().copied().flat_map(ports_of).collect();
    for member in new {
        let mut kinds = [None, Some(PortOf::Bus(*member)), Some(PortOf::Agent(*member))].into_iter();
        for port in ports_of(*member) {
            let of = kinds.next().flatten();
            if !all.insert(port) {
                return Err(LocalError::PortTaken { port, of });
            }
        }
    }
    Ok(())
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
        assert!(matches!(port_is_free(port), Err(LocalError::PortTaken { of: None, .. })));
        if let Some(client) = port.checked_sub(10000).filter(|client| *client > 1024) {
            assert!(matches!(port_is_free(client), Err(LocalError::PortTaken { .. })));
        }
    }
    #[test]
    fn no_port_of_a_new_member_is_another_members() {
        assert!(ports_differ(&[7000, 7001], &[7002, 7003]).is_ok());
        for (new, present, taken) in
            [(12000, 7000, 12000), (7000, 12000, 17000), (7000, 2000, 7000), (2000, 7000, 12000)]
        {
            let refused = ports_differ(&[new], &[present]);
            assert!(
                matches!(refused, Err(LocalError::PortTaken { port, .. }) if port == taken),
                "{new} {present}: {refused:?}"
            );
        }
    }
}
