//! The native words: `tribune COMMAND …`.

mod add_node;
mod apply;
mod backup;
mod call;
mod cancel;
mod change;
mod check;
mod create;
mod del_node;
mod doctor;
mod failover;
mod fix;
#[cfg(test)]
mod fuzz;
mod import;
mod import_follow;
mod import_progress;
mod info;
pub(crate) mod local;
mod move_args;
mod named;
mod plan_file;
mod plan_text;
mod progress;
mod rebalance;
mod reference_page;
mod repurpose;
mod reshard;
mod resume;
mod scale;
#[cfg(test)]
mod schema;
mod set_timeout;
mod shell;
mod status;
mod table;
mod telling;
mod top;
mod units;

use crate::{
    block_on,
    connection::{ConnectionArgs, PASSWORD_VARIABLES, Verify},
    failure::{ExitStatus, Failure},
    printer::Printer,
};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};
use node::{Connector, Family};
use topology::NodeAddr;

/// Creates and operates Redis and Valkey Clusters.
#[derive(Parser)]
#[command(name = "tribune", version, disable_help_subcommand = false, arg_required_else_help = true)]
#[command(after_help = "The words of the reference tools work, too: tribune --cluster create|check|info …\n\
                        Exit codes: 0 done, 1 not done or not healthy, 2 wrong words, 130 stopped by the user.")]
struct Words {
    #[command(subcommand)]
    command: Command,
    /// Tell each step as it begins, and more of what was found
    #[arg(long, global = true, hide_short_help = true)]
    verbose: bool,
}

/// One line for each command.
#[derive(Subcommand)]
enum Command {
    /// Make a cluster of empty nodes
    Create(create::CreateArgs),
    /// Find what is wrong with a cluster
    Check(check::CheckArgs),
    /// Explain what is wrong with a cluster, and what mends it
    Doctor(doctor::DoctorArgs),
    /// List the primaries with their keys and slots
    Info(info::InfoArgs),
    /// Show a cluster on one screen, problems first
    Status(status::StatusArgs),
    /// Repair slots: open, not served, claimed by several, with keys in several places
    Fix(fix::FixArgs),
    /// Show what a cluster does now, once a second
    Top(top::TopArgs),
    /// Move slots from some primaries to another
    Reshard(reshard::ReshardArgs),
    /// Give every primary its share of the slots
    Rebalance(rebalance::RebalanceArgs),
    /// Make another number of shards of the nodes that are there
    Scale(scale::ScaleArgs),
    /// Make a replica a primary of its own
    Repurpose(repurpose::RepurposeArgs),
    /// Make a replica the primary of its shard
    Failover(failover::FailoverArgs),
    /// Go on with a change that was interrupted
    Resume(resume::ResumeArgs),
    /// Let an empty node join
    AddNode(add_node::AddNodeArgs),
    /// Let a node without slots leave
    DelNode(del_node::DelNodeArgs),
    /// Set the node timeout of every node
    SetTimeout(set_timeout::SetTimeoutArgs),
    /// Send a command to every node
    Call(call::CallArgs),
    /// Stop a move of slots that is under way
    Cancel(cancel::CancelArgs),
    /// Carry out a plan that was saved
    Apply(apply::ApplyArgs),
    /// Take the keys of a standalone server into the cluster
    Import(import::ImportArgs),
    /// Save the data of every shard into files, and check it
    Backup(backup::BackupArgs),
    /// Clusters of processes on this machine
    #[command(subcommand)]
    Local(local::LocalCommand),
    /// Let a shell complete our words
    Completions(shell::CompletionsArgs),
    /// Write the manual pages
    Man(shell::ManArgs),
}

/// The cluster that a command is about: any of its nodes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// Any node of the cluster: HOST:PORT, or HOST PORT
    #[arg(required = true, num_args = 1..=2, value_name = "HOST:PORT")]
    address: Vec<String>,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// Runs a command in the native words.
