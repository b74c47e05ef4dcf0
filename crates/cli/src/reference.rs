//! The words, lines and exit codes of `redis-cli --cluster` and `valkey-cli --cluster`.

mod blocks;
mod check;
mod create;
mod grammar;
mod info;
mod load;
mod terminal;
mod wording;

use crate::{
    block_on,
    connection::{ConnectionArgs, Verify},
    failure::{ExitStatus, Failure},
    printer::Printer,
};
use futures_util::future::LocalBoxFuture;
use grammar::{Invocation, Misuse};
use node::{Connector, Family};
use operations::observe::Observation;
use terminal::Terminal;
use topology::NodeAddr;
use wording::Wording;

/// A sub-command of `--cluster`.
pub(crate) struct Subcommand {
    name: &'static str,
    /// How many arguments it takes: the fewest, and the most if there is a limit.
    arity: (usize, Option<usize>),
    /// What `--cluster help` says of its arguments.
    arguments: &'static str,
    /// None for those that this version leaves to the reference tool.
    run: Option<Run>,
}

type Run = for<'a> fn(&'a Session, &'a mut Terminal<'_>) -> LocalBoxFuture<'a, Result<ExitStatus, Stop>>;

const fn later(name: &'static str, least: usize, most: Option<usize>, arguments: &'static str) -> Subcommand {
    Subcommand { name, arity: (least, most), arguments, run: None }
}

/// All sub-commands, in the order of the reference tools' help.
const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "create",
        arity: (1, None),
        arguments: "host1:port1 ... hostN:portN  [--cluster-replicas <arg>]",
        run: Some(|session, terminal| Box::pin(create::run(session, terminal))),
    },
    Subcommand {
        name: "check",
        arity: (1, None),
        arguments: "<host:port> or <host> <port>  [--cluster-search-multiple-owners]",
        run: Some(|session, terminal| Box::pin(check::run(session, terminal))),
    },
    Subcommand {
        name: "info",
        arity: (1, None),
        arguments: "<host:port> or <host> <port>",
        run: Some(|session, terminal| Box::pin(info::run(session, terminal))),
    },
    later("fix", 1, None, "<host:port> or <host> <port>"),
    later("reshard", 1, None, "<host:port> or <host> <port>"),
    later("rebalance", 1, None, "<host:port> or <host> <port>"),
    later("add-node", 2, Some(2), "new_host:new_port existing_host:existing_port"),
    later("del-node", 2, Some(2), "host:port node_id"),
    later("call", 2, None, "host:port command arg arg .. arg"),
    later("set-timeout", 2, Some(2), "host:port milliseconds"),
    later("import", 1, Some(1), "host:port"),
    later("backup", 2, Some(2), "host:port backup_directory"),
    Subcommand {
        name: "help",
        arity: (0, Some(0)),
        arguments: "",
        run: Some(|_, terminal| Box::pin(async move { Ok(help(terminal)) })),
    },
];

/// What was typed, ready to run.
pub(crate) struct Session {
    invocation: Invocation,
    arguments: Vec<String>,
    /// The tool whose name the program was called by; none for `tribune`: then the servers decide.
    wording: Option<Wording>,
}

/// A command that ends early; what there is to say has been said unless it is a failure.
pub(crate) enum Stop {
    /// Everything was said already.
    Said(ExitStatus),
    /// A sentence for standard error.
    Because(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Because(failure)
    }
}

/// Whether these words are in the reference tools' grammar.
pub(crate) fn is_meant(name: &str, words: &[String]) -> bool {
    Wording::of_program(name).is_some() || words.iter().any(|word| word == "--cluster")
}

/// Runs a command in the reference tools' words.
pub(crate) fn run(name: &str, words: &[String], printer: &mut Printer) -> ExitStatus {
    printer.raw();
    let wording = Wording::of_program(name);
    let mut terminal = Terminal::new(printer, wording.unwrap_or(Wording::Redis));
    let (session, subcommand) = match prepare(words, wording) {
        Ok(prepared) => prepared,
        Err(misuse) => {
            terminal.complain(&misuse.text(terminal.wording));
            return ExitStatus::NotDone;
        }
    };
    let Some(run) = subcommand.run else {
        terminal.complain(&format!(
            "--cluster {0} is not part of this version of tribune. Until it is: redis-cli --cluster {0} …\n",
            subcommand.name
        ));
        return ExitStatus::NotDone;
    };
    let outcome = block_on(async { Ok(run(&session, &mut terminal).await) });
    match outcome {
        Ok(Ok(status) | Err(Stop::Said(status))) => status,
        Ok(Err(Stop::Because(failure))) | Err(failure) => printer.failure(&failure),
    }
}

