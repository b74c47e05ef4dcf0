//! Lines that are read again and again.

use super::{NodeEntry, NodeFacts, NotANodeEntry};
use std::{cell::RefCell, collections::HashMap, sync::Arc};

thread_local! {
    static LATELY: RefCell<ReadLately> = RefCell::default();
}

/// Reads lines with what this thread has read lately.
pub(super) fn with<T>(read: impl FnOnce(&mut ReadLately) -> T) -> T {
    LATELY.with_borrow_mut(read)
}

/// Lines that were read lately, by what they say but for the times: of a thousand servers each tells of all, and most say the same.
#[derive(Default)]
pub(super) struct ReadLately {
    facts: HashMap<String, Arc<NodeFacts>>,
    /// Bytes of their lines.
    bytes: usize,
    /// What is looked for, here lest that be made anew for each line.
    wanted: String,
}

impl ReadLately {
    /// No more bytes are kept: the lines of a thousand nodes.
    const MOST: usize = 256 * 1024;

    /// Reads a line.
    ///
    /// # Errors
    /// When it is none of `CLUSTER NODES`.
    pub(super) fn read(&mut self, line: &str) -> Result<NodeEntry, NotANodeEntry> {
        let mut words = line.splitn(7, ' ');
        let mut next = || words.next();
        let (Some(id), Some(address), Some(flags), Some(primary), Some(ping), Some(pong), Some(rest)) =
            (next(), next(), next(), next(), next(), next(), next())
        else {
            return line.parse();
        };
        let (Ok(ping_sent), Ok(pong_received), false) = (ping.parse(), pong.parse(), flags.starts_with("myself"))
        else {
            return line.parse();
        };
        self.wanted.clear();
        for word in [id, " ", address, " ", flags, " ", primary, " ", rest] {
            self.wanted.push_str(word);
        }
        if let Some(facts) = self.facts.get(&self.wanted) {
            return Ok(NodeEntry { ping_sent, pong_received, facts: Arc::clone(facts) });
        }
        let entry: NodeEntry = line.parse()?;
        if self.bytes + self.wanted.len() > Self::MOST {
            *self = Self { wanted: std::mem::take(&mut self.wanted), ..Self::default() };
        }
        self.bytes += self.wanted.len();
        self.facts.insert(self.wanted.clone(), Arc::clone(&entry.facts));
        Ok(entry)
    }
}
