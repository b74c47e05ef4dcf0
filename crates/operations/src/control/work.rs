//! What the loop has begun and what has not ended yet.

use super::{
    Doing, Means,
    fence::{NoTakeover, fence},
    giving_up::{NotGivenUp, give_up},
    heirs::holds_others,
    how_far::HowFar,
};
use crate::{
    observe::{NoEntry, Observation, dial_and_ask, look},
    port::{Fenced, FleetError, MayGo, MayRestart, NodeError, StillNeeded, Unopposed},
    repair::held,
    run::{Progress, RunError, Runner},
    weigh::{WeighError, weigh},
};
use futures_util::{FutureExt, StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use topology::{
    ClusterView, NodeId,
    plan::{Action, FailoverKind, NodeRef, Plan},
    repair::{RepairRefusal, Wanted, decide, plan},
};

/// How long a primary that is to be replaced may take to show that it is back.
const BACK: Duration = Duration::from_millis(250);

/// A step that has ended, and why it failed if it did.
pub(super) struct Finished {
    pub(super) action: Action,
    pub(super) error: Option<String>,
}

/// All steps that run: a future each, or one for all moves that were begun together.
#[derive(Default)]
pub(super) struct Work {
    running: FuturesUnordered<LocalBoxFuture<'static, (u64, Result<(), String>)>>,
    pieces: BTreeMap<u64, Piece>,
    finished: Vec<Finished>,
    next: u64,
}

/// What was begun together.
struct Piece {
    steps: Vec<(Action, String)>,
    begun: Instant,
    stop: CancellationToken,
    how_far: Arc<Mutex<HowFar>>,
}

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Blind(#[from] NoEntry),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Refused(#[from] RepairRefusal),
    #[error("nothing is to be mended that could be")]
    NothingFound,
    #[error(transparent)]
    Weighing(#[from] WeighError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("the keys that it holds are of other slots")]
    HoldsOthers,
    #[error(transparent)]
    NoTakeover(#[from] NoTakeover),
    #[error(transparent)]
    NotGivenUp(#[from] NotGivenUp),
    #[error(transparent)]
    StillNeeded(#[from] StillNeeded),
    #[error(transparent)]
    Fleet(#[from] FleetError),
}

impl Work {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Waits for something else, and lets what was begun go on meanwhile.
    pub(super) async fn while_it_goes_on<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = std::pin::pin!(other);
        loop {
            tokio::select! {
                biased;
                Some((number, outcome)) = self.running.next() => self.end(number, &outcome),
                outcome = &mut other => return outcome,
            }
        }
    }

    /// Waits for something else, or for the end of one of the things that were begun, unless one has ended that was not asked for yet.
    pub(super) async fn until_one_ends(&mut self, other: impl Future<Output = ()>) {
        if !self.finished.is_empty() {
            return;
        }
        tokio::select! {
            biased;
            Some((number, outcome)) = self.running.next() => self.end(number, &outcome),
            () = other => {}
        }
    }

    fn end(&mut self, number: u64, outcome: &Result<(), String>) {
        let Some(piece) = self.pieces.remove(&number) else { return };
        let finished =
            piece.steps.into_iter().map(|(action, _)| Finished { action, error: outcome.as_ref().err().cloned() });
        self.finished.extend(finished);
    }

    /// What has ended since the last time.
    pub(super) fn finished(&mut self) -> Vec<Finished> {
        std::mem::take(&mut self.finished)
    }

    pub(super) fn under_way(&self) -> Vec<Action> {
        self.pieces.values().flat_map(|piece| &piece.steps).map(|(action, _)| action.clone()).collect()
    }

    pub(super) fn doing(&self, now: Instant) -> Vec<Doing> {
        let doing = |piece: &Piece| {
            let how_far = known(&piece.how_far);
            let doing = |(action, reason): &(Action, String)| Doing {
                action: action.clone(),
                reason: reason.clone(),
                for_seconds: now.duration_since(piece.begun).as_secs_f64(),
                progress: how_far.words(action),
                seconds_left: how_far.seconds_left(action, piece.begun, now),
            };
            piece.steps.iter().map(doing).collect::<Vec<_>>()
        };
        self.pieces.values().flat_map(doing).collect()
    }

    /// Lets all moves of keys end, between two batches. Other steps are short, and what they have done is not known before they end.
    pub(super) fn stop_moves(&self) {
        self.stop(moves_keys);
    }

    /// Lets moves of slots between these nodes end, and those that were begun with them.
    pub(super) fn cancel(&self, moves: &[(NodeId, NodeId)]) {
        self.stop(|action| matches!(action, Action::MoveSlots { from, to, .. } if moves.contains(&(from.id, to.id))));
    }

    fn stop(&self, is_meant: impl Fn(&Action) -> bool) {
        for piece in self.pieces.values().filter(|piece| piece.steps.iter().any(|(action, _)| is_meant(action))) {
            piece.stop.cancel();
        }
    }

    /// Begins steps over the links of a look.
    pub(super) fn begin(
        &mut self,
        means: &Means,
        steps: Vec<(Action, String)>,
        observation: &Arc<Observation>,
        keys: &BTreeMap<NodeId, u64>,
    ) {
        let (moves, others): (Vec<_>, Vec<_>) =
            steps.into_iter().partition(|(action, _)| matches!(action, Action::MoveSlots { .. }));
        for step in others {
            self.begin_together(means, vec![step], observation, keys);
        }
        if !moves.is_empty() {
            self.begin_together(means, moves, observation, keys);
        }
    }

    fn begin_together(
        &mut self,
        means: &Means,
        steps: Vec<(Action, String)>,
        observation: &Arc<Observation>,
        keys: &BTreeMap<NodeId, u64>,
    ) {
        let piece = Piece {
            steps: steps.clone(),
            begun: Instant::now(),
            stop: CancellationToken::new(),
            how_far: Arc::default(),
        };
        let (number, stop, how_far) = (self.next, piece.stop.clone(), Arc::clone(&piece.how_far));
        self.next += 1;
        self.pieces.insert(number, piece);
        let (means, observation) = (means.clone(), Arc::clone(observation));
        let keys = keys.clone();
        let work = async move {
            let forced = steps.iter().find_map(|(action, _)| forced_from(action));
            if let Some(primary) = forced
                && is_back(&means, primary).await
            {
                return (number, Ok(()));
            }
            let outcome = match steps.first() {
                Some((Action::AddMembers { count }, _)) => means.fleet.add(*count).await.map_err(Failed::from),
                Some((Action::RemoveMember { member, node }, _)) => {
                    remove(&means, member, node.as_ref(), &observation).await
                }
                Some((Action::UpdateMember { member, .. }, _)) => {
                    means.fleet.update(member).await.map_err(Failed::from)
                }
                Some((Action::RestartMember { member, node }, _)) => {
                    restart(&means, member, node.as_ref(), &observation).await
                }
                Some((Action::SettleSlots { node, slots, .. }, _)) => {
                    match give_up(&means, &observation, node, slots, &keys).await {
                        Ok(()) => run(&means, steps, &observation, stop, &how_far, None).await,
                        Err(error) => Err(error.into()),
                    }
                }
                Some((Action::Failover { primary, kind: FailoverKind::Takeover, .. }, _)) => {
                    match fence(&means, &observation, primary).await {
                        Ok(fenced) => run(&means, steps, &observation, stop, &how_far, Some(&fenced)).await,
                        Err(error) => Err(error.into()),
                    }
                }
                Some((Action::Repair { .. }, _)) => repair(&means, &observation, stop, &how_far).await,
                _ => run(&means, steps, &observation, stop, &how_far, None).await,
            };
            (number, outcome.map_err(|failed| failed.to_string()))
        };
        self.running.push(work.boxed_local());
    }
}

/// The primary that is to be replaced without being asked.
const fn forced_from(action: &Action) -> Option<&NodeRef> {
    match action {
        Action::Failover { primary, kind: FailoverKind::Forced, .. } => Some(primary),
        _ => None,
    }
}

/// Whether a primary that was silent answers by now. The look that found it silent has waited for it, and may be old: replaced now, it would go on taking
/// writes until it heard of that, and other replicas would confirm them.
async fn is_back(means: &Means, primary: &NodeRef) -> bool {
    let answer = timeout(BACK, dial_and_ask(means.dialer.as_ref(), &primary.address)).await;
    answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.view.myself.id == primary.id))
}

/// Runs steps of the servers; those by which a replica takes over without a vote while its primary is fenced.
async fn run(
    means: &Means,
    steps: Vec<(Action, String)>,
    observation: &Observation,
    stop: CancellationToken,
    how_far: &Mutex<HowFar>,
    fenced: Option<&Fenced>,
) -> Result<(), Failed> {
    for (action, _) in &steps {
        if holds_others(observation, action).await? {
            return Err(Failed::HoldsOthers);
        }
    }
    let mut plan = Plan::of_one_stage("a step of the loop".to_owned(), observation.nodes(|_| true), steps);
    weigh(observation, &mut plan, None).await?;
    known(how_far).expected = Duration::from_secs(plan.cost.seconds);
    let tell = |told: Progress| known(how_far).note(Instant::now(), &told);
    let mut runner = Runner::new(observation.links.clone(), means.patience, &tell);
    if let Some(fenced) = fenced {
        runner = runner.unopposed(Unopposed::fenced(fenced));
    }
    ended(runner.with_moves(means.moves()).stopped_by(stop).run(&plan).await)
}

/// Mends slots that are not as they should be, by what their nodes hold now.
async fn repair(
    means: &Means,
    observation: &Observation,
    stop: CancellationToken,
    how_far: &Mutex<HowFar>,
) -> Result<(), Failed> {
    let fresh = look(means.dialer.as_ref(), &observation.answering()).await?;
    let held = held(&fresh, true).await?;
    let repairs = decide(&fresh.view, &held, Wanted::default())?;
    let mut plan = plan(&fresh.view, &repairs);
    if !plan.changes_anything() {
        return Err(Failed::NothingFound);
    }
    weigh(&fresh, &mut plan, None).await?;
    let tell = |told: Progress| known(how_far).note(Instant::now(), &told);
    let runner = Runner::new(fresh.links, means.patience, &tell).with_moves(means.moves());
    ended(runner.despite_failures(true).stopped_by(stop).run(&plan).await)
}

/// That a run was stopped because something else is wanted is no failure.
fn ended(outcome: Result<(), RunError>) -> Result<(), Failed> {
    match outcome {
        Err(RunError::Stopped) => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// Ends a member for good, with the proof from a look that is made now.
async fn remove(means: &Means, member: &str, node: Option<&NodeRef>, observation: &Observation) -> Result<(), Failed> {
    let fresh = look(means.dialer.as_ref(), &observation.answering()).await?;
    let proof = MayGo::by(&fresh.view, node.map(|node| node.id))?;
    Ok(means.fleet.remove(member, proof).await?)
}

/// Restarts a member's server, with the proof from a look that is made now.
async fn restart(means: &Means, member: &str, node: Option<&NodeRef>, observation: &Observation) -> Result<(), Failed> {
    let addresses = observation.answering();
    // Where nobody answers there is nobody to lose.
    let view =
        if addresses.is_empty() { ClusterView::default() } else { look(means.dialer.as_ref(), &addresses).await?.view };
    let proof = MayRestart::by(&view, node.map(|node| node.id))?;
    Ok(means.fleet.restart(member, proof).await?)
}

/// Whether a step brings keys from one node to another.
pub(super) const fn moves_keys(action: &Action) -> bool {
    matches!(action, Action::MoveSlots { .. } | Action::Repair { .. })
}

fn known(how_far: &Mutex<HowFar>) -> MutexGuard<'_, HowFar> {
    how_far.lock().unwrap_or_else(PoisonError::into_inner)
}
