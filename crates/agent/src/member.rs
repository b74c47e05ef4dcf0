//! What an agent starts.

use crate::{
    directory::MemberDirectory,
    file::{self, FileError, Survives},
    launch::Launch,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

/// How long a server may take to end after it was asked to, unless its member says otherwise, in seconds.
pub(crate) const STOP_SECONDS: u64 = 10;

/// What an agent starts: the file `member.json`. It is read again before each start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// What its server is started with. Its program is an absolute path, or a name that the environment's `PATH` leads to.
    #[serde(flatten)]
    pub launch: Launch,
    /// The program's arguments. They can be seen by every user of the machine: no secrets.
    pub arguments: Vec<String>,
    /// The port on which the server listens for clients.
    pub port: u16,
    /// How long the server may take to end after SIGTERM before it is killed, in seconds.
    #[serde(default = "stop_seconds")]
    pub stop_seconds: u64,
    /// Where the agent answers; without it nobody is answered, and the agent does nothing but start its server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
}

/// Where an agent answers others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Api {
    /// The address that it listens on.
    #[serde(default = "loopback")]
    pub host: IpAddr,
    /// The port that it listens on.
    pub port: u16,
    /// The file with the token that agents of one cluster show each other.
    pub token_file: PathBuf,
}

const fn loopback() -> IpAddr {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}

const fn stop_seconds() -> u64 {
    STOP_SECONDS
}

impl Member {
    /// A member that runs this program, and has 10 s to stop.
    pub fn new(program: impl Into<PathBuf>, arguments: Vec<String>, port: u16) -> Self {
        let launch = Launch { program: program.into(), version: None, settings: BTreeMap::new(), round: 0 };
        Self { launch, arguments, port, stop_seconds: STOP_SECONDS, api: None }
    }

    /// The same member, whose agent answers on this port of the machine itself.
    #[must_use]
    pub fn answering(mut self, port: u16, token_file: impl Into<PathBuf>) -> Self {
        self.api = Some(Api { host: loopback(), port, token_file: token_file.into() });
        self
    }

    /// The member in this directory.
    ///
    /// # Errors
    /// When there is none, or its file cannot be read.
    pub fn read(directory: &Path) -> Result<Self, FileError> {
        file::read(&MemberDirectory::new(directory).member())
    }

    /// Writes the member into this directory; its agent follows it from the next start of the server on.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(), FileError> {
        file::write(&MemberDirectory::new(directory).member(), self, Survives::PowerLoss)
    }
}

impl Api {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let member = Member::new("/usr/bin/valkey-server", vec!["../server.conf".into()], 7000);
        for member in [member.clone().answering(12000, "/run/agent.token"), member] {
            member.write(directory.path()).unwrap();
            assert_eq!(Member::read(directory.path()).unwrap(), member);
        }
    }

    #[test]
    fn how_long_it_may_take_to_stop_can_be_left_out() {
        let member: Member = serde_json::from_str(r#"{"program":"redis-server","arguments":[],"port":7000}"#).unwrap();
        assert_eq!(member, Member::new("redis-server", vec![], 7000));
    }
}
