//! Slots go where they are to stay.

use super::{
    Decision, Next, Situation, is_move,
    roles::SERVERS_TIDY,
    shape::Shape,
    situation::{Placed, Standing},
};
use crate::{
    ClusterView, Data, NodeAddr, NodeId, NodeView, SlotSet,
    basis::{Basis, NotYet},
    findings::count,
    plan::{Action, Dialect, NodeRef},
    rebalance::{Holding, SlotMove, moves_around, shares},
    stages::Stages,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    time::Duration,
};

pub(super) fn decide(situation: &Situation<'_>, decision: &mut Decision) -> Next {
    let shape = situation.shape();
    let basis = match Basis::of(&situation.view) {
        Ok(basis) => basis,
        Err(not_yet) => {
            mend(situation, decision, &not_yet);
            return ControlFlow::Continue(());
        }
    };
    let target = Target::of(situation, shape, &basis);
    let running: Vec<&Action> = situation.memory.under_way.iter().filter(|action| is_move(action)).collect();
    if !running.is_empty() {
        decision.cancel = target.exceeded(&running);
        return ControlFlow::Continue(());
    }
    let interrupted = &basis.interrupted;
    if interrupted.is_empty() && gathers(situation, decision) {
        return ControlFlow::Continue(());
    }
    let moves = if interrupted.is_empty() { target.moves(&basis) } else { interrupted.clone() };
    let ends: BTreeSet<&NodeRef> = moves.iter().flat_map(|slot_move| [&slot_move.from, &slot_move.to]).collect();
    let idle: Vec<NodeRef> = ends.into_iter().filter(|node| basis.not_serving.contains(&node.id)).cloned().collect();
    if !idle.is_empty() {
        decision.step(Action::AwaitService { nodes: idle }, "a node that does not serve takes no keys");
        return ControlFlow::Continue(());
    }
    if let Some(why) = shared_epoch(&situation.view, &moves) {
        decision.wait("slots to their place", why);
        return ControlFlow::Continue(());
    }
    let unprepared: Vec<(NodeRef, NodeRef)> = target.unprepared(situation, &moves);
    if !unprepared.is_empty() {
        for (from, to) in unprepared {
            let reason = format!("it is to know the functions that {} knows", from.address);
            decision.step(Action::CopyFunctions { from, to }, reason);
        }
        return ControlFlow::Continue(());
    }
    let why =
        if interrupted.is_empty() { target.why(shape) } else { "an interrupted move is finished first".to_owned() };
    decision.steps.extend(first_round(&moves, &why));
    ControlFlow::Continue(())
}

/// Whether a primary holds keys of slots of others. Their owners are to get them before slots are moved: who gives its last slot away is
/// made a replica by its server, and drops all that it has.
fn gathers(situation: &Situation<'_>, decision: &mut Decision) -> bool {
    let owns = |said: &NodeView| said.myself.is_primary() && !said.myself.slots.is_empty();
    let littered = situation.view.answering().filter(|(_, said)| owns(said)).find_map(|(node, said)| {
        let time = situation.memory.littered.get(&said.myself.id)?;
        Some((&node.address, *time))
    });
    let Some((address, time)) = littered else { return false };
    give_back(situation, decision, address, time);
    true
}

/// Has a node give keys of slots of others to their owners, once its server had its time to drop them.
pub(super) fn give_back(situation: &Situation<'_>, decision: &mut Decision, address: &NodeAddr, littered: Duration) {
    let why = format!("{address} holds keys of slots that it does not own");
    if littered >= SERVERS_TIDY {
        decision.step(Action::Repair { nodes: situation.answering() }, why);
    } else {
        decision.wait("keys to their owners", format!("{why}, and may be about to drop them"));
    }
}

