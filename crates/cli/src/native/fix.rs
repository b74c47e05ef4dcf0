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
use operations::{observe::Observation, repair::held};
use topology::repair::{self, Wanted};

/// Repair slots: open ones, those that nobody serves, those that several claim, and keys in wrong places.
///
/// Where primaries are lost their replicas take their places first. What else there is to repair shows then: that is a plan of its
/// own, and with --json a document of its own.
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

/// How far a repair is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    everywhere: bool,
    with_unreachable: bool,
}

impl Extent {
    const EVERYWHERE: &str = " --search-multiple-owners";
    const WITH_UNREACHABLE: &str = " --fix-with-unreachable-primaries";

    /// As it is asked for.
    fn request(self) -> String {
        let everywhere = if self.everywhere { Self::EVERYWHERE } else { "" };
        let with_unreachable = if self.with_unreachable { Self::WITH_UNREACHABLE } else { "" };
        format!("fix{everywhere}{with_unreachable}")
    }

    /// Of a run that was asked for like this, if that was a repair.
    pub(super) fn of(request: &str) -> Option<Self> {
        let all =
            [false, true].map(|everywhere| [false, true].map(|with_unreachable| Self { everywhere, with_unreachable }));
        all.into_iter().flatten().find(|extent| extent.request() == request)
    }
}

pub(crate) async fn run(arguments: &FixArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let FixArgs { target, change, moves, .. } = arguments;
    let extent = Extent {
        everywhere: arguments.search_multiple_owners,
        with_unreachable: arguments.fix_with_unreachable_primaries,
    };
    let observation = Change::look(target).await?;
    repair(target, change, moves.options(change), extent, observation, printer).await
}

/// Repairs what is wrong now; also what an interrupted repair has left, of which nothing but the cluster itself tells.
pub(super) async fn repair(
    target: &Target,
    change: &ChangeArgs,
    options: MoveOptions,
    extent: Extent,
    observation: Observation,
    printer: &mut Printer,
) -> Result<ExitStatus, Failure> {
    unfinished::refuse_beside_another(&observation.view)?;
    let wanted = Wanted { with_unreachable: extent.with_unreachable };
    let held = held(&observation, extent.everywhere).await?;
    let repairs = repair::decide(&observation.view, &held, wanted)?;
    let plan = repair::plan(&observation.view, &repairs);
    let earlier = unfinished::of(&observation.view).filter(|_| !plan.changes_anything());
    if let Some(earlier) = earlier.filter(|earlier| Extent::of(&earlier.run.request).is_some()) {
        earlier.forget();
    }
    let question = if wanted.with_unreachable && observation.view.silent().next().is_some() {
        "yes carries out this plan; what only nodes hold that do not answer is lost for the cluster."
    } else {
        MOVES
    };
    let takes_over = repair::has_takeovers(&observation.view);
    let options = MoveOptions { persistent: true, ..options };
    let status = Change { request: extent.request(), target, way: change, question, options }
        .make_anew(plan, observation, printer)
        .await?;
    if !takes_over {
        return Ok(status);
    }
    // What else is to be repaired shows now, unless the plan was only shown, or declined.
    let observation = Change::look(target).await?;
    if repair::has_takeovers(&observation.view) {
        return Ok(status);
    }
    Box::pin(repair(target, change, options, extent, observation, printer)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repair_is_known_again_by_its_request() {
        for (everywhere, with_unreachable) in [(false, false), (false, true), (true, false), (true, true)] {
            let extent = Extent { everywhere, with_unreachable };
            assert_eq!(Extent::of(&extent.request()), Some(extent));
        }
        assert_eq!(Extent::of("reshard"), None);
        assert!(Extent::of("fix").is_some(), "the other grammar has no other name for it");
    }
}
