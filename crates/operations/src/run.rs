//! Running plans: stage by stage, each step's precondition read again just before it acts.

mod doubts;
mod import;
mod joining;
mod marks;
mod moves;
mod repair;
mod roles;
mod sending;
mod service;
mod steps;
mod together;

use crate::{
    everywhere::NotConfigured,
    importing::{self, Followed, Import, ImportError, Imported},
    moving::{MoveError, Moves},
    port::{Key, NodeError, NodeLink, Unopposed},
    redial::Redialled,
};
use futures_util::{TryFutureExt, future::join_all};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use topology::{
    NodeAddr, NodeId, SlotSet,
    plan::{Action, NodeRef, Plan, Step},
};

pub use together::Estranged;

/// How long to wait before a server that was lost is dialled again: once for each time in a row.
const REDIALS: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(2)];
/// After so long without losing a server, the next loss is the first in a row.
const CALM: Duration = Duration::from_secs(15);

/// How long to wait for things that the servers do on their own.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until all nodes know each other and agree.
    pub agreement: Duration,
    /// Until all nodes serve and all replicas have their data.
    pub service: Duration,
}

/// What a run tells of itself while it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// A stage begins.
    Stage {
        /// Which one it is of those that the plan has, from 1.
        stage: u32,
        /// How many stages the plan has.
        of: u32,
        /// What its steps do.
        actions: Vec<Action>,
    },
    /// A stage is done.
    StageDone {
        /// Which one it was.
        stage: u32,
    },
    /// Slots move: what was moved so far by one step.
    Moving {
        /// Their owner.
        from: NodeRef,
        /// Their owner to be.
        to: NodeRef,
        /// What was moved.
        moved: Moved,
    },
    /// These slots have their new owner.
    SlotsMoved {
        /// Their owner before.
        from: NodeRef,
        /// Their owner.
        to: NodeRef,
        /// The slots.
        slots: SlotSet,
    },
    /// The servers' own way to move slots has failed; `MIGRATE` goes on.
    FallsBack {
        /// The owner of the slots.
        from: NodeRef,
        /// Their owner to be.
        to: NodeRef,
        /// What the servers say.
        reason: String,
    },
    /// A key is so large that its move takes long.
    LargeKey {
        /// The key.
        key: Key,
        /// Its size, bytes.
        bytes: u64,
    },
    /// Keys of a server outside the cluster were imported, or were not.
    Imported(Imported),
    /// A server outside the cluster is followed while it goes on being written to.
    Followed(Followed),
    /// Keys go through this process to a node: the server cannot send them there itself.
    Relays {
        /// The node; none for all.
        to: Option<NodeAddr>,
        /// Why.
        reason: String,
    },
    /// The nodes were asked once more and what is waited for is not there yet.
    Waiting {
        /// What is missing, in words.
        missing: String,
    },
}

/// How far the move of slots from one node to another has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Slots that have their new owner.
    pub slots: usize,
    /// Keys that are there.
    pub keys: u64,
    /// About how many bytes these have.
    pub bytes: u64,
    /// What others wait for an answer of the two nodes meanwhile: the 99th percentile; none where it is not measured.
    pub latency: Option<Duration>,
}

/// How many seconds the rest takes at the speed so far; none before enough is done to say so.
#[expect(clippy::cast_precision_loss, reason = "shown to people")]
pub fn seconds_left(done: u64, of: u64, seconds: f64) -> Option<f64> {
    let share = done as f64 / of.max(1) as f64;
    (share > 0.02).then(|| (seconds / share * (1.0 - share)).max(0.0))
}

/// Why a run stopped. What was done stays done; planning anew goes on from there.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A server could not be talked to.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The cluster is not as it was when the plan was made.
    #[error("{address} has changed since the plan was made: {change}")]
    Changed {
        /// The node.
        address: NodeAddr,
        /// What is different.
        change: String,
    },
    /// Slots could not be moved.
    #[error(transparent)]
    Move(Box<MoveError>),
    /// Some nodes did not take a setting.
    #[error("{}", list(.0))]
    NotConfigured(Vec<NotConfigured>),
    /// Keys could not be imported.
    #[error(transparent)]
    Import(Box<ImportError>),
    /// The user stopped it.
    #[error("stopped")]
    Stopped,
    /// Steps of a run that goes on in spite of failures have failed.
    #[error("{}", failures.first().map_or_else(String::new, ToString::to_string))]
    Several {
        /// Their failures, at least two.
        failures: Vec<Self>,
    },
    /// Some nodes did not come to know each other in time.
    #[error("the nodes do not all reach each other after {} s", waited.as_secs())]
    Estranged {
        /// How long it was waited for.
        waited: Duration,
        /// Who does not reach whom.
        pairs: Vec<Estranged>,
    },
    /// Something that the servers do on their own did not happen in time.
    #[error("after {} s {missing}", waited.as_secs())]
    NotInTime {
        /// How long it was waited for.
        waited: Duration,
        /// What is missing, in words.
        missing: String,
    },
}

