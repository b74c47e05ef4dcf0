//! `tribune local status` and `list`

use super::{Name, address, connector, program};
use crate::{
    failure::{ExitStatus, Failure},
    native::{print_json, status, units},
    printer::{Printer, RED, YELLOW},
};
use clap::Args;
use local::{Cluster, Home, MemberState, MemberStatus, Settings};
use operations::observe::look;
use std::fmt::Write as _;
use topology::report::ClusterReport;

/// Show a cluster with its processes.
#[derive(Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    name: Name,
    /// Write the report as JSON
    #[arg(long)]
    json: bool,
}

/// What `local status --json` writes.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(crate) struct LocalReport<'a> {
    /// The cluster's name.
    name: &'a str,
    /// Its directory.
    directory: String,
    /// The supervisor's process, if it runs.
    supervisor_pid: Option<i32>,
    /// What it was asked to be.
    settings: Settings,
    /// Its members by port.
    members: Vec<MemberStatus>,
    /// The cluster as its servers see it; none when none answers.
    cluster: Option<ClusterReport>,
}

pub(crate) async fn run(arguments: &StatusArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let cluster = arguments.name.existing()?;
    let report = observe(&cluster).await?;
    let healthy = report.as_ref().is_some_and(|report| report.healthy) && cluster.supervisor()?.is_some();
    if arguments.json {
        print_json(
            printer,
            &LocalReport {
                name: cluster.name(),
                directory: cluster.directory().display().to_string(),
                supervisor_pid: cluster.supervisor()?,
                settings: cluster.settings()?,
                members: cluster.members()?,
                cluster: report,
            },
        )?;
    } else {
        printer.out(&screen(&cluster, report.as_ref(), printer.width)?);
    }
    Ok(if healthy { ExitStatus::Done } else { ExitStatus::NotDone })
}

/// The cluster as its servers see it; none when none answers.
pub(crate) async fn observe(cluster: &Cluster) -> Result<Option<ClusterReport>, Failure> {
    let running = cluster.members()?.into_iter().filter(|member| member.server_pid.is_some());
    let addresses: Vec<_> = running.map(|member| address(member.port)).collect();
    if addresses.is_empty() {
        return Ok(None);
    }
    Ok(look(&connector()?, &addresses).await.ok().map(|observation| ClusterReport::new(&observation.view)))
}

/// The cluster's screen with what its processes tell.
pub(crate) fn screen(cluster: &Cluster, report: Option<&ClusterReport>, width: usize) -> Result<String, Failure> {
    let mut text = processes(cluster)?;
    if !text.is_empty() {
        text.push('\n');
    }
    match report {
        Some(report) => text.push_str(&status::text(report, width)),
        None => {
            let _ = writeln!(text, "cluster {}: no server answers", cluster.name());
        }
    }
    Ok(text)
}

/// What is not as it should be with the processes.
fn processes(cluster: &Cluster) -> Result<String, Failure> {
    let mut text = String::new();
    let members = cluster.members()?;
    let again = if cluster.name() == "main" { String::new() } else { format!(" --name {}", cluster.name()) };
    let program = program();
    if cluster.supervisor()?.is_none() {
        let running = members.iter().filter(|member| member.server_pid.is_some()).count();
        let _ =
            writeln!(text, "  {RED}!{RED:#} the supervisor does not run; {running} of {} servers do", members.len());
        let _ = writeln!(text, "    do   {program} local up{again}");
    }
    for member in &members {
        let port = member.port;
        match member.state {
            MemberState::CrashLoop => {
                let exit = member.last_exit.as_deref().unwrap_or("ended");
                let _ = writeln!(text, "  {RED}!{RED:#} the server on port {port} ends again and again: it {exit}");
                for line in &member.last_words {
                    let _ = writeln!(text, "    why  {line}");
                }
                let _ = writeln!(
                    text,
                    "    do   {program} local logs {port}{again}    {program} local up{again} tries again"
                );
            }
            MemberState::Paused => {
                let _ = writeln!(text, "  {YELLOW}~{YELLOW:#} the server on port {port} is paused");
                let _ = writeln!(text, "    do   {program} local resume {port}{again}");
            }
            MemberState::Starting => {
                let _ = writeln!(text, "  {YELLOW}~{YELLOW:#} the server on port {port} is being started");
            }
            MemberState::Stopped if cluster.supervisor()?.is_some() => {
                let _ = writeln!(text, "  {RED}!{RED:#} the server on port {port} does not run");
            }
            MemberState::Running if member.restarts > 0 => {
                let exit = member.last_exit.as_deref().unwrap_or("ended");
                let times = units::count(usize::try_from(member.restarts).unwrap_or(usize::MAX), "time");
                let _ = writeln!(
                    text,
                    "  {YELLOW}~{YELLOW:#} the server on port {port} was started again {times}; last it {exit}"
                );
            }
            MemberState::Running | MemberState::Stopped => {}
        }
    }
    Ok(text)
}

/// All clusters of this machine, one a line.
pub(crate) fn list(printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let home = Home::of_user()?;
    for name in home.names()? {
        let cluster = home.cluster(&name)?;
        let settings = cluster.settings()?;
        let members = cluster.members()?;
        let running = members.iter().filter(|member| member.server_pid.is_some()).count();
        let ports = match (members.first(), members.last()) {
            (Some(first), Some(last)) => format!("{}-{}", first.port, last.port),
            _ => "no ports".to_owned(),
        };
        printer.out(&format!(
            "{name:16} {:7} {:8} ports {ports:12} {running} of {} servers run\n",
            settings.engine.product,
            settings.engine.version,
            members.len()
        ));
    }
    Ok(ExitStatus::Done)
}
