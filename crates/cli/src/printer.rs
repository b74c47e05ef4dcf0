//! The streams: data on standard output, questions, progress and errors on standard error.

use crate::failure::{ExitStatus, Failure};
use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// Progress is shown only for what takes longer than this.
const QUIET: Duration = Duration::from_millis(300);

/// Owns the streams of the process.
pub(crate) struct Printer {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// Columns of the terminal, 80 without one.
    pub(crate) width: usize,
    /// Whether standard error is a terminal, so that a line there can be written over.
    live: bool,
    begin: Instant,
    /// Whether a progress line stands on the terminal.
    shown: bool,
    /// Why standard output can no longer be written.
    broken: Option<io::Error>,
}

impl Printer {
    /// The printer for this process: colours only on a terminal and without `NO_COLOR`.
    pub(crate) fn for_this_process() -> Self {
        Self {
            out: Box::new(anstream::AutoStream::auto(io::stdout())),
            err: Box::new(anstream::AutoStream::auto(io::stderr())),
            width: terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0)).max(40),
            live: io::stderr().is_terminal(),
            begin: Instant::now(),
            shown: false,
            broken: None,
        }
    }

    /// Makes standard output take colours as they are, as redis-cli does by `TERM` alone.
    pub(crate) fn raw(&mut self) {
        self.out = Box::new(io::stdout());
    }

    /// How long the command has been at work.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Data, whole lines.
    pub(crate) fn out(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Data that may be no text.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.clear();
        let written = self.out.write_all(bytes).and_then(|()| self.out.flush());
        if let Err(error) = written {
            self.broken.get_or_insert(error);
        }
    }

    /// Why standard output could not be written to its end; a reader that has gone has what it wanted.
    pub(crate) fn unwritten(&self) -> Option<Failure> {
        let error = self.broken.as_ref().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)?;
        Some(Failure::new(format!("standard output cannot be written: {error}")))
    }

    /// Something for the person rather than for the next program.
    pub(crate) fn note(&mut self, text: &str) {
        self.clear();
        // A closed standard error leaves nowhere to complain to.
        let _ = self.err.write_all(text.as_bytes()).and_then(|()| self.err.flush());
    }

    /// Progress: one line that is written over, on a terminal only.
    pub(crate) fn progress(&mut self, text: &str) {
        if !self.live || self.elapsed() < QUIET {
            return;
        }
        let line: String = text.chars().take(self.width.saturating_sub(1)).collect();
        let _ = write!(self.err, "\r\x1b[2K{line}").and_then(|()| self.err.flush());
        self.shown = true;
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(self.err, "\r\x1b[2K");
        }
    }

    /// A failure, as three parts; returns how the program ends.
    pub(crate) fn failure(&mut self, failure: &Failure) -> ExitStatus {
        let mut text = if failure.status == ExitStatus::Stopped {
            format!("{}\n", failure.what)
        } else {
            format!("{RED}error:{RED:#} {}\n", failure.what)
        };
        for more in &failure.more {
            let _ = writeln!(text, "       {more}");
        }
        if let Some(why) = &failure.why {
            let _ = writeln!(text, "  why  {why}");
        }
        if let Some(advice) = &failure.advice {
            let _ = writeln!(text, "  do   {advice}");
        }
        self.note(&text);
        failure.status
    }
}

/// The colour of what is wrong.
pub(crate) const RED: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();
/// The colour of what is well.
pub(crate) const GREEN: anstyle::Style = anstyle::AnsiColor::Green.on_default();
/// The colour of what deserves a look.
pub(crate) const YELLOW: anstyle::Style = anstyle::AnsiColor::Yellow.on_default();
/// The style of what matters less.
pub(crate) const DIM: anstyle::Style = anstyle::Style::new().dimmed();
