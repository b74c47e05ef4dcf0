//! Telling the own server where nodes are that it knows and does not find any more.

use crate::{account::Account, call, counters::Counters, events, looking::is_lost, shared::Shared};
use operations::port::Command;
use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};
use tokio::time::Instant;
use topology::{Host, NodeAddr, NodeId, NodeView};

/// How long the agents of the others may take to answer.
const ANSWER: Duration = Duration::from_millis(300);
/// Time between two questions, while the nodes that are lost stay the same: at first and at last.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);
/// A node at the address that the server knows is found by the server itself; only when it is not for this long it is introduced again.
const BY_ITSELF: Duration = Duration::from_secs(3);

/// A node and where it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Introduction {
    id: NodeId,
    address: NodeAddr,
    bus_port: u16,
}

/// Compares, for as long as it is polled, what the server knows with what the other agents say. While no node is lost nobody is asked.
pub(crate) async fn keep_introducing(shared: Arc<Shared>) {
    let mut seen = shared.seen();
    let mut lost = BTreeSet::new();
    let (mut since, mut due, mut pause) = (Instant::now(), Instant::now(), SHORTEST);
    while seen.changed().await.is_ok() {
        // What it said before it ended or fell silent is no news.
        let now_said = seen.borrow_and_update().clone();
        let Some(view) = now_said.view.filter(|_| now_said.trouble.is_none()) else { continue };
        let now = Instant::now();
        let missing: BTreeSet<NodeId> = view.peers.iter().filter(|peer| is_lost(peer)).map(|peer| peer.id).collect();
        if missing != lost {
            (lost, since, due, pause) = (missing, now, now, SHORTEST);
        }
        if lost.is_empty() || now < due {
            continue;
        }
        (due, pause) = (now + pause, (pause * 2).min(LONGEST));
        let Some(caller) = shared.caller() else { continue };
        let accounts = call::accounts(&shared.neighbourhood.neighbours(), caller, ANSWER).await;
        for introduction in introductions(&view, &accounts, since.elapsed() >= BY_ITSELF) {
            introduce(&shared, &introduction).await;
        }
    }
}

async fn introduce(shared: &Shared, introduction: &Introduction) {
    let Introduction { id, address, bus_port } = introduction;
    let Host::Ip(ip) = address.host else { return };
    Counters::count(&shared.counters.introductions);
    match shared.send(meet(ip, address.port, *bus_port)).await {
        Ok(()) => events::tell(format_args!("told the server that {} is at {address}", id.short())),
        Err(trouble) => events::tell(format_args!("the server was to be told where {} is, and {trouble}", id.short())),
    }
}

const fn meet(ip: IpAddr, port: u16, bus_port: u16) -> Command {
    Command::Meet { ip, port, bus_port }
}

/// Whom the server is to be told of: nodes that it knows by their ids and has lost, of which their agents say that they run elsewhere;
/// with `long` those at the same address, too. A node that knows nobody has left the cluster, and is not brought back.
fn introductions(view: &NodeView, accounts: &[Account], long: bool) -> Vec<Introduction> {
    let introduction = |account: &Account| {
        let entry = view.peers.iter().find(|entry| Some(entry.id) == account.id && is_lost(entry))?;
        let bus_port = account.bus_port?;
        let known = entry
            .endpoint
            .address()
            .is_some_and(|known| known.same_endpoint(&account.address) && known.bus_port() == Some(bus_port));
        let wanted = account.is_alive() && account.said.known_nodes > 1 && (long || !known);
        wanted.then(|| Introduction { id: entry.id, address: account.address.clone(), bus_port })
    };
    accounts.iter().filter_map(introduction).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Phase, account::Said};

    const ID: &str = "07c37dfeb235213a872192d90877d0cd55635b91";
    const OTHER: &str = "e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca";

    /// What a server says that knows one other node so.
    fn view(other: &str) -> NodeView {
        let nodes = format!("{ID} 127.0.0.1:7000@17000 myself,master - 0 0 4 connected 0-5460\n{OTHER} {other}\n");
        NodeView::parse(&nodes, "", "").unwrap()
    }

    fn account(address: &str) -> Account {
        let address: NodeAddr = address.parse().unwrap();
        Account {
            id: OTHER.parse().ok(),
            bus_port: address.bus_port(),
            address,
            server_pid: Some(1),
            phase: Phase::Running,
            copy: None,
            said: Said { answers: true, known_nodes: 6, ..Said::default() },
        }
    }

    fn told(other: &str, account: Account, long: bool) -> Vec<String> {
        introductions(&view(other), &[account], long).iter().map(|found| found.address.to_string()).collect()
    }

    const LOST: &str = "127.0.0.1:7001@17001 master,fail - 0 0 3 disconnected 5461-10922";
    const FOUND: &str = "127.0.0.1:7001@17001 master - 0 0 3 connected 5461-10922";
    const NOWHERE: &str = ":0@0 master,noaddr - 0 0 3 disconnected 5461-10922";

    #[test]
    fn a_node_that_is_lost_and_runs_elsewhere_is_introduced() {
        assert_eq!(told(LOST, account("127.0.0.1:7101"), false), ["127.0.0.1:7101"]);
        assert_eq!(told(NOWHERE, account("127.0.0.1:7001"), false), ["127.0.0.1:7001"]);
        assert_eq!(told(LOST, account("127.0.0.1:7001@9000"), false), ["127.0.0.1:7001@9000"]);
        assert!(told(FOUND, account("127.0.0.1:7101"), true).is_empty());
    }

    #[test]
    fn a_node_at_the_address_that_is_known_is_left_to_the_server_for_a_while() {
        assert!(told(LOST, account("127.0.0.1:7001"), false).is_empty());
        assert_eq!(told(LOST, account("127.0.0.1:7001"), true), ["127.0.0.1:7001"]);
    }

    #[test]
    fn nobody_is_introduced_who_is_unknown_or_does_not_run_or_knows_nobody() {
        let mut stranger = account("127.0.0.1:7101");
        stranger.id = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".parse().ok();
        let mut dead = account("127.0.0.1:7101");
        dead.server_pid = None;
        let mut left = account("127.0.0.1:7101");
        left.said.known_nodes = 1;
        for account in [stranger, dead, left] {
            assert!(told(LOST, account, true).is_empty());
        }
    }
}
