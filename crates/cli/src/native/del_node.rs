//! `tribune del-node`: a node that owns nothing leaves a cluster.

use super::{
    Target,
    change::{Change, ChangeArgs},
    named::node,
};
use crate::{
    connection::ConnectionArgs,
    failure::{ExitStatus, Failure},
    printer::Printer,
};
use clap::Args;
use topology::membership::plan_delete;

/// Let a node leave: all others forget it at once, its replicas follow other primaries, and it forgets the cluster.
#[derive(Args)]
pub(crate) struct DelNodeArgs {
    /// Any node of the cluster
    #[arg(value_name = "HOST:PORT")]
    address: String,
    /// The node: its id, the beginning of it, or its address
    #[arg(value_name = "ID")]
    node: String,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub(crate) async fn run(arguments: &DelNodeArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let DelNodeArgs { address, node: word, change, connection } = arguments;
    let target = Target { address: vec![address.clone()], connection: connection.clone() };
    let observation = Change::look(&target).await?;
    let id = node(&observation.view, word)?;
    let plan = plan_delete(&observation.view, id)?;
    let request = format!("del-node {id}");
    let question = "yes lets the cluster forget it; its server goes on, alone.";
    let options = change.without_moves();
    Change { request, target: &target, way: change, question, options }.make(plan, observation, printer).await
}
