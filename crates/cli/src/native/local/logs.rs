//! `tribune local logs`

use super::Name;
use crate::failure::{ExitStatus, Failure};
use clap::Args;
use std::{os::unix::process::CommandExt, process::Command};

/// Show what the servers logged.
#[derive(Args)]
pub(crate) struct LogsArgs {
    /// Only of these members
    #[arg(value_name = "PORT")]
    ports: Vec<u16>,
    #[command(flatten)]
    name: Name,
    /// How many lines of each
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    lines: u32,
    /// Go on with what is logged from now on, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
}

/// Becomes `tail`, which does this on every machine already.
pub(crate) fn run(arguments: &LogsArgs) -> Result<ExitStatus, Failure> {
    let cluster = arguments.name.existing()?;
    for port in &arguments.ports {
        cluster.member(*port)?;
    }
    let mut logs = cluster.logs()?;
    if !arguments.ports.is_empty() {
        logs.retain(|port, _| arguments.ports.contains(port));
    }
    let mut tail = Command::new("tail");
    tail.arg("-n").arg(arguments.lines.to_string());
    if arguments.follow {
        tail.arg("-F");
    }
    let error = tail.args(logs.values()).exec();
    Err(Failure::new(format!("tail cannot be started: {error}"))
        .advice(format!("the logs: {}/members/*/server.log", cluster.directory().display())))
}
