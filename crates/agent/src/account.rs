//! What an agent tells others of its member.

use crate::{CopyOf, Phase};
use serde::{Deserialize, Serialize};
use topology::{Flag, NodeAddr, NodeId, NodeView};

/// A replica whose link has been down for longer does not take over at its agent's word: others may have been written to since.
const FRESH_SECONDS: u64 = 10;

/// What a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A primary, with slots or without.
    Primary,
    /// A replica.
    Replica,
}

/// What an agent tells of its member: the answer to `GET /v1/member`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The node's id, once its server has told it.
    pub id: Option<NodeId>,
    /// Where clients find the server.
    pub address: NodeAddr,
    /// Where other nodes find it.
    pub bus_port: Option<u16>,
    /// The server's process, while there is one.
    pub server_pid: Option<i32>,
    /// What the agent is at.
    pub phase: Phase,
    /// Of a replica: whose data it has a copy of, by the word of its server, or of one that does not run by
    /// what is on its disk. A server that runs and does not answer may have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<CopyOf>,
    /// What the server said last.
    #[serde(flatten)]
    pub said: Said,
}

/// What a server said last; nothing but `answers` while it has not said anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Whether it said so in this run, and answered when it was asked the last time.
    pub answers: bool,
    /// What it is.
    pub role: Option<Role>,
    /// Of a replica: its primary.
    pub primary: Option<NodeId>,
    /// How far it is in the replication stream, bytes.
    pub offset: Option<u64>,
    /// Of a replica: whether the link to its primary is up.
    pub link_up: Option<bool>,
    /// Of a replica: whether it may take over when its primary dies. It has all data, and had its link a moment ago.
    pub may_succeed: bool,
    /// How many slots it owns.
    pub slots: usize,
    /// Its config epoch, or its primary's.
    pub config_epoch: Option<u64>,
    /// Whether it serves: `cluster_state` is `ok`.
    pub state_ok: bool,
    /// How many nodes it knows, itself included.
    pub known_nodes: usize,
}

impl Said {
    /// What a server said.
    pub(crate) fn of(view: &NodeView) -> Self {
        let (myself, info) = (&view.myself, &view.server);
        let role = if myself.is_replica() { Role::Replica } else { Role::Primary };
        let link_up = info.primary_link_up.filter(|_| role == Role::Replica);
        Self {
            answers: true,
            role: Some(role),
            primary: myself.primary,
            offset: info.replication_offset,
            link_up,
            may_succeed: may_succeed(view),
            slots: myself.slots.len(),
            config_epoch: Some(myself.config_epoch),
            state_ok: view.cluster.state_ok,
            known_nodes: view.peers.len() + 1,
        }
    }
}

/// Whether a replica may take over when its primary dies.
fn may_succeed(view: &NodeView) -> bool {
    let primary = view.myself.primary.and_then(|id| view.entry(id));
    let info = &view.server;
    // A link that was never up in this run has no such time: what the replica holds may be old.
    let linked = info.primary_link_up == Some(true)
        || info.primary_link_down_seconds.is_some_and(|seconds| seconds <= FRESH_SECONDS);
    view.myself.is_replica()
        && primary.is_some_and(|primary| !primary.slots.is_empty())
        && linked
        && !info.sync_in_progress
        && !info.loading
        && !view.myself.flags.has(&Flag::NoFailover)
}

impl Account {
    /// Whether its server runs and answers.
    pub(crate) const fn is_alive(&self) -> bool {
        self.server_pid.is_some() && self.said.answers && matches!(self.phase, Phase::Running)
    }

    /// Whether it may take over from this primary.
    pub(crate) fn may_follow(&self, primary: NodeId) -> bool {
        self.is_alive() && self.might_follow(primary)
    }

    /// Whether it may take over from this primary if it answers: it could be busy with the election just now.
    pub(crate) fn might_follow(&self, primary: NodeId) -> bool {
        self.server_pid.is_some() && self.said.may_succeed && self.said.primary == Some(primary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: &str = "\
07c37dfeb235213a872192d90877d0cd55635b91 127.0.0.1:7000@17000 master - 0 0 4 connected 0-5460
e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca 127.0.0.1:7003@17003 myself,slave 07c37dfeb235213a872192d90877d0cd55635b91 0 0 4 connected
";

    fn said(nodes: &str, info: &str) -> Said {
        Said::of(&NodeView::parse(nodes, "cluster_state:ok\n", info).unwrap())
    }

    #[test]
    fn a_replica_may_succeed_while_its_link_is_up_or_was_a_moment_ago() {
        let up = said(NODES, "master_link_status:up\nmaster_repl_offset:70\n");
        assert_eq!(
            (up.role, up.link_up, up.offset, up.config_epoch),
            (Some(Role::Replica), Some(true), Some(70), Some(4))
        );
        assert!(up.may_succeed && up.state_ok);
        for (info, may) in [
            ("master_link_status:down\nmaster_link_down_since_seconds:0\n", true),
            ("master_link_status:down\nmaster_link_down_since_seconds:11\n", false),
            ("master_link_status:down\nmaster_link_down_since_seconds:-1\n", false),
            ("master_link_status:down\nmaster_link_down_since_seconds:1\nmaster_sync_in_progress:1\n", false),
            ("master_link_status:up\nloading:1\n", false),
        ] {
            assert_eq!(said(NODES, info).may_succeed, may, "{info}");
        }
        assert!(
            !said(&NODES.replace(" 0-5460", ""), "master_link_status:up\n").may_succeed,
            "there is nothing to take over"
        );
        assert!(
            !said(&NODES.replace("myself,slave", "myself,slave,nofailover"), "master_link_status:up\n").may_succeed
        );
    }

    #[test]
    fn an_account_is_flat_json() {
        let account = Account {
            id: "07c37dfeb235213a872192d90877d0cd55635b91".parse().ok(),
            address: "127.0.0.1:7000".parse().unwrap(),
            bus_port: Some(17000),
            server_pid: Some(12),
            phase: Phase::Running,
            copy: None,
            said: Said::default(),
        };
        let text = serde_json::to_string(&account).unwrap();
        assert!(
            text.starts_with(
                r#"{"id":"07c37dfeb235213a872192d90877d0cd55635b91","address":"127.0.0.1:7000","bus_port":17000,"#
            ),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Account>(&text).unwrap(), account);
    }
}
