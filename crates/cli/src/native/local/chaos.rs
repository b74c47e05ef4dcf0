//! `tribune local chaos`

use super::{Name, membership::must_run, program};
use crate::{
    failure::{ExitStatus, Failure},
    native::{print_json, units},
    printer::{GREEN, Printer, RED},
};
use clap::Args;
use local::chaos::{ChaosReport, Dialers, Happened, Kind, Rehearsal, rehearse};
use node::{ConnectOptions, Connector};
use std::{
    fmt::Write as _,
    io::{self, Write as _},
    sync::Arc,
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// Members that are cut off or stand still are not waited for.
const CONNECT: Duration = Duration::from_millis(300);
const READ: Duration = Duration::from_secs(1);
/// So many lost writes are shown.
const SHOWN: usize = 5;

/// Rehearse failures at random while a client writes, and tell what was lost and for how long nothing could be written.
#[derive(Args)]
pub(crate) struct ChaosArgs {
    #[command(flatten)]
    name: Name,
    /// For how long something happens
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86400))]
    seconds: u64,
    /// What events are drawn from [default: another one each time]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Only these events: kill-server, kill-agent, kill-supervisor, stop-agent, pause, partition, wipe, scale-shards, scale-replicas, roll
    #[arg(long, value_name = "EVENT,…", value_delimiter = ',')]
    only: Vec<Kind>,
    /// Write the report as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: &ChaosArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let cluster = arguments.name.existing()?;
    let _lock = cluster.lock()?;
    must_run(&cluster)?;
    if cluster.settings()?.replicas == 0 {
        return Err(Failure::new("its shards have no replica: nothing could happen to it that loses no data")
            .advice(format!("{} local scale --replicas 1{}", program(), arguments.name.again())));
    }
    let seed = arguments
        .seed
        .unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().map_or(0, |now| u64::from(now.subsec_nanos())));
    let rehearsal = Rehearsal {
        seed,
        lasts: Duration::from_secs(arguments.seconds),
        kinds: arguments.only.iter().copied().collect(),
    };
    printer.note(&format!("seed {seed}; again: {}\n", again(arguments, seed)));
    let options = ConnectOptions { connect_timeout: CONNECT, read_timeout: READ, ..ConnectOptions::default() };
    let dialer = || Connector::new(options.clone()).map_err(|error| Failure::new(error.to_string()));
    let dialers = Dialers { looks: Arc::new(dialer()?), client: Arc::new(dialer()?) };
    let stop = CancellationToken::new();
    let tell = |event: &Happened| {
        writeln!(io::stderr(), "{:7.1} s  {}", event.at_seconds, event.what).ok();
    };
    let work = rehearse(&cluster, dialers, &rehearsal, &stop, &tell);
    let stopped = async {
        if tokio::signal::ctrl_c().await.is_ok() {
            writeln!(io::stderr(), "^C  no more events; the cluster is put back, and what was written is read").ok();
            stop.cancel();
        }
        std::future::pending::<()>().await;
    };
    let report = tokio::select! {
        report = work => report?,
        () = stopped => return Ok(ExitStatus::Stopped),
    };
    if arguments.json {
        print_json(printer, &report)?;
    } else {
        printer.out(&text(&report, &again(arguments, seed)));
    }
    Ok(match (report.passed, stop.is_cancelled()) {
        (false, _) => ExitStatus::NotDone,
        (true, true) => ExitStatus::Stopped,
        (true, false) => ExitStatus::Done,
    })
}

/// The command that draws the same again.
fn again(arguments: &ChaosArgs, seed: u64) -> String {
    let only: Vec<&str> = arguments.only.iter().map(|kind| kind.word()).collect();
    let only = if only.is_empty() { String::new() } else { format!(" --only {}", only.join(",")) };
    format!("{} local chaos{} --seconds {} --seed {seed}{only}", program(), arguments.name.again(), arguments.seconds)
}

fn text(report: &ChaosReport, again: &str) -> String {
    let mut text = String::new();
    let seconds = |seconds: f64| units::duration(Duration::from_secs_f64(seconds));
    let gap = |worst: f64| if worst > 0.0 { seconds(worst) } else { "under 0.1 s".to_owned() };
    let writes = &report.writes;
    let _ = writeln!(text, "{:16} {:>6}  {:>12}", "event", "times", "worst gap");
    for kind in &report.kinds {
        let _ = writeln!(text, "{:16} {:>6}  {:>12}", kind.kind.word(), kind.events, gap(kind.worst_gap_seconds));
    }
    let (acknowledged, confirmed) =
        (units::count(writes.acknowledged, "write"), units::count(writes.confirmed, "write"));
    let _ = writeln!(
        text,
        "\n{acknowledged} acknowledged, {confirmed} of them confirmed by a replica; worst gap {}",
        gap(writes.worst_gap_seconds)
    );
    let _ = writeln!(text, "{} without an answer: they may be there, or not", units::count(writes.unanswered, "write"));
    let _ = writeln!(
        text,
        "lost: {} that a replica had confirmed, {} that only a primary had",
        writes.confirmed_lost, writes.unconfirmed_lost
    );
    if writes.unconfirmed_lost > 0 {
        text.push_str("  why  replication is asynchronous: what a primary acknowledges just before its end, or before it has heard that another one was elected, may have reached no replica\n");
        text.push_str("  do   WAIT 1 after a write that must not be lost\n");
    }
    for lost in writes.lost.iter().take(SHOWN) {
        let how = if lost.confirmed { "confirmed" } else { "acknowledged" };
        let _ = writeln!(text, "  {} of {}, {how} by {} at {:.1} s", lost.number, lost.key, lost.by, lost.at_seconds);
    }
    if !writes.unread_keys.is_empty() {
        let _ = writeln!(text, "{} could not be read at the end", units::count(writes.unread_keys.len(), "key"));
    }
    match report.healthy_after_seconds {
        Some(after) => drop(writeln!(text, "healthy {} after the last event", seconds(after))),
        None => text.push_str("not healthy 4 minutes after the last event\n"),
    }
    if report.passed {
        let _ = writeln!(text, "{GREEN}passed{GREEN:#}    {}", seconds(report.seconds));
    } else {
        let _ = writeln!(text, "{RED}failed{RED:#}    {}\n  do   {again}", seconds(report.seconds));
    }
    text
}
