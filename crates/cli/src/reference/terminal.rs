//! Lines as the reference tools write them: on standard output, coloured wherever `TERM` says xterm.

use super::{Stop, Wording};
use crate::{failure::ExitStatus, printer::Printer, prompt};

/// How a line is meant; each has its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// `>>> …`
    Info,
    /// `[OK] …`
    Good,
    /// `*** …`
    Warning,
    /// `[ERR] …` and `[WARNING] …`
    Bad,
}

/// Where the lines go.
pub(crate) struct Terminal<'a> {
    printer: &'a mut Printer,
    colours: bool,
    pub(crate) wording: Wording,
}

impl<'a> Terminal<'a> {
    pub(crate) fn new(printer: &'a mut Printer, wording: Wording) -> Self {
        let colours = std::env::var("TERM").is_ok_and(|term| term.contains("xterm"));
        Self { printer, colours, wording }
    }

    /// Text without colour.
    pub(crate) fn plain(&mut self, text: &str) {
        self.printer.out(text);
    }

    /// What may be no text.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.printer.bytes(bytes);
    }

    /// Text in the colour of its tone; the line's end is inside the colour.
    pub(crate) fn say(&mut self, tone: Tone, text: &str) {
        let code = match tone {
            Tone::Info => "29;1m",
            Tone::Good => "32;1m",
            Tone::Warning => "33;1m",
            Tone::Bad => "31;1m",
        };
        if self.colours {
            self.printer.out(&format!("\x1b[{code}{text}\x1b[0m"));
        } else {
            self.printer.out(text);
        }
    }

    /// Text on standard error.
    pub(crate) fn complain(&mut self, text: &str) {
        self.printer.note(text);
    }

    /// Asks unless the answer is known to be yes; whatever begins with `yes` is a yes.
    ///
    /// # Errors
    /// When standard input has ended: then nobody has decided anything.
    pub(crate) fn confirm(&mut self, question: &str, yes: bool) -> Result<bool, Stop> {
        if yes {
            return Ok(true);
        }
        self.plain(&format!("{question} (type 'yes' to accept): "));
        match prompt::line() {
            Some(answer) => Ok(answer.starts_with("yes")),
            None => Err(self.unanswered()),
        }
    }

    /// Says that nobody has answered a question.
    pub(crate) fn unanswered(&mut self) -> Stop {
        self.plain("\n");
        self.complain("*** Standard input has ended without an answer: nothing was done.\n");
        Stop::Said(ExitStatus::NotDone)
    }
}
