//! `tribune local up`

use super::{Name, again, connector, look_through, program, status};
use crate::{
    failure::{ExitStatus, Failure},
    native::{change::carry_out, units},
    printer::{GREEN, Printer},
};
use clap::Args;
use local::{Cluster, Engine, Home, LocalError, MemberState, Ready, Settings, ports_of, wait_until_ready};
use node::Connector;
use operations::{observe::new_nodes, run::Patience};
use std::time::{Duration, Instant};
use topology::{
    create::{Shards, plan},
    findings::{FindingCode, Severity},
    report::ClusterReport,
};

/// How long servers may take to answer, and the cluster to be healthy: old data is read from disk first.
const PATIENCE: Duration = Duration::from_mins(1);
/// Where the first cluster's ports begin; those of others begin at the next free hundred.
const FIRST_PORT: u16 = 7000;

/// Make a cluster of real servers on this machine, or bring one back with its data.
#[derive(Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    name: Name,
    /// Primaries [default: 3]
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    /// Replicas of each primary [default: 1]
    #[arg(long, value_name = "N")]
    replicas: Option<usize>,
    /// The server: redis, valkey, a name from the cache such as valkey-9.1, or a path [default: what this machine has]
    #[arg(long, value_name = "NAME|PATH")]
    engine: Option<String>,
    /// First port; the agents' lie 5000 above, bus ports 10000 above [default: 7000, or the next free hundred]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
}

/// Which server.
#[derive(Args)]
pub(crate) struct EngineArgs {
    /// redis, valkey, a name from the cache such as valkey-9.1, or a path [default: what this machine has]
    #[arg(long, value_name = "NAME|PATH")]
    engine: Option<String>,
}

pub(crate) async fn engine(arguments: &EngineArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let engine = Engine::find(arguments.engine.as_deref()).await?;
    printer.out(&format!("{}  {} {}\n", engine.program.display(), engine.product, engine.version));
    Ok(ExitStatus::Done)
}

pub(crate) async fn run(arguments: &UpArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let home = Home::of_user()?;
    let cluster = home.cluster(&arguments.name.name)?;
    let lock = cluster.lock()?;
    // Known only now that no other command works on it.
    let new = cluster.is_new();
    if !new && !cluster.exists() {
        return Err(cluster.torso().into());
    }
    let outcome = tokio::select! {
        outcome = bring_up(arguments, &home, &cluster, printer) => outcome,
        _ = tokio::signal::ctrl_c() => {
            Err(Failure::new("stopped before the cluster was up").status(ExitStatus::Stopped))
        }
    };
    if let Err(failure) = outcome {
        return Err(if new { leave_nothing(&cluster, failure) } else { failure });
    }
    drop(lock);
    let report = status::observe(&cluster).await?;
    printer.out(&status::screen(&cluster, report.as_ref(), printer.width)?);
    printer.out(&next(arguments, &cluster)?);
    let healthy = status::is_healthy(&cluster, report.as_ref())?;
    let took = units::duration(printer.elapsed());
    let state = if healthy { format!("{GREEN}up{GREEN:#}") } else { "up, not healthy".to_owned() };
    printer.out(&format!("{state}: cluster {}    {took}\n", cluster.name()));
    Ok(if healthy { ExitStatus::Done } else { ExitStatus::NotDone })
}

/// Ends and removes a cluster that this command has begun and could not make.
fn leave_nothing(cluster: &Cluster, mut failure: Failure) -> Failure {
    if let Err(error) = cluster.stop().and_then(|()| cluster.delete()) {
        failure.more.push(format!("and what was begun could not be removed: {error}"));
        return failure;
    }
    // The log that it leads to is gone with the rest; its last lines are in the failure.
    failure.advice = failure.advice.filter(|advice| !advice.starts_with("its log:"));
    failure
}

async fn bring_up(arguments: &UpArgs, home: &Home, cluster: &Cluster, printer: &mut Printer) -> Result<(), Failure> {
    let settings = if cluster.exists() {
        let settings = cluster.settings()?;
        refuse_change(arguments, cluster, &settings).await?;
        settings
    } else {
        let engine = Engine::find(arguments.engine.as_deref()).await?;
        Settings::new(engine, arguments.shards.unwrap_or(3), arguments.replicas.unwrap_or(1))
    };
    let connector = connector()?;
    if settings.formed {
        come_back(cluster, &connector, printer).await
    } else {
        make(arguments, home, cluster, settings, &connector, printer).await
    }
}

