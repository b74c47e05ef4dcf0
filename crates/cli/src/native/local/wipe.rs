//! `tribune local wipe`

use super::{
    Name,
    consent::Consent,
    look_through,
    membership::{must_run, node_at},
    program,
};
use crate::{
    failure::{ExitStatus, Failure},
    native::units,
    printer::Printer,
};
use clap::Args;
use std::collections::BTreeSet;
use topology::{
    ClusterView, NodeId,
    survival::{NotSurvived, survives_loss},
};

/// Let members lose their disks: each server is killed, all that it has kept is removed, and it comes back empty.
#[derive(Args)]
pub(crate) struct WipeArgs {
    /// The members
    #[arg(value_name = "PORT", required = true)]
    ports: Vec<u16>,
    #[command(flatten)]
    name: Name,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Tell what would be lost and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(arguments: &WipeArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let cluster = arguments.name.existing()?;
    let _lock = cluster.lock()?;
    let ports: BTreeSet<u16> = arguments.ports.iter().copied().collect();
    for port in &ports {
        if cluster.member(*port)?.agent_port.is_none() {
            return Err(Failure::new(format!("the agent of the member on port {port} does not answer others"))
                .because("an older version has made this member")
                .advice(format!("put another one in its place: {} local remove {port}", program())));
        }
    }
    must_run(&cluster)?;
    let view = look_through(&cluster.ports()?).await?.view;
    let lost: BTreeSet<NodeId> = ports.iter().filter_map(|port| node_at(&view, *port)?.id).collect();
    survives_loss(&view, &lost)?;
    for port in &ports {
        printer.out(&format!("{port}  {}\n", loss(&view, *port)));
    }
    let question = format!("yes removes all data of {} for good.", units::count(ports.len(), "member"));
    let consent = Consent { yes: arguments.yes, dry_run: arguments.dry_run };
    if !consent.is_given(&question, printer)? {
        return Ok(ExitStatus::Done);
    }
    for port in &ports {
        cluster.wipe(*port)?;
    }
    printer.out(&format!(
        "wiped: each of them comes back empty when no server follows the node that it was, and the loop takes it in again\n  do   {} local status{}\n",
        program(),
        arguments.name.again()
    ));
    Ok(ExitStatus::Done)
}

/// What a member loses.
fn loss(view: &ClusterView, port: u16) -> String {
    let Some(said) = node_at(view, port).and_then(|node| node.view()) else {
        return "does not answer: whatever its server has kept goes".to_owned();
    };
    let keys = units::count(said.server.keys(), "key");
    match (said.myself.primary, said.myself.slots.len()) {
        (Some(primary), _) => format!("replica of {} with {keys}: the primary keeps them", view.name(primary)),
        (None, 0) => format!("primary without slots, with {keys}"),
        (None, slots) => format!("primary of {} with {keys}: a replica takes over first", units::count(slots, "slot")),
    }
}

impl From<NotSurvived> for Failure {
    fn from(refusal: NotSurvived) -> Self {
        let failure = Self::new(refusal.to_string());
        match refusal {
            NotSurvived::LastCopy { .. } => failure.advice("give its shard a replica, or wait until it is in sync"),
            NotSurvived::NoMajority { .. } => {
                failure.advice("let a replica take over first: tribune failover REPLICA, then wipe the old primary")
            }
            _ => failure.advice("wait until it is replaced"),
        }
    }
}