fn list(failures: &[NotConfigured]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl From<MoveError> for RunError {
    fn from(error: MoveError) -> Self {
        Self::Move(Box::new(error))
    }
}

impl From<ImportError> for RunError {
    fn from(error: ImportError) -> Self {
        Self::Import(Box::new(error))
    }
}

/// Runs plans over links that are open already.
pub struct Runner<'a> {
    links: BTreeMap<NodeId, Arc<dyn NodeLink>>,
    patience: Patience,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
    moves: Option<Moves>,
    import: Option<Import>,
    persistent: bool,
    unopposed: Option<Unopposed>,
    stop: CancellationToken,
    /// Nodes that have a migration of their own under way: Redis servers have one at a time.
    busy: BTreeMap<NodeId, tokio::sync::Mutex<()>>,
}

impl<'a> Runner<'a> {
    /// A runner over these links.
    pub fn new(
        links: BTreeMap<NodeId, Arc<dyn NodeLink>>,
        patience: Patience,
        progress: &'a (dyn Fn(Progress) + Send + Sync),
    ) -> Self {
        let busy = links.keys().map(|id| (*id, tokio::sync::Mutex::default())).collect();
        let stop = CancellationToken::new();
        Self { links, patience, progress, moves: None, import: None, persistent: false, unopposed: None, stop, busy }
    }

    /// Lets it run plans that move slots, and how. With its dialer, servers that are lost meanwhile are dialled again.
    #[must_use]
    pub fn with_moves(mut self, moves: Moves) -> Self {
        for link in self.links.values_mut() {
            *link = Arc::new(Redialled::new(Arc::clone(link), Arc::clone(&moves.dialer)));
        }
        self.moves = Some(moves);
        self
    }

    /// Lets it run plans by which replicas take over without a vote.
    #[must_use]
    pub const fn unopposed(mut self, right: Unopposed) -> Self {
        self.unopposed = Some(right);
        self
    }

    /// Lets it run plans that import keys, and how.
    #[must_use]
    pub fn with_import(mut self, import: Import) -> Self {
        self.import = Some(import);
        self
    }

    /// Lets it be stopped: no step begins after that, and a move of slots ends as soon as none of them is open.
    #[must_use]
    pub fn stopped_by(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }

    /// Lets it go on with all other steps when one fails: each looks first whether it may be done.
    #[must_use]
    pub const fn despite_failures(mut self, persistent: bool) -> Self {
        self.persistent = persistent;
        self
    }

    /// Runs the plan. Dropping the future stops it between two commands; planning anew goes on from there.
    pub async fn run(&self, plan: &Plan) -> Result<(), RunError> {
        let of = u32::try_from(plan.stages().count()).unwrap_or(u32::MAX);
        let mut failures = Vec::new();
        for (steps, stage) in plan.stages().zip(1..) {
            if self.stop.is_cancelled() {
                failures.push(RunError::Stopped);
                break;
            }
            let actions = steps.iter().map(|step| step.action.clone()).collect();
            (self.progress)(Progress::Stage { stage, of, actions });
            self.clear_doubts(plan, &steps).await;
            failures.extend(self.act_together(&steps).await);
            if !failures.is_empty() && !self.persistent {
                break;
            }
            (self.progress)(Progress::StageDone { stage });
        }
        if plan.steps.iter().any(|step| matches!(step.action, Action::MoveSlots { .. })) {
            self.clear_marks().await;
        }
        // Those that were stopped tell less than the one for which they were.
        let is_stop = |error: &RunError| matches!(error, RunError::Stopped);
        failures.sort_by_key(is_stop);
        let told = failures.iter().filter(|error| !is_stop(error)).count();
        failures.truncate(told.max(1));
        match (failures.len(), self.persistent) {
            (2.., true) => Err(RunError::Several { failures }),
            _ => failures.into_iter().next().map_or(Ok(()), Err),
        }
    }

    /// Does what the steps of a stage say; gives what has failed. One that fails lets those that can be stopped end properly.
    async fn act_together(&self, steps: &[&Step]) -> Vec<RunError> {
        let stop = self.stop.child_token();
        let acts = steps.iter().map(|step| {
            let stop = &stop;
            self.act(&step.action, stop).inspect_err(move |_| {
                if !self.persistent {
                    stop.cancel();
                }
            })
        });
        join_all(acts).await.into_iter().filter_map(Result::err).collect()
    }

