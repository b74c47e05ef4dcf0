//! `tribune repurpose`: a replica becomes a primary of its own.

use super::{
    Target,
    change::{Change, ChangeArgs},
    move_args::MoveArgs,
    named::node,
};
use crate::{
    failure::{ExitStatus, Failure},
    printer::Printer,
};
use clap::Args;
use topology::repurpose;

/// Make a replica a primary of its own, without slots unless --fair.
#[derive(Args)]
pub(crate) struct RepurposeArgs {
    /// The replica: HOST:PORT
    #[command(flatten)]
    target: Target,
    /// Another node of the cluster than the one named, by id or address
    #[arg(long, value_name = "ID")]
    node: Option<String>,
    /// Give it its share of the slots
    #[arg(long)]
    fair: bool,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    moves: MoveArgs,
}

pub(crate) async fn run(arguments: &RepurposeArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let RepurposeArgs { target, fair, change, moves, .. } = arguments;
    let observation = Change::look_at_rest(target).await?;
    let replica = node(&observation.view, &target.node_or(arguments.node.as_ref())?)?;
    let plan = repurpose::plan(&observation.view, replica, *fair).map_err(|refusal| {
        let advice = refusal.advice();
        Failure { advice, ..Failure::new(refusal.to_string()) }
    })?;
    let request = format!("repurpose {replica} {fair}");
    let question = "yes carries out this plan; the replica drops its copy of the data.";
    let options = moves.options(change);
    Change { request, target, way: change, question, options }.make(plan, observation, printer).await
}
