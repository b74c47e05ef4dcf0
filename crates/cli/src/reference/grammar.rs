//! The command line of the reference tools: options anywhere, one `--cluster COMMAND ARGS…` among them.

use super::Wording;
use std::collections::BTreeMap;

/// What an option takes behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value,
    /// All following words with a `=` in them.
    Pairs,
}

use Takes::{Nothing, Pairs, Value};

/// Every option, with the name under which it is kept.
const OPTIONS: &[(&str, &str, Takes)] = &[
    ("-a", "--pass", Value),
    ("--pass", "--pass", Value),
    ("--user", "--user", Value),
    ("--askpass", "--askpass", Nothing),
    ("--no-auth-warning", "--no-auth-warning", Nothing),
    ("-u", "-u", Value),
    ("-h", "-h", Value),
    ("-p", "-p", Value),
    ("-t", "-t", Value),
    ("-4", "-4", Nothing),
    ("-6", "-6", Nothing),
    ("-c", "-c", Nothing),
    ("-n", "-n", Value),
    ("-2", "-2", Nothing),
    ("-3", "-3", Nothing),
    ("-x", "-x", Nothing),
    ("-X", "-X", Value),
    ("-e", "-e", Nothing),
    ("--raw", "--raw", Nothing),
    ("--no-raw", "--no-raw", Nothing),
    ("--verbose", "--verbose", Nothing),
    ("--tls", "--tls", Nothing),
    ("--sni", "--sni", Value),
    ("--cacert", "--cacert", Value),
    ("--cacertdir", "--cacertdir", Value),
    ("--cert", "--cert", Value),
    ("--key", "--key", Value),
    ("--insecure", "--insecure", Nothing),
    ("--tls-ciphers", "--tls-ciphers", Value),
    ("--tls-ciphersuites", "--tls-ciphersuites", Value),
    ("--cluster-yes", "--cluster-yes", Nothing),
    ("--cluster-replicas", "--cluster-replicas", Value),
    ("--cluster-search-multiple-owners", "--cluster-search-multiple-owners", Nothing),
    ("--cluster-fix-with-unreachable-masters", "--cluster-fix-with-unreachable-masters", Nothing),
    ("--cluster-fix-with-unreachable-primaries", "--cluster-fix-with-unreachable-masters", Nothing),
    ("--cluster-from", "--cluster-from", Value),
    ("--cluster-to", "--cluster-to", Value),
    ("--cluster-slots", "--cluster-slots", Value),
    ("--cluster-timeout", "--cluster-timeout", Value),
    ("--cluster-pipeline", "--cluster-pipeline", Value),
    ("--cluster-threshold", "--cluster-threshold", Value),
    ("--cluster-replace", "--cluster-replace", Nothing),
    ("--cluster-copy", "--cluster-copy", Nothing),
    ("--cluster-simulate", "--cluster-simulate", Nothing),
    ("--cluster-weight", "--cluster-weight", Pairs),
    ("--cluster-use-empty-masters", "--cluster-use-empty-masters", Nothing),
    ("--cluster-use-empty-primaries", "--cluster-use-empty-masters", Nothing),
    ("--cluster-slave", "--cluster-slave", Nothing),
    ("--cluster-replica", "--cluster-slave", Nothing),
    ("--cluster-master-id", "--cluster-master-id", Value),
    ("--cluster-primary-id", "--cluster-master-id", Value),
    ("--cluster-only-masters", "--cluster-only-masters", Nothing),
    ("--cluster-only-primaries", "--cluster-only-masters", Nothing),
    ("--cluster-only-replicas", "--cluster-only-replicas", Nothing),
    ("--cluster-from-user", "--cluster-from-user", Value),
    ("--cluster-from-pass", "--cluster-from-pass", Value),
    ("--cluster-from-askpass", "--cluster-from-askpass", Nothing),
    ("--cluster-use-atomic-slot-migration", "--cluster-use-atomic-slot-migration", Nothing),
];

/// What was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Invocation {
    /// The sub-command and its arguments.
    pub(crate) command: Option<(String, Vec<String>)>,
    options: BTreeMap<&'static str, Vec<String>>,
}

impl Invocation {
    /// Whether the option was given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.options.contains_key(name)
    }

    /// The value given last for an option.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.options.get(name)?.last().map(String::as_str)
    }
}

/// Words that the reference tools refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Misuse {
    /// An option that there is not, or one without its value.
    BadOption(String),
    /// No `--cluster`, an empty one, or two.
    NoCommand,
    /// A sub-command that there is not.
    UnknownCommand,
    /// Too many or too few arguments.
    WrongArguments,
    /// No `host:port`.
    NotAnEntry,
    /// An argument of `create` that is no `host:port`.
    NotAnAddress(String),
    /// A value that is no number.
    NotANumber { option: &'static str, value: String },
}

impl Misuse {
    /// Says what is wrong and ends the command.
    pub(crate) fn stop(&self, terminal: &mut super::Terminal<'_>) -> super::Stop {
        terminal.complain(&self.text(terminal.wording));
        super::Stop::Said(crate::failure::ExitStatus::NotDone)
    }

