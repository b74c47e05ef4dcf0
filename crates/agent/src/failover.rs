//! Taking over from a primary whose death is known: one replica of the shard, at once, by an election.

use crate::{
    account::{Account, Role},
    call::{self, Caller},
    counters::Counters,
    events,
    neighbours::Neighbour,
    shared::Shared,
    succession::{Candidate, can_elect, succession},
};
use operations::port::{Command, Failover};
use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::{Instant, sleep};
use topology::{Flag, NodeAddr, NodeId, NodeView};

/// How long the own server may take to lose its link to a primary that is dead.
const LINK_DOWN: Duration = Duration::from_secs(2);
/// Time between two looks until it has. Then all that was in flight has been applied.
const LOOK: Duration = Duration::from_millis(2);
/// How long the agents of other members may take to say how these are; who does not answer is taken to run.
const ANSWER: Duration = Duration::from_millis(30);
/// How long the agents of the other replicas may take to say how far these are; who does not answer does not count. Where two decide
/// that each is the one, both may get votes and neither enough, and servers vote again only after two node timeouts.
const SIBLING_ANSWER: Duration = Duration::from_millis(250);
/// How long an election may take before all decide anew.
const ELECTION: Duration = Duration::from_secs(1);
/// Time between two looks until then.
const RESULT: Duration = Duration::from_millis(4);
/// No more elections are tried; after that the servers go by their own node timeout.
const TRIES: u32 = 10;

/// How the own server stands to a primary that was told dead.
enum Standing {
    /// It follows it and has lost its link.
    Orphaned(Arc<NodeView>),
    /// Its link to it is up: that primary lives.
    Linked,
    /// It follows another one, or is a primary itself.
    Elsewhere(Arc<NodeView>),
    /// It does not answer.
    Silent,
}

/// While no majority could vote, as when several primaries died, it is looked again after this time, and so many times.
const MAJORITY: Duration = Duration::from_millis(100);
const LOOKS: u32 = 10;

/// What is to be done about a dead primary.
#[derive(Clone, Copy)]
enum Decision {
    /// The own server takes over.
    Own,
    /// Another replica does.
    Other(NodeId),
    /// Another replica has, and the own server has not heard of it yet.
    Done(NodeId),
    /// Nobody can as long as so many primaries are dead.
    NoMajority,
    /// No replica has the data.
    Nobody,
}

/// The primary of the own server has died. Ends when another one is there, or when there is nothing more to be done.
pub(crate) async fn succeed(shared: &Shared, primary: NodeId, address: &NodeAddr, how: &str) {
    // One that has handed over first is nobody's primary any more.
    if shared.look().await.is_ok_and(|view| view.myself.primary != Some(primary)) {
        return;
    }
    events::tell(format_args!("the primary {address} ({}) is dead: {how}", primary.short()));
    take_turns(shared, primary, address).await;
    shared.unelected.store(false, Ordering::Relaxed);
}

async fn take_turns(shared: &Shared, primary: NodeId, address: &NodeAddr) {
    let begin = Instant::now();
    // Who was to take over and has not: others are asked before it is again.
    let mut passed = BTreeSet::new();
    let (mut attempt, mut looks) = (0, 0);
    while attempt < TRIES {
        let view = match standing(shared, primary).await {
            Standing::Orphaned(view) => view,
            Standing::Linked => {
                return events::tell(format_args!("the link to {address} is up: it lives, and nothing is done"));
            }
            Standing::Elsewhere(view) => return tell_end(&view, address, begin),
            Standing::Silent => return events::tell("the server does not answer, so it cannot take over"),
        };
        let decision = decide(shared, primary, &view, &passed).await;
        let patience = match decision {
            Decision::Own => {
                attempt += 1;
                elect(shared, primary, address, attempt).await;
                ELECTION
            }
            Decision::Other(id) => {
                attempt += 1;
                events::tell(format_args!("replica {} has as much or more: it is to take over", id.short()));
                ELECTION
            }
            Decision::Done(id) => {
                attempt += 1;
                events::tell(format_args!("{} has taken over from {address}", id.short()));
                ELECTION
            }
            Decision::NoMajority if looks < LOOKS => {
                if looks == 0 {
                    events::tell("no majority of primaries could vote, so no election is asked for yet");
                }
                looks += 1;
                MAJORITY
            }
            Decision::NoMajority => {
                return events::tell(format_args!(
                    "nobody takes over from {address}: no majority of primaries could vote"
                ));
            }
            Decision::Nobody => {
                return events::tell(format_args!(
                    "nobody takes over from {address}: no replica had its link a moment ago"
                ));
            }
        };
        if let Some(view) = replaced(shared, primary, patience).await {
            if view.myself.is_primary() {
                Counters::count(&shared.counters.failovers_done);
            }
            return tell_end(&view, address, begin);
        }
        match decision {
            Decision::Other(id) => drop(passed.insert(id)),
            // Servers vote against a primary only once in a while: as long as they refuse, the dead one had better come back.
            Decision::Own => shared.unelected.store(true, Ordering::Relaxed),
            Decision::Done(_) | Decision::NoMajority | Decision::Nobody => {}
        }
    }
    events::tell(format_args!(
        "{address} is not replaced after {TRIES} elections; the servers go on by their own node timeout"
    ));
}