pub(crate) fn run(words: &[String], printer: &mut Printer) -> ExitStatus {
    let wants_json = words.iter().any(|word| word == "--json");
    let words = spread_weights(words);
    let words: Vec<&str> = std::iter::once("tribune").chain(words.iter().map(String::as_str)).collect();
    let words = match parse(&words) {
        Ok(words) => words,
        Err(error) => return help_or_complaint(&error, printer),
    };
    printer.verbose = words.verbose;
    let outcome = match words.command {
        Command::Create(arguments) => block_on(create::run(&arguments, printer)),
        Command::Check(arguments) => block_on(check::run(&arguments, printer)),
        Command::Doctor(arguments) => block_on(doctor::run(&arguments, printer)),
        Command::Info(arguments) => block_on(info::run(&arguments, printer)),
        Command::Status(arguments) => block_on(status::run(&arguments, printer)),
        Command::Fix(arguments) => block_on(fix::run(&arguments, printer)),
        Command::Top(arguments) => block_on(top::run(&arguments, printer)),
        Command::Reshard(arguments) => block_on(reshard::run(&arguments, printer)),
        Command::Rebalance(arguments) => block_on(rebalance::run(&arguments, printer)),
        Command::Scale(arguments) => block_on(scale::run(&arguments, printer)),
        Command::Repurpose(arguments) => block_on(repurpose::run(&arguments, printer)),
        Command::Failover(arguments) => block_on(failover::run(&arguments, printer)),
        Command::Resume(arguments) => block_on(resume::run(&arguments, printer)),
        Command::AddNode(arguments) => block_on(add_node::run(&arguments, printer)),
        Command::DelNode(arguments) => block_on(del_node::run(&arguments, printer)),
        Command::SetTimeout(arguments) => block_on(set_timeout::run(&arguments, printer)),
        Command::Call(arguments) => block_on(call::run(&arguments, printer)),
        Command::Cancel(arguments) => block_on(cancel::run(&arguments, printer)),
        Command::Apply(arguments) => block_on(apply::run(&arguments, printer)),
        Command::Import(arguments) => block_on(import::run(&arguments, printer)),
        Command::Backup(arguments) => block_on(backup::run(&arguments, printer)),
        Command::Local(command) => local::run(&command, printer),
        Command::Completions(arguments) => Ok(shell::completions(&arguments, whole_table(), printer)),
        Command::Man(arguments) => shell::man(&arguments, whole_table(), printer),
    };
    match outcome {
        Ok(status) => match printer.unwritten() {
            Some(failure) => printer.failure(&failure),
            None => status,
        },
        Err(failure) => {
            if wants_json {
                // A program that reads JSON finds the failure in the same place, too.
                print_json(printer, &FailureReport::from(&failure)).ok();
            }
            printer.failure(&failure)
        }
    }
}

/// All words that the program takes.
fn whole_table() -> clap::Command {
    table::whole(Words::command())
}

/// What was typed; `plan` in front of a command is the command with `--dry-run`.
fn parse(words: &[&str]) -> Result<Words, clap::Error> {
    let matches = whole_table().try_get_matches_from(words)?;
    if matches.subcommand_name() == Some("plan") {
        return Words::try_parse_from(table::as_dry_run(words));
    }
    Words::from_arg_matches(&matches)
}

/// What is written instead of a report when a command with `--json` fails.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(crate) struct FailureReport {
    /// What is wrong, one sentence.
    error: String,
    /// What else is wrong in the same way.
    more: Vec<String>,
    /// Why that matters, or what was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// What can be typed or done next.
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl From<&Failure> for FailureReport {
    fn from(failure: &Failure) -> Self {
        let Failure { what, more, why, advice, .. } = failure.clone();
        Self { error: what, more, why, advice }
    }
}

/// The words with a `--weight` in front of each weight: the later reference tools take several behind one.
fn spread_weights(words: &[String]) -> Vec<String> {
    const OPTION: &str = "--weight";
    let mut spread: Vec<String> = Vec::new();
    let mut weights = 0;
    for word in words {
        let is_weight = word.contains('=') && !word.starts_with('-');
        if weights > 1 && is_weight {
            spread.push(OPTION.to_owned());
        }
        spread.push(word.clone());
        weights = if word == OPTION {
            1
        } else if weights > 0 && is_weight {
            2
        } else {
            0
        };
    }
    spread
}

fn help_or_complaint(error: &clap::Error, printer: &mut Printer) -> ExitStatus {
    let text = error.render().ansi().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            printer.out(&text);
            ExitStatus::Done
        }
        _ => {
            printer.note(&text);
            ExitStatus::WrongWords
        }
    }
}

impl Target {
    /// The address meant.
    pub(crate) fn address(&self) -> Result<NodeAddr, Failure> {
        match &self.address[..] {
            [host, port] => Ok(NodeAddr::from_parts(host, port)?),
            [address, ..] => Ok(address.parse()?),
            [] => Err(Failure::new("no address was given").status(ExitStatus::WrongWords)),
        }
    }

    /// The node meant: this one, unless another is named.
    pub(crate) fn node_or(&self, named: Option<&String>) -> Result<String, Failure> {
        named.map_or_else(|| Ok(self.address()?.to_string()), |named| Ok(named.clone()))
    }

    pub(crate) fn connector(&self) -> Result<Connector, Failure> {
        connector(&self.connection)
    }
}

/// A connector by the native rules: the certificate's chain and name are verified unless words say otherwise.
pub(crate) fn connector(connection: &ConnectionArgs) -> Result<Connector, Failure> {
    connection.connector(&PASSWORD_VARIABLES, Verify::Full, Family::Any)
}

/// Writes a report as JSON.
pub(crate) fn print_json(printer: &mut Printer, report: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(report);
    let text = text.map_err(|error| Failure::new(format!("the report cannot be written as JSON: {error}")))?;
    printer.out(&format!("{text}\n"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_words_is_consistent() {
        whole_table().debug_assert();
    }
}
