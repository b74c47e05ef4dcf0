//! The planner for another number of shards, made of the nodes that are there.

mod attach;
mod choose;
mod refusal;
mod words;

pub use refusal::ScaleRefusal;

use crate::{
    ClusterView, NodeId, Slot, SlotSet,
    basis::Basis,
    draft::Draft,
    placement::{Candidate, PlacedShard, Places, judge},
    plan::{Action, NodeRef, Plan, PlannedShard},
    rebalance::{Holding, SlotMove, moves_around, shares},
};
use std::collections::BTreeMap;

/// A node of the cluster and what it is before the change; replicas point to their primary's place in the list.
struct Part {
    node: NodeRef,
    slots: SlotSet,
    primary: Option<usize>,
}

/// All nodes, and where they are.
struct Parts {
    list: Vec<Part>,
    places: Places,
    candidates: Vec<Candidate>,
}

/// What each node will be: the primaries with their replicas, as places in the list.
struct Shape {
    shards: Vec<PlacedShard>,
    moves: Vec<SlotMove>,
}

/// Plans the way from the shape that the cluster has to this many shards with the same number of slots each, one more or less;
/// replicas are spread evenly, at least `replicas` for each primary where that is given.
///
/// Every node gets a part. Primaries without slots are used before replicas; what is over becomes replicas.
///
/// # Errors
/// When the cluster does not allow it yet, a node does not answer, or there are not enough nodes.
pub fn plan(view: &ClusterView, shards: usize, replicas: Option<usize>) -> Result<Plan, ScaleRefusal> {
    let basis = Basis::of(view)?;
    let parts = Parts::of(view, &basis)?;
    refuse_numbers(parts.list.len(), shards, replicas)?;
    let primaries = choose::primaries(&parts, shards);
    let shape = Shape { moves: moves(&parts, &primaries, &basis), shards: attach::replicas(&parts, &primaries) };
    let mut draft = Draft::after(&basis);
    detach(&mut draft, &parts, &shape);
    let early = attach_early(&mut draft, &parts, &shape);
    let share = |slot_move: &SlotMove| words::reason_of_move(&parts, &shape, slot_move);
    draft.moves(&shape.moves, share);
    draft.moves_the_fewest();
    attach(&mut draft, &parts, &shape, early);
    words::reasons(&mut draft, &parts, &shape);
    let goal = words::goal(&parts, &shape);
    let mut plan = draft.finish(goal, expected(&parts, &shape));
    plan.placement = Some(judge(&parts.candidates, &shape.shards));
    Ok(plan)
}

fn refuse_numbers(nodes: usize, shards: usize, replicas: Option<usize>) -> Result<(), ScaleRefusal> {
    if shards == 0 {
        return Err(ScaleRefusal::NoShards);
    }
    if shards > usize::from(Slot::COUNT) {
        return Err(ScaleRefusal::TooManyShards { shards });
    }
    let needed = replicas.unwrap_or(0).saturating_add(1).saturating_mul(shards);
    if needed > nodes {
        return Err(ScaleRefusal::NotEnoughNodes { nodes, shards, replicas: replicas.unwrap_or(0), needed });
    }
    Ok(())
}

impl Parts {
    /// All nodes in the view's order; each must answer and be a primary or the replica of one.
    fn of(view: &ClusterView, basis: &Basis) -> Result<Self, ScaleRefusal> {
        let mut list = Vec::new();
        let mut candidates = Vec::new();
        let slots: BTreeMap<NodeId, &SlotSet> =
            basis.shards.iter().map(|shard| (shard.primary.id, &shard.slots)).collect();
        for member in view.members() {
            let address = member.node.address.clone();
            let said = member.node.said.as_ref().map_err(|silence| ScaleRefusal::Silent {
                address: address.clone(),
                id: member.account.id,
                reason: silence.reason.clone(),
                entry_point: crate::findings::entry_point(view),
            })?;
            candidates.push(Candidate {
                address: crate::NodeAddr::new(member.node.host().clone(), address.port),
                zone: said.server.zone.clone(),
            });
            let slots = slots.get(&said.myself.id).copied().cloned().unwrap_or_default();
            list.push((
                Part { node: NodeRef { id: said.myself.id, address }, slots, primary: None },
                said.myself.primary,
            ));
        }
        let at: BTreeMap<NodeId, usize> = list.iter().enumerate().map(|(at, (part, _))| (part.node.id, at)).collect();
        let follow = |(mut part, primary): (Part, Option<NodeId>)| {
            let orphan = || ScaleRefusal::Orphan { address: part.node.address.clone() };
            let known = primary.map(|primary| at.get(&primary).copied().filter(|_| slots.contains_key(&primary)));
            part.primary = known.map(|known| known.ok_or_else(orphan)).transpose()?;
            Ok(part)
        };
        let list = list.into_iter().map(follow).collect::<Result<_, ScaleRefusal>>()?;
        Ok(Self { list, places: Places::of(&candidates), candidates })
    }

    fn get(&self, at: usize) -> Option<&Part> {
        self.list.get(at)
    }

    fn reference(&self, at: usize) -> Option<&NodeRef> {
        self.get(at).map(|part| &part.node)
    }

