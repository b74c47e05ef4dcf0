//! Who takes over from a dead primary: decided in the same way by the agent of each of its replicas.

use crate::account::Account;
use std::cmp::Reverse;
use topology::{Flag, NodeEntry, NodeId};

/// A replica that may take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The node.
    pub(crate) id: NodeId,
    /// How much of what the primary has written it has.
    pub(crate) offset: u64,
}

impl Candidate {
    /// The member of this account, when it may take over from this primary.
    pub(crate) fn of(account: &Account, primary: NodeId) -> Option<Self> {
        let id = account.id.filter(|_| account.may_follow(primary))?;
        Some(Self { id, offset: account.said.offset.unwrap_or_default() })
    }
}

/// The one that takes over: who has most, and of several the one with the lowest id, so that all decide alike.
pub(crate) fn succession(candidates: impl IntoIterator<Item = Candidate>) -> Option<NodeId> {
    candidates.into_iter().max_by_key(|candidate| (candidate.offset, Reverse(candidate.id))).map(|heir| heir.id)
}

/// Whether a majority of all primaries with slots can vote while this one is dead. Those that are flagged as failed cannot, nor can
/// those whose agents say that they do not run.
pub(crate) fn can_elect(dead: NodeId, known: &[NodeEntry], accounts: &[Account]) -> bool {
    let votes = || known.iter().filter(|entry| entry.is_primary() && !entry.slots.is_empty());
    let runs = |id: NodeId| !accounts.iter().any(|account| account.id == Some(id) && account.server_pid.is_none());
    let alive = |entry: &&NodeEntry| entry.id != dead && !entry.flags.has(&Flag::Failing) && runs(entry.id);
    votes().filter(alive).count() > votes().count() / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Phase,
        account::{Role, Said},
    };
    use proptest::prelude::*;

    fn id(byte: u8) -> NodeId {
        NodeId::from_bytes([byte; 20])
    }

    fn account(node: u8, primary: u8, offset: u64) -> Account {
        let said = Said {
            answers: true,
            role: Some(Role::Replica),
            primary: Some(id(primary)),
            offset: Some(offset),
            may_succeed: true,
            ..Said::default()
        };
        let address = "127.0.0.1:7000".parse().unwrap();
        Account {
            id: Some(id(node)),
            address,
            bus_port: None,
            server_pid: Some(1),
            phase: Phase::Running,
            copy: None,
            said,
        }
    }

    fn heir(accounts: &[Account]) -> Option<NodeId> {
        succession(accounts.iter().filter_map(|account| Candidate::of(account, id(1))))
    }

    #[test]
    fn who_has_most_takes_over_and_of_several_the_lowest_id() {
        assert_eq!(heir(&[account(3, 1, 70), account(2, 1, 60)]), Some(id(3)));
        assert_eq!(heir(&[account(3, 1, 70), account(2, 1, 70)]), Some(id(2)));
        assert_eq!(heir(&[]), None);
    }

    #[test]
    fn who_cannot_or_belongs_elsewhere_does_not_count() {
        assert_eq!(heir(&[account(2, 9, 80), account(3, 1, 10)]), Some(id(3)), "of another primary");
        let mut stopping = account(2, 1, 80);
        stopping.phase = Phase::Stopping;
        let mut silent = account(4, 1, 80);
        silent.said.answers = false;
        let mut old = account(5, 1, 80);
        old.said.may_succeed = false;
        let mut dead = account(6, 1, 80);
        dead.server_pid = None;
        assert_eq!(heir(&[stopping, silent, old, dead]), None);
    }

    /// So many primaries with slots, the first of them node 1.
    fn primaries(count: u8) -> Vec<NodeEntry> {
        let line = |node| format!("{} 127.0.0.1:7000@17000 master - 0 0 1 connected {node}", id(node));
        (1..=count).map(|node| line(node).parse().unwrap()).collect()
    }

    #[test]
    fn an_election_needs_a_majority_of_all_primaries_with_the_dead_one_counted() {
        let can = |count| can_elect(id(1), &primaries(count), &[]);
        assert_eq!([1, 2, 3, 4, 5].map(can), [false, false, true, true, true]);
        let mut another = account(2, 0, 0);
        another.server_pid = None;
        assert!(!can_elect(id(1), &primaries(3), &[another.clone()]), "two of three are dead");
        assert!(can_elect(id(1), &primaries(5), &[another]));
    }

    #[test]
    fn primaries_that_failed_do_not_vote_and_those_without_slots_do_not_count() {
        let entry = |line: &str| line.replace("ID", &id(2).to_string()).parse::<NodeEntry>().unwrap();
        let mut known = primaries(3);
        known[1] = entry("ID 127.0.0.1:7001@17001 master,fail - 0 0 1 connected 2");
        assert!(!can_elect(id(1), &known, &[]));
        known[1] = entry("ID 127.0.0.1:7001@17001 master - 0 0 1 connected");
        assert!(!can_elect(id(1), &known, &[]), "one of two");
    }

    proptest! {
        #[test]
        fn all_decide_alike_whatever_the_order(offsets in prop::collection::vec(0..4_u64, 1..8), turn in 0..8_usize) {
            let accounts: Vec<Account> =
                offsets.iter().zip(2..).map(|(offset, node)| account(node, 1, *offset)).collect();
            let mut turned = accounts.clone();
            turned.rotate_left(turn % accounts.len());
            let chosen = heir(&accounts);
            prop_assert_eq!(chosen, heir(&turned));
            let of = |wanted: &&Account| wanted.id == chosen;
            let best = accounts.iter().find(of).and_then(|account| account.said.offset);
            prop_assert_eq!(best, offsets.iter().copied().max());
        }
    }
}
