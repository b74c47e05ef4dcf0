//! What can follow `--cluster`.

use super::{
    Session, Stop, Terminal, backup, call, check, create, fix, import, info, misuse::Misuse, rebalance, reshard,
};
use crate::failure::ExitStatus;
use futures_util::future::LocalBoxFuture;

/// A sub-command of `--cluster`.
pub(super) struct Subcommand {
    pub(super) name: &'static str,
    /// How many arguments it takes: the fewest, and the most if there is a limit.
    arity: (usize, Option<usize>),
    /// What `--cluster help` says of its arguments.
    arguments: &'static str,
    /// None for those that this version leaves to the reference tool.
    pub(super) run: Option<Run>,
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
    Subcommand {
        name: "fix",
        arity: (1, None),
        arguments: "<host:port> or <host> <port>  [--cluster-search-multiple-owners]",
        run: Some(|session, terminal| Box::pin(fix::run(session, terminal))),
    },
    Subcommand {
        name: "reshard",
        arity: (1, None),
        arguments: "<host:port> or <host> <port>",
        run: Some(|session, terminal| Box::pin(reshard::run(session, terminal))),
    },
    Subcommand {
        name: "rebalance",
        arity: (1, None),
        arguments: "<host:port> or <host> <port>",
        run: Some(|session, terminal| Box::pin(rebalance::run(session, terminal))),
    },
    later("add-node", 2, Some(2), "new_host:new_port existing_host:existing_port"),
    later("del-node", 2, Some(2), "host:port node_id"),
    Subcommand {
        name: "call",
        arity: (2, None),
        arguments: "host:port command arg arg .. arg",
        run: Some(|session, terminal| Box::pin(call::call(session, terminal))),
    },
    Subcommand {
        name: "set-timeout",
        arity: (2, Some(2)),
        arguments: "host:port milliseconds",
        run: Some(|session, terminal| Box::pin(call::set_timeout(session, terminal))),
    },
    Subcommand {
        name: "import",
        arity: (1, Some(1)),
        arguments: "host:port  --cluster-from <arg> [--cluster-from-user <arg>] [--cluster-from-askpass] [--cluster-copy] [--cluster-replace]",
        run: Some(|session, terminal| Box::pin(import::run(session, terminal))),
    },
    Subcommand {
        name: "backup",
        arity: (2, Some(2)),
        arguments: "host:port backup_directory",
        run: Some(|session, terminal| Box::pin(backup::run(session, terminal))),
    },
    Subcommand {
        name: "help",
        arity: (0, None),
        arguments: "",
        run: Some(|_, terminal| {
            Box::pin(async move {
                terminal.plain(&help());
                Ok(ExitStatus::Done)
            })
        }),
    },
];

/// The line that says how to use the program.
pub(super) const USAGE: &str = "Usage: tribune [OPTIONS] --cluster COMMAND [ARGS...] [OPTIONS]\n";

/// The sub-command of this name, for so many arguments.
pub(super) fn find(name: &str, arguments: usize) -> Result<&'static Subcommand, Misuse> {
    let subcommand = SUBCOMMANDS.iter().find(|subcommand| subcommand.name == name).ok_or(Misuse::UnknownCommand)?;
    let (least, most) = subcommand.arity;
    if arguments < least || most.is_some_and(|most| arguments > most) {
        return Err(Misuse::WrongArguments);
    }
    Ok(subcommand)
}

/// The commands.
fn help() -> String {
    let line = |subcommand: &Subcommand| format!("  {:15}{}\n", subcommand.name, subcommand.arguments);
    let lines: String = SUBCOMMANDS.iter().map(line).collect();
    format!(
        "Cluster Manager Commands:\n{lines}\nFor check, fix, reshard, del-node, set-timeout, info, rebalance, call, import, \
         backup you can specify the host and port of any working node in the cluster.\n"
    )
}

/// How to use the program, and the commands.
pub(super) fn usage() -> String {
    format!(
        "{USAGE}\n{}\nConnection: -a|--pass <password>, --user <name>, --askpass, -u <uri>, -t <seconds>, -4, -6, --tls, \
         --sni <host>,\n--cacert <file>, --cacertdir <directory>, --cert <file>, --key <file>, --insecure\n",
        help()
    )
}