    fn slots(&self, at: usize) -> usize {
        self.get(at).map_or(0, |part| part.slots.len())
    }

    /// The primary that a node follows.
    fn primary(&self, at: usize) -> Option<usize> {
        self.get(at).and_then(|part| part.primary)
    }
}

/// The fewest slots after whose move these primaries have even shares and the others none.
fn moves(parts: &Parts, primaries: &[usize], basis: &Basis) -> Vec<SlotMove> {
    let mut holdings = Vec::new();
    let mut weights = BTreeMap::new();
    for (at, part) in parts.list.iter().enumerate() {
        let stays = primaries.contains(&at);
        if stays || !part.slots.is_empty() {
            holdings.push(Holding { node: part.node.clone(), slots: part.slots.clone() });
            weights.insert(part.node.id, if stays { 1.0 } else { 0.0 });
        }
    }
    moves_around(&holdings, &shares(&holdings, &weights), &basis.settled())
}

/// Replicas that are to be primaries leave theirs.
fn detach(draft: &mut Draft<'_>, parts: &Parts, shape: &Shape) {
    let step = |shard: &PlacedShard| {
        let part = parts.get(shard.primary)?;
        let from = parts.reference(part.primary?)?.clone();
        Some((
            Action::Detach { node: part.node.clone(), from },
            words::reason_of_detachment(parts, shape, shard.primary),
        ))
    };
    let steps: Vec<_> = shape.shards.iter().filter_map(step).collect();
    let nodes: Vec<NodeRef> = steps
        .iter()
        .filter_map(|(action, _)| if let Action::Detach { node, .. } = action { Some(node.clone()) } else { None })
        .collect();
    if !nodes.is_empty() {
        draft.stage(steps);
        draft.await_agreement();
        draft.stage([(Action::AwaitService { nodes }, "a node that does not serve takes no keys".to_owned())]);
    }
}

/// Replicas that leave a primary which stays one follow another before that gets slots: it has no slot without a copy, and the
/// servers, which give a replica to a primary that has slots and none, have nothing to do.
fn attach_early(draft: &mut Draft<'_>, parts: &Parts, shape: &Shape) -> Vec<NodeRef> {
    let steps =
        if shape.moves.is_empty() { Vec::new() } else { shape.attachments(parts, |at| shape.is_early(parts, at)) };
    let replicas = replicas_of(&steps);
    if !steps.is_empty() {
        draft.stage(steps);
        draft.await_agreement_because(
            "the servers would choose replicas themselves for a primary that they see without",
        );
    }
    replicas
}

/// All others that are to follow another primary than they do.
fn attach(draft: &mut Draft<'_>, parts: &Parts, shape: &Shape, early: Vec<NodeRef>) {
    let steps = shape.attachments(parts, |at| shape.moves.is_empty() || !shape.is_early(parts, at));
    if !steps.is_empty() && !shape.moves.is_empty() {
        let reason = "no node follows another before all know that it owns nothing any more";
        draft.await_agreement_because(reason);
    }
    let replicas: Vec<NodeRef> = early.into_iter().chain(replicas_of(&steps)).collect();
    draft.stage(steps);
    if draft.last_stage() > 0 {
        draft.await_agreement();
    }
    if !replicas.is_empty() {
        let reason = "from then on a node can be lost without its data";
        draft.stage([(Action::AwaitReplicas { nodes: replicas }, reason.to_owned())]);
    }
}

fn replicas_of(steps: &[(Action, String)]) -> Vec<NodeRef> {
    let replica =
        |action: &Action| if let Action::Replicate { replica, .. } = action { Some(replica.clone()) } else { None };
    steps.iter().filter_map(|(action, _)| replica(action)).collect()
}

impl Shape {
    /// Whether a replica leaves a primary that stays one.
    fn is_early(&self, parts: &Parts, replica: usize) -> bool {
        parts.primary(replica).is_some_and(|primary| self.shards.iter().any(|shard| shard.primary == primary))
    }

    /// The steps after which those of the replicas that are meant follow their primary to be.
    fn attachments(&self, parts: &Parts, is_meant: impl Fn(usize) -> bool) -> Vec<(Action, String)> {
        let mut steps = Vec::new();
        for shard in &self.shards {
            let follows = |replica: &&usize| parts.primary(**replica) == Some(shard.primary);
            for replica in shard.replicas.iter().filter(|replica| !follows(replica) && is_meant(**replica)) {
                let (Some(replica), Some(primary)) = (parts.reference(*replica), parts.reference(shard.primary)) else {
                    continue;
                };
                let reason = format!("a copy of the data of {}", primary.address);
                steps.push((Action::Replicate { replica: replica.clone(), primary: primary.clone() }, reason));
            }
        }
        steps
    }
}

fn expected(parts: &Parts, shape: &Shape) -> Vec<PlannedShard> {
    let shard = |shard: &PlacedShard| {
        let part = parts.get(shard.primary)?;
        let replicas = shard.replicas.iter().filter_map(|at| parts.reference(*at)).cloned().collect();
        Some(PlannedShard { slots: part.slots.clone(), primary: part.node.clone(), replicas })
    };
    crate::basis::after(shape.shards.iter().filter_map(shard).collect(), &shape.moves)
}
