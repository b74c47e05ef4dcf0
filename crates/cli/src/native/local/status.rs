//! `tribune local status` and `list`

use super::{Name, again, keeping, look_through, partition, program};
use crate::{
    failure::{ExitStatus, Failure},
    native::{print_json, status, units},
    printer::{Printer, RED, YELLOW},
};
use clap::Args;
use local::{Cluster, CutOff, Engine, Home, MemberState, MemberStatus, Settings};
use operations::control::Report;
use std::fmt::Write as _;
use topology::{
    findings::{FindingCode, Severity},
    report::ClusterReport,
};

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
    /// The version of this form, 1.
    format: u32,
    /// Whether nothing is wrong with the cluster and its processes.
    healthy: bool,
    /// The cluster's name.
    name: &'a str,
    /// Its directory.
    directory: String,
    /// The supervisor's process, if it runs.
    supervisor_pid: Option<i32>,
    /// What it was asked to be.
    settings: Settings,
    /// What is not as it should be with its processes.
    processes: Vec<ProcessFinding>,
    /// The members that are cut off from the others.
    partition: Vec<CutOff>,
    /// Its members by port.
    members: Vec<MemberStatus>,
    /// What the loop that keeps it is at; none while it does not run.
    #[serde(rename = "loop")]
    keeping: Option<Report>,
    /// The cluster as its servers see it; none when none answers.
    cluster: Option<ClusterReport>,
}

/// Something that is not as it should be with a process.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(crate) struct ProcessFinding {
    /// How bad it is.
    severity: Severity,
    /// What is so.
    what: String,
    /// What was seen, line by line.
    why: Vec<String>,
    /// What can be typed.
    #[serde(rename = "do")]
    remedy: Option<String>,
}

pub(crate) async fn run(arguments: &StatusArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let cluster = arguments.name.existing()?;
    let report = observe(&cluster).await?;
    let healthy = is_healthy(&cluster, report.as_ref())?;
    if arguments.json {
        print_json(
            printer,
            &LocalReport {
                format: 1,
                healthy,
                name: cluster.name(),
                directory: cluster.directory().display().to_string(),
                supervisor_pid: cluster.supervisor()?,
                settings: cluster.settings()?,
                processes: processes(&cluster)?,
                partition: cluster.cut_off()?,
                members: cluster.members()?,
                keeping: cluster.loop_report()?,
                cluster: report,
            },
        )?;
    } else {
        printer.out(&screen(&cluster, report.as_ref(), printer.width)?);
    }
    Ok(if healthy { ExitStatus::Done } else { ExitStatus::NotDone })
}

/// The cluster as its servers see it, with remedies for this machine; none when no server answers.
pub(crate) async fn observe(cluster: &Cluster) -> Result<Option<ClusterReport>, Failure> {
    let running = cluster.members()?.into_iter().filter(|member| member.server_pid.is_some());
    let ports: Vec<u16> = running.map(|member| member.port).collect();
    // That none of them answers is no failure of this command.
    let Ok(seen) = look_through(&ports).await else { return Ok(None) };
    let mut report = ClusterReport::new(&seen.view);
    for finding in &mut report.findings {
        let Some(port) = finding.nodes.first().map(|node| node.port) else { continue };
        let words = match finding.code {
            FindingCode::ShardWithoutReplica => format!("local add --replica-of {port}"),
            FindingCode::NodesUnknownToOthers => format!("local remove {port}"),
            _ => continue,
        };
        finding.remedy = Some(format!("{} {words}{}", program(), again(cluster.name())));
    }
    Ok(Some(report))
}

/// Whether nothing is wrong with a cluster and its processes.
pub(crate) fn is_healthy(cluster: &Cluster, report: Option<&ClusterReport>) -> Result<bool, Failure> {
    let processes = processes(cluster)?;
    let well = processes.iter().all(|finding| finding.severity != Severity::Problem);
    Ok(well && report.is_some_and(|report| report.healthy))
}

