//! `tribune local kill`, `pause`, `resume`

use super::{Name, program};
use crate::{
    failure::{ExitStatus, Failure},
    printer::Printer,
};
use agent::lock::Signal;
use clap::Args;
use local::Cluster;

/// Which members.
#[derive(Args)]
struct Members {
    /// The members
    #[arg(value_name = "PORT", required_unless_present = "all")]
    ports: Vec<u16>,
    /// All members
    #[arg(long, conflicts_with = "ports")]
    all: bool,
    #[command(flatten)]
    name: Name,
}

/// Kill servers with SIGKILL; their agents start them again.
#[derive(Args)]
pub(crate) struct KillArgs {
    #[command(flatten)]
    members: Members,
}

/// Stop servers with SIGSTOP: they accept connections and never answer.
#[derive(Args)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    members: Members,
}

/// Let paused servers go on with SIGCONT.
#[derive(Args)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    members: Members,
}

pub(crate) fn kill(arguments: &KillArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    signal(&arguments.members, Signal::KILL, |_| "killed; its agent starts it again".to_owned(), printer)
}

pub(crate) fn pause(arguments: &PauseArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let (program, again) = (program(), arguments.members.name.again());
    let paused = |port| format!("paused\n  do   {program} local resume {port}{again}");
    signal(&arguments.members, Signal::STOP, paused, printer)
}

pub(crate) fn resume(arguments: &ResumeArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    signal(&arguments.members, Signal::CONT, |_| "goes on".to_owned(), printer)
}

/// Signals the servers; `done` says of each what became of it, by its port.
fn signal(
    members: &Members,
    signal: Signal,
    done: impl Fn(u16) -> String,
    printer: &mut Printer,
) -> Result<ExitStatus, Failure> {
    let cluster = members.name.existing()?;
    let ports = chosen(members, &cluster)?;
    let mut missed = Vec::new();
    for port in &ports {
        match cluster.signal_server(*port, signal)? {
            Some(pid) => printer.out(&format!("{port}  process {pid} {}\n", done(*port))),
            None => missed.push(port.to_string()),
        }
    }
    if missed.is_empty() {
        return Ok(ExitStatus::Done);
    }
    Err(Failure::new(format!("no server runs on port {}", missed.join(", "))).advice(format!(
        "{} local status{}",
        program(),
        members.name.again()
    )))
}

/// The ports meant; all of them are checked before the first is touched.
fn chosen(members: &Members, cluster: &Cluster) -> Result<Vec<u16>, Failure> {
    if members.all {
        return Ok(cluster.ports()?);
    }
    for port in &members.ports {
        cluster.member(*port)?;
    }
    Ok(members.ports.clone())
}
