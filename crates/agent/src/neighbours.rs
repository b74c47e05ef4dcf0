//! Where the agents of the other members are.

use crate::{Member, MemberDirectory, account::Account};
use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};
use topology::{Host, NodeAddr};

/// How the other members are found. Another platform is another variant: on Kubernetes the names behind a headless service.
#[derive(Clone, Debug)]
pub(crate) enum Neighbourhood {
    /// On one machine: the directories beside this member's own. They are read each time, since members come and go.
    Directories {
        /// The directory with all members.
        members: PathBuf,
        /// This member's own agent, which is none of the others.
        own: SocketAddr,
    },
}

/// Another member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Neighbour {
    /// Where its server listens.
    pub(crate) server: NodeAddr,
    /// Where its agent answers.
    pub(crate) agent: SocketAddr,
    /// Where its data is.
    pub(crate) directory: MemberDirectory,
}

impl Neighbour {
    /// What its agent has told, if it is among these.
    pub(crate) fn account<'a>(&self, accounts: &'a [Account]) -> Option<&'a Account> {
        accounts.iter().find(|account| account.address.same_endpoint(&self.server))
    }
}

impl Neighbourhood {
    /// The neighbourhood of the member in this directory, whose agent answers at this address.
    pub(crate) fn of(directory: &MemberDirectory, own: SocketAddr) -> Self {
        let members = directory.path().parent().unwrap_or_else(|| directory.path()).to_owned();
        Self::Directories { members, own }
    }

    /// The file that says which members are cut off.
    pub(crate) fn partition(&self) -> PathBuf {
        let Self::Directories { members, .. } = self;
        members.with_file_name("partition.json")
    }

    /// Where this member's own server is for the others.
    pub(crate) const fn own_host(&self) -> IpAddr {
        match self {
            Self::Directories { own, .. } => own.ip(),
        }
    }

    /// The other members whose agents can be asked. One that cannot be read is left out: it is being written, or made by an older version.
    pub(crate) fn neighbours(&self) -> Vec<Neighbour> {
        let Self::Directories { members, own } = self;
        let entries = fs::read_dir(members).into_iter().flatten().flatten();
        let found = entries.filter_map(|entry| neighbour(&MemberDirectory::new(entry.path())));
        found.filter(|neighbour| neighbour.agent != *own).collect()
    }

    /// The member whose server listens there.
    pub(crate) fn at(&self, server: &NodeAddr) -> Option<Neighbour> {
        self.neighbours().into_iter().find(|neighbour| neighbour.server.same_endpoint(server))
    }
}

fn neighbour(directory: &MemberDirectory) -> Option<Neighbour> {
    let member = Member::read(directory.path()).ok()?;
    let agent = member.api.as_ref()?.address();
    let server = NodeAddr::new(Host::Ip(agent.ip()), member.port);
    Some(Neighbour { server, agent, directory: directory.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_the_members_beside_with_an_agent_that_answers() {
        let members = tempfile::tempdir().unwrap();
        for port in [7000, 7001, 7002] {
            let directory = members.path().join(port.to_string());
            fs::create_dir(&directory).unwrap();
            let member = Member::new("redis-server", vec![], port);
            let member = if port == 7002 { member } else { member.answering(port + 5000, "token") };
            member.write(&directory).unwrap();
        }
        fs::create_dir(members.path().join("7003")).unwrap();
        let own = "127.0.0.1:12000".parse().unwrap();
        let neighbourhood = Neighbourhood::of(&MemberDirectory::new(members.path().join("7000")), own);
        let (server, agent) = ("127.0.0.1:7001".parse().unwrap(), "127.0.0.1:12001".parse().unwrap());
        let expected = Neighbour { server, agent, directory: MemberDirectory::new(members.path().join("7001")) };
        assert_eq!(neighbourhood.neighbours(), std::slice::from_ref(&expected));
        assert_eq!(neighbourhood.at(&expected.server), Some(expected));
        assert_eq!(neighbourhood.at(&"127.0.0.1:7002".parse().unwrap()), None);
    }
}