/// Which node that gives or takes slots has the config epoch of another primary, if one has. It takes another one when it hears of that, by itself and perhaps
/// the one with which somebody takes slots just then: of two claims with the same epoch none prevails, and keys are dropped.
fn shared_epoch(view: &ClusterView, moves: &[SlotMove]) -> Option<String> {
    let ends: BTreeSet<NodeId> = moves.iter().flat_map(|slot_move| [slot_move.from.id, slot_move.to.id]).collect();
    let mut first: BTreeMap<u64, (&NodeAddr, bool)> = BTreeMap::new();
    for (node, said) in view.answering().filter(|(_, said)| said.myself.is_primary()) {
        let (epoch, is_end) = (said.myself.config_epoch, ends.contains(&said.myself.id));
        match first.get(&epoch) {
            Some((other, other_is_end)) if is_end || *other_is_end => {
                return Some(format!("{other} and {} have the same config epoch, {epoch}", node.address));
            }
            Some(_) => {}
            None => drop(first.insert(epoch, (&node.address, is_end))),
        }
    }
    None
}

/// The servers tell each other most of what they disagree about within this time.
const SERVERS_AGREE: Duration = Duration::from_secs(8);
/// What they have not settled by themselves after this time they do not settle.
const SERVERS_SETTLE: Duration = Duration::from_mins(1);

/// Mends what keeps slots from being moved, once the servers had their time.
fn mend(situation: &Situation<'_>, decision: &mut Decision, not_yet: &NotYet) {
    let what = match not_yet {
        NotYet::OwnerSilent { .. } => return decision.wait("slots to their place", not_yet.to_string()),
        // Whoever is silent may have been their owner, and have their keys.
        NotYet::Unserved { .. } if may_be_elsewhere(situation) => {
            return decision
                .wait("an owner for slots that are not served", "a member that may have their data is silent");
        }
        not_yet => not_yet.to_string(),
    };
    if situation.memory.unsettled < SERVERS_AGREE {
        return decision.wait("the servers to agree", what);
    }
    let nodes = situation.answering();
    match not_yet {
        // They settle that by their epochs as soon as they hear each other: whoever was replaced drops what it has and follows.
        NotYet::SeveralOwners { .. } | NotYet::Disagreement { .. } if situation.memory.unsettled < SERVERS_SETTLE => {
            decision.step(Action::AwaitAgreement { nodes }, what);
        }
        _ => decision.step(Action::Repair { nodes }, what),
    }
}

fn may_be_elsewhere(situation: &Situation<'_>) -> bool {
    let is_silent = |placed: &Placed<'_>| matches!(placed.standing, Standing::Silent { .. });
    situation.members.iter().any(|placed| is_silent(placed) && placed.member.data != Data::Nothing)
}

/// What each primary owns once interrupted moves are done, and how much it is to own.
struct Target {
    holdings: Vec<Holding>,
    shares: Vec<usize>,
    /// Primaries that answer: only they give and take.
    able: BTreeSet<NodeId>,
}

impl Target {
    fn of(situation: &Situation<'_>, shape: &Shape, basis: &Basis) -> Self {
        let owned: BTreeMap<NodeId, &SlotSet> =
            basis.shards.iter().map(|shard| (shard.primary.id, &shard.slots)).collect();
        let holding = |node: &NodeRef| Holding {
            node: node.clone(),
            slots: owned.get(&node.id).copied().cloned().unwrap_or_default(),
        };
        let mut holdings: Vec<Holding> = shape.keep.iter().map(|kept| holding(&kept.node)).collect();
        holdings.extend((0..shape.primaries_missing).map(to_come));
        let mut weights: BTreeMap<NodeId, f64> = holdings.iter().map(|holding| (holding.node.id, 1.0)).collect();
        for drained in &shape.drain {
            weights.insert(drained.node.id, 0.0);
            holdings.push(holding(&drained.node));
        }
        Self { shares: shares(&holdings, &weights), holdings, able: able(&situation.view) }
    }

    /// The fewest slots after whose move everybody has its share, as far as both ends of them are there.
    fn moves(&self, basis: &Basis) -> Vec<SlotMove> {
        let mut moves = moves_around(&self.holdings, &self.shares, &basis.settled());
        moves.retain(|slot_move| [&slot_move.from, &slot_move.to].iter().all(|node| self.able.contains(&node.id)));
        moves
    }

