//! `tribune resume`: what an interrupted run has left to do.

use super::{
    Target,
    change::{Change, ChangeArgs, MOVES},
    fix,
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
    let ResumeArgs { target, change, moves } = arguments;
    let observation = Change::look_at_rest(target).await?;
    let view = &observation.view;
    let recorded = unfinished::of(view).map(|found| found.run);
    if let Some((run, extent)) = recorded.as_ref().and_then(|run| Some((run, fix::Extent::of(&run.request)?))) {
        printer.note(&format!("an earlier run was interrupted: {}\n", run.plan.goal));
        return fix::repair(target, change, moves.options(change), extent, observation, printer).await;
    }
    let rest = match &recorded {
        Some(run) => unfinished::rest_of(&run.request, view)?,
        None => None,
    };
    let plan = match (&recorded, rest) {
        (Some(run), Some(rest)) => {
            if rest.changes_anything() {
                printer.note(&format!("an earlier run was interrupted: {}\n", run.plan.goal));
            }
            rest
        }
        (recorded, _) => {
            if let Some(run) = recorded {
                let goal = &run.plan.goal;
                printer.note(&format!(
                    "an earlier run was interrupted ({goal}), and slots have other owners since: only what is open is finished\n"
                ));
            }
            open_moves::plan(view).map_err(|refusal| Failure::new(refusal.to_string()).advice(refusal.advice()))?
        }
    };
    if !plan.changes_anything() {
        let nothing = "nothing to resume: no run of this machine was interrupted, and no slot is open\n";
        return change.nothing_to_do(&plan, nothing, printer);
    }
    let request = recorded.map_or_else(|| "resume".to_owned(), |run| run.request);
    Change { request, target, way: change, question: MOVES, options: moves.options(change) }
        .make(plan, observation, printer)
        .await
}
