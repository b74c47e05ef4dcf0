//! What happened, one readable line an event.

use std::{
    collections::VecDeque,
    fmt::{self, Write},
};

/// The last events with their virtual time. Two runs of one seed have the same.
#[derive(Debug)]
pub(crate) struct Trace {
    lines: VecDeque<String>,
    most: usize,
    dropped: u64,
    start: u64,
}

impl Trace {
    /// At most so many lines; none to write nothing down.
    pub(crate) const fn new(start: u64, most: usize) -> Self {
        Self { lines: VecDeque::new(), most, dropped: 0, start }
    }

    pub(crate) fn keep(&mut self, most: usize) {
        self.most = most;
    }

    /// Writes a line; the text is made only where it is kept.
    pub(crate) fn note(&mut self, now: u64, line: fmt::Arguments<'_>) {
        if self.most == 0 {
            return;
        }
        if self.lines.len() == self.most {
            self.lines.pop_front();
            self.dropped += 1;
        }
        let since = now.saturating_sub(self.start);
        self.lines.push_back(format!("{:>4}.{:03} {line}", since / 1000, since % 1000));
    }

    /// The lines, and how many older ones were dropped.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if self.dropped > 0 {
            let _ = writeln!(text, "({} lines before these)", self.dropped);
        }
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}
