//! A stream with what has come over it and is not taken yet, and what is to go and has not gone.

use crate::{connector::Stream, trouble};
use operations::port::Trouble;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout_at},
};

/// How much is read at once, bytes.
const PIECE: usize = 64 * 1024;

pub(super) struct Wire {
    stream: Box<dyn Stream>,
    incoming: Vec<u8>,
    /// How much of the incoming is taken.
    taken: usize,
    outgoing: Vec<u8>,
    silence: Duration,
    /// When the last byte came.
    heard: Instant,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>, silence: Duration) -> Self {
        Self { stream, incoming: Vec::new(), taken: 0, outgoing: Vec::new(), silence, heard: Instant::now() }
    }

    /// What has come and is not taken yet.
    pub(super) fn incoming(&self) -> &[u8] {
        self.incoming.get(self.taken..).unwrap_or_default()
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.taken = (self.taken + count).min(self.incoming.len());
    }

    /// Waits for more to come. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// At the end of the stream, and when it is silent for too long.
    pub(super) async fn fill(&mut self) -> Result<(), Trouble> {
        self.incoming.drain(..self.taken);
        self.taken = 0;
        self.incoming.reserve(PIECE);
        let read = self.stream.read_buf(&mut self.incoming);
        let read = timeout_at(self.heard + self.silence, read).await;
        self.heard(read.map_err(|_| Trouble::ReadTimedOut(self.silence))?)?;
        Ok(())
    }

    /// Takes what has come as far as it fits.
    pub(super) fn take(&mut self, into: &mut [u8]) -> usize {
        let count = into.len().min(self.incoming().len());
        if let (Some(into), Some(from)) = (into.get_mut(..count), self.incoming().get(..count)) {
            into.copy_from_slice(from);
        }
        self.consume(count);
        count
    }

    /// Takes what has come, or waits for some.
    pub(super) async fn read(&mut self, into: &mut [u8]) -> Result<usize, Trouble> {
        if into.is_empty() || !self.incoming().is_empty() {
            return Ok(self.take(into));
        }
        let read = timeout_at(self.heard + self.silence, self.stream.read(into)).await;
        self.heard(read.map_err(|_| Trouble::ReadTimedOut(self.silence))?)
    }

    /// Sends nothing yet.
    pub(super) fn queue(&mut self, words: &[&[u8]]) {
        self.outgoing.extend(format!("*{}\r\n", words.len()).bytes());
        for word in words {
            self.outgoing.extend(format!("${}\r\n", word.len()).bytes());
            self.outgoing.extend_from_slice(word);
            self.outgoing.extend_from_slice(b"\r\n");
        }
    }

    /// Sends what is queued. Nothing is lost or sent twice when the future is dropped.
    pub(super) async fn flush(&mut self) -> Result<(), Trouble> {
        let deadline = Instant::now() + self.silence;
        let late = |_| Trouble::ReadTimedOut(self.silence);
        while !self.outgoing.is_empty() {
            let written = timeout_at(deadline, self.stream.write(&self.outgoing)).await.map_err(late)?;
            let written = written.map_err(|error| trouble::of_io(&error, ""))?;
            self.outgoing.drain(..written);
        }
        let flushed = timeout_at(deadline, self.stream.flush()).await.map_err(late)?;
        flushed.map_err(|error| trouble::of_io(&error, ""))
    }

    /// A whole line without its end; empty ones are kept.
    ///
    /// # Errors
    /// Also when it is longer than `most` bytes.
    pub(super) async fn line(&mut self, most: usize) -> Result<Vec<u8>, Trouble> {
        loop {
            let incoming = self.incoming();
            if let Some(end) = incoming.iter().take(most).position(|byte| *byte == b'\n') {
                let line = incoming.get(..end).unwrap_or_default();
                let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
                self.consume(end + 1);
                return Ok(line);
            }
            if incoming.len() >= most {
                return Err(puzzled(incoming));
            }
            self.fill().await?;
        }
    }

    fn heard(&mut self, read: std::io::Result<usize>) -> Result<usize, Trouble> {
        self.heard = Instant::now();
        match read {
            Ok(0) => Err(Trouble::Closed),
            Ok(count) => Ok(count),
            Err(error) => Err(trouble::of_io(&error, "")),
        }
    }
}

/// What is no reply, in part.
pub(super) fn puzzled(bytes: &[u8]) -> Trouble {
    let shown: String = String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().chars().take(60).collect();
    Trouble::Protocol(format!("it says {shown:?}"))
}
