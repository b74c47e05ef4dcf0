//! `tribune call`: the same command to every node.

use super::{Target, print_json, units};
use crate::{
    connection::ConnectionArgs,
    failure::{ExitStatus, Failure},
    printer::{GREEN, Printer, RED},
    prompt, replies,
};
use clap::Args;
use operations::{
    everywhere::{Answers, send_to_each},
    observe::look,
    port::Command,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use topology::{Reply, plan::NodeRef};

/// Send a command to every node and show what each answers.
#[derive(Args)]
#[command(after_help = "Words that begin with - go behind --:  tribune call HOST:PORT -- CLIENT LIST -1\n\
                        What can take data or stop servers (FLUSHALL, CLUSTER RESET, SHUTDOWN …) is asked about first.")]
pub(crate) struct CallArgs {
    /// Any node of the cluster
    #[arg(value_name = "HOST:PORT")]
    address: String,
    /// The command and its arguments
    #[arg(required = true, num_args = 1.., value_name = "COMMAND", allow_negative_numbers = true)]
    words: Vec<String>,
    /// To primaries only
    #[arg(long, visible_alias = "only-masters", conflicts_with = "only_replicas")]
    only_primaries: bool,
    /// To replicas only
    #[arg(long)]
    only_replicas: bool,
    #[command(flatten)]
    way: Way,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// How it is done.
#[derive(Args)]
struct Way {
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Show which nodes would be asked
    #[arg(long)]
    dry_run: bool,
    /// Write the answers as JSON
    #[arg(long)]
    json: bool,
}

/// What `call --json` writes.
#[derive(Serialize, JsonSchema)]
pub(crate) struct CallReport {
    /// The command, word by word.
    command: Vec<String>,
    /// What each node answered; with `--dry-run` nothing yet.
    nodes: Vec<Called>,
    /// Nodes of the cluster that were to be asked, or could be, and did not answer: why.
    silent: Vec<String>,
    /// How long it all took.
    seconds: f64,
}

/// What a node answered.
#[derive(Serialize, JsonSchema)]
struct Called {
    /// The node.
    node: NodeRef,
    /// The answer: text, number, list or null; what is no text as `{"hex": …}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<Value>,
    /// What the node refused the command with, or why it did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(crate) async fn run(arguments: &CallArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let target = Target { address: vec![arguments.address.clone()], connection: arguments.connection.clone() };
    let observation = look(&target.connector()?, &[target.address()?]).await?;
    let nodes = observation.nodes(|said| match (arguments.only_primaries, arguments.only_replicas) {
        (true, _) => said.myself.is_primary(),
        (_, true) => said.myself.is_replica(),
        _ => true,
    });
    let silent: Vec<String> = observation.troubles.iter().map(ToString::to_string).collect();
    if arguments.way.dry_run {
        return planned(arguments, &nodes, silent, printer);
    }
    if !arguments.way.yes && is_dangerous(&arguments.words) {
        let question = format!(
            "yes sends {} to {}; what it takes does not come back.",
            arguments.words.join(" "),
            units::count(nodes.len(), "node")
        );
        if !prompt::confirm(printer, &question)? {
            return Err(Failure::new("not confirmed; nothing was sent"));
        }
    }
    let words = arguments.words.iter().map(|word| word.clone().into_bytes()).collect();
    let answers = send_to_each(&observation.links, &nodes, &[Command::Typed(words)]).await;
    tell(arguments, answers, silent, printer)
}

/// Commands after which data or a server may be gone.
fn is_dangerous(words: &[String]) -> bool {
    const COMMANDS: [&str; 6] = ["FLUSHALL", "FLUSHDB", "SHUTDOWN", "SWAPDB", "DEBUG", "FAILOVER"];
    const OF_CLUSTER: [&str; 6] = ["RESET", "FLUSHSLOTS", "FLUSHSLOT", "DELSLOTS", "DELSLOTSRANGE", "FORGET"];
    let word = |at: usize| words.get(at).map(|word| word.to_ascii_uppercase()).unwrap_or_default();
    COMMANDS.contains(&word(0).as_str())
        || (word(0) == "CLUSTER" && OF_CLUSTER.contains(&word(1).as_str()))
        || (word(0) == "FUNCTION" && ["FLUSH", "DELETE"].contains(&word(1).as_str()))
}

fn planned(
    arguments: &CallArgs,
    nodes: &[NodeRef],
    silent: Vec<String>,
    printer: &mut Printer,
) -> Result<ExitStatus, Failure> {
    if arguments.way.json {
        let nodes = nodes.iter().map(|node| Called { node: node.clone(), reply: None, error: None }).collect();
        let seconds = printer.elapsed().as_secs_f64();
        print_json(printer, &CallReport { command: arguments.words.clone(), nodes, silent, seconds })?;
    } else {
        let addresses: Vec<String> = nodes.iter().map(|node| node.address.to_string()).collect();
        printer.out(&format!("{}\n  to  {}\n", arguments.words.join(" "), addresses.join(" ")));
        printer.out("  Nothing has been sent: leave out --dry-run.\n");
    }
    Ok(ExitStatus::Done)
}

/// Shows the answers in the order of the nodes; not done when one is missing or is a refusal.
fn tell(
    arguments: &CallArgs,
    answers: Answers,
    silent: Vec<String>,
    printer: &mut Printer,
) -> Result<ExitStatus, Failure> {
    let called: Vec<(NodeRef, Result<Reply, String>)> = answers
        .into_iter()
        .map(|(node, answer)| {
            let reply = match answer.map(|mut replies| replies.pop()) {
                Ok(Some(Reply::Error(line))) => Err(line),
                Ok(reply) => Ok(reply.unwrap_or(Reply::Nil)),
                Err(error) => Err(error.trouble.to_string()),
            };
            (node, reply)
        })
        .collect();
    let all = called.len() + silent.len();
    let good = called.iter().filter(|(_, reply)| reply.is_ok()).count();
    if arguments.way.json {
        let of = |(node, reply): (NodeRef, Result<Reply, String>)| match reply {
            Ok(reply) => Called { node, reply: Some(replies::json(&reply)), error: None },
            Err(line) => Called { node, reply: None, error: Some(line) },
        };
        let nodes = called.into_iter().map(of).collect();
        let seconds = printer.elapsed().as_secs_f64();
        print_json(printer, &CallReport { command: arguments.words.clone(), nodes, silent, seconds })?;
    } else {
        let width = called.iter().map(|(node, _)| node.address.to_string().len()).max().unwrap_or_default();
        for (node, reply) in &called {
            printer.bytes(&line(&node.address.to_string(), width, reply));
        }
        for trouble in &silent {
            printer.note(&format!("not asked: {trouble}\n"));
        }
        let colour = if good == all { GREEN } else { RED };
        let took = units::duration(printer.elapsed());
        printer.note(&format!("{colour}{good} of {} did it{colour:#}    {took}\n", units::count(all, "node")));
    }
    Ok(if good == all { ExitStatus::Done } else { ExitStatus::NotDone })
}

/// The address and the answer: beside it when it is one line, else below and indented.
fn line(address: &str, width: usize, reply: &Result<Reply, String>) -> Vec<u8> {
    let (mut text, answer) = match reply {
        Ok(reply) => (format!("{address:width$}  ").into_bytes(), replies::raw(reply)),
        Err(line) => (format!("{address:width$}  {RED}!{RED:#} ").into_bytes(), line.clone().into_bytes()),
    };
    let answer = answer.trim_ascii_end();
    if answer.contains(&b'\n') {
        text.truncate(text.trim_ascii_end().len());
        for line in answer.split(|byte| *byte == b'\n') {
            text.extend([b"\n    ", line].concat());
        }
    } else {
        text.extend(answer);
    }
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_stands_beside_its_node_or_below() {
        let text = |reply| String::from_utf8(line("h:1", 5, &reply)).unwrap();
        assert_eq!(text(Ok(Reply::text("PONG"))), "h:1    PONG\n");
        assert_eq!(text(Ok(Reply::List(vec![Reply::text("a"), Reply::Integer(2)]))), "h:1\n    a\n    2\n");
        assert_eq!(text(Ok(Reply::Nil)), "h:1    \n");
    }

    #[test]
    fn what_takes_data_is_known_however_it_is_written() {
        let dangerous = |text: &str| is_dangerous(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        for text in ["FLUSHALL", "flushall ASYNC", "cluster reset hard", "Shutdown NOSAVE", "CLUSTER FORGET x"] {
            assert!(dangerous(text), "{text}");
        }
        for text in ["PING", "CLUSTER NODES", "GET FLUSHALL", "CONFIG GET save"] {
            assert!(!dangerous(text), "{text}");
        }
    }
}
