//! The command line of redis-trib.rb 4.0: `redis-trib COMMAND [OPTIONS] ARGUMENTS`. It becomes what `--cluster` takes.

use super::{
    grammar::{Invocation, Request},
    misuse::Misuse,
    options,
};
use std::fmt::Write as _;

/// A command of redis-trib.rb.
struct Command {
    name: &'static str,
    /// How many arguments it takes: the fewest, and the most if there is a limit.
    arity: (usize, Option<usize>),
    /// What the help says of its arguments.
    arguments: &'static str,
    options: &'static [Option_],
}

/// An option: its name, whether a value follows, and the name behind `--cluster`; none for one that changes nothing.
type Option_ = (&'static str, bool, Option<&'static str>);

const COMMANDS: &[Command] = &[
    Command {
        name: "create",
        arity: (1, None),
        arguments: "host1:port1 ... hostN:portN",
        options: &[("replicas", true, Some("--cluster-replicas"))],
    },
    Command { name: "check", arity: (1, Some(1)), arguments: "host:port", options: &[] },
    Command { name: "info", arity: (1, Some(1)), arguments: "host:port", options: &[] },
    Command {
        name: "fix",
        arity: (1, Some(1)),
        arguments: "host:port",
        options: &[("timeout", true, Some("--cluster-timeout"))],
    },
    Command {
        name: "reshard",
        arity: (1, Some(1)),
        arguments: "host:port",
        options: &[
            ("from", true, Some("--cluster-from")),
            ("to", true, Some("--cluster-to")),
            ("slots", true, Some("--cluster-slots")),
            ("yes", false, Some("--cluster-yes")),
            ("timeout", true, Some("--cluster-timeout")),
            ("pipeline", true, Some("--cluster-pipeline")),
        ],
    },
    Command {
        name: "rebalance",
        arity: (1, Some(1)),
        arguments: "host:port",
        options: &[
            ("weight", true, Some("--cluster-weight")),
            ("auto-weights", false, None),
            ("use-empty-masters", false, Some("--cluster-use-empty-masters")),
            ("timeout", true, Some("--cluster-timeout")),
            ("simulate", false, Some("--cluster-simulate")),
            ("pipeline", true, Some("--cluster-pipeline")),
            ("threshold", true, Some("--cluster-threshold")),
        ],
    },
    Command {
        name: "add-node",
        arity: (2, Some(2)),
        arguments: "new_host:new_port existing_host:existing_port",
        options: &[("slave", false, Some("--cluster-slave")), ("master-id", true, Some("--cluster-master-id"))],
    },
    Command { name: "del-node", arity: (2, Some(2)), arguments: "host:port node_id", options: &[] },
    Command { name: "set-timeout", arity: (2, Some(2)), arguments: "host:port milliseconds", options: &[] },
    Command { name: "call", arity: (2, None), arguments: "host:port command arg arg .. arg", options: &[] },
    Command {
        name: "import",
        arity: (1, Some(1)),
        arguments: "host:port",
        options: &[
            ("from", true, Some("--cluster-from")),
            ("copy", false, Some("--cluster-copy")),
            ("replace", false, Some("--cluster-replace")),
        ],
    },
    Command { name: "help", arity: (0, None), arguments: "(show this help)", options: &[] },
];

/// What every command takes besides, though redis-trib.rb knew neither passwords nor TLS.
const CONNECTION: &[&str] = &[
    "-a",
    "--pass",
    "--user",
    "--askpass",
    "--no-auth-warning",
    "-u",
    "-t",
    "-4",
    "-6",
    "--tls",
    "--sni",
    "--cacert",
    "--cacertdir",
    "--cert",
    "--key",
    "--insecure",
];

/// Whether a program of this name takes these words.
pub(super) fn is_named(name: &str) -> bool {
    matches!(name, "redis-trib" | "redis-trib.rb")
}

/// Reads the words behind the program's name.
pub(super) fn parse(words: &[String]) -> Result<Request, Misuse> {
    let Some((name, mut rest)) = words.split_first() else { return Err(Misuse::OfTrib(help())) };
    match name.as_str() {
        "--help" | "-h" => return Ok(Request::TribHelp),
        "--version" | "-v" => return Ok(Request::Version),
        _ => {}
    }
    let lower = name.to_ascii_lowercase();
    let Some(command) = COMMANDS.iter().find(|command| command.name == lower) else {
        return Err(Misuse::OfTrib(format!("Unknown redis-trib subcommand '{name}'\n")));
    };
    let mut invocation = Invocation::default();
    while let Some((word, behind)) = rest.split_first() {
        if CONNECTION.contains(&word.as_str()) {
            rest = invocation.take_option(word, behind)?;
            continue;
        }
        let Some(option) = word.strip_prefix("--") else { break };
        rest = take(command, option, behind, &mut invocation)?;
    }
    if command.name == "help" {
        return Ok(Request::TribHelp);
    }
    if command.name == "import" && !invocation.has("--cluster-from") {
        return Err(Misuse::OfTrib("Option '--from' is required for subcommand 'import'\n".to_owned()));
    }
    let (least, most) = command.arity;
    if rest.len() < least || most.is_some_and(|most| rest.len() > most) {
        return Err(Misuse::OfTrib("[ERR] Wrong number of arguments for specified sub command\n".to_owned()));
    }
    invocation.command = Some((command.name.to_owned(), rest.to_vec()));
    Ok(Request::Run(invocation))
}

