//! Which members are cut off from the others, as data.

use crate::{
    MemberDirectory,
    file::{self, FileError, Survives},
    state::unix_milliseconds,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::SystemTime,
};

/// All groups have an address of this network, which is of this machine like all of 127.0.0.0/8.
pub(crate) const NETWORK: Ipv4Addr = Ipv4Addr::new(127, 66, 0, 0);
/// The bits that tell this network.
pub(crate) const MASK: Ipv4Addr = Ipv4Addr::new(255, 255, 0, 0);

/// Which members are cut off from all others and from clients: a file of the cluster. The agents follow it when they are sent SIGUSR1, when they start, and
/// when a cut ends by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Grows with each change, so that agents can say which one they have followed.
    pub version: u64,
    /// The number of the newest group. None is used again while servers live that had its address.
    pub last_group: u16,
    /// The cuts, also those that have ended by themselves.
    pub cuts: Vec<Cut>,
}

/// Members that are cut off together, as if they were one host: they reach each other and nobody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Tells it from other groups.
    pub group: u16,
    /// Its members, by the ports for clients.
    pub ports: BTreeSet<u16>,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// Until when, in milliseconds since 1970; until it is healed without.
    pub until: Option<u64>,
}

/// On which side of the cuts a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Nobody is cut off.
    Whole,
    /// Others are.
    Outside,
    /// It is cut off, with all who come from this address.
    Inside(Ipv4Addr),
}

impl Partition {
    /// What this file says; nobody is cut off where there is none.
    ///
    /// # Errors
    /// When there is a file, and it cannot be read.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        Ok(file::read_if_there(path)?.unwrap_or_default())
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        file::write(path, self, Survives::Processes)
    }

    /// The cuts that have not ended by now.
    pub fn active(&self) -> impl Iterator<Item = &Cut> {
        let now = unix_milliseconds(SystemTime::now());
        self.cuts.iter().filter(move |cut| cut.until.is_none_or(|until| until > now))
    }

    /// The side of the member with this port.
    pub(crate) fn side(&self, port: u16) -> Side {
        match self.active().find(|cut| cut.ports.contains(&port)) {
            Some(cut) => Side::Inside(cut.address()),
            None if self.active().next().is_some() => Side::Outside,
            None => Side::Whole,
        }
    }
}

impl Cut {
    /// Members that are cut off from now on.
    pub fn now(group: u16, ports: BTreeSet<u16>, until: Option<SystemTime>) -> Self {
        Self { group, ports, since: unix_milliseconds(SystemTime::now()), until: until.map(unix_milliseconds) }
    }

    /// Where all connections of its members come from.
    fn address(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(NETWORK.to_bits() | u32::from(self.group))
    }
}

impl Side {
    /// The address that connections come from, if that is not left to the system.
    pub(crate) const fn source(self) -> Option<Ipv4Addr> {
        match self {
            Self::Inside(address) => Some(address),
            Self::Whole | Self::Outside => None,
        }
    }
}

/// Where the connections of an agent come from, as it changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source(Arc<AtomicU32>);

impl Source {
    /// The address; none while it is left to the system.
    pub(crate) fn get(&self) -> Option<Ipv4Addr> {
        Some(Ipv4Addr::from_bits(self.0.load(Ordering::Relaxed))).filter(|address| !address.is_unspecified())
    }

    /// From now on.
    pub(crate) fn set(&self, address: Option<Ipv4Addr>) {
        self.0.store(address.unwrap_or(Ipv4Addr::UNSPECIFIED).to_bits(), Ordering::Relaxed);
    }
}

/// How far an agent has followed the file: `partition.json` in the member's directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// The agent's process; what another one says holds no more.
    pub agent_pid: i32,
    /// The version that it has carried out.
    pub version: u64,
    /// Why that did not work, if so.
    pub trouble: Option<String>,
}

impl Followed {
    /// What the agent in this directory said last.
    pub fn read(directory: &MemberDirectory) -> Option<Self> {
        file::read(&directory.followed()).ok()
    }

    pub(crate) fn write(&self, directory: &MemberDirectory) -> Result<(), FileError> {
        file::write(&directory.followed(), self, Survives::Processes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn members_of_one_group_have_one_address_and_those_of_another_another() {
        let cut = |group, ports: [u16; 2]| Cut::now(group, ports.into(), None);
        let partition =
            Partition { version: 2, last_group: 300, cuts: vec![cut(1, [7000, 7001]), cut(300, [7002, 7003])] };
        let sides = [7000, 7001, 7002, 7004].map(|port| partition.side(port));
        let inside = |text: &str| Side::Inside(text.parse().unwrap());
        assert_eq!(sides, [inside("127.66.0.1"), inside("127.66.0.1"), inside("127.66.1.44"), Side::Outside]);
        let text = serde_json::to_string(&partition).unwrap();
        assert_eq!(serde_json::from_str::<Partition>(&text).unwrap(), partition);
    }

    #[test]
    fn a_cut_that_has_ended_is_none() {
        let cut = Cut::now(1, [7000].into(), Some(SystemTime::now() - Duration::from_secs(1)));
        let partition = Partition { version: 1, last_group: 1, cuts: vec![cut] };
        assert_eq!((partition.side(7000), partition.side(7001)), (Side::Whole, Side::Whole));
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Partition::read(&directory.path().join("partition.json")).unwrap(), Partition::default());
    }
}
