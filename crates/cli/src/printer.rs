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
    /// Whether more is to be told than what matters.
    pub(crate) verbose: bool,
    /// Columns of the terminal, 80 without one.
    pub(crate) width: usize,
    /// Whether standard error is a terminal, so that a line there can be written over.
    live: bool,
    begin: Instant,
    /// The lengths of the lines of progress that stand on the terminal.
    shown: Vec<usize>,
    /// Why standard output can no longer be written.
    broken: Option<io::Error>,
}

impl Printer {
    /// The printer for this process: colours only on a terminal and without `NO_COLOR`.
    pub(crate) fn for_this_process() -> Self {
        Self {
            out: Box::new(anstream::AutoStream::auto(io::stdout())),
            err: Box::new(anstream::AutoStream::auto(io::stderr())),
            verbose: false,
            width: terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0)).max(40),
            live: io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
            begin: Instant::now(),
            shown: Vec::new(),
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

    /// Whether nobody reads standard output any more.
    pub(crate) const fn is_closed(&self) -> bool {
        self.broken.is_some()
    }

    /// Something for the person rather than for the next program.
    pub(crate) fn note(&mut self, text: &str) {
        self.clear();
        // A closed standard error leaves nowhere to complain to.
        let _ = self.err.write_all(text.as_bytes()).and_then(|()| self.err.flush());
    }

    /// Progress: lines that are written over, on a terminal only. They are cut where the terminal ends.
    pub(crate) fn progress(&mut self, text: &str) {
        if !self.live || self.elapsed() < QUIET {
            return;
        }
        let (width, height) = size();
        let room = height.saturating_sub(1).max(1);
        let cut = |line: &str| line.chars().take(width.saturating_sub(1)).collect::<String>();
        let lines: Vec<String> = text.lines().take(room).map(cut).collect();
        self.control(&format!("{}{}", self.back_over_shown(width), lines.join("\r\n")));
        self.shown = lines.iter().map(|line| line.chars().count()).collect();
    }

    /// Whether there is a terminal, on which lines are written over.
    pub(crate) const fn is_live(&self) -> bool {
        self.live
    }

    /// Columns of the terminal as it is now.
    pub(crate) fn width_now(&self) -> usize {
        if self.live { size().0 } else { self.width }
    }

    fn clear(&mut self) {
        if !self.shown.is_empty() {
            let back = self.back_over_shown(size().0);
            self.control(&back);
            self.shown.clear();
        }
    }

    /// What brings the cursor to where the progress begins and erases it: lines that were written when the terminal was wider
    /// may take several rows by now.
    fn back_over_shown(&self, width: usize) -> String {
        let rows: usize = self.shown.iter().map(|length| length.div_ceil(width.max(1)).max(1)).sum();
        match rows {
            0 => String::new(),
            1 => "\r\x1b[J".to_owned(),
            rows => format!("\r\x1b[{}A\x1b[J", rows - 1),
        }
    }

    /// Writes to the terminal as it is: a stream without colours would take out what moves the cursor, too.
    #[expect(clippy::unused_self, reason = "who shows progress must have the printer")]
    fn control(&self, text: &str) {
        let mut terminal = io::stderr().lock();
        let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
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

/// Columns and rows of the terminal that standard error is.
fn size() -> (usize, usize) {
    let size = terminal_size::terminal_size_of(io::stderr());
    size.map_or((80, 24), |(width, height)| (usize::from(width.0).max(20), usize::from(height.0).max(2)))
}

/// The colour of what is wrong.
pub(crate) const RED: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();
/// The colour of what is well.
pub(crate) const GREEN: anstyle::Style = anstyle::AnsiColor::Green.on_default();
/// The colour of what deserves a look.
pub(crate) const YELLOW: anstyle::Style = anstyle::AnsiColor::Yellow.on_default();
/// The style of what matters less.
pub(crate) const DIM: anstyle::Style = anstyle::Style::new().dimmed();