/// An existing cluster keeps its shape: words that ask for another one are refused rather than ignored.
async fn refuse_change(arguments: &UpArgs, cluster: &Cluster, settings: &Settings) -> Result<(), Failure> {
    let first = cluster.ports()?.first().copied();
    let engine = &settings.engine;
    let other_engine = match arguments.engine.as_deref() {
        Some(wanted) if wanted != engine.product => Engine::find(Some(wanted)).await?.program != engine.program,
        _ => false,
    };
    let differs = other_engine
        || arguments.shards.is_some_and(|shards| shards != settings.shards)
        || arguments.replicas.is_some_and(|replicas| replicas != settings.replicas)
        || arguments.port.is_some_and(|port| first.is_some_and(|first| first != port));
    if !differs {
        return Ok(());
    }
    let program = program();
    let again = arguments.name.again();
    Err(Failure::new(format!(
        "cluster {} exists with {}, {} each, {} {}, from port {}",
        cluster.name(),
        units::count(settings.shards, "shard"),
        units::count(settings.replicas, "replica"),
        engine.product,
        engine.version,
        first.unwrap_or_default(),
    ))
    .because("what was asked for is another shape, and nothing was changed")
    .advice(format!(
        "as it is: {program} local up{again}\n       another one beside it: {program} local up --name OTHER …\n       \
         without its data anew: {program} local down{again} --remove"
    )))
}

/// A new cluster, or one whose making was interrupted.
async fn make(
    arguments: &UpArgs,
    home: &Home,
    cluster: &Cluster,
    mut settings: Settings,
    connector: &Connector,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let (shards, replicas) = (settings.shards, settings.replicas);
    let count = shards.saturating_mul(replicas.saturating_add(1));
    if shards == 0 {
        return Err(Failure::new("a cluster has at least 1 shard").status(ExitStatus::WrongWords));
    }
    let mut ports = cluster.ports()?;
    if ports.len() != count {
        if cluster.holds_data()? {
            return Err(half_made(arguments, cluster, ports.len(), count));
        }
        // The command was killed while it wrote these directories: no server has ever run in them.
        cluster.stop()?;
        cluster.clear_members()?;
        let first = first_port(arguments, home, cluster, count)?;
        ports = cluster.write_members(first, count, &settings.launch())?;
    }
    cluster.keep(&settings)?;
    printer.progress("starting servers");
    cluster.start()?;
    let ready = Ready { patience: PATIENCE, forgiving: cluster.holds_data()? };
    let answers = wait_until_ready(cluster, &ports, connector, ready).await?;
    let (nodes, links) = new_nodes(answers);
    match plan(&nodes, replicas, Shards::Exactly(shards)) {
        Ok(plan) => {
            let patience = Patience { agreement: PATIENCE, service: PATIENCE };
            carry_out(&plan, links, patience, printer).await?;
        }
        // It was made, has been written to, and only its last word is missing.
        Err(_) if serves_all(&ports).await? => {}
        Err(refusal) => return Err(refusal.into()),
    }
    settings.formed = true;
    cluster.keep(&settings)?;
    // From now on the supervisor keeps it in this shape.
    Ok(cluster.start()?)
}

fn half_made(arguments: &UpArgs, cluster: &Cluster, found: usize, wanted: usize) -> Failure {
    Failure::new(format!("cluster {} was left half-made: {found} of {wanted} members", cluster.name()))
        .because("servers have run in them, and what they hold is not removed without a word")
        .advice(format!("remove it: {} local down{} --remove", program(), arguments.name.again()))
}

/// Whether these members serve all slots.
async fn serves_all(ports: &[u16]) -> Result<bool, Failure> {
    let report = ClusterReport::new(&look_through(ports).await?.view);
    Ok(report.slots_served == usize::from(topology::Slot::COUNT))
}

/// Where the ports begin: as asked for, else the first hundred that no other cluster of this machine uses.
fn first_port(arguments: &UpArgs, home: &Home, cluster: &Cluster, count: usize) -> Result<u16, Failure> {
    if let Some(port) = arguments.port {
        return Ok(port);
    }
    let others = home.ports_of_others(cluster.name())?;
    let count = u16::try_from(count).unwrap_or(u16::MAX);
    let free = |first: &u16| {
        let mut wanted = (*first..first.saturating_add(count)).flat_map(ports_of);
        !wanted.any(|port| others.contains(&port))
    };
    Ok((FIRST_PORT..10000).step_by(100).find(free).unwrap_or(FIRST_PORT))
}

