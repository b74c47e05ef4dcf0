//! Questions to the person at the terminal.

use crate::{failure::Failure, printer::Printer};
use std::io::{self, BufRead, IsTerminal};

/// Asks a question that only `yes` answers with yes.
///
/// # Errors
/// Without a terminal, and when standard input is closed: nobody can answer, so nothing is done.
pub(crate) fn confirm(printer: &mut Printer, question: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new("nobody can be asked: standard input is no terminal; nothing was changed")
            .advice("add --yes to go ahead, or --dry-run to see the plan only"));
    }
    printer.note(&format!("{question} Only yes goes ahead: "));
    match line() {
        Some(answer) => Ok(answer.trim() == "yes"),
        None => Err(Failure::new("the question was not answered; nothing was changed")),
    }
}

/// One line of standard input; none at its end.
pub(crate) fn line() -> Option<String> {
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line),
    }
}
