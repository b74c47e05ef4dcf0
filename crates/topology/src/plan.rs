//! A change as data: what will be done, in which order, and why.

use crate::{
    ClusterView, NodeAddr, NodeId, SlotSet,
    basis::{Basis, NotYet},
    placement::Quality,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the form in which plans are written as JSON.
pub const FORMAT: u32 = 1;

/// A change, specific enough that running it leaves nothing to decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The version of this form, 1.
    pub format: u32,
    /// What the plan reaches, in words.
    pub goal: String,
    /// The nodes that it was made for, as they were.
    pub based_on: Vec<NodeRef>,
    /// What will be done. Steps of one stage run side by side; a stage begins when the one before is done.
    pub steps: Vec<Step>,
    /// Why the plan is as it is, and why it does not do more.
    pub reasons: Vec<String>,
    /// The cluster when all is done.
    pub expected_after: Vec<PlannedShard>,
    /// How good the placement of members is, where the plan places any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<Quality>,
    /// What it costs.
    pub cost: Cost,
}

/// A node in a plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct NodeRef {
    /// Its id.
    pub id: NodeId,
    /// Where it listens.
    pub address: NodeAddr,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Steps with the same number run side by side; counted from 1.
    pub stage: u32,
    /// What is done.
    #[serde(flatten)]
    pub action: Action,
    /// Why.
    pub reason: String,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Action {
    /// Give a node that knows no other its config epoch.
    SetEpoch {
        /// The node.
        node: NodeRef,
        /// The epoch, from 1.
        epoch: u64,
    },
    /// Give a node slots that nobody owns.
    AddSlots {
        /// The node.
        node: NodeRef,
        /// The slots.
        slots: SlotSet,
    },
    /// Introduce every node to every other, until all know all.
    Meet {
        /// The nodes.
        nodes: Vec<NodeRef>,
    },
    /// Make a node without slots the replica of a primary; until then it was an empty primary, or followed another.
    Replicate {
        /// The node.
        replica: NodeRef,
        /// Its primary.
        primary: NodeRef,
    },
    /// Wait until every node holds the same slot map and knows every role.
    AwaitAgreement {
        /// The nodes.
        nodes: Vec<NodeRef>,
    },
    /// Wait until every node serves (`cluster_state:ok`).
    AwaitService {
        /// The nodes.
        nodes: Vec<NodeRef>,
    },
    /// Wait until every replica has its primary's data and is linked to it.
    AwaitReplicas {
        /// The nodes.
        nodes: Vec<NodeRef>,
    },
    /// Move slots with all their keys from one primary to another.
    MoveSlots {
        /// The slots.
        slots: SlotSet,
        /// Their owner.
        from: NodeRef,
        /// Their owner to be.
        to: NodeRef,
        /// In which of the servers' ways.
        dialect: Dialect,
        /// How many keys they hold, as far as that is known.
        keys: u64,
        /// How much memory these keys use, bytes, estimated from the mean of the source.
        bytes: u64,
    },
    /// Take slots from a node that claims them beside their owner; its keys stay, for the owner to get them.
    YieldSlots {
        /// The node.
        node: NodeRef,
        /// Whose they are.
        owner: NodeRef,
        /// The slots.
        slots: SlotSet,
    },
    /// Make a node the owner of slots, by an epoch of which every node takes its word, and close them there.
    SettleSlots {
        /// The node.
        node: NodeRef,
        /// The slots.
        slots: SlotSet,
        /// The highest epoch of those whom some node takes for the owner; the node's has to be above it. 0 for none.
        above: u64,
    },
    /// Close slots that are importing or migrating on a node.
    CloseSlots {
        /// The node.
        node: NodeRef,
        /// The slots.
        slots: SlotSet,
    },
    /// Give the owner of slots the keys that another node holds of them, and close them there.
    GatherKeys {
        /// The slots.
        slots: SlotSet,
        /// The node that holds keys without owning the slots.
        from: NodeRef,
        /// Their owner.
        to: NodeRef,
        /// Whether clients may have written to both nodes: then a key that both hold is dropped only where it is the same.
        served: bool,
        /// How many keys the node holds of them, as far as that is known.
        keys: u64,
    },
    /// Take all slots from a node that holds no keys.
    GiveUpSlots {
        /// The node.
        node: NodeRef,
    },
    /// Make a node without slots and keys forget its cluster (`CLUSTER RESET HARD`): it becomes as new.
    Reset {
        /// The node.
        node: NodeRef,
    },
    /// Let a replica leave its primary and become a primary without slots and keys (`CLUSTER RESET SOFT` on the replica keeps
    /// its id), introduce it to every node again, and wait until all know it as a primary.
    Detach {
        /// The replica.
        node: NodeRef,
        /// The primary that it follows.
        from: NodeRef,
    },
    /// Make a replica the primary of its shard (`CLUSTER FAILOVER` on the replica).
    Failover {
        /// The replica.
        replica: NodeRef,
        /// Its primary.
        primary: NodeRef,
        /// With whose consent.
        kind: FailoverKind,
    },
    /// Give a node without functions those of another (`FUNCTION DUMP`, `FUNCTION RESTORE`).
    CopyFunctions {
        /// The node that has them.
        from: NodeRef,
        /// The node that gets them.
        to: NodeRef,
    },
    /// Make a node that all others have forgotten forget them (`CLUSTER RESET SOFT`): it keeps its id, follows nobody and holds
    /// no keys.
    Retire {
        /// The node.
        node: NodeRef,
        /// The primary whose data it has a copy of, which it drops; none for one without keys.
        copy_of: Option<NodeRef>,
    },
    /// Give nodes a setting, now and in their files (`CONFIG SET`, `CONFIG REWRITE`).
    Configure {
        /// The nodes.
        nodes: Vec<NodeRef>,
        /// The name of the setting.
        setting: String,
        /// Its value.
        value: String,
    },
    /// Send the keys of a server outside the cluster to the owners of their slots.
    ImportKeys {
        /// The server.
        source: NodeAddr,
        /// Its databases.
        databases: Vec<ImportedDatabase>,
        /// The owners.
        to: Vec<ImportShare>,
        /// Whether the keys stay on the server, too.
        copy: bool,
        /// Whether a key that the cluster has is replaced.
        replace: bool,
        /// Whether what is written on the server meanwhile comes, too, until the user has the clients go over.
        #[serde(default)]
        follow: bool,
    },
    /// Find out who holds keys of the slots that are not as they should be, and mend them as `fix` does: only the loop has this step, which
    /// makes a plan of its own.
    Repair {
        /// The nodes of the cluster.
        nodes: Vec<NodeRef>,
    },
    /// Have the platform run so many more members.
    AddMembers {
        /// How many.
        count: usize,
    },
    /// Have the platform end a member for good, with its data.
    RemoveMember {
        /// The platform's name for it.
        member: String,
        /// The node that it is or was, if that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        node: Option<NodeRef>,
    },
    /// Have a member's server take what it is to run with, as far as it does so while it runs.
    UpdateMember {
        /// The platform's name for it.
        member: String,
        /// The node that it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        node: Option<NodeRef>,
    },
    /// Have the platform end a member's server orderly and start it again with what it is to run with.
    RestartMember {
        /// The platform's name for it.
        member: String,
        /// The node that it is or was, if that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        node: Option<NodeRef>,
    },
    /// Let all these nodes forget one that owns nothing any more.
    Forget {
        /// The node to forget.
        node: NodeRef,
        /// Those that are to forget it.
        by: Vec<NodeRef>,
    },
}