/// Keeps an option of a command with its value; gives the words behind it.
fn take<'a>(
    command: &Command,
    option: &str,
    behind: &'a [String],
    invocation: &mut Invocation,
) -> Result<&'a [String], Misuse> {
    if option == "verbose" {
        invocation.give("--verbose", None);
        return Ok(behind);
    }
    let known = command.options.iter().find(|(name, ..)| *name == option);
    let Some((_, takes, kept)) = known else {
        let line = format!("Unknown option '{option}' for command '{}'\n", command.name);
        return Err(Misuse::OfTrib(line));
    };
    let (value, behind) = match behind.split_first() {
        Some((value, behind)) if *takes => (Some(value.clone()), behind),
        None if *takes => {
            return Err(Misuse::OfTrib(format!("Option '--{option}' of command '{}' takes a value\n", command.name)));
        }
        _ => (None, behind),
    };
    if let Some(kept) = kept.and_then(options::find) {
        invocation.give(kept.0, value);
    }
    Ok(behind)
}

/// The commands with their options.
pub(super) fn help() -> String {
    let mut text = "Usage: redis-trib <command> <options> <arguments ...>\n\n".to_owned();
    for command in COMMANDS {
        let _ = writeln!(text, "  {:15} {}", command.name, command.arguments);
        for (option, takes, _) in command.options {
            let _ = writeln!(text, "                  --{option}{}", if *takes { " <arg>" } else { "" });
        }
    }
    text.push_str(
        "\nAny working node of the cluster will do as host:port. Options come first; every command also takes those of the \
         connection:\n  -a <password> --user <name> --askpass -u <uri> -t <seconds> --tls --sni <host> --cacert <file> --cacertdir \
         <directory>\n  --cert <file> --key <file> --insecure\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Request, Misuse> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn run(line: &str) -> Invocation {
        match parsed(line) {
            Ok(Request::Run(invocation)) => invocation,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn options_become_those_of_the_later_tools() {
        let invocation = run("reshard --from a --to b --slots 10 --yes --timeout 5 --pipeline 7 --verbose h:1");
        assert_eq!(invocation.command, Some(("reshard".into(), vec!["h:1".into()])));
        let values = ["from", "to", "slots", "timeout", "pipeline"]
            .map(|name| invocation.value(&format!("--cluster-{name}")).unwrap().to_owned());
        assert_eq!(values, ["a", "b", "10", "5", "7"]);
        assert!(invocation.has("--cluster-yes") && invocation.has("--verbose"));
        let invocation = run("Rebalance --weight a=1 --auto-weights --weight b=2 --use-empty-masters h:1");
        assert_eq!(invocation.values("--cluster-weight").collect::<Vec<_>>(), ["a=1", "b=2"]);
        assert!(invocation.has("--cluster-use-empty-masters"));
        assert_eq!(run("call h:1 SET k --x -1").command.unwrap().1, ["h:1", "SET", "k", "--x", "-1"]);
    }

    #[test]
    fn wrong_words_are_refused_as_ever() {
        for (line, told) in [
            ("bogus h:1", "Unknown redis-trib subcommand 'bogus'\n"),
            ("check --yes h:1", "Unknown option 'yes' for command 'check'\n"),
            ("CHECK --cluster-yes h:1", "Unknown option 'cluster-yes' for command 'check'\n"),
            ("backup h:1 /d", "Unknown redis-trib subcommand 'backup'\n"),
            ("check", "[ERR] Wrong number of arguments for specified sub command\n"),
            ("check h:1 --verbose", "[ERR] Wrong number of arguments for specified sub command\n"),
            ("import h:1", "Option '--from' is required for subcommand 'import'\n"),
            ("reshard --from", "Option '--from' of command 'reshard' takes a value\n"),
        ] {
            assert_eq!(parsed(line), Err(Misuse::OfTrib(told.to_owned())), "{line}");
        }
        assert_eq!(parsed("help"), Ok(Request::TribHelp));
        assert_eq!(parsed(""), Err(Misuse::OfTrib(help())));
    }
}