    /// Those of the moves that run which would bring more than is wanted by now.
    fn exceeded(&self, running: &[&Action]) -> Vec<(NodeId, NodeId)> {
        let mut given: BTreeMap<NodeId, usize> = BTreeMap::new();
        let mut taken: BTreeMap<NodeId, usize> = BTreeMap::new();
        for (slots, from, to) in running.iter().filter_map(|action| parts(action)) {
            let left = slots.intersection(&self.slots(from)).len();
            *given.entry(from).or_default() += left;
            *taken.entry(to).or_default() += left;
        }
        let (spare, need) = (|id| self.balance(id).0, |id| self.balance(id).1);
        let exceeds = |from: &NodeId, to: &NodeId| {
            given.get(from).is_some_and(|slots| *slots > spare(*from))
                || taken.get(to).is_some_and(|slots| *slots > need(*to))
        };
        let ends = running.iter().filter_map(|action| parts(action)).map(|(_, from, to)| (from, to));
        ends.filter(|(from, to)| exceeds(from, to)).collect()
    }

    fn slots(&self, id: NodeId) -> SlotSet {
        let holding = self.holdings.iter().find(|holding| holding.node.id == id);
        holding.map(|holding| holding.slots.clone()).unwrap_or_default()
    }

    /// How many slots a primary has to spare, and how many it needs.
    fn balance(&self, id: NodeId) -> (usize, usize) {
        let mut both = self.holdings.iter().zip(&self.shares);
        both.find(|(holding, _)| holding.node.id == id).map_or((0, 0), |(holding, share)| {
            let has = holding.slots.len();
            (has.saturating_sub(*share), share.saturating_sub(has))
        })
    }

    /// Those that own nothing yet and have not been given what every primary is to know, and from whom they get it.
    fn unprepared(&self, situation: &Situation<'_>, moves: &[SlotMove]) -> Vec<(NodeRef, NodeRef)> {
        let mut pairs: BTreeMap<NodeId, (NodeRef, NodeRef)> = BTreeMap::new();
        for slot_move in moves {
            let id = slot_move.to.id;
            if self.slots(id).is_empty() && !situation.memory.prepared.contains(&id) {
                pairs.entry(id).or_insert_with(|| (slot_move.from.clone(), slot_move.to.clone()));
            }
        }
        pairs.into_values().collect()
    }

    fn why(&self, shape: &Shape) -> String {
        let shards = count(shape.keep.len() + shape.primaries_missing, "shard");
        let share = self.shares.iter().copied().filter(|share| *share > 0).min().unwrap_or_default();
        format!("{shards} with an even share each: {}", count(share, "slot"))
    }
}

fn parts(action: &Action) -> Option<(&SlotSet, NodeId, NodeId)> {
    match action {
        Action::MoveSlots { slots, from, to, .. } => Some((slots, from.id, to.id)),
        _ => None,
    }
}

/// Stands for a primary that is not there yet.
fn to_come(number: usize) -> Holding {
    // No server has such an id.
    let mut bytes = [0xff; 20];
    bytes[12..].copy_from_slice(&(number as u64).to_be_bytes());
    let address = NodeAddr::new(crate::Host::Name(String::new()), 0);
    Holding { node: NodeRef { id: NodeId::from_bytes(bytes), address }, slots: SlotSet::new() }
}

fn able(view: &ClusterView) -> BTreeSet<NodeId> {
    view.answering().filter(|(_, said)| said.myself.is_primary()).map(|(_, said)| said.myself.id).collect()
}

/// The moves that may run side by side, of which no node both gives and takes.
fn first_round(moves: &[SlotMove], why: &str) -> Vec<(Action, String)> {
    let mut stages = Stages::default();
    stages.add_in_rounds(moves.iter().map(|SlotMove { slots, from, to }| {
        let (slots, from, to) = (slots.clone(), from.clone(), to.clone());
        (Action::MoveSlots { slots, from, to, dialect: Dialect::Migrate, keys: 0, bytes: 0 }, why.to_owned())
    }));
    let steps = stages.into_steps().into_iter().filter(|step| step.stage == 1);
    steps.map(|step| (step.action, step.reason)).collect()
}
