//! `--cluster import`

use super::{Session, Stop, Terminal, check, load, terminal::Tone};
use crate::{
    connection::Verify,
    failure::{ExitStatus, Failure},
    importing::{self, SourceArgs, Tally, shown},
    moving::{Interruption, Shown},
    unfinished,
};
use operations::{
    importing::{Fate, Import, Imported, ask_source, databases},
    observe::Observation,
    port::{Dialer as _, NodeError, Trouble},
    run::{Patience, Progress, RunError},
};
use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};
use topology::{
    NodeAddr,
    importing::{ImportRefusal, ImportWishes, plan},
    plan::{Action, Plan},
};

/// The reference gives up at once.
const PATIENCE: Duration = Duration::from_mins(1);
/// Keys in one `MIGRATE`: the reference sends one.
const PIPELINE: u32 = 500;
const TIMEOUT: u32 = 60_000;

pub(crate) async fn run(session: &Session, terminal: &mut Terminal<'_>) -> Result<ExitStatus, Stop> {
    let source = source_of(session, terminal)?;
    let (address, _) = source.address()?;
    let timeout = session.number("--cluster-timeout").map_err(|misuse| misuse.stop(terminal))?.unwrap_or(TIMEOUT);
    let pipeline = session.number("--cluster-pipeline").map_err(|misuse| misuse.stop(terminal))?.unwrap_or(PIPELINE);
    let entry = session.entry().map_err(|misuse| misuse.stop(terminal))?;
    terminal.say(Tone::Info, &format!(">>> Importing data from {} to cluster {}\n", address.bare(), entry.bare()));
    let observation = session.load(terminal).await?;
    let nodes = load::loaded(&observation, terminal);
    let healthy = check::check(&nodes, true, terminal);
    drop(nodes);
    if !healthy {
        return Err(Stop::Said(ExitStatus::NotDone));
    }
    let cluster = session.options()?;
    let (address, source_connector) =
        source.connector(&session.connection, &cluster, Verify::Chain, session.family())?;
    let link = source_connector.dial(&address).await.map_err(|error| unreachable(&error, terminal))?;
    let asked = ask_source(link.as_ref()).await.map_err(|error| unreachable(&error, terminal))?;
    let wishes = ImportWishes {
        copy: session.invocation.has("--cluster-copy"),
        replace: session.invocation.has("--cluster-replace"),
        follow: false,
        databases: Vec::new(),
    };
    let needed = asked.server.databases.keys().max().map_or(1, |highest| highest.saturating_add(1));
    let has = databases(&observation, needed).await.map_err(|error| load::unreachable(&error, terminal))?;
    let plan = plan(&observation.view, &asked, has, &wishes).map_err(|refusal| refuse(&refusal, terminal))?;
    announce(&plan, terminal);
    let import = Import {
        follow: None,
        source: link,
        server: asked.server,
        source_dialer: Arc::new(source_connector),
        encrypted: cluster.tls.is_some(),
        dialer: Arc::new(session.connector()?),
        pipeline,
        timeout,
    };
    carry_out(&plan, observation, import, &address, terminal).await
}

/// The source, as the options name it.
fn source_of(session: &Session, terminal: &mut Terminal<'_>) -> Result<SourceArgs, Stop> {
    let text = |option| session.invocation.value(option).map(str::to_owned);
    let Some(from) = text("--cluster-from") else {
        terminal.complain("[ERR] Option '--cluster-from' is required for subcommand 'import'.\n");
        return Err(Stop::Said(ExitStatus::NotDone));
    };
    let source = SourceArgs {
        from,
        from_user: text("--cluster-from-user"),
        from_pass: text("--cluster-from-pass"),
        from_askpass: session.invocation.has("--cluster-from-askpass"),
        ..SourceArgs::default()
    };
    if source.address().is_err() {
        terminal
            .complain("[ERR] Invalid --cluster-from host. You need to pass a valid address (ie. 120.0.0.1:7000).\n");
        return Err(Stop::Said(ExitStatus::NotDone));
    }
    Ok(source)
}

/// Says that the source cannot be talked to.
fn unreachable(error: &NodeError, terminal: &mut Terminal<'_>) -> Stop {
    let address = error.address.bare();
    match &error.trouble {
        Trouble::WrongPassword => {
            terminal.complain("AUTH failed: WRONGPASS invalid username-password pair or user is disabled.\n");
        }
        Trouble::PasswordNeeded => {
            let line = format!("Source {address} replied with error:\nNOAUTH Authentication required.\n");
            terminal.say(Tone::Bad, &line);
        }
        Trouble::NotPermitted(line) | Trouble::Refusal(line) => {
            terminal.say(Tone::Bad, &format!("Source {address} replied with error:\n{line}\n"));
        }
        other => {
            let (product, reason) = (terminal.wording.product(), load::reason(other));
            terminal.complain(&format!("Could not connect to {product} at {address}: {reason}.\n"));
        }
    }
    Stop::Said(ExitStatus::NotDone)
}

