//! A shard of which no node that answers has a copy: what may come back is waited for; what is gone for good is given up only where that is
//! wanted.

use super::{
    Advice, Decision, Situation, WhenShardLost,
    situation::{Placed, Standing},
};
use crate::{
    ClusterView, Data, FleetMember, Member, NodeEntry, NodeView, ObservedNode, Shard, SlotSet,
    findings::{count, slot_list},
    plan::{Action, NodeRef},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Slots that were given to a primary again, empty, because all copies of their data were gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Loss {
    /// The slots.
    pub slots: SlotSet,
    /// Who had them; none where nothing is left of the whole cluster, so that nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub had: Option<NodeRef>,
    /// How many keys that one held when it answered the loop the last time; none where it never did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<u64>,
    /// Who got them.
    pub got: NodeRef,
    /// When, Unix seconds.
    pub at: u64,
}

/// Who may have a copy yet.
struct Hope {
    why: String,
    advice: Option<Advice>,
}

/// Waits for a copy of a shard's data; gives its slots to a primary again when there cannot be one any more and that is wanted. `why` says
/// why no replica takes over.
pub(super) fn decide(situation: &Situation<'_>, shard: &Shard<'_>, why: &str, decision: &mut Decision) {
    let slots = shard.slots();
    let what = format!("a primary for slots {slots}");
    if let Some(Hope { why: hope, advice }) = shard.members().find_map(|member| hope(situation, member)) {
        return decision.wait_for(what, format!("{why}; {hope}"), advice);
    }
    let had = shard.primary.reference();
    let keys = situation.memory.keys.get(&had.id).map_or_else(String::new, |keys| format!(", {}", count(*keys, "key")));
    let gone = format!("all copies of what {} had are gone for good{keys}", had.address);
    match (situation.desired.when_shard_lost, owner(situation)) {
        (WhenShardLost::Wait, _) => {
            let why = format!("{gone}; the slots are given to another one, empty, only when that is asked for");
            decision.wait_for(what, why, Some(Advice::RecreateLost));
        }
        (WhenShardLost::Recreate, Some(node)) => {
            let above = epoch(&situation.view, slots);
            decision
                .step(Action::SettleSlots { node, slots: slots.clone(), above }, format!("{gone}: it begins empty"));
        }
        (WhenShardLost::Recreate, None) => decision.wait(what, format!("{gone}, and no primary answers")),
    }
}

/// Whether this node of a shard may have a copy of its data, now or when it comes back.
fn hope(situation: &Situation<'_>, member: &Member<'_>) -> Option<Hope> {
    let (id, address) = (member.account.id, &member.node.address);
    if let Some(said) = member.node.view() {
        let info = &said.server;
        let may = info.keys() > 0 || info.loading || info.sync_in_progress;
        return may.then(|| Hope { why: format!("{address} holds keys"), advice: None });
    }
    let Some(placed) = situation.member_of(id) else {
        let why = || format!("{address} is no member, and has not been silent for long");
        return (!situation.has_nothing(id)).then(|| Hope { why: why(), advice: None });
    };
    let name = &placed.member.name;
    if !situation.has_nothing(id) {
        let why = format!("member {name} may have its data, and is waited for");
        return Some(Hope { why, advice: Some(Advice::StartMember { member: name.clone() }) });
    }
    let why = || format!("member {name} has lost its data, and has just ended");
    (!placed.is_given_up).then(|| Hope { why: why(), advice: None })
}

/// Waits for a member that may have what is left of a cluster of which nobody who answers owns a slot.
pub(super) fn await_member(placed: &Placed<'_>, decision: &mut Decision) {
    let name = &placed.member.name;
    let why = format!("nobody who answers owns a slot; member {name} may have its data, and is waited for");
    decision.wait_for("the cluster", why, Some(Advice::StartMember { member: name.clone() }));
}

/// What becomes of a cluster of which no member has anything any more: neither slots nor keys, nor what may be read when it starts.
pub(super) fn decide_all(situation: &Situation<'_>, decision: &mut Decision) {
    let what = "the cluster";
    let is_silent = |placed: &&Placed<'_>| matches!(placed.standing, Standing::Silent { .. });
    let mut silent = situation.members.iter().filter(is_silent);
    if let Some(placed) = silent.find(|placed| may_keep(placed.member)) {
        return await_member(placed, decision);
    }
    let outside = || {
        situation.members.iter().filter_map(|placed| match placed.standing {
            Standing::Outside(said) if said.myself.is_primary() => Some((placed.node.as_ref()?, said)),
            _ => None,
        })
    };
    if let Some((node, said)) = outside().find(|(_, said)| said.server.keys() > 0) {
        let keys = count(said.server.keys(), "key");
        return decision.wait(what, format!("nobody who answers owns a slot, and {} holds {keys}", node.address));
    }
    let gone = "nothing is left of what it held: no member owns a slot or has a key";
    let first = outside().min_by_key(|(node, _)| node.address.clone());
    match (situation.desired.when_shard_lost, first) {
        (WhenShardLost::Wait, _) => {
            let why = format!("{gone}; it begins anew, empty, only when that is asked for");
            decision.wait_for(what, why, Some(Advice::RecreateLost));
        }
        (WhenShardLost::Recreate, Some((node, _))) => {
            let above = outside().map(|(_, said)| said.myself.config_epoch).max().unwrap_or_default();
            let action = Action::SettleSlots { node: node.clone(), slots: SlotSet::new().complement(), above };
            decision.step(action, format!("{gone}: it begins empty"));
        }
        (WhenShardLost::Recreate, None) => decision.wait(what, format!("{gone}, and no primary answers")),
    }
}

/// Who gets slots that nobody has data of: a primary without slots, or else the one with the fewest.
fn owner(situation: &Situation<'_>) -> Option<NodeRef> {
    let shards = situation.view.shards();
    let able = shards.iter().filter(|shard| {
        let id = shard.primary.account.id;
        shard.primary.answers() && situation.is_counted_on(id) && !situation.is_passing(id)
    });
    let fewest = able.min_by_key(|shard| (shard.slots().len(), shard.primary.node.address.clone()));
    fewest.map(|shard| shard.primary.reference())
}

/// The highest config epoch with which somebody is taken for the owner of one of these slots.
fn epoch(view: &ClusterView, slots: &SlotSet) -> u64 {
    let entries = view.answering().flat_map(|(_, said)| said.entries());
    let owners = entries.filter(|entry: &&NodeEntry| !entry.slots.intersection(slots).is_empty());
    owners.map(|entry| entry.config_epoch).max().unwrap_or_default()
}

/// Why slots may not be given to another primary, empty, by a fresh look at servers and platform: somebody claims one of them, or may have a copy.
/// `seen` is what the loop saw, with nodes of which nobody knows any more where they are.
pub fn may_be_kept(
    seen: &ClusterView,
    fresh: &ClusterView,
    members: &[FleetMember],
    slots: &SlotSet,
) -> Option<String> {
    let owns = |said: &NodeView| !said.myself.slots.intersection(slots).is_empty();
    if let Some((node, said)) = fresh.answering().find(|(_, said)| owns(said)) {
        return Some(format!("{} owns {}", node.address, slot_list(&said.myself.slots)));
    }
    let shards = seen.shards();
    let lost: Vec<&Shard<'_>> = shards.iter().filter(|shard| !shard.slots().intersection(slots).is_empty()).collect();
    if lost.is_empty() {
        // Nobody knows who had them.
        return anybody_may_have_a_copy(fresh, members);
    }
    let may_have = |node: &Member<'_>| match fresh.node(node.account.id).and_then(ObservedNode::view) {
        Some(said) => said.server.keys() > 0 || said.server.loading || said.server.sync_in_progress,
        None => members.iter().filter(|member| member.may_be(node.account.id, &node.node.address)).any(may_keep),
    };
    let node = lost.into_iter().flat_map(Shard::members).find(|node| may_have(node))?;
    Some(format!("{} may have a copy", node.node.address))
}

fn anybody_may_have_a_copy(fresh: &ClusterView, members: &[FleetMember]) -> Option<String> {
    let mut answering = fresh.answering();
    if let Some((node, _)) = answering.find(|(_, said)| said.server.keys() > 0 || said.server.loading) {
        return Some(format!("{} may have a copy", node.address));
    }
    let answers =
        |member: &FleetMember| fresh.answering().any(|(node, said)| member.may_be(said.myself.id, &node.address));
    let member = members.iter().find(|member| !answers(member) && may_keep(member))?;
    Some(format!("{} may have a copy", member.name))
}

fn may_keep(member: &FleetMember) -> bool {
    member.data != Data::Nothing || !member.is_fenced()
}
