//! `--cluster create`

mod carry_out;
mod show;
mod story;

use super::{Session, Stop, Terminal, Wording, check, load, misuse::Misuse, terminal::Tone};
use crate::failure::{ExitStatus, Failure};
use operations::{
    observe::{Answer, ask_all, new_nodes},
    port::Dialer,
};
use topology::{
    NodeAddr,
    create::{self, CreateRefusal, Shards},
};

pub(crate) async fn run(session: &Session, terminal: &mut Terminal<'_>) -> Result<ExitStatus, Stop> {
    let parse = |text: &String| text.parse::<NodeAddr>().map_err(|_| Misuse::NotAnAddress(text.clone()));
    let addresses: Result<Vec<_>, _> = session.arguments.iter().map(parse).collect();
    let addresses = addresses.map_err(|misuse| misuse.stop(terminal))?;
    let replicas = session.number("--cluster-replicas").map_err(|misuse| misuse.stop(terminal))?.unwrap_or(0);
    create::refuse_same_address(&addresses).map_err(|refusal| refuse(&refusal, terminal))?;
    let connector = session.connector()?;
    let answers: Result<Vec<Answer>, _> = ask_all(&connector, &addresses).await.into_iter().collect();
    let answers = answers.map_err(|error| load::unreachable(&error, terminal))?;
    let (nodes, links) = new_nodes(addresses.iter().cloned().zip(answers));
    if let (None, Some(first)) = (session.wording, nodes.first()) {
        terminal.wording = Wording::of_engine(first.view.server.engine);
    }
    let plan = create::plan(&nodes, replicas, Shards::EvenFew).map_err(|refusal| refuse(&refusal, terminal))?;
    if plan.steps.is_empty() {
        return Err(nodes
            .first()
            .map_or(Stop::Said(ExitStatus::NotDone), |node| not_empty(&node.address, 0, terminal)));
    }
    few_primaries(session, plan.expected_after.len(), replicas, nodes.len(), terminal)?;
    show::show(&plan, replicas, terminal);
    if !terminal.confirm("Can I set the above configuration?", session.says_yes())? {
        return Ok(ExitStatus::Done);
    }
    carry_out::carry_out(plan, links, session, terminal).await?;
    let Some(first) = addresses.first() else { return Ok(ExitStatus::NotDone) };
    tokio::select! {
        biased;
        Ok(()) = tokio::signal::ctrl_c() => {
            Err(Failure::new("stopped: the cluster is made but was not checked").status(ExitStatus::Stopped).into())
        }
        outcome = final_check(&connector, first, session, terminal) => outcome,
    }
}

async fn final_check(
    dialer: &dyn Dialer,
    first: &NodeAddr,
    session: &Session,
    terminal: &mut Terminal<'_>,
) -> Result<ExitStatus, Stop> {
    let observation = load::load(dialer, first, session.wording, terminal).await?;
    let nodes = load::loaded(&observation, terminal);
    Ok(if check::check(&nodes, true, terminal) { ExitStatus::Done } else { ExitStatus::NotDone })
}

fn refuse(refusal: &CreateRefusal, terminal: &mut Terminal<'_>) -> Stop {
    match refusal {
        CreateRefusal::NotACluster { address } => {
            let address = address.bare();
            terminal.say(Tone::Bad, &format!("[ERR] Node {address} is not configured as a cluster node.\n"));
        }
        CreateRefusal::HoldsKeys { address, database, .. } => return not_empty(address, *database, terminal),
        CreateRefusal::InAnotherCluster { address, .. } | CreateRefusal::HalfMadeOtherwise { address, .. } => {
            return not_empty(address, 0, terminal);
        }
        CreateRefusal::TooFewNodes { nodes, replicas, .. } => too_few(*nodes, *replicas, 3, terminal),
        other => terminal.say(Tone::Bad, &format!("[ERR] {other}.\n")),
    }
    Stop::Said(ExitStatus::NotDone)
}

pub(super) fn not_empty(address: &NodeAddr, database: u32, terminal: &mut Terminal<'_>) -> Stop {
    let address = address.bare();
    terminal.say(
        Tone::Bad,
        &format!(
            "[ERR] Node {address} is not empty. Either the node already knows other nodes (check with CLUSTER NODES) or \
             contains some key in database {database}.\n"
        ),
    );
    Stop::Said(ExitStatus::NotDone)
}

fn too_few(nodes: usize, replicas: usize, primaries: usize, terminal: &mut Terminal<'_>) {
    let (product, primary) = (terminal.wording.product(), terminal.wording.primary());
    terminal.say(
        Tone::Bad,
        &format!(
            "*** ERROR: Invalid configuration for cluster creation.\n\
             *** {product} Cluster requires at least {primaries} {primary} nodes.\n\
             *** This is not possible with {nodes} nodes and {replicas} replicas per node.\n\
             *** At least {} nodes are required.\n",
            primaries * (replicas + 1)
        ),
    );
}

/// Fewer than three primaries: redis-cli refuses, valkey-cli asks.
fn few_primaries(
    session: &Session,
    primaries: usize,
    replicas: usize,
    nodes: usize,
    terminal: &mut Terminal<'_>,
) -> Result<(), Stop> {
    if primaries >= 3 {
        return Ok(());
    }
    if terminal.wording == Wording::Redis {
        too_few(nodes, replicas, 3, terminal);
        return Err(Stop::Said(ExitStatus::NotDone));
    }
    terminal.plain(&format!(
        "Requested to create a cluster with {primaries} primaries and {replicas} replicas per primary.\n"
    ));
    let question = "Valkey cluster requires at least 3 primary nodes for automatic failover. Are you sure?";
    if terminal.confirm(question, session.says_yes())? { Ok(()) } else { Err(Stop::Said(ExitStatus::Done)) }
}
