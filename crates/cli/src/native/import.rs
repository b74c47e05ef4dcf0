//! `tribune import`: the keys of a standalone server go to the cluster.

use super::{Target, change::ChangeArgs, import_follow::Words, import_progress::Line, print_json, units};
use crate::{
    connection::{PASSWORD_VARIABLES, Verify},
    failure::{ExitStatus, Failure},
    importing::{self, SourceArgs, Tally, source_failure},
    moving::{Interruption, Shown},
    printer::{GREEN, Printer},
    unfinished,
};
use clap::Args;
use node::{Connector, Family};
use operations::{
    importing::{CutOver, Follow, FollowPhase, Followed, Import, ask_source, databases},
    port::Dialer as _,
};
use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};
use topology::{
    NodeAddr,
    importing::{ImportRefusal, ImportSource, ImportWishes, plan},
    plan::Plan,
};

/// Take the keys of a standalone server into the cluster.
#[derive(Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    source: SourceArgs,
    /// Leave the keys on the source, too
    #[arg(long)]
    copy: bool,
    /// Replace keys that the cluster has already
    #[arg(long)]
    replace: bool,
    /// Go on with what is written on the source, into a cluster that is empty at first, until Ctrl-C cuts over
    ///
    /// While it follows, the first Ctrl-C has the source hold its writes, copies the last keys and ends, for the clients to go over to
    /// the cluster; a second one gives that up. The keys stay on the source. Nobody is to write to the cluster before.
    #[arg(long, conflicts_with = "replace")]
    follow: bool,
    /// With --follow: how long the source holds its writes at most, half of it for the last keys
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = clap::value_parser!(u32).range(1..=3600), requires = "follow")]
    hold: u32,
    /// Only this database of the source; may be given several times
    #[arg(long, value_name = "N")]
    database: Vec<u32>,
    /// Keys in one MIGRATE at most: the source answers nobody else meanwhile, about 1 ms for 100 small keys
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pipeline: u32,
    /// How long the source and a node may be silent to each other during MIGRATE: milliseconds
    #[arg(long, value_name = "MS", default_value_t = 60_000, value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
    #[command(flatten)]
    change: ChangeArgs,
}

/// What import writes with `--json`.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(crate) struct ImportReport<'a> {
    /// The plan.
    plan: &'a Plan,
    /// What became of it.
    outcome: Outcome,
    /// What became of the keys.
    imported: &'a Tally,
    /// After a cut-over: for so long the source goes on holding its writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    writes_held_seconds: Option<f64>,
    /// How long it all took.
    seconds: f64,
}

/// What became of an import.
#[derive(Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    /// All keys are in the cluster.
    Done,
    /// Some keys were not taken.
    Incomplete,
}

