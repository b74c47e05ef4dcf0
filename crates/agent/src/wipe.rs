//! Losing a member's data: its server begins anew, as a node that knows nobody.
//!
//! Replicas find their primary by its address alone. A server that is empty and listens where their primary was would be taken for it, and all
//! that they have would be gone. So it is not started before no server follows the node any more that it was.

use crate::{
    MemberDirectory,
    account::Account,
    call, events,
    file::{self, FileError, Survives},
    lock,
    neighbours::Neighbour,
    shared::Shared,
};
use serde::{Deserialize, Serialize};
use std::{fs, io, time::Duration};
use tokio::time::sleep;
use topology::NodeId;

/// How long the agents of the others may take to answer.
const ANSWER: Duration = Duration::from_millis(300);
/// Time between two looks.
const AGAIN: Duration = Duration::from_millis(100);

/// That the data of a member is to go before its server starts the next time: the file `wipe.json`. It goes with the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wipe {
    /// The node that the data belongs to; none when no server has run there.
    node: Option<NodeId>,
}

/// Orders that the data in this directory goes. The agent carries it out as soon as it is sent SIGHUP, or starts: it kills its server, and starts it
/// again without data when no other server follows it any more.
///
/// # Errors
/// When the order cannot be written.
pub fn order_wipe(directory: &MemberDirectory) -> Result<(), FileError> {
    // Half removed, the data would not tell any more whose it was.
    let node = ordered(directory).map_or_else(|| directory.kept_id(), |wipe| wipe.node);
    file::write(&directory.wipe(), &Wipe { node }, Survives::PowerLoss)
}

/// The order, if there is one.
pub(crate) fn ordered(directory: &MemberDirectory) -> Option<Wipe> {
    directory
        .wipe()
        .exists()
        .then(|| file::read(&directory.wipe()).unwrap_or_else(|_| Wipe { node: directory.kept_id() }))
}

/// Waits until no server follows the node that this one was. One that cannot be asked may follow it.
pub(crate) async fn unneeded(shared: &Shared, wipe: Wipe) {
    let (Some(node), Some(caller)) = (wipe.node, shared.caller()) else { return };
    let mut told = None;
    loop {
        let neighbours = shared.neighbourhood.neighbours();
        let accounts = call::accounts(&neighbours, caller, ANSWER).await;
        let obstacle = obstacle(node, &neighbours, &accounts);
        let Some(why) = obstacle else { return };
        if told.as_ref() != Some(&why) {
            events::tell(format_args!(
                "the server is to start without its data, and not before nobody follows it: {why}"
            ));
            told = Some(why);
        }
        sleep(AGAIN).await;
    }
}

/// Why some server may follow this node.
fn obstacle(node: NodeId, neighbours: &[Neighbour], accounts: &[Account]) -> Option<String> {
    neighbours.iter().find_map(|neighbour| {
        let server = &neighbour.server;
        let Some(account) = neighbour.account(accounts) else {
            return Some(format!("the agent of {server} does not answer"));
        };
        if account.said.primary == Some(node) {
            return Some(format!("{server} is a replica of it"));
        }
        let is_known = account.said.answers || account.server_pid.is_none();
        (!is_known).then(|| format!("{server} does not answer"))
    })
}

/// Removes what the server has kept. It must not run.
pub(crate) async fn carry_out(directory: &MemberDirectory) -> io::Result<()> {
    // A server whose agent was killed is killed, too, but takes a moment.
    while lock::holder(&directory.server_lock())?.is_some() {
        sleep(AGAIN).await;
    }
    match fs::remove_dir_all(directory.data()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::create_dir_all(directory.data())?;
    fs::remove_file(directory.wipe())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Phase, account::Said};

    fn neighbour() -> Neighbour {
        Neighbour {
            server: "127.0.0.1:7003".parse().unwrap(),
            agent: "127.0.0.1:12003".parse().unwrap(),
            directory: MemberDirectory::new("members/7003"),
        }
    }

    fn account(primary: Option<u8>) -> Account {
        let id = |byte| NodeId::from_bytes([byte; 20]);
        Account {
            id: Some(id(2)),
            address: neighbour().server,
            bus_port: None,
            server_pid: Some(1),
            phase: Phase::Running,
            copy: None,
            said: Said { answers: true, primary: primary.map(id), ..Said::default() },
        }
    }

    fn obstacle(accounts: &[Account]) -> Option<String> {
        super::obstacle(NodeId::from_bytes([1; 20]), &[neighbour()], accounts)
    }

    #[test]
    fn whoever_follows_it_or_may_follow_it_is_in_the_way() {
        assert_eq!(obstacle(&[account(None)]), None);
        assert_eq!(obstacle(&[account(Some(3))]), None);
        assert_eq!(obstacle(&[account(Some(1))]).unwrap(), "127.0.0.1:7003 is a replica of it");
        assert_eq!(obstacle(&[]).unwrap(), "the agent of 127.0.0.1:7003 does not answer");
        let mut silent = account(None);
        silent.said.answers = false;
        assert_eq!(obstacle(&[silent.clone()]).unwrap(), "127.0.0.1:7003 does not answer");
        silent.server_pid = None;
        assert_eq!(obstacle(&[silent]), None, "what it keeps says so");
        let mut dead = account(Some(1));
        dead.server_pid = None;
        assert!(obstacle(&[dead]).is_some(), "it would follow when it comes back");
    }
}
