//! Not starting a server whose data is gone while a replica has a copy of it.
//!
//! Started, it would be a primary without keys at the address that the replica follows, and the replica would throw its copy away for that:
//! all versions do so, whether the server has kept its id and its slots or has lost these, too.

use crate::{MemberDirectory, account::Account, call, events, neighbours::Neighbour, shared::Shared};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use topology::{Flag, NodeAddr, NodeEntry, NodeId};

/// How long the agents of the others may take to answer. Who does not answer is looked at on disk.
const ANSWER: Duration = Duration::from_millis(300);
/// Time between two looks: at first and at last.
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);

/// Whose data a replica has a copy of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyOf {
    /// The primary.
    pub primary: NodeId,
    /// Where the replica takes that to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<NodeAddr>,
}

impl CopyOf {
    /// What a node would have a copy of, by what it knows of all; none of a primary.
    pub(crate) fn wanted(entries: &[NodeEntry]) -> Option<Self> {
        let primary = entries.iter().find(|entry| entry.flags.has(&Flag::Myself))?.primary?;
        let address = entries.iter().find(|entry| entry.id == primary).and_then(|entry| entry.endpoint.address());
        Some(Self { primary, address })
    }

    /// What is on the disk of one that does not run.
    pub(crate) fn kept(directory: &MemberDirectory) -> Option<Self> {
        Self::wanted(&directory.kept_entries()).filter(|_| directory.holds_data())
    }

    /// Whether the replica would get its data from this node, or from whoever is at this address.
    fn is_of(&self, id: Option<NodeId>, address: &NodeAddr) -> bool {
        Some(self.primary) == id || self.address.as_ref().is_some_and(|known| known.same_endpoint(address))
    }
}

/// Waits, when this member has lost its data, as long as a replica of it has a copy and has not taken its place.
pub(crate) async fn are_safe(shared: &Shared) {
    let directory = &shared.directory;
    // Replicas get their data from others.
    if directory.holds_data() || directory.kept_node().is_some_and(|own| own.primary.is_some()) {
        return;
    }
    let address = shared.own_address(shared.run().port);
    let (begin, mut pause, mut told) = (Instant::now(), SHORTEST, false);
    while let Some(replica) = replica_with_copy(shared, &address).await {
        if !told {
            told = true;
            events::tell(format_args!(
                "the data of this member is gone, and {replica} has a copy: the server is not started before a replica has taken its place, \
                 since that one would throw its copy away"
            ));
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
    if told {
        let waited = events::seconds(begin.elapsed());
        events::tell(format_args!("no replica relies on this member any more, after {waited}; it starts without data"));
    }
}

/// A replica that has a copy of what this member had, or of what the replica takes to be at its address.
async fn replica_with_copy(shared: &Shared, address: &NodeAddr) -> Option<NodeAddr> {
    let neighbours = shared.neighbourhood.neighbours();
    let accounts = match shared.caller() {
        Some(caller) => call::accounts(&neighbours, caller, ANSWER).await,
        None => Vec::new(),
    };
    let id = shared.own_id();
    let has_copy = |neighbour: &&Neighbour| copy(neighbour, &accounts).is_some_and(|copy| copy.is_of(id, address));
    neighbours.iter().find(has_copy).map(|neighbour| neighbour.server.clone())
}

fn copy(neighbour: &Neighbour, accounts: &[Account]) -> Option<CopyOf> {
    match neighbour.account(accounts) {
        Some(account) => account.copy.clone(),
        None => CopyOf::kept(&neighbour.directory),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: &str = "\
07c37dfeb235213a872192d90877d0cd55635b91 127.0.0.1:7000@17000 master - 0 0 4 connected 0-5460
e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca 127.0.0.1:7003@17003 myself,slave 07c37dfeb235213a872192d90877d0cd55635b91 0 0 4 connected
";

    fn wanted(nodes: &str) -> Option<CopyOf> {
        let entries: Vec<NodeEntry> = nodes.lines().map(|line| line.parse().unwrap()).collect();
        CopyOf::wanted(&entries)
    }

    #[test]
    fn a_replica_has_a_copy_of_its_primary_by_id_and_by_address() {
        assert_eq!(wanted(&NODES.replace("master -", "myself,master -").replace("myself,slave", "slave")), None);
        let copy = wanted(NODES).unwrap();
        let (id, other) = (NODES[..40].parse().ok(), NODES.lines().nth(1).unwrap()[..40].parse().ok());
        let address = |text: &str| text.parse::<NodeAddr>().unwrap();
        assert!(copy.is_of(id, &address("127.0.0.1:7009")));
        assert!(copy.is_of(None, &address("127.0.0.1:7000")), "a server that has lost its id, too");
        assert!(copy.is_of(other, &address("127.0.0.1:7000")));
        assert!(!copy.is_of(other, &address("127.0.0.1:7001")));
    }

    #[test]
    fn a_replica_that_does_not_run_has_what_is_on_its_disk() {
        let root = tempfile::tempdir().unwrap();
        let directory = MemberDirectory::new(root.path());
        std::fs::create_dir(directory.data()).unwrap();
        std::fs::write(directory.nodes_conf(), NODES).unwrap();
        assert_eq!(CopyOf::kept(&directory), None);
        std::fs::write(directory.data().join("appendonly.aof"), "*2\r\n").unwrap();
        assert_eq!(CopyOf::kept(&directory), wanted(NODES));
    }
}
