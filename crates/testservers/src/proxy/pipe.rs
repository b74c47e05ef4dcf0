//! One direction of one connection.

use super::commands::Commands;
use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

/// More than any connection has under way on purpose.
const MOST_UNDER_WAY: usize = 64 << 20;
const PIECE: usize = 64 << 10;
/// So that one busy connection does not hold up the others.
const PIECES_AT_ONCE: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Pipe {
    chunks: VecDeque<Chunk>,
    under_way: usize,
    /// Nothing comes any more.
    source_ended: bool,
    /// Everything has gone on, the end too.
    pub(super) ended: bool,
    /// The sink takes nothing at the moment.
    is_full: bool,
    commands: Commands,
}

#[derive(Debug)]
struct Chunk {
    due: Instant,
    /// Empty for the end.
    bytes: Vec<u8>,
    sent: usize,
}

/// What may still go on before everything is cut; none without a limit.
#[derive(Debug, Default)]
pub(super) struct Budget {
    pub(super) bytes: Option<u64>,
    pub(super) commands: Option<u64>,
}

/// What went on.
#[derive(Debug, Default)]
pub(super) struct Passed {
    pub(super) bytes: u64,
    pub(super) commands: u64,
}

impl Budget {
    pub(super) fn is_spent(&self) -> bool {
        self.bytes == Some(0) || self.commands == Some(0)
    }

    fn spend(&mut self, passed: &Passed) {
        self.bytes = self.bytes.map(|left| left.saturating_sub(passed.bytes));
        self.commands = self.commands.map(|left| left.saturating_sub(passed.commands));
    }
}

impl Pipe {
    pub(super) fn wants_to_read(&self) -> bool {
        !self.source_ended && self.under_way < MOST_UNDER_WAY
    }

    pub(super) fn wants_to_write(&self) -> bool {
        self.is_full
    }

    /// When the next chunk is due; none where nothing is under way or the sink has to become writable first.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.is_full { None } else { self.chunks.front().map(|chunk| chunk.due) }
    }

    /// The sink may take more.
    pub(super) fn unblock(&mut self) {
        self.is_full = false;
    }

    /// Takes in what has come.
    pub(super) fn read(
        &mut self,
        mut source: &TcpStream,
        delay: Duration,
        flip_behind: &mut Option<Vec<u8>>,
        buffer: &mut Vec<u8>,
    ) -> io::Result<()> {
        buffer.resize(PIECE, 0);
        for _ in 0..PIECES_AT_ONCE {
            if !self.wants_to_read() {
                break;
            }
            let count = match source.read(buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let mut bytes = buffer.get(..count).unwrap_or_default().to_vec();
            flip(&mut bytes, flip_behind);
            self.chunks.push_back(Chunk { due: Instant::now() + delay, bytes, sent: 0 });
            self.under_way += count;
            self.source_ended = count == 0;
            if count < PIECE {
                break;
            }
        }
        Ok(())
    }

    /// Sends on what is due, as long as the budget lasts.
    pub(super) fn write(&mut self, mut sink: &TcpStream, budget: &mut Budget) -> io::Result<Passed> {
        let mut all = Passed::default();
        let now = Instant::now();
        while let Some(chunk) = self.chunks.front_mut() {
            if chunk.due > now || self.is_full || budget.is_spent() {
                break;
            }
            if chunk.bytes.is_empty() {
                self.ended = true;
                self.chunks.clear();
                // It may be gone already.
                let _ = sink.shutdown(Shutdown::Write);
                break;
            }
            let rest = chunk.bytes.get(chunk.sent..).unwrap_or_default();
            let allowed = allowed(rest, &self.commands, budget);
            let count = match sink.write(allowed) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_full = true;
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let commands = self.commands.read(rest.get(..count).unwrap_or_default(), u64::MAX).1;
            let passed = Passed { bytes: count as u64, commands };
            budget.spend(&passed);
            all.bytes += passed.bytes;
            all.commands += passed.commands;
            chunk.sent += count;
            self.under_way -= count;
            if chunk.sent == chunk.bytes.len() {
                self.chunks.pop_front();
            }
        }
        Ok(all)
    }
}

/// Flips a bit of the byte behind what is looked for, where both came in one piece; then nothing is looked for any more.
fn flip(bytes: &mut [u8], behind: &mut Option<Vec<u8>>) {
    let Some(wanted) = behind else { return };
    let found = bytes.windows(wanted.len().max(1)).position(|window| window == wanted.as_slice());
    if let Some(byte) = found.and_then(|found| bytes.get_mut(found + wanted.len())) {
        *byte ^= 1;
        *behind = None;
    }
}

/// The part of `rest` that the budget lasts for.
fn allowed<'a>(rest: &'a [u8], commands: &Commands, budget: &Budget) -> &'a [u8] {
    let for_bytes = budget.bytes.and_then(|left| usize::try_from(left).ok()).unwrap_or(usize::MAX);
    let for_commands = budget.commands.map_or(usize::MAX, |left| commands.clone().read(rest, left).0);
    rest.get(..for_bytes.min(for_commands)).unwrap_or(rest)
}
