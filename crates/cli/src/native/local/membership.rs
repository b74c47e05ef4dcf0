//! `tribune local add` and `remove`

use super::{Name, address, connector, program};
use crate::{
    failure::{ExitStatus, Failure},
    native::{create, plan_text, units},
    printer::{GREEN, Printer},
};
use clap::Args;
use local::{Cluster, Ready, wait_until_ready};
use operations::{
    observe::{Observation, look},
    run::Patience,
};
use std::time::Duration;
use topology::{
    NodeId,
    create::NewNode,
    membership::{MembershipRefusal, Role, plan_join, plan_leave},
};

const PATIENCE: Duration = Duration::from_mins(1);

/// Start a new server and let it join.
#[derive(Args)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    name: Name,
    /// Its port [default: the one after the last member's]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// The primary that it is to be a replica of, by port [default: the one with the fewest replicas]
    #[arg(long, value_name = "PORT", conflicts_with = "primary")]
    replica_of: Option<u16>,
    /// Make it a primary without slots
    #[arg(long)]
    primary: bool,
}

/// Take a server out of the cluster and remove it with its data.
#[derive(Args)]
pub(crate) struct RemoveArgs {
    /// The member
    #[arg(value_name = "PORT")]
    port: u16,
    #[command(flatten)]
    name: Name,
}

pub(crate) async fn add(arguments: &AddArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let cluster = arguments.name.existing()?;
    let _lock = cluster.lock()?;
    let Observation { view, .. } = observe(&cluster).await?;
    let id_of = |port: u16| -> Result<NodeId, Failure> {
        cluster.member(port)?;
        let node = view.nodes.iter().find(|node| node.address.same_endpoint(&address(port)));
        node.and_then(|node| node.id).ok_or_else(|| Failure::new(format!("the server on port {port} does not answer")))
    };
    let role = match arguments.replica_of {
        Some(port) => Role::ReplicaOf(id_of(port)?),
        None if arguments.primary => Role::Primary,
        None => Role::ReplicaWhereFewest,
    };
    let last = cluster.ports()?.last().copied().unwrap_or_default();
    let port = arguments.port.unwrap_or_else(|| last.saturating_add(1));
    cluster.write_members(port, 1, &cluster.settings()?.engine)?;
    match join(&cluster, port, role, printer).await {
        Ok(()) => Ok(ExitStatus::Done),
        Err(failure) => {
            // Nothing of it stays: neither its data nor what the others have heard of it.
            take_out(&cluster, port, printer).await?;
            Err(failure)
        }
    }
}

async fn join(cluster: &Cluster, port: u16, role: Role, printer: &mut Printer) -> Result<(), Failure> {
    let connector = connector()?;
    cluster.start().await?;
    let ready = Ready { patience: PATIENCE, forgiving: false };
    let answers = wait_until_ready(cluster, &[port], &connector, ready).await?;
    let Some((address, answer)) = answers.into_iter().next() else { return Ok(()) };
    let id = answer.view.myself.id;
    let new = NewNode { address, zone: None, view: answer.view };
    let Observation { view, mut links, .. } = observe_others(cluster, port).await?;
    let plan = plan_join(&view, &new, role)?;
    links.insert(id, answer.link);
    printer.out(&plan_text::text(&plan));
    create::carry_out(&plan, links, Patience { agreement: PATIENCE, service: PATIENCE }, printer).await?;
    printer.out(&format!("{GREEN}done{GREEN:#}: {}    {}\n", plan.goal, units::duration(printer.elapsed())));
    Ok(())
}

pub(crate) async fn remove(arguments: &RemoveArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let cluster = arguments.name.existing()?;
    let _lock = cluster.lock()?;
    let port = arguments.port;
    cluster.member(port)?;
    take_out(&cluster, port, printer).await?;
    let took = units::duration(printer.elapsed());
    printer.out(&format!("{GREEN}done{GREEN:#}: the member on port {port} and its data are removed    {took}\n"));
    Ok(ExitStatus::Done)
}

/// Lets the cluster forget a member, and removes it.
async fn take_out(cluster: &Cluster, port: u16, printer: &mut Printer) -> Result<(), Failure> {
    let Observation { view, links, .. } = observe_others(cluster, port).await?;
    let node = view.nodes.iter().find(|node| node.address.same_endpoint(&address(port)));
    let Some(id) = node.and_then(|node| node.id) else { return Ok(cluster.remove_member(port)?) };
    let plan = plan_leave(&view, id)?;
    printer.out(&plan_text::text(&plan));
    // It stops first: a node that runs would tell the others of itself again.
    cluster.remove_member(port)?;
    create::carry_out(&plan, links, Patience { agreement: PATIENCE, service: PATIENCE }, printer).await
}

async fn observe(cluster: &Cluster) -> Result<Observation, Failure> {
    let addresses: Vec<_> = cluster.ports()?.into_iter().map(address).collect();
    Ok(look(&connector()?, &addresses).await?)
}

/// The cluster without the new member, which knows nobody yet.
async fn observe_others(cluster: &Cluster, port: u16) -> Result<Observation, Failure> {
    let others = cluster.ports()?.into_iter().filter(|other| *other != port);
    let addresses: Vec<_> = others.map(address).collect();
    Ok(look(&connector()?, &addresses).await?)
}

impl From<MembershipRefusal> for Failure {
    fn from(refusal: MembershipRefusal) -> Self {
        let advice = match &refusal {
            MembershipRefusal::OwnsSlots { successor: Some(successor), .. } => Some(format!(
                "let its replica take over, then repeat: redis-cli -h {} -p {} cluster failover",
                successor.host, successor.port
            )),
            MembershipRefusal::OwnsSlots { address, .. } => {
                Some(format!("move its slots away first: redis-cli --cluster reshard {address}"))
            }
            MembershipRefusal::HasReplica { replica, .. } => {
                Some(format!("remove its replica first: {} local remove {}", program(), replica.port))
            }
            MembershipRefusal::NoMajority { .. } => Some(format!("wait until they answer: {} local status", program())),
            _ => None,
        };
        Self { advice, ..Self::new(refusal.to_string()) }
    }
}
