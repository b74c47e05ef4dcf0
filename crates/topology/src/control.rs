//! What comes next for a cluster that is kept in a shape: from what is wanted and what is seen, the steps that are safe now.
//!
//! There is no phase: whoever asks again, after any interruption, gets what is right for the world as it is. The concerns are asked
//! in an order, and each may keep those behind it from beginning anything.

mod age;
mod depart;
mod desired;
mod form;
mod heal;
mod join;
mod lost;
mod memory;
mod move_slots;
mod roles;
mod roll;
mod shape;
mod situation;
mod spread;
mod takeover;

pub use desired::{Desired, Takeover, WhenShardLost};
pub use lost::{Loss, may_be_kept};
pub use memory::Memory;
pub use takeover::Votes;

use crate::{
    ClusterView, FleetMember, NodeId,
    plan::{Action, NodeRef},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use situation::Situation;
use std::{collections::BTreeSet, ops::ControlFlow};

/// All that a decision is made from.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// What the cluster is to be.
    pub desired: &'a Desired,
    /// What the platform says.
    pub members: &'a [FleetMember],
    /// What the servers say: those of all members, and all that they know.
    pub view: &'a ClusterView,
    /// What is known of the time before, and of what runs now.
    pub memory: &'a Memory,
}

/// What is to be done now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Steps that are safe side by side, and now; the most urgent first.
    pub steps: Vec<(Action, String)>,
    /// What has to come first for what is not done yet.
    pub waits: Vec<Wait>,
    /// Moves of slots that run and bring more than is wanted by now: from whom, to whom.
    pub cancel: Vec<(NodeId, NodeId)>,
}

/// Something that is wanted and cannot be done yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Wait {
    /// What is waited for, as a sentence without its end.
    pub what: String,
    /// Why it cannot be done now.
    pub why: String,
    /// How far what is waited for has come, in words, where somebody tells: `42 % loaded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// What somebody can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<Advice>,
}

/// What somebody can do about what is waited for; the words for it are the platform's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "advice", rename_all = "kebab-case")]
pub enum Advice {
    /// Get this member to run again: it may have what nobody else has.
    StartMember {
        /// The platform's name for it.
        member: String,
    },
    /// Get this member to run again: it has what its replica lacks. Or let the replica take its place, which loses that.
    StartMemberOrFailOver {
        /// The platform's name for it.
        member: String,
        /// The replica.
        replica: NodeRef,
    },
    /// Ask for lost shards to be made anew, empty.
    RecreateLost,
}

/// Whether those behind may begin something.
type Next = ControlFlow<()>;

/// Decides what comes next.
pub fn decide(world: &World<'_>) -> Decision {
    let situation = Situation::of(world);
    let mut decision = Decision::default();
    // A failover comes before all else; slots are moved by nodes that know each other; nobody leaves before others have what it had.
    let concerns: [fn(&Situation<'_>, &mut Decision) -> Next; 9] = [
        heal::decide,
        form::decide,
        join::decide,
        depart::forget_lost,
        roles::decide,
        move_slots::decide,
        depart::decide,
        roll::decide,
        spread::decide,
    ];
    for concern in concerns {
        if concern(&situation, &mut decision).is_break() {
            break;
        }
    }
    decision.leave_alone(&world.memory.under_way);
    decision
}

impl Decision {
    /// Whether there is nothing to do and nothing to wait for.
    pub const fn is_settled(&self) -> bool {
        self.steps.is_empty() && self.waits.is_empty() && self.cancel.is_empty()
    }

    fn step(&mut self, action: Action, reason: impl Into<String>) {
        self.steps.push((action, reason.into()));
    }

    fn wait(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.wait_for(what, why, None);
    }

    fn wait_for(&mut self, what: impl Into<String>, why: impl Into<String>, advice: Option<Advice>) {
        self.waits.push(Wait { what: what.into(), why: why.into(), progress: None, advice });
    }

    fn wait_as_far(&mut self, what: impl Into<String>, why: impl Into<String>, progress: Option<String>) {
        self.waits.push(Wait { what: what.into(), why: why.into(), progress, advice: None });
    }

    /// Takes out the steps that would be in the way of one that is under way, or of one before them. Moves of slots may share nodes.
    fn leave_alone(&mut self, under_way: &[Action]) {
        let mut busy = Busy::default();
        for action in under_way {
            busy.add(action);
        }
        self.steps.retain(|(action, _)| {
            let is_free = busy.leaves_free(action) && !under_way.iter().any(|other| same_move(other, action));
            if is_free {
                busy.add(action);
            }
            is_free
        });
    }
}

/// What steps change and what they rely on.
#[derive(Default)]
struct Busy {
    changed: BTreeSet<NodeId>,
    needed: BTreeSet<NodeId>,
    moving: BTreeSet<NodeId>,
    platform: bool,
}

impl Busy {
    fn add(&mut self, action: &Action) {
        let (changes, needs) = touched(action);
        if is_move(action) {
            self.moving.extend(changes);
        } else {
            self.changed.extend(changes);
            self.needed.extend(needs);
        }
        self.platform |= matches!(action, Action::AddMembers { .. });
    }

    fn leaves_free(&self, action: &Action) -> bool {
        if matches!(action, Action::AddMembers { .. }) {
            return !self.platform;
        }
        let (changes, needs) = touched(action);
        let is_changed = |id: &NodeId| self.changed.contains(id);
        let is_used = |id: &NodeId| {
            self.needed.contains(id) || self.moving.contains(id) && !is_move(action) && !is_failover(action)
        };
        !changes.iter().any(|id| is_changed(id) || is_used(id)) && !needs.iter().any(is_changed)
    }
}

/// Which nodes a step changes, and on which it relies to stay what they are.
fn touched(action: &Action) -> (Vec<NodeId>, Vec<NodeId>) {
    let others = |changed: &NodeRef| nodes(action).into_iter().filter(|id| *id != changed.id).collect();
    match action {
        Action::Replicate { replica: node, .. }
        | Action::CopyFunctions { to: node, .. }
        | Action::Detach { node, .. } => (vec![node.id], others(node)),
        // Whoever forgets it may be forgotten, too.
        Action::Forget { node, .. } => (vec![node.id], Vec::new()),
        _ => (nodes(action), Vec::new()),
    }
}

const fn is_move(action: &Action) -> bool {
    matches!(action, Action::MoveSlots { .. })
}

const fn is_failover(action: &Action) -> bool {
    matches!(action, Action::Failover { .. })
}

/// Whether both take slots the same way.
fn same_move(one: &Action, other: &Action) -> bool {
    matches!(
        (one, other),
        (Action::MoveSlots { from, to, .. }, Action::MoveSlots { from: other_from, to: other_to, .. })
            if from.id == other_from.id && to.id == other_to.id
    )
}

fn nodes(action: &Action) -> Vec<NodeId> {
    action.nodes().into_iter().map(|node| node.id).collect()
}