async fn standing(shared: &Shared, primary: NodeId) -> Standing {
    let deadline = Instant::now() + LINK_DOWN;
    loop {
        let looked = shared.look().await;
        match &looked {
            Ok(view) if view.myself.primary != Some(primary) => return Standing::Elsewhere(Arc::clone(view)),
            Ok(view) if view.server.primary_link_up == Some(false) => return Standing::Orphaned(Arc::clone(view)),
            Err(_) if shared.run().pid.is_none() => return Standing::Silent,
            _ => {}
        }
        if Instant::now() >= deadline {
            return if looked.is_ok() { Standing::Linked } else { Standing::Silent };
        }
        sleep(LOOK).await;
    }
}

async fn decide(shared: &Shared, primary: NodeId, view: &NodeView, passed: &BTreeSet<NodeId>) -> Decision {
    let others = match shared.caller() {
        Some(caller) => accounts(shared, caller, primary, view).await,
        None => Vec::new(),
    };
    let followed = |account: &&Account| {
        let before = account.id.and_then(|id| view.entry(id)).and_then(|entry| entry.primary);
        before == Some(primary) && account.said.role == Some(Role::Primary) && account.said.slots > 0
    };
    if let Some(id) = others.iter().find(followed).and_then(|account| account.id) {
        return Decision::Done(id);
    }
    let known: Vec<_> = view.entries().cloned().collect();
    if !can_elect(primary, &known, &others) {
        return Decision::NoMajority;
    }
    let own = shared.account();
    let candidates: Vec<_> =
        others.iter().chain([&own]).filter_map(|account| Candidate::of(account, primary)).collect();
    let fresh = candidates.iter().copied().filter(|candidate| !passed.contains(&candidate.id));
    match succession(fresh).or_else(|| succession(candidates.iter().copied())) {
        Some(id) if id == view.myself.id => Decision::Own,
        Some(id) => Decision::Other(id),
        None => Decision::Nobody,
    }
}

/// What the agents of all other members say.
async fn accounts(shared: &Shared, caller: Caller<'_>, primary: NodeId, view: &NodeView) -> Vec<Account> {
    let replicas = || view.peers.iter().filter(|peer| peer.primary == Some(primary) && !peer.flags.has(&Flag::Failing));
    let is_sibling = |neighbour: &Neighbour| {
        replicas().filter_map(|peer| peer.endpoint.address()).any(|address| address.same_endpoint(&neighbour.server))
    };
    let (siblings, others): (Vec<_>, Vec<_>) = shared.neighbourhood.neighbours().into_iter().partition(is_sibling);
    let (mut accounts, more) =
        tokio::join!(at_rest(&siblings, caller, primary), call::accounts(&others, caller, ANSWER));
    accounts.extend(more);
    accounts
}

/// What the agents of the primary's other replicas say once these have lost their links, so that what they have grows no more.
async fn at_rest(siblings: &[Neighbour], caller: Caller<'_>, primary: NodeId) -> Vec<Account> {
    let deadline = Instant::now() + SIBLING_ANSWER;
    loop {
        let accounts = call::accounts(siblings, caller, SIBLING_ANSWER).await;
        let is_fed = |account: &Account| account.said.primary == Some(primary) && account.said.link_up == Some(true);
        if !accounts.iter().any(is_fed) || Instant::now() >= deadline {
            return accounts;
        }
        sleep(LOOK).await;
    }
}

/// Asks for an election. The server asks all primaries at once, without waiting until they take the dead one for failed.
async fn elect(shared: &Shared, primary: NodeId, address: &NodeAddr, attempt: u32) {
    if attempt == 1 {
        Counters::count(&shared.counters.failovers_begun);
    }
    let again = if attempt == 1 { String::new() } else { format!(", for the {attempt}. time") };
    events::tell(format_args!("taking over from {address}: asking for an election{again}"));
    // Sent again, it lets a server that has given up begin anew, and is no harm to one that has not.
    if let Err(trouble) = shared.send(Command::Failover(Failover::ForcedFrom(primary))).await {
        events::tell(format_args!("the server {trouble}"));
    }
}

/// What the own server says once it follows another primary or is one itself.
async fn replaced(shared: &Shared, primary: NodeId, patience: Duration) -> Option<Arc<NodeView>> {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        match shared.look().await {
            Ok(view) if view.myself.primary != Some(primary) => return Some(view),
            Err(_) if shared.run().pid.is_none() => return None,
            _ => sleep(RESULT).await,
        }
    }
    None
}

fn tell_end(view: &NodeView, address: &NodeAddr, begin: Instant) {
    let took = begin.elapsed().as_secs_f64();
    let (slots, epoch) = (view.myself.slots.len(), view.myself.config_epoch);
    events::tell(match view.myself.primary {
        None => format!("took over from {address} with {slots} slots in {took:.3} s, in epoch {epoch}"),
        Some(id) => format!("{} took over from {address} in {took:.3} s", id.short()),
    });
}