/// A cluster that was made before: its members find each other by what they kept.
async fn come_back(cluster: &Cluster, connector: &Connector, printer: &mut Printer) -> Result<(), Failure> {
    cluster.heal(None).await?;
    match cluster.start() {
        Err(LocalError::PortTaken { port, of }) => {
            let taken = Failure::new(LocalError::PortTaken { port, of }.to_string());
            return Err(taken
                .because("a cluster keeps its ports")
                .advice(format!("who has it: ss -ltnp sport = :{port}")));
        }
        started => started?,
    }
    for member in cluster.members()?.iter().filter(|member| member.state == MemberState::CrashLoop) {
        cluster.start_now(member.port)?;
    }
    let members = cluster.members()?;
    let paused = members.iter().filter(|member| member.state == MemberState::Paused).count();
    let awake = members.iter().filter(|member| member.state != MemberState::Paused);
    let ports: Vec<u16> = awake.map(|member| member.port).collect();
    printer.progress("waiting for servers to answer");
    wait_until_ready(cluster, &ports, connector, Ready { patience: PATIENCE, forgiving: true }).await?;
    // What is paused is shown by the screen, and waiting would not change it.
    if paused == 0 {
        settled(cluster, &ports, printer).await?;
    }
    stay_supervised(cluster)
}

/// Starts the supervisor again where the one that was told to look at the members has ended meanwhile: one that was just killed holds its lock for
/// a moment.
fn stay_supervised(cluster: &Cluster) -> Result<(), Failure> {
    if cluster.supervisor()?.is_none() {
        cluster.start()?;
    }
    Ok(())
}

/// Waits until nothing is wrong with the cluster that the servers mend themselves.
async fn settled(cluster: &Cluster, ports: &[u16], printer: &mut Printer) -> Result<(), Failure> {
    /// Time between two looks.
    const AGAIN: Duration = Duration::from_millis(100);
    let begin = Instant::now();
    loop {
        stay_supervised(cluster)?;
        let report = ClusterReport::new(&look_through(ports).await?.view);
        let mending =
            report.findings.iter().find(|finding| finding.severity == Severity::Problem && mends(finding.code));
        let Some(finding) = mending else { return Ok(()) };
        if begin.elapsed() > PATIENCE {
            return Err(Failure {
                why: finding.why.clone(),
                advice: Some(format!("{} local status{}", program(), again(cluster.name()))),
                ..Failure::new(format!("all servers run, but after {} s {}", PATIENCE.as_secs(), finding.what))
            });
        }
        printer.progress(&format!("waiting: {}", finding.what));
        tokio::time::sleep(AGAIN).await;
    }
}

/// Whether servers mend this themselves once all of them run.
const fn mends(code: FindingCode) -> bool {
    matches!(
        code,
        FindingCode::ClusterStateDown
            | FindingCode::ReplicaLinkDown
            | FindingCode::NodeFailing
            | FindingCode::SlotMapsDiffer
            | FindingCode::RolesDiffer
            | FindingCode::EpochCollision
            | FindingCode::SlotsWithSeveralOwners
    )
}

/// How to connect, where the logs are, what to try.
fn next(arguments: &UpArgs, cluster: &Cluster) -> Result<String, Failure> {
    let ports = cluster.ports()?;
    let first = ports.first().copied().unwrap_or_default();
    let (program, again) = (program(), arguments.name.again());
    let client = client(&cluster.settings()?.engine);
    Ok(format!(
        "\n  connect  {client} -c -p {first}\n  seeds    {}\n  logs     {program} local logs{again}    {}\n  try      \
         {program} local kill {first}{again}    its agent starts it again, with its data\n           {program} local \
         status{again}\n           {program} check 127.0.0.1:{first}\n\n",
        cluster.seeds()?.join(","),
        cluster.directory().display(),
    ))
}

/// The command line client that belongs to a server.
fn client(engine: &Engine) -> String {
    let name = format!("{}-cli", engine.product);
    match engine.program.parent().map(|directory| directory.join(&name)) {
        Some(beside) if beside.is_file() && !beside.starts_with("/usr") => beside.display().to_string(),
        _ => name,
    }
}
