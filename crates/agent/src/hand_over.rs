//! Giving a primary's slots to a replica before the primary is stopped.

use crate::{
    account::Account,
    call,
    counters::Counters,
    events,
    shared::{Shared, send},
    succession::{Candidate, succession},
};
use operations::port::{Command, Failover, SlotState};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use topology::{NodeAddr, NodeView, Reply};

/// How long a replica may take to become the primary.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the own server, and the agents of its replicas, may take to answer.
const ANSWER: Duration = Duration::from_millis(500);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(3);

/// Lets the best replica take over when the server is a primary with slots, and says what was done. No write is lost by it.
pub(crate) async fn hand_over(shared: &Shared) {
    let begin = Instant::now();
    let Ok(Ok(view)) = timeout(ANSWER, shared.look()).await else {
        return events::tell("the server does not answer, so nothing is handed over");
    };
    if owns_nothing(&view) {
        return;
    }
    let Some(caller) = shared.caller() else { return };
    let accounts = call::accounts(&shared.neighbourhood.neighbours(), caller, ANSWER).await;
    let Some(heir) = heir(&view, &accounts) else {
        return events::tell("no replica that stays is in sync, so nobody takes over");
    };
    Counters::count(&shared.counters.handovers_begun);
    events::tell(format_args!("handing {} slots over to {}", view.myself.slots.len(), heir.address));
    let asked = async { send(shared.dial(&heir.address).await?.as_ref(), Command::Failover(Failover::Planned)).await };
    if let Err(trouble) = asked.await {
        return events::tell(format_args!("{} {trouble}, so it does not take over", heir.address));
    }
    let deadline = begin + PATIENCE;
    let mut before = view;
    while Instant::now() < deadline {
        match shared.look().await {
            Ok(now) if owns_nothing(&now) => {
                Counters::count(&shared.counters.handovers_done);
                let took = begin.elapsed().as_secs_f64();
                events::tell(format_args!("handed over to {} in {took:.3} s", heir.address));
                return leave_open(shared, &heir.address, &before).await;
            }
            Ok(now) => before = now,
            Err(_) => {}
        }
        sleep(LOOK).await;
    }
    events::tell(format_args!("{} has not taken over within {}", heir.address, events::seconds(PATIENCE)));
}

/// Tells the heir of the slots that were open here. Replicas know of none before Valkey 8.0: as their owner it would answer for keys
/// that have gone already as if there were none, and a client would write them anew.
async fn leave_open(shared: &Shared, heir: &NodeAddr, before: &NodeView) {
    let migrating = before.myself.migrating.iter().map(|(slot, to)| (*slot, SlotState::Migrating(*to)));
    let importing = before.myself.importing.iter().map(|(slot, from)| (*slot, SlotState::Importing(*from)));
    let open: Vec<Command> = migrating.chain(importing).map(|(slot, state)| Command::SetSlot(slot, state)).collect();
    if open.is_empty() {
        return;
    }
    let slots = open.len();
    let told = async { shared.dial(heir).await?.send(open).await.map_err(|error| error.trouble) };
    match timeout(ANSWER, told).await {
        Ok(Ok(replies)) => {
            let refused = replies.iter().filter(|reply| matches!(reply, Reply::Error(_))).count();
            events::tell(format_args!("{heir} knows of {} of {slots} slots that were open here", slots - refused));
        }
        Ok(Err(trouble)) => events::tell(format_args!("{heir} {trouble}, so it does not know of {slots} open slots")),
        Err(_) => events::tell(format_args!("{heir} does not answer, so it may not know of {slots} open slots")),
    }
}

fn owns_nothing(view: &NodeView) -> bool {
    view.myself.is_replica() || view.myself.slots.is_empty()
}

/// The replica that has most. One that is being stopped itself is none, so that nothing is handed to and fro.
fn heir<'a>(view: &NodeView, accounts: &'a [Account]) -> Option<&'a Account> {
    let linked = || accounts.iter().filter(|account| account.said.link_up == Some(true));
    let id = succession(linked().filter_map(|account| Candidate::of(account, view.myself.id)))?;
    linked().find(|account| account.id == Some(id))
}
