//! Marks of open slots that replicas keep when their primary has none any more.

use super::Runner;
use crate::{
    observe::ask,
    port::{Command, NodeLink, SlotState, Trouble},
};
use futures_util::future::join_all;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use topology::{Engine, NodeView, SlotSet};

/// How long replicas may take to follow.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);

impl Runner<'_> {
    /// Clears what replicas keep. Valkey 8.0 and newer has replicas carry out each `CLUSTER SETSLOT`, and some of them keep a mark that
    /// gossip has taken from their primary; `STABLE` on the primary reaches them. Tools that look at replicas would call the slot
    /// open for ever.
    ///
    /// A node that does not answer is left as it is: a mark on a replica keeps nobody from anything.
    pub(super) async fn clear_marks(&self) {
        let begin = Instant::now();
        loop {
            let asked = join_all(self.links.values().map(|link| ask(link.as_ref()))).await;
            let loading = |error: &crate::port::NodeError| matches!(error.trouble, Trouble::Loading { .. });
            let unsure = asked.iter().any(|answer| answer.as_ref().is_err_and(loading));
            let views: Vec<NodeView> = asked.into_iter().filter_map(Result::ok).collect();
            if !views.is_empty() && views.iter().all(|view| view.server.engine != Engine::Valkey) {
                return;
            }
            let kept = self.kept(&views);
            if (kept.is_empty() && !unsure) || begin.elapsed() >= PATIENCE {
                return;
            }
            let stable = |slots: &SlotSet| slots.iter().map(|slot| Command::SetSlot(slot, SlotState::Stable)).collect();
            join_all(kept.iter().map(|(link, slots)| link.send(stable(slots)))).await;
            sleep(LOOK).await;
        }
    }

    /// The primaries whose replicas keep marks that they do not have themselves, each with these slots.
    fn kept(&self, views: &[NodeView]) -> Vec<(&dyn NodeLink, SlotSet)> {
        let valkeys = views.iter().filter(|view| view.server.engine == Engine::Valkey && view.myself.is_primary());
        let kept = valkeys.filter_map(|own| {
            let replicas = views.iter().filter(|view| view.myself.primary == Some(own.myself.id));
            let marks = replicas.fold(SlotSet::new(), |marks, replica| marks.union(&replica.myself.open_slots()));
            let link = self.links.get(&own.myself.id)?;
            Some((link.as_ref(), marks.difference(&own.myself.open_slots())))
        });
        kept.filter(|(_, slots)| !slots.is_empty()).collect()
    }
}
