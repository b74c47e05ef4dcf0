//! Giving a primary's slots to a replica before the primary is stopped.

use crate::{
    account::Account,
    call,
    counters::Counters,
    events,
    shared::{Shared, send},
    succession::{Candidate, succession},
};
use operations::port::{Command, Failover};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use topology::NodeView;

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
    while Instant::now() < deadline {
        if shared.look().await.is_ok_and(|view| owns_nothing(&view)) {
            Counters::count(&shared.counters.handovers_done);
            let took = begin.elapsed().as_secs_f64();
            return events::tell(format_args!("handed over to {} in {took:.3} s", heir.address));
        }
        sleep(LOOK).await;
    }
    events::tell(format_args!("{} has not taken over within {}", heir.address, events::seconds(PATIENCE)));
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