fn prepare(words: &[String], wording: Option<Wording>) -> Result<(Session, &'static Subcommand), Misuse> {
    let invocation = grammar::parse(words)?;
    let Some((name, arguments)) = invocation.command.clone() else { return Err(Misuse::NoCommand) };
    let subcommand = SUBCOMMANDS.iter().find(|subcommand| subcommand.name == name);
    let subcommand = subcommand.ok_or(Misuse::UnknownCommand)?;
    let (least, most) = subcommand.arity;
    if arguments.len() < least || most.is_some_and(|most| arguments.len() > most) {
        return Err(Misuse::WrongArguments);
    }
    Ok((Session { invocation, arguments, wording }, subcommand))
}

fn help(terminal: &mut Terminal<'_>) -> ExitStatus {
    terminal.plain("Cluster Manager Commands:\n");
    for subcommand in SUBCOMMANDS {
        terminal.plain(&format!("  {:15}{}\n", subcommand.name, subcommand.arguments));
    }
    terminal.plain(
        "\nFor check, fix, reshard, del-node, set-timeout, info, rebalance, call, import, backup you can specify the host \
         and port of any working node in the cluster.\n",
    );
    ExitStatus::Done
}

impl Session {
    /// The cluster's node that the arguments name: `host:port` or `host port`.
    fn entry(&self) -> Result<NodeAddr, Misuse> {
        let parsed = match &self.arguments[..] {
            [host, port, ..] if !host.contains(':') => NodeAddr::from_parts(host, port),
            [address, ..] => address.parse(),
            [] => return Err(Misuse::WrongArguments),
        };
        parsed.map_err(|_| Misuse::NotAnEntry)
    }

    /// Whether prompts are answered with yes.
    fn says_yes(&self) -> bool {
        let said = |variable| std::env::var(variable).is_ok_and(|value| value == "1");
        self.invocation.has("--cluster-yes") || ["VALKEYCLI_CLUSTER_YES", "REDISCLI_CLUSTER_YES"].into_iter().any(said)
    }

    /// Loads the cluster that the arguments name.
    async fn load(&self, terminal: &mut Terminal<'_>) -> Result<Observation, Stop> {
        let entry = self.entry().map_err(|misuse| misuse.stop(terminal))?;
        let connector = self.connector(terminal)?;
        load::load(&connector, &entry, self.wording, terminal).await
    }

    fn connector(&self, terminal: &mut Terminal<'_>) -> Result<Connector, Failure> {
        let options = &self.invocation;
        let text = |name: &str| options.value(name).map(str::to_owned);
        if (options.has("--pass") || options.has("-u")) && !options.has("--no-auth-warning") {
            terminal.complain(
                "Warning: Using a password with '-a' or '-u' option on the command line interface may not be safe.\n",
            );
        }
        let seconds = options.value("-t").map(crate::connection::seconds).transpose();
        let arguments = ConnectionArgs {
            user: text("--user"),
            askpass: options.has("--askpass"),
            pass: text("--pass"),
            uri: text("-u"),
            tls: options.has("--tls"),
            cacert: text("--cacert").map(Into::into),
            cacertdir: text("--cacertdir").map(Into::into),
            cert: text("--cert").map(Into::into),
            key: text("--key").map(Into::into),
            sni: text("--sni"),
            insecure: options.has("--insecure"),
            connect_timeout: seconds.map_err(|problem| Failure::new(format!("-t: {problem}")))?,
            ..ConnectionArgs::default()
        };
        let family = match (options.has("-4"), options.has("-6")) {
            (true, false) => Family::V4,
            (false, true) => Family::V6,
            _ => Family::Any,
        };
        let variables = match self.wording {
            Some(Wording::Redis) => &["REDISCLI_AUTH"][..],
            Some(Wording::Valkey) => &["VALKEYCLI_AUTH", "REDISCLI_AUTH"][..],
            None => &["TRIBUNE_AUTH", "REDISCLI_AUTH", "VALKEYCLI_AUTH"][..],
        };
        arguments.connector(variables, Verify::Chain, family)
    }
}