    /// Does what a step says; begins it again when a server was lost meanwhile, since every step looks first at what is done.
    async fn act(&self, action: &Action, stop: &CancellationToken) -> Result<(), RunError> {
        let (mut redials, mut begin) = (REDIALS.iter(), Instant::now());
        loop {
            let error = match self.attempt(action, stop).await {
                Err(RunError::Node(error)) if self.moves.is_some() && error.trouble.may_pass() => error,
                outcome => return outcome,
            };
            if begin.elapsed() >= CALM {
                redials = REDIALS.iter();
            }
            let Some(pause) = redials.next() else { return Err(error.into()) };
            (self.progress)(Progress::Waiting { missing: format!("{error}: dialling it again") });
            sleep(*pause).await;
            begin = Instant::now();
        }
    }

    /// Does what a step says, once. Those that leave nodes as they should not stay end by themselves when they are to stop; all
    /// others can be left between two commands.
    async fn attempt(&self, action: &Action, stop: &CancellationToken) -> Result<(), RunError> {
        if let Action::MoveSlots { .. }
        | Action::GatherKeys { .. }
        | Action::AwaitService { .. }
        | Action::ImportKeys { follow: true, .. } = action
        {
            return self.carry_out(action, stop).await;
        }
        unless_stopped(stop, self.carry_out(action, stop)).await
    }

    async fn carry_out(&self, action: &Action, stop: &CancellationToken) -> Result<(), RunError> {
        match action {
            Action::SetEpoch { node, epoch } => self.set_epoch(node, *epoch).await,
            Action::AddSlots { node, slots } => self.add_slots(node, slots).await,
            Action::Replicate { replica, primary } => self.replicate(replica, primary).await,
            Action::YieldSlots { node, slots, .. } => self.yield_slots(node, slots).await,
            Action::SettleSlots { node, slots, above } => self.settle_slots(node, slots, *above).await,
            Action::CloseSlots { node, slots } => self.close_slots(node, slots).await,
            Action::GatherKeys { slots, from, to, served, .. } => {
                self.gather_keys(slots, from, to, *served, stop).await
            }
            Action::GiveUpSlots { node } => self.give_up_slots(node).await,
            Action::Reset { node } => self.reset(node).await,
            Action::Detach { node, from } => self.detach(node, from).await,
            Action::Failover { replica, primary, kind } => self.failover(replica, primary, *kind).await,
            Action::Forget { node, by } => self.forget(node, by).await,
            Action::CopyFunctions { from, to } => self.copy_functions(from, to).await,
            Action::Retire { node, copy_of } => self.retire(node, copy_of.as_ref()).await,
            Action::Configure { nodes, setting, value } => self.configure(nodes, setting, value).await,
            Action::MoveSlots { slots, from, to, dialect, .. } => {
                self.move_slots(slots, from, to, *dialect, stop).await
            }
            Action::ImportKeys { source, databases, to, copy, replace, follow } => {
                let order = importing::Order { databases, copy: *copy, replace: *replace, follow: *follow };
                self.import_keys(source, to, order, stop).await
            }
            Action::Meet { nodes } => self.meet(nodes).await,
            Action::AwaitAgreement { nodes } => self.await_agreement(nodes).await,
            Action::AwaitService { nodes } => self.await_service(nodes, stop).await,
            Action::AwaitReplicas { nodes } => self.await_all(nodes, together::not_linked).await,
            other => Err(RunError::Changed {
                address: self.any_address(),
                change: format!("this version cannot run the step {other:?}"),
            }),
        }
    }

    fn link(&self, node: &NodeRef) -> Result<&dyn NodeLink, RunError> {
        self.links.get(&node.id).map(AsRef::as_ref).ok_or_else(|| RunError::Changed {
            address: node.address.clone(),
            change: format!("no node with the id {} answers there", node.id.short()),
        })
    }

    fn any_address(&self) -> NodeAddr {
        let first = self.links.values().next();
        first.map_or_else(|| NodeAddr::new(topology::Host::Name("nowhere".into()), 0), |link| link.address().clone())
    }
}

/// Waits for what the servers do on their own, unless the user stops that.
async fn unless_stopped(
    stop: &CancellationToken,
    wait: impl Future<Output = Result<(), RunError>>,
) -> Result<(), RunError> {
    stop.run_until_cancelled(wait).await.unwrap_or(Err(RunError::Stopped))
}
