//! Not starting a dead primary again while its shard chooses another one.

use crate::{account::Account, call, events, shared::Shared, succession::can_elect};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use topology::NodeId;

/// How long a shard may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a replica may take that does not answer just now.
const BUSY: Duration = Duration::from_secs(1);
/// How long the agents of the others may take to answer.
const ANSWER: Duration = Duration::from_millis(300);
/// Time between two looks.
const AGAIN: Duration = Duration::from_millis(20);

/// What the others say of the shard of a server that is down.
#[derive(Debug, PartialEq, Eq)]
enum Outlook {
    /// A replica may take over.
    Undecided,
    /// A replica that does not answer may take over.
    Unclear,
    /// Nothing is to be waited for.
    Settled,
    /// A replica would take over, but nobody can elect it.
    NoMajority,
}

/// Waits while a replica of this node may still take over, 5 s at most. Started again before, it would be a primary beside the new
/// one until they hear of each other; afterwards it comes back as a replica.
pub(crate) async fn settled(shared: &Shared) {
    let (Some(id), Some(caller)) = (shared.own_id(), shared.caller()) else { return };
    let known = shared.known_entries();
    let begin = Instant::now();
    let mut told = false;
    loop {
        let accounts = call::accounts(&shared.neighbourhood.neighbours(), caller, ANSWER).await;
        match outlook(id, &accounts, can_elect(id, &known, &accounts)) {
            Outlook::Settled => break,
            Outlook::NoMajority => {
                return events::tell(
                    "no majority of primaries could elect a replica, so the server is started at once",
                );
            }
            Outlook::Unclear if begin.elapsed() >= BUSY => break,
            Outlook::Undecided | Outlook::Unclear => {}
        }
        if begin.elapsed() >= PATIENCE {
            let waited = events::seconds(PATIENCE);
            return events::tell(format_args!(
                "no replica has taken over within {waited}; the server is started anyway"
            ));
        }
        if !told {
            told = true;
            events::tell("a replica is about to take over; the server is not started before");
        }
        sleep(AGAIN).await;
    }
    if told {
        events::tell(format_args!("the shard is settled after {:.3} s", begin.elapsed().as_secs_f64()));
    }
}

fn outlook(dead: NodeId, accounts: &[Account], can_elect: bool) -> Outlook {
    if !accounts.iter().any(|account| account.might_follow(dead)) {
        Outlook::Settled
    } else if !can_elect {
        Outlook::NoMajority
    } else if accounts.iter().any(|account| account.may_follow(dead)) {
        Outlook::Undecided
    } else {
        Outlook::Unclear
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Phase, account::Said};

    #[test]
    fn a_shard_is_undecided_as_long_as_a_replica_may_take_over() {
        let id = |byte| NodeId::from_bytes([byte; 20]);
        let said = Said { answers: true, primary: Some(id(1)), may_succeed: true, ..Said::default() };
        let address = "127.0.0.1:7003".parse().unwrap();
        let mut replica = Account {
            id: Some(id(2)),
            address,
            bus_port: None,
            server_pid: Some(1),
            phase: Phase::Running,
            copy: None,
            said,
        };
        assert_eq!(outlook(id(1), &[replica.clone()], true), Outlook::Undecided);
        assert_eq!(outlook(id(1), &[replica.clone()], false), Outlook::NoMajority);
        assert_eq!(outlook(id(3), &[replica.clone()], true), Outlook::Settled);
        replica.said.answers = false;
        assert_eq!(outlook(id(1), &[replica.clone()], true), Outlook::Unclear);
        replica.said.may_succeed = false;
        assert_eq!(outlook(id(1), &[replica], true), Outlook::Settled);
        assert_eq!(outlook(id(1), &[], true), Outlook::Settled);
    }
}
