//! What an agent starts.

use crate::{
    directory::MemberDirectory,
    file::{self, FileError, Survives},
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// How long a server may take to end after it was asked to, unless its member says otherwise, in seconds.
pub(crate) const STOP_SECONDS: u64 = 10;

/// What an agent starts: the file `member.json`. It is read again before each start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The server's program: an absolute path, or a name that the environment's `PATH` leads to.
    pub program: PathBuf,
    /// The program's arguments. They can be seen by every user of the machine: no secrets.
    pub arguments: Vec<String>,
    /// The port on which the server listens for clients.
    pub port: u16,
    /// How long the server may take to end after SIGTERM before it is killed, in seconds.
    #[serde(default = "stop_seconds")]
    pub stop_seconds: u64,
}

const fn stop_seconds() -> u64 {
    STOP_SECONDS
}

impl Member {
    /// A member that runs this program, and has 10 s to stop.
    pub fn new(program: impl Into<PathBuf>, arguments: Vec<String>, port: u16) -> Self {
        Self { program: program.into(), arguments, port, stop_seconds: STOP_SECONDS }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let member = Member::new("/usr/bin/valkey-server", vec!["../server.conf".into()], 7000);
        member.write(directory.path()).unwrap();
        assert_eq!(Member::read(directory.path()).unwrap(), member);
    }

    #[test]
    fn how_long_it_may_take_to_stop_can_be_left_out() {
        let member: Member = serde_json::from_str(r#"{"program":"redis-server","arguments":[],"port":7000}"#).unwrap();
        assert_eq!(member, Member::new("redis-server", vec![], 7000));
    }
}
