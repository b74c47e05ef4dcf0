//! Words that the reference tools refuse, in their lines.

use super::{Stop, Terminal, subcommands};
use crate::failure::ExitStatus;

/// Words that the reference tools refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Misuse {
    /// An option that there is not, or one without its value.
    BadOption(String),
    /// Two options that exclude each other.
    Exclusive(&'static str, &'static str),
    /// `--cluster-weight` for the second time.
    WeightsTwice,
    /// A `-u` that is no URI of this kind.
    NotAUri,
    /// A `-t` that is no number of seconds.
    NotATimeout,
    /// No `--cluster`, an empty one, or two.
    NoCommand,
    /// A sub-command that there is not.
    UnknownCommand,
    /// Too many or too few arguments.
    WrongArguments,
    /// No `host:port`, and no `host port`.
    NotAnEntry,
    /// An argument of `create` that is no `host:port`.
    NotAnAddress(String),
    /// What `redis-trib` says of wrong words, on standard output.
    OfTrib(String),
    /// A node timeout below 100 ms, or one that is no number.
    ShortTimeout,
    /// `-X` with a tag that is none of the arguments.
    NoSuchTag,
    /// Standard input cannot be read, or is more than one argument can be.
    UnreadableInput,
    /// A value that is no number.
    NotANumber { option: &'static str, value: String },
}

impl Misuse {
    /// Says what is wrong and ends the command.
    pub(crate) fn stop(&self, terminal: &mut Terminal<'_>) -> Stop {
        match self {
            Self::OfTrib(text) => terminal.plain(text),
            other => terminal.complain(&other.text()),
        }
        Stop::Said(ExitStatus::NotDone)
    }

    /// The line for standard error.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::BadOption(option) => {
                format!("Unrecognized option or bad number of args for: '{}'\n", without_secret(option))
            }
            Self::Exclusive(one, other) => format!("Options {one} and {other} are mutually exclusive.\n"),
            Self::WeightsTwice => "WARNING: you cannot use --cluster-weight more than once.\n\
                                   You can set more weights by adding them as a space-separated list, ie:\n\
                                   --cluster-weight n1=w n2=w\n"
                .to_owned(),
            Self::NotAUri => "Invalid URI scheme\n".to_owned(),
            Self::NotATimeout => "Invalid connection timeout for -t.\n".to_owned(),
            Self::NoCommand => format!("{}Use --cluster help to list the commands.\n", subcommands::USAGE),
            Self::UnknownCommand => "Unknown --cluster subcommand\n".to_owned(),
            Self::WrongArguments => "[ERR] Wrong number of arguments for specified --cluster sub command\n".to_owned(),
            Self::NotAnEntry => {
                "[ERR] Invalid arguments: you need to pass either a valid address (ie. 120.0.0.1:7000) or \
                                 space separated IP and port (ie. 120.0.0.1 7000)\n"
                    .to_owned()
            }
            Self::NotAnAddress(text) => format!("Invalid address format: {}\n", without_secret(text)),
            Self::OfTrib(text) => text.clone(),
            Self::ShortTimeout => "Setting a node timeout of less than 100 milliseconds is a bad idea.\n".to_owned(),
            Self::NoSuchTag => "Using -X option but stdin tag not match.\n".to_owned(),
            Self::UnreadableInput => {
                "[ERR] Standard input cannot be read, or is more than the 512 MB that an argument can be\n".to_owned()
            }
            Self::NotANumber { option, value } => {
                format!("[ERR] Option '{option}' takes a number, not '{}'\n", without_secret(value))
            }
        }
    }
}

/// What was typed, less the part of a URI that may hold a password.
fn without_secret(typed: &str) -> String {
    topology::behind_userinfo(typed).map_or_else(|| typed.to_owned(), |behind| format!("...@{behind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_uri_is_not_printed_back() {
        let typed = || "redis://:s3@cret@127.0.0.1:9600".to_owned();
        for (misuse, text) in [
            (Misuse::NotAnAddress(typed()), "Invalid address format: ...@127.0.0.1:9600\n"),
            (
                Misuse::BadOption(format!("--uri={}", typed())),
                "Unrecognized option or bad number of args for: '...@127.0.0.1:9600'\n",
            ),
            (Misuse::NotAnAddress("h:1@x".to_owned()), "Invalid address format: h:1@x\n"),
        ] {
            assert_eq!(misuse.text(), text);
        }
    }
}
