//! `tribune failover`: a replica becomes the primary of its shard.

use super::{
    Target,
    change::{Change, ChangeArgs},
    named::node,
};
use crate::{
    failure::{ExitStatus, Failure},
    printer::Printer,
};
use clap::Args;
use topology::{failover, plan::FailoverKind};

/// Make a replica the primary of its shard; the primary hands over, so that no write is lost.
#[derive(Args)]
pub(crate) struct FailoverArgs {
    /// The replica: HOST:PORT
    #[command(flatten)]
    target: Target,
    /// Another node of the cluster than the one named, by id or address
    #[arg(long, value_name = "ID")]
    node: Option<String>,
    /// Do not ask the primary: a majority of primaries votes; what the replica does not have is lost
    #[arg(long)]
    force: bool,
    /// Ask nobody, where there is no majority: what the replica does not have is lost, and two may serve for a while
    #[arg(long, conflicts_with = "force")]
    takeover: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(crate) async fn run(arguments: &FailoverArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let FailoverArgs { target, change, .. } = arguments;
    let kind = match (arguments.force, arguments.takeover) {
        (true, _) => FailoverKind::Forced,
        (_, true) => FailoverKind::Takeover,
        _ => FailoverKind::Planned,
    };
    let observation = Change::look_at_rest(target).await?;
    let replica = node(&observation.view, &target.node_or(arguments.node.as_ref())?)?;
    let plan = failover::plan(&observation.view, replica, kind).map_err(|refusal| {
        let advice = refusal.advice();
        Failure { advice, ..Failure::new(refusal.to_string()) }
    })?;
    let question = match kind {
        FailoverKind::Planned => "yes lets the primary hand over; no write is lost.",
        _ => "yes makes it the primary; what it does not have yet is lost, and that cannot be undone.",
    };
    let request = format!("failover {replica} {kind:?}");
    let options = change.without_moves();
    Change { request, target, way: change, question, options }.make(plan, observation, printer).await
}