/// A database whose keys are imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedDatabase {
    /// Its number, the same in the cluster.
    pub database: u32,
    /// How many keys it holds.
    pub keys: u64,
}

/// What an owner of slots gets of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportShare {
    /// The owner.
    pub node: NodeRef,
    /// Its slots.
    pub slots: SlotSet,
    /// How many keys these hold, estimated from their number.
    pub keys: u64,
}

/// With whose consent a replica becomes the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FailoverKind {
    /// The primary hands over and a majority of primaries votes for it: nothing is lost.
    Planned,
    /// A majority of primaries votes for it; the primary is not asked (`FORCE`).
    Forced,
    /// Nobody is asked (`TAKEOVER`).
    Takeover,
}

/// How slots with their keys are moved; the servers decide which ways there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// Slot by slot with `MIGRATE`: all servers.
    #[default]
    Migrate,
    /// `CLUSTER MIGRATESLOTS` at the source: Valkey 9.0 on both sides.
    MigrateSlots,
    /// `CLUSTER MIGRATION IMPORT` at the destination: Redis 8.4 on both sides.
    MigrationImport,
}

/// A shard as it will be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedShard {
    /// Its slots.
    pub slots: SlotSet,
    /// Its primary.
    pub primary: NodeRef,
    /// Its replicas.
    pub replicas: Vec<NodeRef>,
}

