//! `tribune set-timeout`: another node timeout on every node.

use super::{
    Target,
    change::{Change, ChangeArgs},
};
use crate::{
    connection::ConnectionArgs,
    failure::{ExitStatus, Failure},
    printer::Printer,
};
use clap::Args;
use topology::settings;

/// Set after how many milliseconds of silence a node is taken for failed (cluster-node-timeout), on every node.
#[derive(Args)]
pub(crate) struct SetTimeoutArgs {
    /// Any node of the cluster
    #[arg(value_name = "HOST:PORT")]
    address: String,
    /// Milliseconds, 100 at least
    #[arg(value_name = "MS", value_parser = clap::value_parser!(u32).range(100..=i64::from(i32::MAX)))]
    milliseconds: u32,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(crate) async fn run(arguments: &SetTimeoutArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let SetTimeoutArgs { address, milliseconds, connection, change } = arguments;
    let target = Target { address: vec![address.clone()], connection: connection.clone() };
    let observation = Change::look(&target).await?;
    let plan = settings::plan_timeout(&observation.view, *milliseconds);
    let silent: Vec<String> = observation.troubles.iter().map(ToString::to_string).collect();
    let request = format!("set-timeout {milliseconds}");
    let question = "yes sets it on all these nodes at once, and in their files.";
    let options = change.without_moves();
    let status =
        Change { request, target: &target, way: change, question, options }.make(plan, observation, printer).await?;
    if silent.is_empty() || change.dry_run {
        return Ok(status);
    }
    for trouble in &silent {
        printer.note(&format!("not set: {trouble}\n"));
    }
    Ok(ExitStatus::NotDone)
}