/// The cluster's screen with what its processes tell.
pub(crate) fn screen(cluster: &Cluster, report: Option<&ClusterReport>, width: usize) -> Result<String, Failure> {
    let mut text = String::new();
    for finding in processes(cluster)? {
        let (colour, mark) = if finding.severity == Severity::Problem { (RED, '!') } else { (YELLOW, '~') };
        let _ = writeln!(text, "  {colour}{mark}{colour:#} {}", finding.what);
        for line in &finding.why {
            let _ = writeln!(text, "    why  {line}");
        }
        if let Some(remedy) = &finding.remedy {
            let _ = writeln!(text, "    do   {remedy}");
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    match report {
        Some(report) => text.push_str(&status::text(report, width)),
        None => {
            let _ = writeln!(text, "cluster {}: no server answers", cluster.name());
        }
    }
    if let Some(report) = cluster.loop_report()? {
        text.push_str(&keeping::text(&report, cluster));
    }
    Ok(text)
}

/// What is not as it should be with the processes.
fn processes(cluster: &Cluster) -> Result<Vec<ProcessFinding>, Failure> {
    let members = cluster.members()?;
    let supervised = cluster.supervisor()?.is_some();
    let (program, again) = (program(), again(cluster.name()));
    let mut findings = Vec::new();
    if !supervised {
        let running = members.iter().filter(|member| member.server_pid.is_some()).count();
        findings.push(ProcessFinding {
            severity: Severity::Problem,
            what: format!("the supervisor does not run; {running} of {} servers do", members.len()),
            why: Vec::new(),
            remedy: Some(format!("{program} local up{again}")),
        });
    }
    for cut in cluster.cut_off()? {
        let port = cut.ports.first().map_or_else(String::new, |port| format!(" {port}"));
        findings.push(ProcessFinding {
            severity: Severity::Problem,
            what: partition::sentence(&cut),
            why: Vec::new(),
            remedy: Some(format!("{program} local heal{port}{again}")),
        });
    }
    for port in cluster.leaving()? {
        findings.push(ProcessFinding {
            severity: Severity::Problem,
            what: format!("the removal of the member on port {port} was interrupted"),
            why: Vec::new(),
            remedy: Some(format!("{program} local remove {port}{again}")),
        });
    }
    findings.extend(members.iter().filter_map(|member| of_member(member, supervised, &program, &again)));
    Ok(findings)
}

/// What is not as it should be with one member.
fn of_member(member: &MemberStatus, supervised: bool, program: &str, again: &str) -> Option<ProcessFinding> {
    let port = member.port;
    let exit = member.last_exit.as_deref().unwrap_or("ended");
    let finding = |severity, what: String| ProcessFinding { severity, what, why: Vec::new(), remedy: None };
    Some(match member.state {
        MemberState::CrashLoop => {
            let next =
                member.next_start_seconds.map_or_else(String::new, |seconds| format!("; tried again in {seconds} s"));
            ProcessFinding {
                why: member.last_words.clone(),
                remedy: Some(format!(
                    "{program} local logs {port}{again}      after the repair: {program} local up{again}"
                )),
                ..finding(Severity::Problem, format!("the server on port {port} ends again and again: it {exit}{next}"))
            }
        }
        MemberState::Paused => ProcessFinding {
            remedy: Some(format!("{program} local resume {port}{again}")),
            ..finding(Severity::Problem, format!("the server on port {port} is paused"))
        },
        MemberState::Starting => finding(Severity::Problem, format!("the server on port {port} is being started")),
        MemberState::Stopped if supervised => {
            finding(Severity::Problem, format!("the server on port {port} does not run"))
        }
        MemberState::Running if member.restarts > 0 => {
            let times = units::count(member.restarts, "time");
            finding(Severity::Warning, format!("the server on port {port} was started again {times}; last it {exit}"))
        }
        MemberState::Running | MemberState::Stopped => return None,
    })
}

/// How to list.
#[derive(Args)]
pub(crate) struct ListArgs {
    /// Write the list as JSON
    #[arg(long)]
    json: bool,
}

/// A line of the list.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(crate) struct Listed {
    /// The cluster's name.
    name: String,
    /// Its server.
    engine: Engine,
    /// Its members' ports.
    ports: Vec<u16>,
    /// How many of its servers run.
    running: usize,
}

/// All clusters of this machine, one a line.
pub(crate) fn list(arguments: &ListArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let home = Home::of_user()?;
    let mut listed = Vec::new();
    for name in home.names()? {
        let cluster = home.cluster(&name)?;
        let members = cluster.members()?;
        let running = members.iter().filter(|member| member.server_pid.is_some()).count();
        listed.push(Listed { name, engine: cluster.settings()?.engine, ports: cluster.ports()?, running });
    }
    if arguments.json {
        print_json(printer, &listed)?;
        return Ok(ExitStatus::Done);
    }
    for Listed { name, engine, ports, running } in &listed {
        let span = match (ports.first(), ports.last()) {
            (Some(first), Some(last)) => format!("{first}-{last}"),
            _ => "none".to_owned(),
        };
        let (product, version) = (&engine.product, &engine.version);
        let servers = ports.len();
        printer.out(&format!("{name:16} {product:7} {version:8} ports {span:12} {running} of {servers} servers run\n"));
    }
    Ok(ExitStatus::Done)
}
