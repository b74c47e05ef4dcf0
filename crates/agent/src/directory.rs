//! What lies where in a member's directory.

use crate::exec::fence_of;
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use topology::{Flag, NodeEntry, NodeId};

/// A member's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDirectory(PathBuf);

impl MemberDirectory {
    /// The member's directory at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// As [`MemberDirectory::new`], with a path that means the same from any working directory.
    ///
    /// # Errors
    /// When the path is empty, or relative and the working directory is gone.
    pub fn absolute(path: &Path) -> io::Result<Self> {
        std::path::absolute(path).map(Self)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What to start: a [`Member`](crate::Member), written by who made the directory.
    pub fn member(&self) -> PathBuf {
        self.0.join("member.json")
    }

    /// The server's configuration, written by who made the directory and by the server.
    pub fn server_conf(&self) -> PathBuf {
        self.0.join("server.conf")
    }

    /// The server's working directory.
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// What the server keeps of its cluster, written by the server.
    pub fn nodes_conf(&self) -> PathBuf {
        self.data().join("nodes.conf")
    }

    /// What an earlier run of the server has kept of its cluster: the file is in the words of `CLUSTER NODES`, and what is not such a line is
    /// left out.
    pub fn kept_entries(&self) -> Vec<NodeEntry> {
        let text = fs::read_to_string(self.nodes_conf()).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// The node that the data belongs to.
    pub(crate) fn kept_node(&self) -> Option<NodeEntry> {
        self.kept_entries().into_iter().find(|entry| entry.flags.has(&Flag::Myself))
    }

    /// Its id.
    pub fn kept_id(&self) -> Option<NodeId> {
        Some(self.kept_node()?.id)
    }

    /// That the data is to go before the next start, written by who orders that.
    pub(crate) fn wipe(&self) -> PathBuf {
        self.0.join("wipe.json")
    }

    /// How far the agent has followed the partition: a [`Followed`](crate::Followed), written by the agent.
    pub fn followed(&self) -> PathBuf {
        self.0.join("partition.json")
    }

    /// What the server says.
    pub fn server_log(&self) -> PathBuf {
        self.0.join("server.log")
    }

    /// What the agent says, when its standard error was led there.
    pub fn agent_log(&self) -> PathBuf {
        self.0.join("agent.log")
    }

    /// What the agent does: a [`State`](crate::State), written by the agent.
    pub fn state(&self) -> PathBuf {
        self.0.join("state.json")
    }

    /// What the server runs with: a [`Running`](crate::Running), written by the agent.
    pub fn launch(&self) -> PathBuf {
        self.0.join("launch.json")
    }

    /// The settings that the server gets beyond its configuration file, in the words of that, written by the agent at each start.
    pub(crate) fn settings_conf(&self) -> PathBuf {
        self.0.join("settings.conf")
    }

    /// The record lock that the agent holds while it runs.
    pub fn agent_lock(&self) -> PathBuf {
        self.0.join("agent.lock")
    }

    /// The record lock that is held by who keeps the server from being started.
    pub fn fence_lock(&self) -> PathBuf {
        fence_of(&self.server_lock())
    }

    /// The record lock that the server holds while it runs.
    pub fn server_lock(&self) -> PathBuf {
        self.0.join("server.lock")
    }
}
