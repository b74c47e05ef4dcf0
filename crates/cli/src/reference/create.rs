//! `--cluster create`

use super::{Session, Stop, Terminal, Wording, blocks, check, grammar::Misuse, load, terminal::Tone};
use crate::failure::{ExitStatus, Failure};
use operations::{
    observe::{Answer, ask_all},
    port::NodeLink,
    run::{Estranged, Patience, Progress, RunError, Runner},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use topology::{
    NodeAddr, NodeId,
    create::{self, CreateRefusal, NewNode, Shards},
    plan::{Action, Plan},
};

/// The reference waits for ever.
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) async fn run(session: &Session, terminal: &mut Terminal<'_>) -> Result<ExitStatus, Stop> {
    let parse = |text: &String| text.parse::<NodeAddr>().map_err(|_| Misuse::NotAnAddress(text.clone()));
    let addresses: Result<Vec<_>, _> = session.arguments.iter().map(parse).collect();
    let addresses = addresses.map_err(|misuse| misuse.stop(terminal))?;
    let replicas = replicas(session).map_err(|misuse| misuse.stop(terminal))?;
    create::refuse_same_address(&addresses).map_err(|refusal| refuse(&refusal, terminal))?;
    let connector = session.connector(terminal)?;
    let mut nodes = Vec::new();
    let mut links: BTreeMap<NodeId, Arc<dyn NodeLink>> = BTreeMap::new();
    for (address, answer) in addresses.iter().zip(ask_all(&connector, &addresses).await) {
        let Answer { link, view } = answer.map_err(|error| load::unreachable(&error, terminal))?;
        links.insert(view.myself.id, link);
        nodes.push(NewNode { address: address.clone(), zone: view.server.zone.clone(), view });
    }
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
    show(&plan, replicas, terminal);
    if !terminal.confirm("Can I set the above configuration?", session.says_yes())? {
        return Ok(ExitStatus::Done);
    }
    carry_out(plan, links, terminal).await?;
    let Some(first) = addresses.first() else { return Ok(ExitStatus::NotDone) };
    let observation = load::load(&connector, first, session.wording, terminal).await?;
    let nodes = load::loaded(&observation, terminal);
    Ok(if check::check(&nodes, terminal) { ExitStatus::Done } else { ExitStatus::NotDone })
}

