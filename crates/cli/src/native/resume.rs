//! `tribune resume`: what an interrupted run has left to do.

use super::{
    Target,
    change::{Change, ChangeArgs, MOVES},
    move_args::MoveArgs,
};
use crate::{
    failure::{ExitStatus, Failure},
    printer::Printer,
    unfinished,
};
use clap::Args;
use topology::open_moves;

/// Go on with a change that was interrupted.
#[derive(Args)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    moves: MoveArgs,
}

pub(crate) async fn run(arguments: &ResumeArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let observation = Change::look(&arguments.target).await?;
    let ResumeArgs { target, change, moves } = arguments;
    let recorded = unfinished::of(&observation.view).map(|(run, _)| run.request);
    let rest = match &recorded {
        Some(request) => unfinished::rest_of(request, &observation.view)?,
        None => None,
    };
    // Without a record, or where the cluster was changed since, what is open tells what to finish.
    let plan = match rest {
        Some(rest) => rest,
        None => open_moves::plan(&observation.view)
            .map_err(|refusal| Failure::new(refusal.to_string()).advice(refusal.advice()))?,
    };
    let request = recorded.unwrap_or_else(|| "resume".to_owned());
    Change { request, target, way: change, question: MOVES, options: moves.options(change) }
        .make(plan, observation, printer)
        .await
}
