//! How old the data of a replica is.

use super::Situation;
use crate::{NodeId, NodeView};
use std::time::Duration;

/// A replica whose link broke so long before its primary was last heard has missed writes that the primary acknowledged meanwhile. Shortly
/// before a death a link may be down without that: agents let a replica take over by the same measure.
const FRESH: Duration = Duration::from_secs(10);

/// Whether a replica has missed what its primary wrote, as long as can be told: its link had been down for a while when the primary died, or it has
/// had none since it was started.
pub(super) fn is_stale(situation: &Situation<'_>, said: &NodeView, primary: NodeId) -> bool {
    if said.server.primary_link_up == Some(true) {
        return false;
    }
    let Some(unlinked) = said.server.primary_link_down_seconds.map(Duration::from_secs) else { return true };
    let absent = situation.member_of(primary).map(|placed| situation.memory.absent_for(&placed.member.name));
    let silent = situation.memory.silent_for(primary).max(absent.unwrap_or_default());
    // The loop may have just begun. To ask all nodes takes long where there are many, and it rarely comes to that.
    unlinked > silent + FRESH && unlinked > unheard_for(situation, primary) + FRESH
}

/// For how long the nodes that answer have not heard this one.
///
/// A node that was started again says that it has heard everybody just then, and one that was cut off has heard nobody for long; so
/// it is the middle one of them that counts.
fn unheard_for(situation: &Situation<'_>, id: NodeId) -> Duration {
    let unheard = |said: &NodeView| {
        let heard = said.entry(id)?.pong_received;
        // Where it does not tell what its clock says, it is what it has heard last of anybody.
        let clock = said.server.clock_microseconds.map(|clock| clock / 1000);
        let now = clock.or_else(|| said.peers.iter().map(|peer| peer.pong_received).max())?;
        (heard > 0).then(|| Duration::from_millis(now.saturating_sub(heard)))
    };
    let mut all: Vec<Duration> = situation.view.answering().filter_map(|(_, said)| unheard(said)).collect();
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}