fn replicas(session: &Session) -> Result<usize, Misuse> {
    const OPTION: &str = "--cluster-replicas";
    let Some(value) = session.invocation.value(OPTION) else { return Ok(0) };
    value.parse().map_err(|_| Misuse::NotANumber { option: OPTION, value: value.to_owned() })
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

fn not_empty(address: &NodeAddr, database: u32, terminal: &mut Terminal<'_>) -> Stop {
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

/// What will be, in the reference's lines.
fn show(plan: &Plan, replicas: usize, terminal: &mut Terminal<'_>) {
    let nodes = plan.based_on.len();
    let (noun, primary, replica) = match terminal.wording {
        Wording::Redis => ("nodes", "Master", "slaves"),
        Wording::Valkey => ("node(s)", "Primary", "replicas"),
    };
    terminal.say(Tone::Info, &format!(">>> Performing hash slots allocation on {nodes} {noun}...\n"));
    for (number, shard) in plan.expected_after.iter().enumerate() {
        if let (Some(first), Some(last)) = (shard.slots.ranges().next(), shard.slots.ranges().next_back()) {
            terminal.plain(&format!("{primary}[{number}] -> Slots {} - {}\n", first.start(), last.end()));
        }
    }
    let lines = |shard: &topology::plan::PlannedShard, from: usize, to: usize| -> String {
        let chosen = shard.replicas.iter().skip(from).take(to.saturating_sub(from));
        let line = |replica: &topology::plan::NodeRef| {
            format!("Adding replica {} to {}\n", replica.address.bare(), shard.primary.address.bare())
        };
        chosen.map(line).collect()
    };
    for shard in &plan.expected_after {
        terminal.plain(&lines(shard, 0, replicas));
    }
    if plan.expected_after.iter().any(|shard| shard.replicas.len() > replicas) {
        terminal.plain("Adding extra replicas...\n");
        for shard in &plan.expected_after {
            terminal.plain(&lines(shard, replicas, usize::MAX));
        }
    }
    if let Some(warning) = affinity(plan, terminal.wording) {
        terminal.say(Tone::Info, &format!(">>> Trying to optimize {replica} allocation for anti-affinity\n"));
        terminal.say(Tone::Bad, &warning);
    }
    for node in &plan.based_on {
        let own = plan.expected_after.iter().find(|shard| shard.primary.id == node.id);
        let of = plan.expected_after.iter().find(|shard| shard.replicas.iter().any(|replica| replica.id == node.id));
        let role = match (own, of) {
            (Some(shard), _) => Ok(&shard.slots),
            (None, Some(shard)) => Err(shard.primary.id),
            (None, None) => continue,
        };
        terminal.plain(&blocks::planned(node.id, &node.address, role));
    }
}

/// What is not ideal about hosts, in the reference's words.
fn affinity(plan: &Plan, wording: Wording) -> Option<String> {
    let (primary, replicas) = (wording.primary(), format!("{}s", wording.replica()));
    if plan.placement.is_some_and(|quality| quality.replicas_on_host_of_primary.here > 0) {
        return Some(format!("[WARNING] Some {replicas} are in the same host as their {primary}\n"));
    }
    let together = plan.expected_after.iter().any(|shard| {
        let hosts: BTreeSet<_> = shard.replicas.iter().map(|replica| &replica.address.host).collect();
        hosts.len() < shard.replicas.len()
    });
    together.then(|| format!("[WARNING] Some {replicas} of the same {primary} are in the same host\n"))
}

/// Runs the plan. Like the reference it ends when all nodes agree, before they serve and the replicas have their data.
async fn carry_out(
    mut plan: Plan,
    links: BTreeMap<NodeId, Arc<dyn NodeLink>>,
    terminal: &mut Terminal<'_>,
) -> Result<(), Stop> {
    plan.steps.retain(|step| !matches!(step.action, Action::AwaitService { .. } | Action::AwaitReplicas { .. }));
    let story = Mutex::new(Story { terminal, told: 0, waiting: None });
    let tell = |progress: Progress| {
        if let Ok(mut story) = story.lock() {
            story.tell(&progress);
        }
    };
    let outcome = Runner::new(links, Patience { agreement: PATIENCE, service: PATIENCE }, &tell).run(&plan).await;
    let Ok(mut story) = story.into_inner() else { return Err(Stop::Said(ExitStatus::NotDone)) };
    story.tell_until(Story::LINES.len());
    story.terminal.plain("\n");
    match outcome {
        Ok(()) => Ok(()),
        Err(RunError::Estranged { pairs, .. }) => {
            estranged(&pairs, story.terminal);
            Err(Stop::Said(ExitStatus::NotDone))
        }
        Err(RunError::Node(error)) => Err(load::unreachable(&error, story.terminal)),
        Err(other) => Err(Failure::from(other).into()),
    }
}

/// The lines that go with the run, each told once and in order, and a dot for each second of waiting.
struct Story<'a, 'b> {
    terminal: &'a mut Terminal<'b>,
    told: usize,
    waiting: Option<Instant>,
}

impl Story<'_, '_> {
    const LINES: [&'static str; 4] = [
        ">>> Nodes configuration updated\n",
        ">>> Assign a different config epoch to each node\n",
        ">>> Sending CLUSTER MEET messages to join the cluster\n",
        "Waiting for the cluster to join\n",
    ];

    fn tell(&mut self, progress: &Progress) {
        match progress {
            Progress::Stage { actions, .. } => match actions.first() {
                Some(Action::SetEpoch { .. }) => self.tell_until(2),
                Some(Action::AddSlots { .. }) | None => {}
                Some(_) => self.tell_until(Self::LINES.len()),
            },
            Progress::Waiting { .. } => {
                let last = self.waiting.get_or_insert_with(Instant::now);
                if last.elapsed() >= Duration::from_secs(1) {
                    *last = Instant::now();
                    self.terminal.plain(".");
                }
            }
            _ => {}
        }
    }

    fn tell_until(&mut self, end: usize) {
        for line in Self::LINES.iter().take(end).skip(self.told) {
            if line.starts_with('>') {
                self.terminal.say(Tone::Info, line);
            } else {
                self.terminal.plain(line);
            }
        }
        self.told = self.told.max(end);
    }
}

/// Who does not reach whom, grouped by the one that is not reached.
fn estranged(pairs: &[Estranged], terminal: &mut Terminal<'_>) {
    let mut unreached: BTreeMap<(&NodeAddr, u16), Vec<&NodeAddr>> = BTreeMap::new();
    for pair in pairs {
        unreached.entry((&pair.other, pair.bus_port)).or_default().push(&pair.node);
    }
    terminal.say(Tone::Warning, &format!("Warning: {} node(s) may be unreachable\n", unreached.len()));
    for ((node, bus_port), witnesses) in unreached {
        let line = format!(" - The port {bus_port} of node {} may be unreachable from:\n", node.host);
        terminal.say(Tone::Warning, &line);
        for witness in witnesses {
            terminal.plain(&format!("   {}\n", witness.bare()));
        }
    }
    terminal.say(
        Tone::Warning,
        "Cluster bus ports must be reachable by every node.\nRemember that cluster bus ports are different from standard \
         instance ports.\n",
    );
}