fn refuse(refusal: &ImportRefusal, terminal: &mut Terminal<'_>) -> Stop {
    let line = match refusal {
        ImportRefusal::SourceIsClusterNode { .. } => "[ERR] The source node should not be a cluster node.\n".to_owned(),
        other => format!("[ERR] {other}.\n"),
    };
    terminal.say(Tone::Bad, &line);
    if let (Some(advice), false) = (refusal.advice(), matches!(refusal, ImportRefusal::SourceIsReplica { .. })) {
        terminal.complain(&format!("{advice}\n"));
    }
    Stop::Said(ExitStatus::NotDone)
}

/// How many keys each database has.
fn announce(plan: &Plan, terminal: &mut Terminal<'_>) {
    let databases = plan.steps.iter().find_map(|step| match &step.action {
        Action::ImportKeys { databases, .. } => Some(databases.as_slice()),
        _ => None,
    });
    let lines: String = databases.map_or_else(
        || "*** Importing 0 keys from DB 0\n".to_owned(),
        |databases| {
            let line = |held: &topology::plan::ImportedDatabase| {
                format!("*** Importing {} keys from DB {}\n", held.keys, held.database)
            };
            databases.iter().map(line).collect()
        },
    );
    terminal.say(Tone::Warning, &lines);
}

async fn carry_out(
    plan: &Plan,
    observation: Observation,
    import: Import,
    source: &NodeAddr,
    terminal: &mut Terminal<'_>,
) -> Result<ExitStatus, Stop> {
    let shared = Mutex::new((&mut *terminal, Tally::default()));
    let show = |what: Shown| {
        let Ok(mut shared) = shared.lock() else { return };
        let (terminal, tally) = &mut *shared;
        match what {
            Shown::Progress(Progress::Imported(imported)) => {
                tally.take(&imported);
                terminal.plain(&lines(&imported, source));
            }
            Shown::Stopping => {
                terminal.complain("finishing the parcels on their way, then stopping (again to stop hard)\n");
            }
            Shown::Progress(_) | Shown::Unrecorded(_) => {}
        }
    };
    let patience = Patience { agreement: PATIENCE, service: PATIENCE };
    let outcome = importing::carry_out(plan, observation, import, patience, &show).await;
    let tally = shared.into_inner().map_or_else(|_| Tally::default(), |(_, tally)| tally);
    let reached = format!("{} of {} keys are in the cluster, nothing is lost", tally.done(), plan.cost.keys_moved);
    match outcome {
        Ok(()) if tally.is_incomplete() => {
            terminal.complain(&left_behind(&tally));
            Err(Stop::Said(ExitStatus::NotDone))
        }
        Ok(()) => Ok(ExitStatus::Done),
        Err(Interruption::Stopped | Interruption::StoppedHard) => {
            terminal.complain(&format!("stopped: {reached}; the same command goes on from here\n"));
            Err(Stop::Said(ExitStatus::Stopped))
        }
        Err(Interruption::Busy(pid)) => Err(unfinished::busy(pid, None).into()),
        Err(Interruption::Failed(error)) => {
            let stop = match error {
                RunError::Node(error) => unreachable(&error, terminal),
                other => Failure::new(other.to_string()).into(),
            };
            terminal.complain(&format!("{reached}; the same command goes on from here\n"));
            Err(stop)
        }
    }
}

/// The reference's line for each key.
fn lines(imported: &Imported, source: &NodeAddr) -> String {
    let mut text = String::new();
    let (to, source) = (imported.to.bare(), source.bare());
    for key in &imported.keys {
        let _ = write!(text, "Migrating {} to {to}: ", shown(key));
        match &imported.fate {
            Fate::Arrived | Fate::AlreadyThere | Fate::Vanished | Fate::Changed => text.push_str("OK\n"),
            Fate::Kept => {
                let _ = writeln!(
                    text,
                    "Source {source} replied with error:\nERR Target instance replied with error: BUSYKEY Target key name \
                     already exists."
                );
            }
            Fate::Refused(line) => {
                let _ = writeln!(
                    text,
                    "Source {source} replied with error:\nERR Target instance replied with error: {line}"
                );
            }
        }
    }
    text
}

fn left_behind(tally: &Tally) -> String {
    let mut text = String::new();
    if tally.kept > 0 {
        let _ = writeln!(
            text,
            "*** The cluster keeps its own value of {} keys: {}{}. To take the source's: --cluster-replace",
            tally.kept,
            tally.kept_keys.join(", "),
            if tally.kept > tally.kept_keys.len() as u64 { ", …" } else { "" },
        );
    }
    if tally.refused > 0 {
        let _ = writeln!(text, "*** The cluster did not take {} keys", tally.refused);
    }
    text
}
