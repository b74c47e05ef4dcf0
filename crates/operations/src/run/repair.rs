//! Steps that repair slots.

use super::{Moved, RunError, Runner, sending::Sending, steps::changed, together::not_serving, unless_stopped};
use crate::{
    exchange::{accepted, none_refused},
    moving::{
        MoveError,
        both::Trust,
        keys::{Owner, Sent, Timeout, Transfer},
        short::Sizes,
        slots::Told,
        weigher::Weigher,
    },
    port::{Command, NodeError, NodeLink, SlotState, Trouble},
    repair::hides,
};
use futures_util::future::try_join;
use tokio_util::sync::CancellationToken;
use topology::{NodeView, Reply, Slot, SlotSet, findings::count, plan::NodeRef};

/// Slots of which keys are gathered at once: a stop takes effect behind them.
const SLOTS: usize = 64;

impl Runner<'_> {
    /// Takes slots from a node beside whom another owns them.
    pub(super) async fn yield_slots(&self, node: &NodeRef, slots: &SlotSet) -> Result<(), RunError> {
        let (link, view) = self.fresh(node).await?;
        let claimed = view.myself.slots.intersection(slots);
        if claimed.is_empty() {
            return Ok(());
        }
        let mut commands = vec![Command::Multi, Command::RemoveSlots(claimed.clone())];
        // In one go: such a server does not tell of keys in slots that are neither its own nor importing.
        if hides(&view.server) {
            commands.extend(claimed.iter().map(|slot| Command::SetSlot(slot, SlotState::Importing(view.myself.id))));
        }
        commands.push(Command::Exec);
        transaction(link, commands).await
    }

    /// Makes a node the owner of slots, by an epoch above those of all that are taken for their owner.
    pub(super) async fn settle_slots(&self, node: &NodeRef, slots: &SlotSet, above: u64) -> Result<(), RunError> {
        let (link, view) = self.fresh(node).await?;
        if !view.myself.is_primary() {
            return Err(changed(node, "it is a replica"));
        }
        let missing = slots.difference(&view.myself.slots);
        let mut commands = vec![Command::Multi];
        if !missing.is_empty() {
            let known = view.peers.iter().fold(SlotSet::new(), |all, entry| all.union(&entry.slots));
            let known = known.intersection(&missing);
            self.refuse_claimed(node, &view, &known).await?;
            commands.extend((!known.is_empty()).then_some(Command::RemoveSlots(known)));
            commands.push(Command::AddSlots(missing));
        }
        commands.extend((above > 0 && view.myself.config_epoch <= above).then_some(Command::BumpEpoch));
        commands.push(Command::Exec);
        if commands.len() > 2 {
            transaction(link, commands).await?;
        }
        self.close_open(link, &view, slots).await
    }

    /// Refuses when one whom the node takes for the owner of these slots says so itself.
    async fn refuse_claimed(&self, node: &NodeRef, view: &NodeView, known: &SlotSet) -> Result<(), RunError> {
        for entry in view.peers.iter().filter(|entry| !entry.slots.intersection(known).is_empty()) {
            let Some(link) = self.links.get(&entry.id) else { continue };
            let address = link.address().clone();
            let (_, said) = self.fresh(&NodeRef { id: entry.id, address: address.clone() }).await?;
            let claimed = said.myself.slots.intersection(known);
            if !claimed.is_empty() {
                return Err(changed(node, format!("{address} claims {} of its slots", count(claimed.len(), "slot"))));
            }
        }
        Ok(())
    }

    /// Closes slots on a node.
    pub(super) async fn close_slots(&self, node: &NodeRef, slots: &SlotSet) -> Result<(), RunError> {
        let (link, view) = self.fresh(node).await?;
        self.close_open(link, &view, slots).await
    }

    /// Closes those of these slots that are open.
    async fn close_open(&self, link: &dyn NodeLink, view: &NodeView, slots: &SlotSet) -> Result<(), RunError> {
        let open = view.myself.open_slots();
        self.told(link, view).await?.tell_all(&open.intersection(slots), SlotState::Stable).await
    }

    async fn told<'b>(&self, link: &'b dyn NodeLink, view: &NodeView) -> Result<Told<'b>, RunError> {
        let Some(moves) = &self.moves else {
            let address = link.address().clone();
            return Err(RunError::Changed { address, change: "this run may not change slots".to_owned() });
        };
        Ok(Told::over(link, view, moves.dialer.as_ref()).await?)
    }

    /// Gives the owner of slots the keys that another node holds of them. What stands in the way of one slot is told when the others are done.
    pub(super) async fn gather_keys(
        &self,
        slots: &SlotSet,
        from: &NodeRef,
        to: &NodeRef,
        served: bool,
        stop: &CancellationToken,
    ) -> Result<(), RunError> {
        self.tell_new_owner(&SlotSet::all(), to, from).await?;
        unless_stopped(stop, self.await_all(&[from.clone(), to.clone()], not_serving)).await?;
        let ((source, here), (destination, there)) = try_join(self.fresh(from), self.fresh(to)).await?;
        let claimed = here.myself.slots.intersection(slots);
        let foreign = slots.difference(&there.myself.slots).difference(&claimed);
        let slots = slots.difference(&claimed).difference(&foreign);
        let Some(moves) = &self.moves else { return Err(changed(from, "this run may not move keys")) };
        let entry = here.entry(to.id).ok_or_else(|| changed(from, format!("it does not know {}", to.address)))?;
        let sending = Sending::start(self, moves, from, to, Moved::default()).await?;
        let tell = |sent: Sent| sending.tell(sent);
        let transfer = Transfer {
            source,
            carriers: vec![source],
            lister: source,
            destination,
            host: entry.endpoint.host.as_ref().unwrap_or(&to.address.host).to_string(),
            port: entry.endpoint.port,
            timeout: Timeout { most: moves.pace.timeout, least: moves.pace.timeout },
            owner: Owner::Destination(if served { Trust::Same } else { Trust::LastUsed }),
            replace: moves.replace,
            governor: &sending.governor,
            sizes: Sizes::default(),
            weigher: Weigher::default(),
            tell: &tell,
        };
        let told = self.told(source, &here).await?;
        self.await_heard(to, from).await?;
        let mut kept = Vec::new();
        let all: Vec<Slot> = slots.iter().collect();
        for part in all.chunks(SLOTS) {
            if stop.is_cancelled() {
                return Err(RunError::Stopped);
            }
            let part: SlotSet = part.iter().copied().collect();
            // Otherwise the node sends everybody to the owner who asks for these keys, us too.
            told.tell_all(&part, SlotState::Importing(to.id)).await?;
            let left = transfer.empty(&part, &part, None).await?;
            let unfinished: SlotSet = left.iter().map(|(slot, _)| *slot).collect();
            told.tell_all(&part.difference(&unfinished), SlotState::Stable).await?;
            kept.extend(left.into_iter().map(|(_, key)| key));
        }
        if !kept.is_empty() {
            let (from, to) = (to.address.clone(), from.address.clone());
            return Err(MoveError::DifferentValues { from, to, keys: kept }.into());
        }
        match (claimed.is_empty(), foreign.is_empty()) {
            (true, true) => Ok(()),
            (false, _) => Err(changed(from, format!("it claims {claimed}"))),
            (true, false) => Err(changed(to, format!("it does not own {foreign}"))),
        }
    }
}

/// Sends a transaction, of which no command may be refused.
async fn transaction(link: &dyn NodeLink, commands: Vec<Command>) -> Result<(), RunError> {
    let replies = accepted(link, commands).await?;
    match replies.last() {
        Some(Reply::List(replies)) => Ok(none_refused(link, replies)?),
        _ => Err(NodeError::new(link.address().clone(), Trouble::Protocol("EXEC gave no list".to_owned())).into()),
    }
}
