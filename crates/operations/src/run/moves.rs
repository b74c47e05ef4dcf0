//! The step that moves slots.

use super::{Moved, Progress, RunError, Runner, steps::changed, together::not_serving};
use crate::{
    moving::{
        keys::{Owner, Sent, Transfer},
        migrate::Shift,
        pace::Governor,
        probe::Probe,
        servers::{self, Ended},
        slots::Told,
    },
    observe::ask,
    port::NodeLink,
};
use futures_util::future::{join_all, try_join};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;
use topology::{
    NodeId, NodeView, SlotSet,
    plan::{Dialect, NodeRef},
};

/// How often the servers may try it on their own.
const ATTEMPTS: usize = 2;

/// What a look at the two nodes of a move shows.
struct Ends<'a> {
    source: &'a dyn NodeLink,
    destination: &'a dyn NodeLink,
    /// What each of them says.
    here: NodeView,
    there: NodeView,
    /// The slots that the source owns.
    owned: SlotSet,
    /// Those of them that are open between the two.
    open: SlotSet,
    /// Where the source finds the destination.
    host: String,
    port: u16,
}

impl Ends<'_> {
    /// Whether neither node has any open slot: then the servers can move slots on their own.
    fn closed(&self) -> bool {
        [&self.here, &self.there]
            .iter()
            .all(|view| view.myself.migrating.is_empty() && view.myself.importing.is_empty())
    }
}