/// What a plan costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    /// Slots that change their owner.
    pub slots_moved: usize,
    /// Whether it is proved that no plan reaches the same with fewer.
    #[serde(default)]
    pub fewest: bool,
    /// Keys that are copied from node to node.
    pub keys_moved: u64,
    /// Memory that these keys use, bytes, estimated.
    pub bytes_moved: u64,
    /// How long the moves take, seconds, estimated; 0 when nothing moves.
    pub seconds: u64,
}

impl Plan {
    /// A plan of steps that may run side by side, each with its reason.
    pub fn of_one_stage(goal: String, based_on: Vec<NodeRef>, steps: Vec<(Action, String)>) -> Self {
        let steps = steps.into_iter().map(|(action, reason)| Step { stage: 1, action, reason });
        Self {
            format: FORMAT,
            goal,
            based_on,
            steps: steps.collect(),
            reasons: Vec::new(),
            expected_after: Vec::new(),
            placement: None,
            cost: Cost::default(),
        }
    }

    /// The stages in order, each with its steps.
    pub fn stages(&self) -> impl Iterator<Item = Vec<&Step>> {
        let mut stages: BTreeMap<u32, Vec<&Step>> = BTreeMap::new();
        for step in &self.steps {
            stages.entry(step.stage).or_default().push(step);
        }
        stages.into_values()
    }

    /// Fills in what only the servers know of the moves: keys and bytes of these slots of a node, and in which way they move.
    pub fn weigh(&mut self, weight: impl Fn(NodeId, &SlotSet) -> (u64, u64), way: impl Fn(NodeId, NodeId) -> Dialect) {
        self.cost = Cost { fewest: self.cost.fewest, ..Cost::default() };
        for step in &mut self.steps {
            if let Action::GatherKeys { keys, .. } = &step.action {
                self.cost.keys_moved = self.cost.keys_moved.saturating_add(*keys);
            }
            if let Action::MoveSlots { slots, from, to, dialect, keys, bytes } = &mut step.action {
                (*keys, *bytes) = weight(from.id, slots);
                *dialect = way(from.id, to.id);
                self.cost.slots_moved += slots.len();
                self.cost.keys_moved = self.cost.keys_moved.saturating_add(*keys);
                self.cost.bytes_moved = self.cost.bytes_moved.saturating_add(*bytes);
            }
        }
        self.cost.seconds = self.stages().map(|stage| busiest(&stage)).sum::<u64>().div_ceil(1_000_000);
    }

    /// Whether it changes anything; a plan that only waits does not.
    pub fn changes_anything(&self) -> bool {
        self.steps.iter().any(|step| !step.action.waits())
    }
}

