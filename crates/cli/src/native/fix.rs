//! `tribune fix`: slots that are open, not served, claimed by several, or have keys in several places.

use super::{
    Target,
    change::{Change, ChangeArgs, MOVES},
    move_args::MoveArgs,
};
use crate::{
    failure::{ExitStatus, Failure},
    moving::MoveOptions,
    printer::Printer,
    unfinished,
};
use clap::Args;
use operations::repair::held;
use topology::repair::{self, Wanted};

/// Repair slots: open ones, those that nobody serves, those that several claim, and keys in wrong places.
#[derive(Args)]
pub(crate) struct FixArgs {
    #[command(flatten)]
    target: Target,
    /// Look for keys on nodes that do not own their slot, too
    #[arg(long)]
    search_multiple_owners: bool,
    /// Give the slots of primaries that do not answer to others; what only those hold is lost for the cluster
    #[arg(long, alias = "fix-with-unreachable-masters")]
    fix_with_unreachable_primaries: bool,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    moves: MoveArgs,
}

pub(crate) async fn run(arguments: &FixArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let FixArgs { target, change, moves, .. } = arguments;
    let observation = Change::look(target).await?;
    unfinished::refuse_beside_another(&observation.view)?;
    let wanted = Wanted { with_unreachable: arguments.fix_with_unreachable_primaries };
    let held = held(&observation, arguments.search_multiple_owners).await?;
    let repairs = repair::decide(&observation.view, &held, wanted)?;
    let plan = repair::plan(&observation.view, &repairs);
    let question = if wanted.with_unreachable && observation.view.silent().next().is_some() {
        "yes carries out this plan; what only nodes hold that do not answer is lost for the cluster."
    } else {
        MOVES
    };
    let options = MoveOptions { persistent: true, ..moves.options(change) };
    Change { request: "fix".to_owned(), target, way: change, question, options }
        .make_anew(plan, observation, printer)
        .await
}
