//! The words, lines and exit codes of `redis-cli --cluster` and `valkey-cli --cluster`.

mod add_node;
mod backup;
mod blocks;
mod call;
mod check;
mod create;
mod del_node;
mod fix;
#[cfg(test)]
mod fuzz;
mod grammar;
mod import;
mod info;
mod load;
mod membership;
mod misuse;
mod moving;
mod options;
mod rebalance;
mod reshard;
mod session;
mod subcommands;
mod terminal;
mod trib;
mod wording;

use crate::{
    block_on,
    failure::{ExitStatus, Failure},
    printer::Printer,
};
use grammar::{Invocation, Request};
use misuse::Misuse;
use session::Session;
use subcommands::Subcommand;
use terminal::Terminal;
use wording::Wording;

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
    Wording::of_program(name).is_some() || trib::is_named(name) || words.iter().any(|word| word == "--cluster")
}

/// Runs a command in the reference tools' words.
pub(crate) fn run(name: &str, words: &[String], printer: &mut Printer) -> ExitStatus {
    printer.raw();
    let is_trib = trib::is_named(name);
    let wording = if is_trib { Some(Wording::Redis) } else { Wording::of_program(name) };
    let mut terminal = Terminal::new(printer, wording.unwrap_or(Wording::Redis));
    let request = if is_trib { trib::parse(words) } else { grammar::parse(words) };
    let outcome = match request {
        Ok(Request::Help) => {
            terminal.plain(&subcommands::usage(terminal.wording));
            Ok(ExitStatus::Done)
        }
        Ok(Request::TribHelp) => {
            terminal.plain(&trib::help());
            Ok(ExitStatus::Done)
        }
        Ok(Request::Version) => {
            terminal.plain(concat!("tribune ", env!("CARGO_PKG_VERSION"), "\n"));
            Ok(ExitStatus::Done)
        }
        Ok(Request::Run(invocation)) => run_command(invocation, wording, &mut terminal),
        Err(misuse) => Err(misuse.stop(&mut terminal)),
    };
    match outcome {
        Ok(status) | Err(Stop::Said(status)) => match printer.unwritten() {
            Some(failure) => printer.failure(&failure),
            None => status,
        },
        Err(Stop::Because(failure)) => printer.failure(&failure),
    }
}

fn run_command(
    invocation: Invocation,
    wording: Option<Wording>,
    terminal: &mut Terminal<'_>,
) -> Result<ExitStatus, Stop> {
    let (session, subcommand) = prepare(invocation, wording, terminal).map_err(|misuse| misuse.stop(terminal))?;
    block_on(async { Ok((subcommand.run)(&session, terminal).await) })?
}

/// Finds out what is meant. As in the reference, a password on the command line is warned of before the command is looked at.
fn prepare(
    invocation: Invocation,
    wording: Option<Wording>,
    terminal: &mut Terminal<'_>,
) -> Result<(Session, &'static Subcommand), Misuse> {
    let (name, arguments) = invocation.command.clone().ok_or(Misuse::NoCommand)?;
    let mut session = Session::new(invocation, arguments, wording)?;
    if session.shows_password() && !session.invocation.has("--no-auth-warning") {
        terminal.complain(
            "Warning: Using a password with '-a' or '-u' option on the command line interface may not be safe.\n",
        );
    }
    session.take_input()?;
    let subcommand = subcommands::find(&name, session.arguments.len())?;
    Ok((session, subcommand))
}
