//! The command line of the reference tools: options anywhere, one `--cluster COMMAND ARGS…` among them.

use super::{
    misuse::Misuse,
    options::{self, Takes},
};
use std::collections::BTreeMap;

/// What the words ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// To be told how to use the program.
    Help,
    /// The same of `redis-trib`.
    TribHelp,
    /// To be told its version.
    Version,
    /// To run a command.
    Run(Invocation),
}

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

    /// All values given for an option, in their order.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.options.get(name).into_iter().flatten().map(String::as_str)
    }

    /// Keeps an option as one that was typed.
    pub(super) fn give(&mut self, name: &'static str, value: Option<String>) {
        self.options.entry(name).or_default().extend(value);
    }

    /// Keeps an option with what it takes of the words behind it; returns the others.
    pub(super) fn take_option<'a>(&mut self, word: &str, behind: &'a [String]) -> Result<&'a [String], Misuse> {
        let bad = || Misuse::BadOption(word.to_owned());
        let (name, takes) = options::find(word).ok_or_else(bad)?;
        let values = self.options.entry(name).or_default();
        match takes {
            Takes::Nothing => Ok(behind),
            Takes::Value => {
                let (value, behind) = behind.split_first().ok_or_else(bad)?;
                values.push(value.clone());
                Ok(behind)
            }
            Takes::Pairs if !values.is_empty() => Err(Misuse::WeightsTwice),
            Takes::Pairs => {
                let is_pair = |word: &String| word.contains('=') && !word.starts_with("--");
                let end = behind.iter().position(|word| !is_pair(word)).unwrap_or(behind.len());
                let (pairs, behind) = behind.split_at(end);
                values.extend_from_slice(pairs);
                Ok(behind)
            }
        }
    }
}

/// Reads the words behind the program's name, from left to right: help and version are told without looking further.
pub(crate) fn parse(words: &[String]) -> Result<Request, Misuse> {
    let mut invocation = Invocation::default();
    let mut rest = words;
    while let Some((word, behind)) = rest.split_first() {
        rest = behind;
        match (word.as_str(), behind) {
            ("--help", _) | ("-h", []) => return Ok(Request::Help),
            ("-v" | "--version", _) => return Ok(Request::Version),
            ("--cluster", []) => return Err(Misuse::NoCommand),
            ("--cluster", [name, behind @ ..]) => {
                if invocation.command.is_some() {
                    return Err(Misuse::NoCommand);
                }
                let arguments = bare_words(&mut rest, behind);
                invocation.command = Some((name.clone(), arguments));
            }
            _ if word.starts_with('-') => rest = invocation.take_option(word, behind)?,
            _ => {
                // A later group of bare words is the arguments of a command that had none; otherwise nobody wants it.
                let behind = std::iter::once(word.clone()).chain(bare_words(&mut rest, behind)).collect();
                match &mut invocation.command {
                    Some((_, arguments)) if arguments.is_empty() => *arguments = behind,
                    _ => {}
                }
            }
        }
    }
    let excluded = options::EXCLUSIVE.iter().find(|(one, other)| invocation.has(one) && invocation.has(other));
    match excluded {
        Some((one, other)) => Err(Misuse::Exclusive(one, other)),
        None => Ok(Request::Run(invocation)),
    }
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

    fn read(line: &str) -> Result<Request, Misuse> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn parsed(line: &str) -> Result<Invocation, Misuse> {
        read(line).map(|request| match request {
            Request::Run(invocation) => invocation,
            other => panic!("{line}: {other:?}"),
        })
    }

    #[test]
    fn help_and_version_are_told_without_looking_further() {
        for (line, request) in [
            ("--cluster check --help --bogus", Request::Help),
            ("-a x -h", Request::Help),
            ("-v", Request::Version),
            ("--cluster bogus --version", Request::Version),
        ] {
            assert_eq!(read(line), Ok(request), "{line}");
        }
        assert!(parsed("-h host --cluster check").unwrap().has("-h"));
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
            ("--cluster rebalance a:1 --cluster-weight a=1 --cluster-weight b=1", Misuse::WeightsTwice),
            ("--cluster check a:1 -4 -6", Misuse::Exclusive("-4", "-6")),
            ("--cluster", Misuse::NoCommand),
            ("--cluster check a:1 --cluster info a:1", Misuse::NoCommand),
        ] {
            assert_eq!(parsed(line), Err(misuse), "{line}");
        }
    }
}
