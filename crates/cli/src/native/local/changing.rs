//! Changing what a cluster is to be, and waiting until its loop has made it that.

use super::{again, keeping, program};
use crate::{
    failure::{ExitStatus, Failure},
    native::plan_text,
    printer::Printer,
};
use local::{Cluster, CommandLock, LocalError, MemberState, Settings};
use operations::control::Report;
use std::time::{Duration, Instant};
use topology::Update;

/// Time between two looks at what the loop is at.
const LOOK: Duration = Duration::from_millis(100);
/// For so long a server has ended again and again before that is told.
const CRASHES: Duration = Duration::from_secs(2);
/// After so long without any change there is no use in waiting on.
const STUCK: Duration = Duration::from_mins(2);

/// Why a cluster is not what it is to be.
pub(super) enum NotYet {
    /// A member cannot run with that.
    Refused(Failure),
    /// The loop goes on with it, or will when it may; nobody waits for that any more.
    Unfinished(Failure),
}

impl From<NotYet> for Failure {
    fn from(not_yet: NotYet) -> Self {
        let (NotYet::Refused(failure) | NotYet::Unfinished(failure)) = not_yet;
        failure
    }
}

/// What could not be read says nothing of what was wanted.
impl From<LocalError> for NotYet {
    fn from(error: LocalError) -> Self {
        Self::Unfinished(error.into())
    }
}

/// What a cluster is to be, whose loop runs.
///
/// # Errors
/// When it does not run.
pub(super) fn settings_of(cluster: &Cluster) -> Result<Settings, Failure> {
    let (settings, name) = (cluster.settings()?, cluster.name().to_owned());
    if !settings.formed {
        return Err(LocalError::Unformed { name }.into());
    }
    if cluster.supervisor()?.is_none() {
        return Err(LocalError::NotRunning { name }.into());
    }
    Ok(settings)
}

/// Has the loop make of a cluster what is wanted, and waits until it is that. Other commands may come in meanwhile.
///
/// # Errors
/// When that does not go on, or a member cannot run with it; when the user does not wait for it. The loop goes on trying.
pub(super) async fn change_to(
    cluster: &Cluster,
    lock: CommandLock,
    wanted: &Settings,
    printer: &mut Printer,
) -> Result<(), NotYet> {
    cluster.keep(wanted)?;
    cluster.start()?;
    drop(lock);
    tokio::select! {
        outcome = until_settled(cluster, wanted, printer) => outcome,
        _ = tokio::signal::ctrl_c() => {
            let look = format!("{} local status{}", program(), again(cluster.name()));
            let stopped = Failure::new("stopped watching; the loop goes on").status(ExitStatus::Stopped);
            Err(NotYet::Unfinished(stopped.advice(look)))
        }
    }
}

/// Waits until the loop says that the cluster is what it is to be.
///
/// # Errors
/// When nothing changes any more, with what the loop waits for.
pub(super) async fn until_settled(cluster: &Cluster, wanted: &Settings, printer: &mut Printer) -> Result<(), NotYet> {
    let (mut last, mut since): (Option<Report>, Instant) = (None, Instant::now());
    let mut crashing: Option<(u16, Instant)> = None;
    loop {
        let report = cluster.loop_report()?;
        if let Some(failure) = report.as_ref().and_then(|report| held(cluster, report)) {
            return Err(NotYet::Unfinished(failure));
        }
        let updates = cluster.updates()?;
        if let Some((port, why)) = updates.iter().find_map(|(port, update)| refusal(*port, update)) {
            let failure = Failure::new(format!("member {port} refuses it"));
            return Err(NotYet::Refused(Failure { why: Some(why), ..failure }));
        }
        if let Some(report) = &report {
            let is_current = updates.iter().all(|(_, update)| *update == Update::Current);
            if report.settled && report.desired == wanted.desired() && is_current {
                return Ok(());
            }
            printer.progress(&keeping::summary(report));
        }
        // An agent that is about to be replaced tells of what it had to start before.
        crashing = crash_looping(cluster, &updates)?.map(|port| match crashing {
            Some((before, since)) if before == port => (port, since),
            _ => (port, Instant::now()),
        });
        if let Some((port, since)) = crashing
            && since.elapsed() >= CRASHES
        {
            return Err(NotYet::Refused(crashes(cluster, port)?));
        }
        if let Some(report) = &report
            && !last.as_ref().is_some_and(|last| report.is_no_further_than(last))
        {
            (last, since) = (Some(report.clone()), Instant::now());
        }
        if since.elapsed() >= STUCK {
            let why = report.as_ref().map(keeping::summary);
            let failure = Failure::new(format!("nothing has come further for {} s", STUCK.as_secs()));
            let advice = format!("{} local status{}", program(), again(cluster.name()));
            return Err(NotYet::Unfinished(Failure { why, advice: Some(advice), ..failure }));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// That a loop that is held changes nothing yet, once it says what it would do.
fn held(cluster: &Cluster, report: &Report) -> Option<Failure> {
    cluster.held().filter(|_| report.held.is_some() && !report.proposed.is_empty())?;
    let (program, again) = (program(), again(cluster.name()));
    let advice = format!(
        "{program} local approve{again}     lets it do that\n       {program} local release{again}     lets it go on for good"
    );
    let would = report.proposed.iter().map(|step| plan_text::deed(&step.action)).collect::<Vec<_>>().join("\n       ");
    Some(Failure {
        why: Some(format!("the loop is held; first it would\n       {would}")),
        advice: Some(advice),
        ..Failure::new("wanted, and nothing has been changed yet")
    })
}

fn refusal(port: u16, update: &Update) -> Option<(u16, String)> {
    if let Update::Refused(why) = update { Some((port, why.clone())) } else { None }
}

/// A member whose server ends again and again with what is wanted.
fn crash_looping(cluster: &Cluster, updates: &[(u16, Update)]) -> Result<Option<u16>, LocalError> {
    let has_it = |port: u16| updates.contains(&(port, Update::Current));
    let mut members = cluster.members()?.into_iter();
    let crashing = members.find(|member| member.state == MemberState::CrashLoop && has_it(member.port));
    Ok(crashing.map(|member| member.port))
}

/// That a server ends again and again with what is wanted is not waited for.
fn crashes(cluster: &Cluster, port: u16) -> Result<Failure, LocalError> {
    let member = cluster.member(port)?;
    let exit = member.last_exit.unwrap_or_else(|| "ends".to_owned());
    let mut why = format!("its server {exit}, again and again");
    if let Some(line) = member.last_words.last() {
        why = format!("{why}; the last that it said: {line}");
    }
    let advice = format!("{} local logs {port}{}", program(), again(cluster.name()));
    Ok(Failure { why: Some(why), advice: Some(advice), ..Failure::new(format!("member {port} does not run")) })
}
