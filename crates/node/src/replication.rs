//! The replica's side of the replication protocol.
//!
//! The client library gives no way to what lies below commands and replies, and a snapshot is neither: hence the little protocol
//! that this takes is spoken here.

mod commands;
mod handshake;
mod wire;

use crate::{ConnectOptions, connector::Connection};
use commands::CommandParser;
use futures_util::future::BoxFuture;
use handshake::{FullSync, Payload};
use operations::port::{NodeError, Replicated, ReplicationLink, ReplicationOptions, Trouble};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use topology::NodeAddr;
use wire::Wire;

/// How often a replica tells how far it is, as the servers' own replicas do.
const ACKNOWLEDGES_EVERY: Duration = Duration::from_secs(1);

/// A server that is followed.
pub(crate) struct Follower {
    address: NodeAddr,
    wire: Wire,
    size: Option<u64>,
    begins_at: u64,
    snapshot: Snapshot,
    parser: CommandParser,
    offset: u64,
    acknowledged: u64,
    /// When the next acknowledgement is due.
    due: Instant,
}

/// What is still to come of the snapshot.
enum Snapshot {
    Sized(u64),
    /// Everything up to this mark.
    Marked([u8; 40]),
    Read,
}

impl Follower {
    pub(crate) async fn open(
        address: NodeAddr,
        connection: Connection,
        how: &ConnectOptions,
        options: ReplicationOptions,
    ) -> Result<Self, Trouble> {
        let server = (connection.ip, address.port, connection.tls);
        let mut wire = Wire::new(connection.stream, options.silence);
        let FullSync { offset, payload } = handshake::full_sync(&mut wire, server, how, options).await?;
        let (size, snapshot) = match payload {
            Payload::Sized(size) => (Some(size), Snapshot::Sized(size)),
            Payload::Marked(mark) => (None, Snapshot::Marked(mark)),
        };
        Ok(Self {
            address,
            wire,
            size,
            begins_at: offset,
            snapshot,
            parser: CommandParser::default(),
            offset,
            acknowledged: offset,
            due: Instant::now(),
        })
    }

    async fn read(&mut self, into: &mut [u8]) -> Result<usize, Trouble> {
        let read = match &mut self.snapshot {
            Snapshot::Sized(0) => 0,
            Snapshot::Sized(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX).min(into.len());
                let read = self.wire.read(into.get_mut(..most).unwrap_or_default()).await?;
                *left -= read as u64;
                read
            }
            Snapshot::Marked(mark) => read_up_to(mark, &mut self.wire, into).await?,
            Snapshot::Read => return Ok(0),
        };
        if read == 0 && !into.is_empty() {
            self.snapshot = Snapshot::Read;
        }
        Ok(read)
    }

    async fn change(&mut self) -> Result<Replicated, Trouble> {
        if !matches!(self.snapshot, Snapshot::Read | Snapshot::Sized(0)) {
            return Err(Trouble::Protocol("the snapshot has not been read to its end".to_owned()));
        }
        loop {
            let (taken, words) = self.parser.feed(self.wire.incoming()).map_err(Trouble::Protocol)?;
            self.wire.consume(taken);
            self.offset += taken as u64;
            if let Some(words) = words {
                if asks_for_acknowledgement(&words) {
                    self.due = Instant::now();
                }
                return Ok(Replicated { words, offset: self.offset });
            }
            if self.due <= Instant::now() {
                self.queue_acknowledgement();
            }
            self.wire.flush().await?;
            // Otherwise the acknowledgement is due.
            if let Ok(filled) = timeout_at(self.due, self.wire.fill()).await {
                filled?;
            }
        }
    }

    fn queue_acknowledgement(&mut self) {
        let offset = self.acknowledged.to_string();
        self.wire.queue(&[b"REPLCONF", b"ACK", offset.as_bytes()]);
        self.due = Instant::now() + ACKNOWLEDGES_EVERY;
    }
}

/// The servers send nothing behind the mark before they got an acknowledgement, so that it is the last that comes.
async fn read_up_to(mark: &[u8; 40], wire: &mut Wire, into: &mut [u8]) -> Result<usize, Trouble> {
    while wire.incoming().len() <= mark.len() {
        if wire.incoming() == mark {
            wire.consume(mark.len());
            return Ok(0);
        }
        wire.fill().await?;
    }
    let ahead = wire.incoming().len() - mark.len();
    Ok(wire.take(into.get_mut(..ahead.min(into.len())).unwrap_or_default()))
}

fn asks_for_acknowledgement(words: &[Vec<u8>]) -> bool {
    let [command, word, ..] = words else { return false };
    command.eq_ignore_ascii_case(b"REPLCONF") && word.eq_ignore_ascii_case(b"GETACK")
}

impl ReplicationLink for Follower {
    fn snapshot_size(&self) -> Option<u64> {
        self.size
    }

    fn snapshot_offset(&self) -> u64 {
        self.begins_at
    }

    fn read_snapshot<'a>(&'a mut self, into: &'a mut [u8]) -> BoxFuture<'a, Result<usize, NodeError>> {
        Box::pin(async move {
            let read = self.read(into).await;
            read.map_err(|trouble| NodeError::new(self.address.clone(), trouble))
        })
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Replicated, NodeError>> {
        Box::pin(async move {
            let change = self.change().await;
            change.map_err(|trouble| NodeError::new(self.address.clone(), trouble))
        })
    }

    fn acknowledge(&mut self, offset: u64) {
        self.acknowledged = offset;
    }
}
