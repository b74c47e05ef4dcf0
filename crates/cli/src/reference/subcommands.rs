//! What can follow `--cluster`.

use super::{
    Session, Stop, Terminal, Wording, add_node, backup, call, check, create, del_node, fix, import, info,
    misuse::Misuse, options, rebalance, reshard,
};
use crate::failure::ExitStatus;
use futures_util::future::LocalBoxFuture;
use std::fmt::Write as _;

/// A sub-command of `--cluster`.
pub(super) struct Subcommand {
    pub(super) name: &'static str,
    /// How many arguments it takes: the fewest, and the most if there is a limit.
    arity: (usize, Option<usize>),
    /// What `--cluster help` says of its arguments.
    arguments: &'static str,
    /// What it says of its options: each with its value.
    options: &'static [&'static str],
    pub(super) run: Run,
}

type Run = for<'a> fn(&'a Session, &'a mut Terminal<'_>) -> LocalBoxFuture<'a, Result<ExitStatus, Stop>>;

/// How a node of the cluster is named where two ways are taken.
const EITHER: &str = "<host:port> or <host> <port> - separated by either colon or space";

/// All sub-commands, in the order of the reference tools' help.
const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "create",
        arity: (1, None),
        arguments: "host1:port1 ... hostN:portN",
        options: &["--cluster-replicas <arg>"],
        run: |session, terminal| Box::pin(create::run(session, terminal)),
    },
    Subcommand {
        name: "check",
        arity: (1, None),
        arguments: EITHER,
        options: &["--cluster-search-multiple-owners"],
        run: |session, terminal| Box::pin(check::run(session, terminal)),
    },
    Subcommand {
        name: "info",
        arity: (1, None),
        arguments: EITHER,
        options: &[],
        run: |session, terminal| Box::pin(info::run(session, terminal)),
    },
    Subcommand {
        name: "fix",
        arity: (1, None),
        arguments: EITHER,
        options: &["--cluster-search-multiple-owners", "--cluster-fix-with-unreachable-masters"],
        run: |session, terminal| Box::pin(fix::run(session, terminal)),
    },
    Subcommand {
        name: "reshard",
        arity: (1, None),
        arguments: EITHER,
        options: &[
            "--cluster-from <arg>",
            "--cluster-to <arg>",
            "--cluster-slots <arg>",
            "--cluster-yes",
            "--cluster-timeout <arg>",
            "--cluster-pipeline <arg>",
            "--cluster-replace",
        ],
        run: |session, terminal| Box::pin(reshard::run(session, terminal)),
    },
    Subcommand {
        name: "rebalance",
        arity: (1, None),
        arguments: EITHER,
        options: &[
            "--cluster-weight <node1=w1...nodeN=wN>",
            "--cluster-use-empty-masters",
            "--cluster-timeout <arg>",
            "--cluster-simulate",
            "--cluster-pipeline <arg>",
            "--cluster-threshold <arg>",
            "--cluster-replace",
        ],
        run: |session, terminal| Box::pin(rebalance::run(session, terminal)),
    },
    Subcommand {
        name: "add-node",
        arity: (2, Some(2)),
        arguments: "new_host:new_port existing_host:existing_port",
        options: &["--cluster-slave", "--cluster-master-id <arg>"],
        run: |session, terminal| Box::pin(add_node::run(session, terminal)),
    },
    Subcommand {
        name: "del-node",
        arity: (2, Some(2)),
        arguments: "host:port node_id",
        options: &[],
        run: |session, terminal| Box::pin(del_node::run(session, terminal)),
    },
    Subcommand {
        name: "call",
        arity: (2, None),
        arguments: "host:port command arg arg .. arg",
        options: &["--cluster-only-masters", "--cluster-only-replicas"],
        run: |session, terminal| Box::pin(call::call(session, terminal)),
    },
    Subcommand {
        name: "set-timeout",
        arity: (2, Some(2)),
        arguments: "host:port milliseconds",
        options: &[],
        run: |session, terminal| Box::pin(call::set_timeout(session, terminal)),
    },
    Subcommand {
        name: "import",
        arity: (1, Some(1)),
        arguments: "host:port",
        options: &[
            "--cluster-from <arg>",
            "--cluster-from-user <arg>",
            "--cluster-from-pass <arg>",
            "--cluster-from-askpass",
            "--cluster-copy",
            "--cluster-replace",
        ],
        run: |session, terminal| Box::pin(import::run(session, terminal)),
    },
    Subcommand {
        name: "backup",
        arity: (2, Some(2)),
        arguments: "host:port backup_directory",
        options: &[],
        run: |session, terminal| Box::pin(backup::run(session, terminal)),
    },
    Subcommand {
        name: "help",
        arity: (0, None),
        arguments: "",
        options: &[],
        run: |_, terminal| {
            Box::pin(async move {
                terminal.plain(&help(terminal.wording));
                Ok(ExitStatus::Done)
            })
        },
    },
];

/// The names of all sub-commands.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SUBCOMMANDS.iter().map(|subcommand| subcommand.name)
}

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

/// The commands with their options, under the names of the tool whose wording it is.
fn help(wording: Wording) -> String {
    let mut text = "Cluster Manager Commands:\n".to_owned();
    for subcommand in SUBCOMMANDS {
        let _ = writeln!(text, "  {:15}{}", subcommand.name, subcommand.arguments);
        for option in subcommand.options {
            let (name, value) =
                option.split_once(' ').map_or((*option, String::new()), |(name, value)| (name, format!(" {value}")));
            let _ = writeln!(text, "                 {}{value}", options::name_in(wording, name));
        }
    }
    text.push_str(
        "\nFor check, fix, reshard, del-node, set-timeout, info, rebalance, call, import, backup you can specify the host and port \
         of any working node in the cluster.\n\nCluster Manager Options:\n  --cluster-yes  Automatic yes to cluster commands \
         prompts\n\n",
    );
    text
}

/// How to use the program, and the commands.
pub(super) fn usage(wording: Wording) -> String {
    format!(
        "{USAGE}\n{}Connection: -a|--pass <password>, --user <name>, --askpass, -u <uri>, -t <seconds>, -4, -6, --tls, \
         --sni <host>,\n--cacert <file>, --cacertdir <directory>, --cert <file>, --key <file>, --insecure\n",
        help(wording)
    )
}