impl Runner<'_> {
    /// Moves slots; those that have arrived already are left alone.
    pub(super) async fn move_slots(
        &self,
        slots: &SlotSet,
        from: &NodeRef,
        to: &NodeRef,
        dialect: Dialect,
        stop: &CancellationToken,
    ) -> Result<(), RunError> {
        self.await_all(&[from.clone(), to.clone()], not_serving).await?;
        let ends = self.ends(slots, from, to).await?;
        if ends.owned.is_empty() {
            return Ok(());
        }
        let moved = Mutex::new(Moved { slots: slots.len() - ends.owned.len(), ..Moved::default() });
        if dialect != Dialect::Migrate && ends.closed() {
            match self.by_servers(&ends, from, to, dialect, stop).await? {
                Ended::Done => {
                    let moved = Moved { slots: slots.len(), ..Moved::default() };
                    let (from, to) = (from.clone(), to.clone());
                    (self.progress)(Progress::SlotsMoved { from: from.clone(), to: to.clone(), slots: ends.owned });
                    (self.progress)(Progress::Moving { from, to, moved });
                    return Ok(());
                }
                Ended::Stopped => return Err(RunError::Stopped),
                Ended::Failed(reason) => {
                    (self.progress)(Progress::FallsBack { from: from.clone(), to: to.clone(), reason });
                }
            }
        }
        self.migrate(&ends, from, to, &moved, stop).await
    }

    /// Lets the servers move the slots, and once more when that fails.
    async fn by_servers(
        &self,
        ends: &Ends<'_>,
        from: &NodeRef,
        to: &NodeRef,
        dialect: Dialect,
        stop: &CancellationToken,
    ) -> Result<Ended, RunError> {
        let mut ended = Ended::Stopped;
        for _ in 0..ATTEMPTS {
            if stop.is_cancelled() {
                return Ok(Ended::Stopped);
            }
            ended = if dialect == Dialect::MigrateSlots {
                servers::export(ends.source, &ends.owned, to.id, stop).await?
            } else {
                // In the order of their ids: two moves never wait for each other.
                let _one = self.busy(from.id.min(to.id)).await;
                let _other = self.busy(from.id.max(to.id)).await;
                servers::import(ends.destination, &ends.owned, stop).await?
            };
            if !matches!(ended, Ended::Failed(_)) {
                break;
            }
        }
        Ok(ended)
    }

    async fn busy(&self, node: NodeId) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        match self.busy.get(&node) {
            Some(busy) => Some(busy.lock().await),
            None => None,
        }
    }

    /// Looks at both nodes; fails when the slots are neither the source's nor the destination's.
    async fn ends(&self, slots: &SlotSet, from: &NodeRef, to: &NodeRef) -> Result<Ends<'_>, RunError> {
        let ((source, here), (destination, there)) = try_join(self.fresh(from), self.fresh(to)).await?;
        for (node, view) in [(from, &here), (to, &there)] {
            if !view.myself.is_primary() {
                return Err(changed(node, "it is a replica"));
            }
        }
        let owned = here.myself.slots.intersection(slots);
        let elsewhere = slots.difference(&owned).difference(&there.myself.slots);
        if !elsewhere.is_empty() {
            return Err(changed(from, format!("it does not own {elsewhere}")));
        }
        let between = |open: &std::collections::BTreeMap<topology::Slot, NodeId>, other: NodeId| -> SlotSet {
            open.iter().filter(|(_, node)| **node == other).map(|(slot, _)| *slot).collect()
        };
        let open = between(&here.myself.migrating, to.id).union(&between(&there.myself.importing, from.id));
        let entry = here.entry(to.id).ok_or_else(|| changed(from, format!("it does not know {}", to.address)))?;
        let host = entry.endpoint.host.as_ref().unwrap_or(&to.address.host).to_string();
        let port = entry.endpoint.port;
        Ok(Ends { source, destination, open: open.intersection(&owned), owned, host, port, here, there })
    }

    async fn migrate(
        &self,
        ends: &Ends<'_>,
        from: &NodeRef,
        to: &NodeRef,
        moved: &Mutex<Moved>,
        stop: &CancellationToken,
    ) -> Result<(), RunError> {
        let Some(moves) = &self.moves else { return Err(changed(from, "this run may not move slots")) };
        let governor = Mutex::new(Governor::new(moves.pace));
        let ends_of = || vec![from.address.clone(), to.address.clone()];
        let probe = match moves.pace.budget {
            Some(_) => Some(Probe::start(Arc::clone(&moves.dialer), ends_of()).await?),
            None => None,
        };
        let tell = |sent: Sent| {
            let now = match sent {
                Sent::Large(key, bytes) => return (self.progress)(Progress::LargeKey { key, bytes }),
                Sent::Closed(slots) => {
                    let mut now = locked(moved);
                    now.slots += slots.len();
                    (self.progress)(Progress::SlotsMoved { from: from.clone(), to: to.clone(), slots });
                    *now
                }
                Sent::Keys(keys) => {
                    let mut now = locked(moved);
                    now.keys += keys;
                    now.latency = probe.as_ref().and_then(Probe::latency);
                    if let Some(latency) = now.latency {
                        locked(&governor).others_wait(latency);
                    }
                    *now
                }
            };
            (self.progress)(Progress::Moving { from: from.clone(), to: to.clone(), moved: now });
        };
        let shift = Shift {
            from,
            to,
            transfer: Transfer {
                source: ends.source,
                destination: ends.destination,
                host: ends.host.clone(),
                port: ends.port,
                timeout: moves.pace.timeout,
                owner: Owner::Source,
                replace: moves.replace,
                governor: &governor,
                road: tokio::sync::Mutex::default(),
                weigh: moves.pace.budget.is_some(),
                tell: &tell,
            },
            source: Told::over(ends.source, &ends.here, moves.dialer.as_ref()).await?,
            destination: Told::over(ends.destination, &ends.there, moves.dialer.as_ref()).await?,
            others: self.other_primaries(from, to).await,
            stop,
        };
        shift.run(&ends.owned, &ends.open).await
    }

    /// Links to the primaries beside these two, as far as they answer.
    async fn other_primaries(&self, from: &NodeRef, to: &NodeRef) -> Vec<&dyn NodeLink> {
        let others = self.links.iter().filter(|(id, _)| ![from.id, to.id].contains(id));
        let asked = others.map(|(_, link)| async move { (link.as_ref(), ask(link.as_ref()).await) });
        let primary = |view: &NodeView| view.myself.is_primary();
        let answers = join_all(asked).await.into_iter();
        answers.filter(|(_, view)| view.as_ref().is_ok_and(primary)).map(|(link, _)| link).collect()
    }
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
