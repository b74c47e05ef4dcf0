//! Carrying out a plan that may move slots, the same in every grammar.

use crate::unfinished::Record;
use node::Connector;
use operations::{
    moving::{Moves, Pace},
    observe::Observation,
    port::{NodeLink, Unopposed},
    run::{Patience, Progress, RunError, Runner},
};
use std::{collections::BTreeMap, sync::Arc};
use tokio_util::sync::CancellationToken;
use topology::{
    NodeId,
    plan::{Action, Dialect, Plan},
};

/// How slots are to be moved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MoveOptions {
    /// In which way; none for the best that both servers offer.
    pub(crate) dialect: Option<Dialect>,
    /// How fast, by `MIGRATE`.
    pub(crate) pace: Pace,
    /// Whether a key that is on both nodes with different values is replaced by the owner's.
    pub(crate) replace: bool,
    /// Whether the other steps go on when one fails.
    pub(crate) persistent: bool,
    /// How long to wait for what the servers do on their own.
    pub(crate) patience: Patience,
}

/// Why a run did not come to its end.
pub(crate) enum Interruption {
    /// Something failed.
    Failed(RunError),
    /// The user stopped it, and it ended with no slot open.
    Stopped,
    /// The user stopped it twice: slots may be open.
    StoppedHard,
    /// Another process changes this cluster already; nothing was done.
    Busy(i32),
}

/// Runs a plan until its end, or until Ctrl-C: the first lets it end where no slot is open, the second ends it at once.
///
/// Until its end there is a record of it, by which the same request goes on.
pub(crate) async fn carry_out(
    request: &str,
    plan: &Plan,
    observation: Observation,
    connector: &Connector,
    options: &MoveOptions,
    show: &(dyn Fn(Shown) + Send + Sync),
) -> Result<(), Interruption> {
    let record = moves_slots(plan).then(|| Record::begin(request, plan)).transpose().map_err(Interruption::Busy)?;
    if let Some(trouble) = record.as_ref().and_then(|record| record.trouble.clone()) {
        show(Shown::Unrecorded(trouble));
    }
    let outcome = run(plan, observation.links, connector, options, show).await;
    // A plan that does not fit the cluster any more is not to be gone on with.
    let is_over = matches!(&outcome, Ok(()) | Err(Interruption::Failed(RunError::Changed { .. })));
    if let Some(record) = record.filter(|_| is_over) {
        record.end();
    }
    outcome
}

/// What is shown while a plan is carried out.
pub(crate) enum Shown {
    /// What the run tells.
    Progress(Progress),
    /// The user asked it to stop, and it is about to; where a source is followed, by the cut-over.
    Stopping,
    /// There is no record of the run, for this reason: it goes on, but other commands do not know of it.
    Unrecorded(String),
}

async fn run(
    plan: &Plan,
    links: BTreeMap<NodeId, Arc<dyn NodeLink>>,
    connector: &Connector,
    options: &MoveOptions,
    show: &(dyn Fn(Shown) + Send + Sync),
) -> Result<(), Interruption> {
    let stop = CancellationToken::new();
    let tell = |progress| show(Shown::Progress(progress));
    let moves = Moves { dialer: Arc::new(connector.clone()), pace: options.pace, replace: options.replace };
    let runner = Runner::new(links, options.patience, &tell)
        .with_moves(moves)
        .unopposed(Unopposed::ordered())
        .despite_failures(options.persistent)
        .stopped_by(stop.clone());
    interruptible(runner.run(plan), moves_slots(plan) || waits_for_service(plan), &stop, show).await
}

/// Lets something run until its end, or until Ctrl-C. What can be stopped gently is told to by the first and ends at once by the
/// second; anything else ends by the first.
pub(crate) async fn interruptible(
    running: impl Future<Output = Result<(), RunError>>,
    gently: bool,
    stop: &CancellationToken,
    show: &(dyn Fn(Shown) + Send + Sync),
) -> Result<(), Interruption> {
    let mut running = std::pin::pin!(running);
    tokio::select! {
        biased;
        Ok(()) = tokio::signal::ctrl_c() => {}
        outcome = &mut running => return outcome.map_err(interruption),
    }
    if !gently {
        return Err(Interruption::Stopped);
    }
    stop.cancel();
    show(Shown::Stopping);
    tokio::select! {
        biased;
        Ok(()) = tokio::signal::ctrl_c() => Err(Interruption::StoppedHard),
        outcome = &mut running => outcome.map_err(interruption),
    }
}

/// Why a run did not come to its end, by its error.
pub(crate) fn interruption(error: RunError) -> Interruption {
    if let RunError::Stopped = error { Interruption::Stopped } else { Interruption::Failed(error) }
}

/// Whether a plan waits for nodes to serve: what was set for that time is to be set back.
fn waits_for_service(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| matches!(step.action, Action::AwaitService { .. }))
}

/// Whether a plan moves slots or keys: only then there is more to stop than a command.
pub(crate) fn moves_slots(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| matches!(step.action, Action::MoveSlots { .. } | Action::GatherKeys { .. }))
}
