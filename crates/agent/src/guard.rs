//! Watching the primary of the own server, through the agent beside it.

use crate::{
    Phase,
    call::{Next, Watch},
    events, failover,
    happening::Happening,
    seen::Seen,
    shared::Shared,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{sync::watch, time::sleep};
use topology::NodeId;

/// Time before an agent that cannot be watched is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// How watching a primary ended.
enum End {
    /// It has died: how.
    Died(String),
    /// The own server has another one, or none.
    Another,
    /// It cannot be watched now, or is being stopped with the whole cluster.
    Unwatched,
}

/// Watches the primary, whichever it is, for as long as it is polled, and lets the own server take over when it dies.
pub(crate) async fn guard(shared: Arc<Shared>) {
    let mut seen = shared.seen();
    // A primary whose end was dealt with: that it still does not run is no news.
    let mut dealt_with = None;
    // Whether it was told that it cannot be watched.
    let mut told = false;
    loop {
        let primary = seen.borrow_and_update().primary();
        let Some((id, address)) = primary else {
            if seen.changed().await.is_err() {
                return;
            }
            continue;
        };
        let end = match shared.neighbourhood.at(&address) {
            Some(neighbour) => watch(&shared, &mut seen, id, neighbour.agent, dealt_with == Some(id), &mut told).await,
            None => End::Unwatched,
        };
        match end {
            End::Died(how) => {
                failover::succeed(&shared, id, &address, &how).await;
                dealt_with = Some(id);
            }
            End::Another => dealt_with = None,
            End::Unwatched => tokio::select! {
                () = sleep(AGAIN) => {}
                () = another(&mut seen, id) => {}
            },
        }
    }
}

async fn watch(
    shared: &Shared,
    seen: &mut watch::Receiver<Seen>,
    primary: NodeId,
    agent: SocketAddr,
    dealt_with: bool,
    told: &mut bool,
) -> End {
    let Some(caller) = shared.caller() else { return End::Unwatched };
    let mut watch = match Watch::begin(agent, caller).await {
        Ok(watch) => watch,
        Err(error) => {
            // That nobody is there shows when the own server looks, too; anything else would stay unseen.
            if !error.is_gone() && !std::mem::replace(told, true) {
                events::tell(format_args!(
                    "the agent of the primary, on {agent}, cannot be watched: {error}; it is tried every second"
                ));
            }
            return End::Unwatched;
        }
    };
    *told = false;
    let mut all_stop = false;
    loop {
        let next = tokio::select! {
            next = watch.next() => next,
            () = another(seen, primary) => return End::Another,
        };
        match next {
            Next::Happened(Happening::Stopping { whole_cluster }) => all_stop = whole_cluster,
            Next::Happened(Happening::Begin { phase: Phase::Stopping | Phase::Stopped, .. }) => return End::Unwatched,
            Next::Happened(Happening::Begin { server_pid: None, .. }) if !dealt_with => {
                return End::Died("its agent says that it does not run".to_owned());
            }
            Next::Happened(Happening::Died { how }) if !all_stop => return End::Died(format!("the server {how}")),
            // The server never outlives its agent. A network that is broken is no death, and a new agent tells how things are.
            Next::Broken if !all_stop => match Watch::again(agent, caller).await {
                Ok(Some(again)) => watch = again,
                Ok(None) => return End::Died("its agent is gone".to_owned()),
                Err(error) => {
                    events::tell(format_args!(
                        "the agent of the primary is lost, and what became of it is unknown: {error}"
                    ));
                    return End::Unwatched;
                }
            },
            Next::Happened(_) => {}
            Next::Broken | Next::Silent => return End::Unwatched,
        }
    }
}

/// Waits until the own server has another primary, or none.
async fn another(seen: &mut watch::Receiver<Seen>, primary: NodeId) {
    let changed = |seen: &Seen| seen.primary().is_none_or(|(id, _)| id != primary);
    // The sender lives as long as the agent.
    seen.wait_for(changed).await.map(drop).ok();
}
