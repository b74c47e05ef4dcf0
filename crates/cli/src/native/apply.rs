//! `tribune apply`: a plan that was saved is carried out, if the cluster is still as the plan takes it to be.

use super::{
    Target,
    change::{Change, ChangeArgs},
    move_args::MoveArgs,
    plan_file,
};
use crate::{
    connection::ConnectionArgs,
    failure::{ExitStatus, Failure},
    printer::Printer,
};
use clap::Args;
use operations::observe::{Observation, look};
use std::path::PathBuf;
use topology::{
    changed::{self, changes, readdressed},
    plan::{Action, Dialect, Plan},
    remaining::remaining,
};

/// What yes means for a plan of any kind.
const QUESTION: &str = "yes carries out this plan.";

/// Carry out a plan that was saved with --out, unless the cluster has changed in a way that matters to it.
#[derive(Args)]
pub(crate) struct ApplyArgs {
    /// The plan
    file: PathBuf,
    /// Any node of the cluster [default: those of the plan]
    #[arg(num_args = 0..=2, value_name = "HOST:PORT")]
    address: Vec<String>,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    moves: MoveArgs,
}

pub(crate) async fn run(arguments: &ApplyArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let ApplyArgs { file, address, connection, change, moves } = arguments;
    let saved = plan_file::read(file)?;
    let entry = match &address[..] {
        [] => saved.based_on.iter().map(|node| node.address.clone()).collect(),
        _ => vec![Target { address: address.clone(), connection: connection.clone() }.address()?],
    };
    let observation = look(&super::connector(connection)?, &entry).await?;
    let plan = fitting(saved, &observation)?;
    let request = format!("apply {}: {}", file.display(), plan.goal);
    let mut options = moves.options(change);
    options.dialect = options.dialect.or_else(|| only_dialect(&plan));
    let answering = observation.view.answering().next().map(|(node, _)| node.address.bare());
    let target = Target { address: answering.into_iter().collect(), connection: connection.clone() };
    Change { request, target: &target, way: change, question: QUESTION, options }.make(plan, observation, printer).await
}

/// What is left to do of the plan, if the cluster is still as it takes it to be.
fn fitting(plan: Plan, observation: &Observation) -> Result<Plan, Failure> {
    let view = &observation.view;
    match &changes(&plan, view)[..] {
        [] => {}
        [changed::Change::AnotherCluster] => {
            let entry = view.nodes.first().map_or_else(String::new, |node| node.address.to_string());
            let first = plan.based_on.first().map_or_else(|| "no node".to_owned(), |node| node.address.to_string());
            return Err(Failure::new("this plan is for another cluster")
                .because(format!("it was made for {first} and others; none of their ids is in the cluster of {entry}"))
                .advice("tribune apply FILE HOST:PORT, with a node of the cluster that it was made for"));
        }
        changes => {
            let mut failure = Failure::new("the cluster has changed since this plan was made; nothing was done")
                .advice("plan anew: the command that saved this plan, again");
            failure.more = changes.iter().take(12).map(ToString::to_string).collect();
            return Err(failure);
        }
    }
    let plan = readdressed(plan, view);
    Ok(remaining(&plan, view).unwrap_or(plan))
}

/// The one way in which all moves of the plan go, as it was asked for or found best when the plan was made.
fn only_dialect(plan: &Plan) -> Option<Dialect> {
    let mut dialects = plan.steps.iter().filter_map(|step| match &step.action {
        Action::MoveSlots { dialect, .. } => Some(*dialect),
        _ => None,
    });
    let first = dialects.next()?;
    dialects.all(|dialect| dialect == first).then_some(first)
}
