//! `tribune create`: a cluster of empty nodes, and the way back.

use super::{
    change::{ChangeArgs, Closing, carry_out},
    connector,
};
use crate::{
    connection::ConnectionArgs,
    failure::{ExitStatus, Failure},
    printer::Printer,
};
use clap::Args;
use operations::{
    observe::{ask_all, new_nodes},
    port::{Dialer, NodeLink},
    run::Patience,
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use topology::{
    Host, NodeAddr, NodeId,
    create::{self, NewNode, Shards},
    plan::Plan,
};

/// Make a cluster of empty nodes.
#[derive(Args)]
pub(crate) struct CreateArgs {
    /// The nodes: HOST:PORT, with @BUSPORT where the bus port is not PORT + 10000
    #[arg(required = true, value_name = "HOST:PORT")]
    addresses: Vec<String>,
    /// Replicas for each primary; nodes left over become replicas, too
    #[arg(long, value_name = "N", default_value_t = 0)]
    replicas: usize,
    /// Exactly so many shards [default: as many as the nodes allow, at least 3]
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    /// The zone of a host, where the servers do not tell it themselves (availability-zone)
    #[arg(long = "zone", value_name = "HOST=ZONE", value_parser = zone)]
    zones: Vec<(Host, String)>,
    /// Make nodes that an interrupted create left half-made as new again
    #[arg(long, conflicts_with_all = ["replicas", "shards", "zones"])]
    undo: bool,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

fn zone(text: &str) -> Result<(Host, String), String> {
    let (host, zone) = text.split_once('=').filter(|(_, zone)| !zone.is_empty()).ok_or("not HOST=ZONE")?;
    // Any port makes an address of a host.
    let address = NodeAddr::from_parts(host, "1").map_err(|_| "no host before the =")?;
    Ok((address.host, zone.to_owned()))
}

pub(crate) async fn run(arguments: &CreateArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let addresses = arguments.addresses.iter().map(|text| text.parse()).collect::<Result<Vec<NodeAddr>, _>>()?;
    create::refuse_same_address(&addresses)?;
    let nowhere = arguments.zones.iter().find(|(host, _)| addresses.iter().all(|address| address.host != *host));
    if let Some((host, zone)) = nowhere {
        return Err(Failure::new(format!("--zone {host}={zone}: no address has the host {host}"))
            .advice("write the host as in the addresses")
            .status(ExitStatus::WrongWords));
    }
    if arguments.shards == Some(0) {
        return Err(Failure::new("a cluster has at least 1 shard").status(ExitStatus::WrongWords));
    }
    let shards = arguments.shards.map_or(Shards::AsManyAsPossible, Shards::Exactly);
    if !arguments.undo {
        create::count_shards(addresses.len(), arguments.replicas, shards)?;
    }
    let (nodes, links) = ask(&connector(&arguments.connection)?, &addresses, &arguments.zones).await?;
    let plan =
        if arguments.undo { create::plan_undo(&nodes)? } else { create::plan(&nodes, arguments.replicas, shards)? };
    let change = &arguments.change;
    if !plan.changes_anything() {
        if !change.only_shows() {
            // An earlier attempt may have stopped while it waited.
            carry_out(&plan, links, change.patience(), printer).await.map_err(|failure| explain(failure, arguments))?;
        }
        let are = if arguments.undo { "are as new" } else { "already form this cluster" };
        return change.nothing_to_do(&plan, &format!("nothing to do: these nodes {are}\n"), printer);
    }
    let question = if arguments.undo {
        "yes makes these nodes forget each other; they hold no keys."
    } else {
        "yes makes this cluster of these nodes."
    };
    if !change.agree(&plan, question, None, printer)? {
        return Ok(ExitStatus::Done);
    }
    let outcome = if arguments.undo {
        undo(&plan, links, &connector(&arguments.connection)?, &addresses, change.patience(), printer).await
    } else {
        carry_out(&plan, links, change.patience(), printer).await
    };
    outcome.map_err(|failure| explain(failure, arguments))?;
    change.done(&plan, &closing(arguments, &plan), printer)
}

/// Asks all nodes what they are; fails when one of them does not answer.
pub(crate) async fn ask(
    dialer: &dyn Dialer,
    addresses: &[NodeAddr],
    zones: &[(Host, String)],
) -> Result<(Vec<NewNode>, BTreeMap<NodeId, Arc<dyn NodeLink>>), Failure> {
    let (mut answers, mut errors) = (Vec::new(), Vec::new());
    for (address, answer) in addresses.iter().zip(ask_all(dialer, addresses).await) {
        match answer {
            Err(error) => errors.push(error),
            Ok(answer) => answers.push((address.clone(), answer)),
        }
    }
    if let Some(failure) = Failure::of_nodes(errors) {
        return Err(failure);
    }
    let (mut nodes, links) = new_nodes(answers);
    for node in &mut nodes {
        if let Some((_, zone)) = zones.iter().find(|(host, _)| *host == node.address.host) {
            node.zone = Some(zone.clone());
        }
    }
    Ok((nodes, links))
}

/// Makes nodes as new, and again until they stay so: who was told before to meet others may still do so within two turns of
/// its cluster clock, and those know it then.
async fn undo(
    plan: &Plan,
    links: BTreeMap<NodeId, Arc<dyn NodeLink>>,
    dialer: &dyn Dialer,
    addresses: &[NodeAddr],
    patience: Patience,
    printer: &mut Printer,
) -> Result<(), Failure> {
    const TWO_TURNS: Duration = Duration::from_millis(250);
    let begin = Instant::now();
    let (mut plan, mut links) = (plan.clone(), links);
    while begin.elapsed() < patience.agreement {
        carry_out(&plan, links, patience, printer).await?;
        tokio::time::sleep(TWO_TURNS).await;
        let nodes;
        (nodes, links) = ask(dialer, addresses, &[]).await?;
        plan = create::plan_undo(&nodes)?;
        if plan.steps.is_empty() {
            return Ok(());
        }
    }
    Err(Failure::new("the nodes meet each other again and again")
        .because("another program may be making a cluster of them"))
}

/// Adds to a failure what goes on from there and what undoes it.
fn explain(failure: Failure, arguments: &CreateArgs) -> Failure {
    if arguments.undo {
        return failure.advice("the same command goes on from here");
    }
    let again = format!("tribune create --undo {}{}", arguments.addresses.join(" "), arguments.connection.again());
    let advice = match &failure.advice {
        Some(advice) => format!("{advice}\n       the same command goes on from here; as new again: {again}"),
        None => format!("the same command goes on from here; as new again: {again}"),
    };
    failure.advice(advice)
}

fn closing(arguments: &CreateArgs, plan: &Plan) -> Closing<'static> {
    if arguments.undo {
        return Closing { word: "done", next: None };
    }
    let entry = plan.based_on.first().map_or_else(String::new, |node| node.address.to_string());
    let next = format!("tribune status {entry}{}", arguments.connection.again());
    Closing { word: "created", next: Some(next) }
}
