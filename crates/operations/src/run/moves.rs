//! The step that moves slots.

use super::{Moved, Progress, RunError, Runner, sending::Sending, steps::changed, together::not_serving};
use crate::{
    exchange::accepted,
    moving::{
        Moves,
        keys::{Owner, Sent, Timeout, Transfer},
        migrate::Shift,
        servers::{self, Ended, Pause, UnderWay},
        short::Sizes,
        slots::Told,
        weigher::Weigher,
    },
    port::{Command, NodeLink, SlotState},
    redial::Redialled,
};
use futures_util::future::try_join;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use topology::{
    NodeId, NodeView, Reply, SlotSet,
    findings::slot_list,
    plan::{Dialect, NodeRef},
};

/// How long a migration by the servers that somebody else began may take. It copies what its slots hold at the speed of the network.
const MIGRATION_OF_OTHERS: Duration = Duration::from_hours(1);

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
        let outcome = self.move_until_arrived(slots, from, to, dialect, stop).await;
        if outcome.is_ok() {
            self.close_arrived(from, to).await?;
        }
        outcome
    }

    /// Takes the marks from slots that the destination owns already: whoever moved them was killed before the source heard of it by a command,
    /// and gossip leaves its mark.
    ///
    /// A source that has not heard of it by gossip either is told the owner. Without its mark alone it would take new keys again, and drop them when it
    /// hears.
    async fn close_arrived(&self, from: &NodeRef, to: &NodeRef) -> Result<(), RunError> {
        let (Ok((source, here)), (_, there)) = (self.fresh(from).await, self.fresh(to).await?) else { return Ok(()) };
        // Whoever a mark names: the destination may have taken the place of that one.
        let marked: SlotSet = here.myself.migrating.keys().copied().collect();
        let arrived = marked.intersection(&there.myself.slots);
        if arrived.is_empty() || !here.myself.is_primary() {
            return Ok(());
        }
        let state = |slot| if here.myself.slots.contains(slot) { SlotState::Node(to.id) } else { SlotState::Stable };
        let close = arrived.iter().map(|slot| Command::SetSlot(slot, state(slot))).collect();
        accepted(source, close).await?;
        Ok(())
    }

    async fn move_until_arrived(
        &self,
        slots: &SlotSet,
        from: &NodeRef,
        to: &NodeRef,
        dialect: Dialect,
        stop: &CancellationToken,
    ) -> Result<(), RunError> {
        let mut attempts = if dialect == Dialect::Migrate { 0 } else { ATTEMPTS };
        loop {
            // Whatever has become of the source then.
            if self.have_arrived(slots, to).await? {
                return Ok(());
            }
            self.tell_new_owner(slots, from, to).await?;
            try_join(self.tell_owners(from), self.tell_owners(to)).await?;
            self.until_ready(slots, from, to, stop).await?;
            if self.have_arrived(slots, to).await? {
                return Ok(());
            }
            let ends = self.ends(slots, from, to).await?;
            let moved = Moved { slots: slots.len() - ends.owned.len(), ..Moved::default() };
            if attempts == 0 || !ends.closed() {
                self.await_heard(from, to).await?;
                return self.migrate(&ends, from, to, moved, stop).await;
            }
            attempts -= 1;
            match self.by_servers(&ends, from, to, dialect, stop).await? {
                Ended::Done => {
                    let moved = Moved { slots: slots.len(), ..Moved::default() };
                    let (from, to) = (from.clone(), to.clone());
                    (self.progress)(Progress::SlotsMoved { from: from.clone(), to: to.clone(), slots: ends.owned });
                    (self.progress)(Progress::Moving { from, to, moved });
                    return Ok(());
                }
                Ended::Stopped => return Err(RunError::Stopped),
                // Tried once more, and then in the other way; some slots may have arrived all the same.
                Ended::Failed(reason) if attempts == 0 => {
                    (self.progress)(Progress::FallsBack { from: from.clone(), to: to.clone(), reason });
                }
                Ended::Failed(_) => {}
            }
        }
    }

    /// Tells a node that another one owns slots which it imports, where it does not know: it believes no new owner of such slots by itself,
    /// and does not serve while the one that it knows is lost.
    pub(super) async fn tell_new_owner(
        &self,
        slots: &SlotSet,
        owner: &NodeRef,
        node: &NodeRef,
    ) -> Result<(), RunError> {
        let ((_, here), (link, there)) = try_join(self.fresh(owner), self.fresh(node)).await?;
        let imported: SlotSet = there.myself.importing.keys().copied().collect();
        let known = there.entry(owner.id).map(|entry| entry.slots.clone()).unwrap_or_default();
        let news = imported.intersection(slots).intersection(&here.myself.slots).difference(&known);
        let news = news.difference(&there.myself.slots);
        if !news.is_empty() && here.myself.is_primary() {
            let told = news.iter().map(|slot| Command::SetSlot(slot, SlotState::Node(owner.id)));
            accepted(link, told.collect()).await?;
        }
        Ok(())
    }

    /// Tells a node who owns the slots that it imports, where it knows of nobody: it learns of no owner of such slots from others, and serves none of
    /// its own as long as one has no owner.
    async fn tell_owners(&self, node: &NodeRef) -> Result<(), RunError> {
        let (link, view) = self.fresh(node).await?;
        let known = view.entries().fold(SlotSet::new(), |known, entry| known.union(&entry.slots));
        let unknown = view.myself.importing.keys().copied().collect::<SlotSet>().difference(&known);
        if unknown.is_empty() {
            return Ok(());
        }
        let others = self.views(|id| id != node.id && view.entry(id).is_some()).await;
        let owners = others.values().filter(|other| other.myself.is_primary()).map(|other| &other.myself);
        let told = owners.flat_map(|owner| {
            let slots: Vec<_> = unknown.intersection(&owner.slots).iter().collect();
            slots.into_iter().map(|slot| Command::SetSlot(slot, SlotState::Node(owner.id)))
        });
        // One that it takes for a replica still it refuses, and hears of before long.
        link.send(told.collect()).await?;
        Ok(())
    }

    async fn have_arrived(&self, slots: &SlotSet, to: &NodeRef) -> Result<bool, RunError> {
        let (_, there) = self.fresh(to).await?;
        Ok(slots.difference(&there.myself.slots).is_empty())
    }

    /// Waits until both nodes serve and the destination knows the source's config epoch, and until no server moves any of the slots
    /// by itself: such a migration goes on when whoever began it has gone, and `CLUSTER SETSLOT` would interfere with it.
    async fn until_ready(
        &self,
        slots: &SlotSet,
        from: &NodeRef,
        to: &NodeRef,
        stop: &CancellationToken,
    ) -> Result<(), RunError> {
        let ends = [from.clone(), to.clone()];
        let ready = async {
            self.await_all(&ends, not_serving).await?;
            self.await_epoch(from, to).await
        };
        // What is open is to be closed all the same.
        if !stop.is_cancelled() {
            stop.run_until_cancelled(ready).await.unwrap_or(Err(RunError::Stopped))?;
        }
        let (begin, mut pause) = (Instant::now(), Pause::default());
        loop {
            let (source, destination) = (self.link(from)?, self.link(to)?);
            let (here, there) = try_join(servers::under_way(source), servers::under_way(destination)).await?;
            let ours: Vec<UnderWay> =
                here.into_iter().chain(there).filter(|job| !job.slots.intersection(slots).is_empty()).collect();
            let Some(job) = ours.first() else { return Ok(()) };
            if stop.is_cancelled() {
                return Err(RunError::Stopped);
            }
            if let Some(id) = ours.iter().find_map(|job| job.hopeless.clone()) {
                destination.send(vec![Command::CancelMigration(id)]).await?;
            }
            let missing = format!("the servers are moving {} already", slot_list(&job.slots));
            if begin.elapsed() >= MIGRATION_OF_OTHERS {
                return Err(RunError::NotInTime { waited: begin.elapsed(), missing });
            }
            (self.progress)(Progress::Waiting { missing });
            pause.wait().await;
        }
    }

    /// Lets the servers move the slots.
    async fn by_servers(
        &self,
        ends: &Ends<'_>,
        from: &NodeRef,
        to: &NodeRef,
        dialect: Dialect,
        stop: &CancellationToken,
    ) -> Result<Ended, RunError> {
        if dialect == Dialect::MigrateSlots {
            return servers::export(ends.source, &ends.owned, to.id, stop).await;
        }
        // In the order of their ids: two moves never wait for each other.
        let _one = self.busy(from.id.min(to.id)).await;
        let _other = self.busy(from.id.max(to.id)).await;
        servers::import(ends.destination, &ends.owned, stop, self.patience.service).await
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
        // Whoever they name: a node that was lost meanwhile may have been the other end.
        let open: SlotSet = here.myself.migrating.keys().chain(there.myself.importing.keys()).copied().collect();
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
        moved: Moved,
        stop: &CancellationToken,
    ) -> Result<(), RunError> {
        let Some(moves) = &self.moves else { return Err(changed(from, "this run may not move slots")) };
        let sending = Sending::start(self, moves, from, to, moved).await?;
        let tell = |sent: Sent| sending.tell(sent);
        let dial = || Redialled::dial(ends.source.address(), &moves.dialer);
        let (lister, second) = try_join(dial(), dial()).await?;
        let others = self.views(|id| ![from.id, to.id].contains(&id)).await;
        let shift = Shift {
            from,
            to,
            transfer: Transfer {
                source: ends.source,
                carriers: vec![ends.source, &second],
                lister: &lister,
                destination: ends.destination,
                host: ends.host.clone(),
                port: ends.port,
                timeout: timeout(ends.source, moves.pace.timeout).await?,
                owner: Owner::Source,
                replace: moves.replace,
                governor: &sending.governor,
                sizes: Sizes::default(),
                weigher: self.weigher(from, &others, moves).await,
                tell: &tell,
            },
            source: Told::over(ends.source, &ends.here, moves.dialer.as_ref()).await?,
            destination: Told::over(ends.destination, &ends.there, moves.dialer.as_ref()).await?,
            there: &ends.there,
            others: self.primaries(&others),
            stop,
        };
        Box::pin(shift.run(&ends.owned, &ends.open)).await
    }

    /// Links to the primaries among these.
    fn primaries(&self, nodes: &BTreeMap<NodeId, NodeView>) -> Vec<&dyn NodeLink> {
        let primaries = nodes.iter().filter(|(_, view)| view.myself.is_primary());
        primaries.filter_map(|(id, _)| self.links.get(id)).map(AsRef::as_ref).collect()
    }

    /// One of these nodes that follows the one whose keys are to be weighed, or that one itself.
    async fn weigher(&self, of: &NodeRef, nodes: &BTreeMap<NodeId, NodeView>, moves: &Moves) -> Weigher {
        let follows = |view: &NodeView| view.myself.primary == Some(of.id) && view.server.primary_link_up == Some(true);
        let replica = nodes.iter().find(|(_, view)| follows(view)).and_then(|(id, _)| self.links.get(id));
        let Some(replica) = replica else { return Weigher::default() };
        moves.dialer.dial(replica.address()).await.map_or_else(|_| Weigher::default(), Weigher::replica)
    }
}

/// What `MIGRATE` may take at most, and for small keys: a third of the time after which a silent node is lost to the others.
async fn timeout(source: &dyn NodeLink, most: u32) -> Result<Timeout, RunError> {
    const USUAL: u32 = 15_000;
    let replies = source.send(vec![Command::ConfigGet("cluster-node-timeout".to_owned())]).await?;
    let pair = replies.first().and_then(Reply::as_list).unwrap_or_default();
    let told = pair.get(1).and_then(Reply::as_text).and_then(|text| text.parse::<u32>().ok());
    // Where that is kept from the user, it is what it is everywhere.
    let least = (told.unwrap_or(USUAL) / 3).max(1);
    Ok(Timeout { most, least })
}