pub(crate) async fn run(arguments: &ImportArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let ImportArgs { target, source, change, .. } = arguments;
    if change.out.is_some() {
        return Err(Failure::new("an import cannot be saved: a file does not say how to reach the source")
            .advice("look at it with --dry-run, and repeat the command")
            .status(ExitStatus::WrongWords));
    }
    let cluster = target.connection.options(&PASSWORD_VARIABLES, Verify::Full, Family::Any)?;
    let (address, source_connector) = source.connector(&target.connection, &cluster, Verify::Full, Family::Any)?;
    let encrypted = cluster.tls.is_some();
    let connector = Connector::new(cluster).map_err(|error| Failure::new(error.to_string()))?;
    let observation = operations::observe::look(&connector, &[target.address()?]).await?;
    let link = source_connector.dial(&address).await.map_err(source_failure)?;
    let asked = ask_source(link.as_ref()).await.map_err(source_failure)?;
    let wishes = ImportWishes {
        copy: arguments.copy,
        replace: arguments.replace,
        follow: arguments.follow,
        databases: arguments.database.clone(),
    };
    let has = databases(&observation, needed(&asked, &wishes)).await?;
    let plan = plan(&observation.view, &asked, has, &wishes).map_err(|refusal| refused(&refusal))?;
    if !plan.changes_anything() {
        let reason = plan.reasons.first().map_or("nothing to import", String::as_str);
        return change.nothing_to_do(&plan, &format!("{reason}\n"), printer);
    }
    if !change.agree(&plan, &question(&wishes), None, printer)? {
        return Ok(ExitStatus::Done);
    }
    let source_dialer = Arc::new(source_connector);
    let cut_over = Arc::new(CutOver::default());
    let follow = arguments.follow.then(|| Follow {
        replication: source_dialer.clone(),
        cut_over: Arc::clone(&cut_over),
        hold: Duration::from_secs(arguments.hold.into()),
        only: arguments.database.clone(),
    });
    let import = Import {
        source: link,
        server: asked.server,
        source_dialer,
        dialer: Arc::new(connector),
        encrypted,
        pipeline: arguments.pipeline,
        timeout: arguments.timeout,
        follow,
    };
    let words = arguments.follow.then(|| words(arguments, &address)).transpose()?;
    let line = Mutex::new(Line::new(printer, plan.cost.keys_moved, change.json, words.clone()));
    let show = |shown: Shown| {
        if let Ok(mut line) = line.lock() {
            line.show(shown);
        }
    };
    let outcome = if arguments.follow {
        importing::follow(&plan, observation, import, &cut_over, change.patience(), &show).await
    } else {
        importing::carry_out(&plan, observation, import, change.patience(), &show).await
    };
    let (tally, followed) = line.into_inner().map_or_else(|_| (Tally::default(), None), Line::ended);
    match (outcome, words) {
        (Ok(()), Some(words)) => cut_over_done(arguments, &plan, &tally, &words, followed, printer),
        (Ok(()), None) => finished(arguments, &plan, &tally, printer),
        (Err(interruption), Some(words)) => Err(words.interrupted(interruption, followed.as_ref(), &tally)),
        (Err(interruption), None) => Err(interrupted(interruption, &tally, &plan)),
    }
}

fn words(arguments: &ImportArgs, source: &NodeAddr) -> Result<Words, Failure> {
    let entry = arguments.target.address()?.bare();
    let options = arguments.target.connection.again();
    Ok(Words { source: source.bare(), entry, options, hold: Duration::from_secs(arguments.hold.into()) })
}

/// The clients can go over.
fn cut_over_done(
    arguments: &ImportArgs,
    plan: &Plan,
    tally: &Tally,
    words: &Words,
    followed: Option<Followed>,
    printer: &mut Printer,
) -> Result<ExitStatus, Failure> {
    let held = match followed.map(|followed| followed.phase) {
        Some(FollowPhase::Over(held)) => held,
        _ => Duration::ZERO,
    };
    let took = printer.elapsed();
    if arguments.change.json {
        let (seconds, writes_held_seconds) = (took.as_secs_f64(), Some(held.as_secs_f64()));
        let report = ImportReport { plan, outcome: Outcome::Done, imported: tally, writes_held_seconds, seconds };
        print_json(printer, &report)?;
    } else {
        let (counts, took) = (counts(tally), units::duration(took));
        printer.out(&format!("{GREEN}done{GREEN:#}: {counts}    {took}\n{}", words.over(held)));
    }
    Ok(ExitStatus::Done)
}

/// How many databases the cluster must have.
fn needed(source: &ImportSource, wishes: &ImportWishes) -> u32 {
    let wanted = |database: &&u32| wishes.databases.is_empty() || wishes.databases.contains(database);
    source.server.databases.keys().filter(wanted).max().map_or(1, |highest| highest.saturating_add(1))
}

fn refused(refusal: &ImportRefusal) -> Failure {
    let advice = refusal.advice();
    Failure { advice, ..Failure::new(refusal.to_string()) }
}

fn question(wishes: &ImportWishes) -> String {
    if wishes.follow {
        return "yes copies these keys, and what is written to them until Ctrl-C cuts over.".to_owned();
    }
    let leave = if wishes.copy {
        "copies these keys"
    } else {
        "moves these keys: they leave the source, and only the cluster's own persistence keeps them from then on"
    };
    let replace = if wishes.replace { "; what the cluster has under the same names is lost" } else { "" };
    format!("yes {leave}{replace}.")
}

