//! Primaries are spread over machines and zones again after failures, by failovers in quiet moments.

use super::{Decision, Next, Situation};
use crate::{
    NodeId,
    plan::{Action, FailoverKind, NodeRef},
};
use std::{cmp::Reverse, collections::BTreeMap, ops::ControlFlow, time::Duration};

/// How long nothing may have been to do before. Servers before Valkey 8.1 hand a failover to whoever has won one within the last four node
/// timeouts by the votes of that time, without the writes since then.
const QUIET: Duration = Duration::from_secs(65);

/// The host and the zone of a node.
type Place<'a> = (Option<&'a str>, Option<&'a str>);

/// A shard, by what falls with its primary.
struct Led<'a> {
    primary: NodeRef,
    place: Place<'a>,
    /// Replicas that have all data, with their places.
    heirs: Vec<(NodeRef, Place<'a>)>,
}

pub(super) fn decide(situation: &Situation<'_>, decision: &mut Decision) -> Next {
    if !decision.is_settled() || !situation.memory.under_way.is_empty() || situation.memory.calm < QUIET {
        return ControlFlow::Continue(());
    }
    let led = led(situation);
    let (hosts, zones) = (counts(&led, |place| place.0), counts(&led, |place| place.1));
    let crowd = |place: Place<'_>| {
        (zones.get(&place.1).copied().unwrap_or_default(), hosts.get(&place.0).copied().unwrap_or_default())
    };
    // A move pays when the place that it goes to has at least two fewer.
    let gains = |from: (usize, usize), to: (usize, usize)| from.0 > to.0 + 1 || from.0 >= to.0 && from.1 > to.1 + 1;
    let pairs = led.iter().flat_map(|shard| shard.heirs.iter().map(move |heir| (shard, heir)));
    let better = pairs.filter(|(shard, heir)| gains(crowd(shard.place), crowd(heir.1)));
    let best = better.min_by_key(|(shard, heir)| (Reverse(crowd(shard.place)), crowd(heir.1), heir.0.address.clone()));
    if let Some((shard, (heir, place))) = best {
        let from = shard.place.0.unwrap_or("its machine");
        let reason = format!(
            "{} of {} primaries are on {from}, fewer on {}",
            crowd(shard.place).1,
            led.len(),
            place.0.unwrap_or("another")
        );
        let (replica, primary) = (heir.clone(), shard.primary.clone());
        decision.step(Action::Failover { replica, primary, kind: FailoverKind::Planned }, reason);
    }
    ControlFlow::Continue(())
}

fn led<'a>(situation: &'a Situation<'_>) -> Vec<Led<'a>> {
    let place = |id: NodeId| situation.place(id);
    let shards = situation.view.shards().into_iter().filter(|shard| !shard.slots().is_empty());
    let led = shards.map(|shard| {
        let linked = shard
            .replicas
            .iter()
            .filter(|replica| replica.node.view().is_some_and(|said| said.server.primary_link_up == Some(true)));
        Led {
            place: place(shard.primary.account.id),
            heirs: linked.map(|replica| (replica.reference(), place(replica.account.id))).collect(),
            primary: shard.primary.reference(),
        }
    });
    led.collect()
}

/// How many primaries are in each place.
fn counts<'a>(led: &[Led<'a>], of: impl Fn(Place<'a>) -> Option<&'a str>) -> BTreeMap<Option<&'a str>, usize> {
    let mut counts = BTreeMap::new();
    for shard in led {
        *counts.entry(of(shard.place)).or_default() += 1;
    }
    counts
}