    /// The line for standard error.
    pub(crate) fn text(&self, wording: Wording) -> String {
        let tool = wording.product().to_lowercase();
        match self {
            Self::BadOption(option) => format!("Unrecognized option or bad number of args for: '{option}'\n"),
            Self::NoCommand => format!(
                "Usage: {tool}-cli [OPTIONS] --cluster COMMAND [ARGS...] [OPTIONS]\nUse --cluster help to list the commands.\n"
            ),
            Self::UnknownCommand => "Unknown --cluster subcommand\n".to_owned(),
            Self::WrongArguments => "[ERR] Wrong number of arguments for specified --cluster sub command\n".to_owned(),
            Self::NotAnEntry => {
                "[ERR] Invalid arguments: you need to pass either a valid address (ie. 120.0.0.1:7000) or \
                                 space separated IP and port (ie. 120.0.0.1 7000)\n"
                    .to_owned()
            }
            Self::NotAnAddress(text) => format!("Invalid address format: {text}\n"),
            Self::NotANumber { option, value } => format!("[ERR] Option '{option}' takes a number, not '{value}'\n"),
        }
    }
}

/// Reads the words behind the program's name.
pub(crate) fn parse(words: &[String]) -> Result<Invocation, Misuse> {
    let mut invocation = Invocation::default();
    let mut rest = words;
    while let Some((word, behind)) = rest.split_first() {
        rest = behind;
        if word == "--cluster" {
            let (name, behind) = rest.split_first().ok_or(Misuse::NoCommand)?;
            if invocation.command.is_some() {
                return Err(Misuse::NoCommand);
            }
            let arguments = bare_words(&mut rest, behind);
            invocation.command = Some((name.clone(), arguments));
        } else if word.starts_with('-') {
            let bad = || Misuse::BadOption(word.clone());
            let (_, name, takes) = OPTIONS.iter().find(|(typed, ..)| typed == word).ok_or_else(bad)?;
            let values = invocation.options.entry(name).or_default();
            match takes {
                Nothing => {}
                Value => {
                    let (value, behind) = rest.split_first().ok_or_else(bad)?;
                    values.push(value.clone());
                    rest = behind;
                }
                Pairs if !values.is_empty() => return Err(bad()),
                Pairs => {
                    let end = rest.iter().position(|word| !word.contains('=')).unwrap_or(rest.len());
                    let (pairs, behind) = rest.split_at(end);
                    values.extend_from_slice(pairs);
                    rest = behind;
                }
            }
        } else {
            // A later group of bare words is the arguments of a command that had none; otherwise nobody wants it.
            let behind = std::iter::once(word.clone()).chain(bare_words(&mut rest, behind)).collect();
            match &mut invocation.command {
                Some((_, arguments)) if arguments.is_empty() => *arguments = behind,
                _ => {}
            }
        }
    }
    Ok(invocation)
}

/// Takes the words up to the first option.
fn bare_words<'a>(rest: &mut &'a [String], words: &'a [String]) -> Vec<String> {
    let end = words.iter().position(|word| word.starts_with('-')).unwrap_or(words.len());
    let (bare, behind) = words.split_at(end);
    *rest = behind;
    bare.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Invocation, Misuse> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_may_stand_anywhere() {
        for line in [
            "--cluster create a:1 b:2 --cluster-replicas 1 --cluster-yes",
            "--cluster-yes --cluster-replicas 1 --cluster create a:1 b:2",
            "--cluster create --cluster-yes a:1 b:2 --cluster-replicas 1",
        ] {
            let invocation = parsed(line).unwrap();
            assert_eq!(invocation.command, Some(("create".into(), vec!["a:1".into(), "b:2".into()])), "{line}");
            assert!(invocation.has("--cluster-yes"), "{line}");
            assert_eq!(invocation.value("--cluster-replicas"), Some("1"), "{line}");
        }
    }

    #[test]
    fn weights_end_at_the_first_word_without_an_equals_sign() {
        let invocation = parsed("--cluster rebalance --cluster-weight a=1 b=2 h:1 --cluster-simulate").unwrap();
        assert_eq!(invocation.options["--cluster-weight"], ["a=1", "b=2"]);
        assert_eq!(invocation.command.unwrap().1, ["h:1"]);
    }

    #[test]
    fn both_tools_names_of_an_option_mean_the_same() {
        for typed in ["--cluster-slave", "--cluster-replica"] {
            assert!(parsed(&format!("--cluster add-node a:1 b:1 {typed}")).unwrap().has("--cluster-slave"));
        }
    }

    #[test]
    fn wrong_words_are_refused_by_name() {
        for (line, misuse) in [
            ("--cluster check a:1 --cluster-bogus", Misuse::BadOption("--cluster-bogus".into())),
            ("--cluster check a:1 --cluster-replicas", Misuse::BadOption("--cluster-replicas".into())),
            (
                "--cluster rebalance a:1 --cluster-weight a=1 --cluster-weight b=1",
                Misuse::BadOption("--cluster-weight".into()),
            ),
            ("--cluster", Misuse::NoCommand),
            ("--cluster check a:1 --cluster info a:1", Misuse::NoCommand),
        ] {
            assert_eq!(parsed(line), Err(misuse), "{line}");
        }
    }
}