fn finished(arguments: &ImportArgs, plan: &Plan, tally: &Tally, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let outcome = if tally.is_incomplete() { Outcome::Incomplete } else { Outcome::Done };
    if arguments.change.json {
        let seconds = printer.elapsed().as_secs_f64();
        print_json(printer, &ImportReport { plan, outcome, imported: tally, writes_held_seconds: None, seconds })?;
    }
    let took = units::duration(printer.elapsed());
    if outcome == Outcome::Incomplete {
        let failure = left_behind(tally).because(format!("{}    {took}", counts(tally)));
        // The report has said it: a second one would be in the way of whoever reads it.
        printer.failure(&failure);
        return Ok(ExitStatus::NotDone);
    }
    if !arguments.change.json {
        let address = arguments.target.address()?.bare();
        let again = arguments.target.connection.again();
        let text =
            format!("{GREEN}done{GREEN:#}: {}    {took}\n  do   tribune status {address}{again}\n", counts(tally));
        printer.out(&text);
    }
    Ok(ExitStatus::Done)
}

/// `199 997 keys arrived, 3 were there already`
fn counts(tally: &Tally) -> String {
    let mut text = format!("{} arrived", units::count(tally.arrived, "key"));
    for (number, what) in [
        (tally.already_there, "were there already with the same value"),
        (tally.vanished, "had vanished meanwhile"),
        (tally.changed, "copied again or deleted when they had changed"),
    ] {
        if number > 0 {
            let _ = write!(text, ", {} {what}", units::grouped(number));
        }
    }
    text
}

/// Keys that did not go where they were to.
fn left_behind(tally: &Tally) -> Failure {
    let more = |number: u64, names: &[String]| {
        let unnamed = number - names.len() as u64;
        (unnamed > 0).then(|| format!("… and {} more", units::grouped(unnamed)))
    };
    let kept = tally.kept_keys.iter().cloned().chain(more(tally.kept, &tally.kept_keys));
    let refused = tally.refused_keys.iter().cloned().chain(more(tally.refused, &tally.refused_keys));
    let kept_line = format!("the cluster keeps its own value of {}", units::count(tally.kept, "key"));
    let refused_line = format!("the cluster did not take {}", units::count(tally.refused, "key"));
    let mut failure = match (tally.kept, tally.refused) {
        (0, _) => Failure { more: refused.collect(), ..Failure::new(refused_line) },
        (_, 0) => Failure { more: kept.collect(), ..Failure::new(kept_line) },
        _ => Failure { more: kept.chain([refused_line]).chain(refused).collect(), ..Failure::new(kept_line) },
    };
    if tally.kept > 0 {
        failure = failure.advice("compare them; to take the source's values: the same command with --replace");
    }
    failure
}

/// What was reached, and what goes on from there.
fn interrupted(interruption: Interruption, tally: &Tally, plan: &Plan) -> Failure {
    let of = units::count(plan.cost.keys_moved, "key");
    let reached = format!("{} of {of} are in the cluster", units::grouped(tally.done()));
    let again = "the same command continues";
    match interruption {
        Interruption::Stopped => {
            Failure::new(format!("stopped: {reached}, nothing lost")).status(ExitStatus::Stopped).advice(again)
        }
        Interruption::StoppedHard => {
            let what = format!("stopped: {reached}, some more may be; nothing lost");
            Failure::new(what).status(ExitStatus::Stopped).advice(again)
        }
        Interruption::Busy(pid) => unfinished::busy(pid, None),
        Interruption::Failed(error) => {
            let failure = Failure::from(error).because(format!("{reached}, nothing lost"));
            match failure.advice.clone() {
                Some(advice) => failure.advice(format!("{advice}\n       then {again}")),
                None => failure.advice(again),
            }
        }
    }
}