impl Action {
    /// The nodes that it names, to be named otherwise.
    pub fn nodes_mut(&mut self) -> Vec<&mut NodeRef> {
        match self {
            Self::SetEpoch { node, .. }
            | Self::AddSlots { node, .. }
            | Self::SettleSlots { node, .. }
            | Self::CloseSlots { node, .. }
            | Self::GiveUpSlots { node }
            | Self::Reset { node } => vec![node],
            Self::YieldSlots { node, owner, .. } => vec![node, owner],
            Self::Replicate { replica, primary } | Self::Failover { replica, primary, .. } => vec![replica, primary],
            Self::MoveSlots { from, to, .. } | Self::GatherKeys { from, to, .. } | Self::CopyFunctions { from, to } => {
                vec![from, to]
            }
            Self::Detach { node, from } => vec![node, from],
            Self::Retire { node, copy_of } => std::iter::once(node).chain(copy_of).collect(),
            Self::Configure { nodes, .. }
            | Self::Repair { nodes }
            | Self::Meet { nodes }
            | Self::AwaitAgreement { nodes }
            | Self::AwaitService { nodes }
            | Self::AwaitReplicas { nodes } => nodes.iter_mut().collect(),
            Self::Forget { node, by } => std::iter::once(node).chain(by).collect(),
            Self::AddMembers { .. } => Vec::new(),
            Self::RemoveMember { node, .. } | Self::UpdateMember { node, .. } | Self::RestartMember { node, .. } => {
                node.iter_mut().collect()
            }
            Self::ImportKeys { to, .. } => to.iter_mut().map(|share| &mut share.node).collect(),
        }
    }

    /// The nodes that it names.
    pub fn nodes(&self) -> Vec<NodeRef> {
        self.clone().nodes_mut().into_iter().map(|node| node.clone()).collect()
    }

    /// The word by which it is written as JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SetEpoch { .. } => "set-epoch",
            Self::AddSlots { .. } => "add-slots",
            Self::Meet { .. } => "meet",
            Self::Replicate { .. } => "replicate",
            Self::AwaitAgreement { .. } => "await-agreement",
            Self::AwaitService { .. } => "await-service",
            Self::AwaitReplicas { .. } => "await-replicas",
            Self::MoveSlots { .. } => "move-slots",
            Self::YieldSlots { .. } => "yield-slots",
            Self::SettleSlots { .. } => "settle-slots",
            Self::CloseSlots { .. } => "close-slots",
            Self::GatherKeys { .. } => "gather-keys",
            Self::GiveUpSlots { .. } => "give-up-slots",
            Self::Reset { .. } => "reset",
            Self::Detach { .. } => "detach",
            Self::Failover { .. } => "failover",
            Self::CopyFunctions { .. } => "copy-functions",
            Self::Retire { .. } => "retire",
            Self::Configure { .. } => "configure",
            Self::ImportKeys { .. } => "import-keys",
            Self::Repair { .. } => "repair",
            Self::AddMembers { .. } => "add-members",
            Self::RemoveMember { .. } => "remove-member",
            Self::UpdateMember { .. } => "update-member",
            Self::RestartMember { .. } => "restart-member",
            Self::Forget { .. } => "forget",
        }
    }

    /// Whether it only waits for what the servers do on their own.
    pub const fn waits(&self) -> bool {
        matches!(self, Self::AwaitAgreement { .. } | Self::AwaitService { .. } | Self::AwaitReplicas { .. })
    }
}

/// Whether slots of this cluster may be moved: all are served by nodes that answer and agree, and what is open is a move that
/// can be finished.
pub fn may_move(view: &ClusterView) -> bool {
    Basis::of(view).is_ok()
}

/// Whether the nodes only have not told each other yet of what has just changed.
pub fn may_settle(view: &ClusterView) -> bool {
    matches!(Basis::of(view), Err(NotYet::SeveralOwners { .. } | NotYet::Disagreement { .. }))
}

/// How long the node that sends most in a stage takes, microseconds: a guess from what small keys took on common machines.
fn busiest(stage: &[&Step]) -> u64 {
    let mut sources: BTreeMap<NodeId, u64> = BTreeMap::new();
    for step in stage {
        if let Action::MoveSlots { slots, from, dialect, keys, bytes, .. } = &step.action {
            let slots = slots.len() as u64;
            // 100 MB a second, and what each key and each slot costs beside its bytes.
            let took = bytes / 100 + if *dialect == Dialect::Migrate { keys * 8 + slots * 100 } else { keys + 200_000 };
            let all = sources.entry(from.id).or_default();
            *all = all.saturating_add(took);
        }
    }
    sources.into_values().max().unwrap_or_default()
}
