//! `tribune local add` and `remove`

use super::{Name, address, connector, consent::Consent, look_through, program};
use crate::{
    failure::{ExitStatus, Failure},
    native::{
        change::carry_out,
        plan_text::{self, Look},
        units,
    },
    printer::{GREEN, Printer},
};
use clap::Args;
use local::{Cluster, LocalError, Ready, wait_until_ready};
use operations::{observe::Observation, run::Patience};
use std::time::Duration;
use topology::{
    ClusterView, NodeId, ObservedNode,
    create::NewNode,
    membership::{Role, plan_join, plan_leave},
    plan::Plan,
};

const PATIENCE: Patience = Patience { agreement: Duration::from_mins(1), service: Duration::from_mins(1) };

/// Start a new server and let it join as a replica.
#[derive(Args)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    name: Name,
    /// Its port [default: the one after the last member's]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// The primary that it is to be a replica of, by port [default: the one with the fewest replicas]
    #[arg(long, value_name = "PORT")]
    replica_of: Option<u16>,
}

/// Take a server out of the cluster and remove it with its data.
#[derive(Args)]
pub(crate) struct RemoveArgs {
    /// The member
    #[arg(value_name = "PORT")]
    port: u16,
    #[command(flatten)]
    name: Name,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Show the plan and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn add(arguments: &AddArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let cluster = arguments.name.existing()?;
    let _lock = cluster.lock()?;
    let _hold = cluster.hold_loop()?;
    must_run(&cluster)?;
    let Observation { view, .. } = look_through(&cluster.ports()?).await?;
    let role = match arguments.replica_of {
        Some(port) => Role::ReplicaOf(id_of(&cluster, &view, port)?),
        None => Role::ReplicaWhereFewest,
    };
    let last = cluster.ports()?.last().copied().unwrap_or_default();
    let port = arguments.port.unwrap_or_else(|| last.saturating_add(1));
    cluster.write_members(port, 1, &cluster.settings()?.launch())?;
    // The loop hears of it, with the new server, before it is let go: otherwise it would take that for one too many.
    want_extra(&cluster, |extra| extra + 1)?;
    let outcome = tokio::select! {
        outcome = join(&cluster, port, role, printer) => outcome,
        _ = tokio::signal::ctrl_c() => Err(Failure::new("stopped before it had joined").status(ExitStatus::Stopped)),
    };
    if let Err(mut failure) = outcome {
        // Nothing of it stays: neither its data nor what the others have heard of it.
        if let Err(cleaning) = undo_add(&cluster, port, printer).await {
            failure.more.push(format!("and what was begun could not be undone: {}", cleaning.what));
            failure.advice = Some(format!("{} local remove {port}{}", program(), arguments.name.again()));
        }
        return Err(failure);
    }
    Ok(ExitStatus::Done)
}

/// Lets the shape have another number of replicas beyond those of each shard, and the loop know.
fn want_extra(cluster: &Cluster, change: fn(usize) -> usize) -> Result<(), Failure> {
    let mut settings = cluster.settings()?;
    settings.extra = change(settings.extra);
    cluster.keep(&settings)?;
    Ok(cluster.start()?)
}

async fn join(cluster: &Cluster, port: u16, role: Role, printer: &mut Printer) -> Result<(), Failure> {
    cluster.start()?;
    let ready = Ready { patience: PATIENCE.service, forgiving: false };
    let answers = wait_until_ready(cluster, &[port], &connector()?, ready).await?;
    let Some((address, answer)) = answers.into_iter().next() else { return Ok(()) };
    let id = answer.view.myself.id;
    let observation = look_through_others(cluster, port).await?;
    let Observation { view, mut links, .. } = observation;
    let new = NewNode { address, zone: None, view: answer.view };
    let plan = plan_join(&view, &new, role, None)?;
    links.insert(id, answer.link);
    printer.out(&plan_text::text(&plan, Look::on(printer, None)));
    carry_out(&plan, links, PATIENCE, printer).await?;
    printer.out(&format!("{GREEN}done{GREEN:#}: {}    {}\n", plan.goal, units::duration(printer.elapsed())));
    Ok(())
}

async fn undo_add(cluster: &Cluster, port: u16, printer: &mut Printer) -> Result<(), Failure> {
    want_extra(cluster, |extra| extra.saturating_sub(1))?;
    let Observation { view, links, .. } = look_through_others(cluster, port).await?;
    let plan = node_at(&view, port).and_then(|node| node.id).map(|id| plan_leave(&view, id)).transpose()?;
    cluster.take_out(port)?;
    if let Some(plan) = plan {
        carry_out(&plan, links, PATIENCE, printer).await?;
    }
    Ok(cluster.discard(port)?)
}

pub(crate) async fn remove(arguments: &RemoveArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let cluster = arguments.name.existing()?;
    let _lock = cluster.lock()?;
    let _hold = cluster.hold_loop()?;
    let port = arguments.port;
    // What is left of an earlier member with this port is not this one.
    let leaving = cluster.leaving()?.contains(&port) && cluster.member(port).is_err();
    must_run(&cluster)?;
    let Observation { view, links, .. } = look_through(&cluster.ports()?).await?;
    let node = node_at(&view, port);
    if !leaving && node.is_none() {
        cluster.member(port)?;
    }
    let plan = leave(&cluster, &view, node, port)?;
    if let Some(plan) = &plan {
        printer.out(&plan_text::text(plan, Look::on(printer, None)));
    }
    let question = format!("yes removes the member on port {port} with its data for good.");
    let consent = Consent { yes: arguments.yes, dry_run: arguments.dry_run };
    if !consent.is_given(&question, printer)? {
        return Ok(ExitStatus::Done);
    }
    // Whatever becomes of this command, the loop is not to put another one in its place.
    if !leaving {
        want_extra(&cluster, |extra| extra.saturating_sub(1))?;
    }
    // It stops first: a node that runs would tell the others of itself again. Its data goes when all have forgotten it.
    if leaving || cluster.member(port).is_ok() {
        cluster.take_out(port)?;
    }
    if let Some(plan) = &plan
        && let Err(failure) = carry_out(plan, links, PATIENCE, printer).await
    {
        let again = format!("{} local remove {port}{}", program(), arguments.name.again());
        return Err(failure.advice(format!("its server is stopped and its data kept; go on: {again}")));
    }
    cluster.discard(port)?;
    let silent = view.silent().filter(|(node, _)| node.address.port != port).count();
    if silent > 0 {
        printer.note(&format!(
            "{} did not answer and may still know it: repeat when they do\n",
            units::count(silent, "node")
        ));
    }
    let took = units::duration(printer.elapsed());
    printer.out(&format!("{GREEN}done{GREEN:#}: the member on port {port} and its data are removed    {took}\n"));
    Ok(ExitStatus::Done)
}

/// The plan by which a member leaves; none when the cluster has never heard of it.
///
/// # Errors
/// Unless it is proved that no data goes with it.
fn leave(
    cluster: &Cluster,
    view: &ClusterView,
    node: Option<&ObservedNode>,
    port: u16,
) -> Result<Option<Plan>, Failure> {
    let id = node.and_then(|node| node.id);
    if let Some(id) = id.filter(|id| view.sightings(*id).next().is_some()) {
        return Ok(Some(plan_leave(view, id)?));
    }
    match node.and_then(ObservedNode::view) {
        Some(own) if own.server.keys() > 0 || !own.myself.slots.is_empty() => {
            let keys = units::count(own.server.keys(), "key");
            let slots = units::count(own.myself.slots.len(), "slot");
            Err(Failure::new(format!("127.0.0.1:{port} owns {slots} and holds {keys}, and no other node knows it"))
                .because("nobody could say that this data is elsewhere, too"))
        }
        None if cluster.has_run(port) && !view.served().complement().is_empty() => {
            let again = super::again(cluster.name());
            Err(Failure::new(format!("no node that answers knows the member on port {port}, and it does not answer"))
                .because("its data could be the only copy")
                .advice(format!("let all members run first: {} local up{again}", program())))
        }
        _ => Ok(None),
    }
}

/// Refuses a cluster of which nothing runs, and one that was never made to its end.
pub(super) fn must_run(cluster: &Cluster) -> Result<(), Failure> {
    let name = cluster.name().to_owned();
    if !cluster.settings()?.formed {
        return Err(LocalError::Unformed { name }.into());
    }
    if cluster.members()?.iter().all(|member| member.server_pid.is_none()) {
        return Err(LocalError::NotRunning { name }.into());
    }
    Ok(())
}

fn id_of(cluster: &Cluster, view: &ClusterView, port: u16) -> Result<NodeId, Failure> {
    cluster.member(port)?;
    let id = node_at(view, port).and_then(|node| node.id);
    id.ok_or_else(|| Failure::new(format!("the server on port {port} does not answer")))
}

/// The node on a port; one that answers before one that others only tell of.
pub(super) fn node_at(view: &ClusterView, port: u16) -> Option<&ObservedNode> {
    let there = || view.nodes.iter().filter(|node| node.address.same_endpoint(&address(port)));
    there().find(|node| node.said.is_ok()).or_else(|| there().next())
}

/// The cluster without the new member, which knows nobody yet.
async fn look_through_others(cluster: &Cluster, port: u16) -> Result<Observation, Failure> {
    let others: Vec<u16> = cluster.ports()?.into_iter().filter(|other| *other != port).collect();
    look_through(&others).await
}
