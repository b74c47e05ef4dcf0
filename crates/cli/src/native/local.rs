//! `tribune local`: clusters of processes on this machine.

mod changing;
pub(crate) mod chaos;
mod consent;
mod faults;
mod hold;
mod keeping;
mod logs;
mod membership;
mod partition;
mod roll;
mod scale;
mod set;
pub(crate) mod status;
mod stop;
mod up;
mod wipe;

use crate::{
    block_on,
    failure::{ExitStatus, Failure},
    printer::Printer,
};
use clap::{Args, Subcommand};
use local::{Cluster, Home, LocalError, address};
use node::{ConnectOptions, Connector};
use operations::observe::{Observation, look};
use std::{path::Path, sync::Arc};
use topology::NodeAddr;

/// What to do with a cluster of this machine.
#[derive(Subcommand)]
pub(crate) enum LocalCommand {
    /// Make a cluster, or bring one back with its data
    Up(up::UpArgs),
    /// Stop a cluster; its data stays unless --remove
    Down(stop::DownArgs),
    /// Show a cluster with its processes
    Status(status::StatusArgs),
    /// Show what the servers logged
    Logs(logs::LogsArgs),
    /// Kill servers; their agents start them again
    Kill(faults::KillArgs),
    /// Stop servers without ending them: they accept and never answer
    Pause(faults::PauseArgs),
    /// Let paused servers go on
    Resume(faults::ResumeArgs),
    /// Cut members off from all others and from clients, together as one host
    Partition(partition::PartitionArgs),
    /// Let members that are cut off reach the others again
    Heal(partition::HealArgs),
    /// Let members lose their disks: they come back empty
    Wipe(wipe::WipeArgs),
    /// Rehearse failures at random while a client writes
    Chaos(chaos::ChaosArgs),
    /// Start a new server and let it join as a replica
    Add(membership::AddArgs),
    /// Take a server out of the cluster and remove it with its data
    Remove(membership::RemoveArgs),
    /// Give a cluster another number of shards or replicas, while it serves
    Scale(scale::ScaleArgs),
    /// Restart all servers one after another, with another program or the same, while the cluster serves
    Roll(roll::RollArgs),
    /// Give all servers a setting, at run time or by restarts one after another
    Set(set::SetArgs),
    /// Let the loop change nothing until it is released
    Hold(hold::HoldArgs),
    /// Let a loop that is held do what it would do, and hold it again
    Approve(hold::ApproveArgs),
    /// Let the loop go on
    Release(hold::ReleaseArgs),
    /// List the clusters of this machine
    List(status::ListArgs),
    /// Print the server program that up would use
    Engine(up::EngineArgs),
}

/// Which cluster.
#[derive(Args, Clone, Debug)]
pub(crate) struct Name {
    /// The cluster's name
    #[arg(long, value_name = "NAME", default_value = "main")]
    name: String,
}

/// Runs `tribune local …`.
pub(crate) fn run(command: &LocalCommand, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    match command {
        LocalCommand::Up(arguments) => block_on(up::run(arguments, printer)),
        LocalCommand::Down(arguments) => stop::run(arguments, printer),
        LocalCommand::Status(arguments) => block_on(status::run(arguments, printer)),
        LocalCommand::Logs(arguments) => logs::run(arguments),
        LocalCommand::Kill(arguments) => faults::kill(arguments, printer),
        LocalCommand::Pause(arguments) => faults::pause(arguments, printer),
        LocalCommand::Resume(arguments) => faults::resume(arguments, printer),
        LocalCommand::Partition(arguments) => block_on(partition::partition(arguments, printer)),
        LocalCommand::Heal(arguments) => block_on(partition::heal(arguments, printer)),
        LocalCommand::Wipe(arguments) => block_on(wipe::run(arguments, printer)),
        LocalCommand::Chaos(arguments) => block_on(chaos::run(arguments, printer)),
        LocalCommand::Add(arguments) => block_on(membership::add(arguments, printer)),
        LocalCommand::Remove(arguments) => block_on(membership::remove(arguments, printer)),
        LocalCommand::Scale(arguments) => block_on(scale::run(arguments, printer)),
        LocalCommand::Roll(arguments) => block_on(roll::run(arguments, printer)),
        LocalCommand::Set(arguments) => block_on(set::run(arguments, printer)),
        LocalCommand::Hold(arguments) => hold::hold(arguments, printer),
        LocalCommand::Approve(arguments) => block_on(hold::approve(arguments, printer)),
        LocalCommand::Release(arguments) => hold::release(arguments, printer),
        LocalCommand::List(arguments) => status::list(arguments, printer),
        LocalCommand::Engine(arguments) => block_on(up::engine(arguments, printer)),
    }
}

impl Name {
    /// The cluster, which must exist.
    fn existing(&self) -> Result<Cluster, Failure> {
        Ok(Home::of_user()?.existing(&self.name)?)
    }

    /// The words that name this cluster again in another command.
    fn again(&self) -> String {
        again(&self.name)
    }
}

/// The words that name a cluster again in another command.
fn again(name: &str) -> String {
    if name == "main" { String::new() } else { format!(" --name {name}") }
}

/// Runs the supervisor of the cluster in this directory.
///
/// # Errors
/// In words, when it cannot run.
pub(crate) fn supervise(directory: &Path) -> Result<(), String> {
    let dialer = connector().map_err(|failure| failure.what)?;
    local::supervise(directory, Arc::new(dialer)).map_err(|error| error.to_string())
}

/// Servers of this machine have neither password nor TLS: they listen on loopback alone.
fn connector() -> Result<Connector, Failure> {
    Connector::new(ConnectOptions::default()).map_err(|error| Failure::new(error.to_string()))
}

/// Looks at a cluster through the members with these ports.
async fn look_through(ports: &[u16]) -> Result<Observation, Failure> {
    let addresses: Vec<NodeAddr> = ports.iter().copied().map(address).collect();
    Ok(look(&connector()?, &addresses).await?)
}

/// The program as it was called, so that what is printed can be typed.
fn program() -> String {
    let called = std::env::args().next().unwrap_or_default();
    if called.contains('/') { called } else { "tribune".to_owned() }
}

impl From<LocalError> for Failure {
    fn from(error: LocalError) -> Self {
        Self { why: error.why(), advice: error.advice(&program()), ..Self::new(error.to_string()) }
    }
}
