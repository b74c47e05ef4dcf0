//! Following a server as a replica does: a snapshot of all its data, then every change as the command that makes it.

use super::NodeError;
use futures_util::future::BoxFuture;
use std::time::Duration;
use topology::NodeAddr;

/// How to follow a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicationOptions {
    /// Whether the snapshot is all that is wanted (`REPLCONF rdb-only 1`, Redis 6.2): the server then keeps no changes for this
    /// link, does not count it as a replica, and closes it afterwards.
    pub snapshot_only: bool,
    /// Whether the server may send the snapshot from memory (`REPLCONF capa eof`). It first waits for other replicas, for its
    /// `repl-diskless-sync-delay`, 5 s by default. Otherwise it begins at once and writes the snapshot to its own disk first.
    pub diskless: bool,
    /// The longest time without a byte: a server that makes a snapshot sends an empty line every second, and one that has no
    /// changes a `PING` every `repl-ping-replica-period`, 10 s by default.
    pub silence: Duration,
}

impl Default for ReplicationOptions {
    /// Everything, the snapshot by way of the server's disk, and the patience that the servers have with each other.
    fn default() -> Self {
        Self { snapshot_only: false, diskless: false, silence: Duration::from_mins(1) }
    }
}

/// A change as the server tells it to its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replicated {
    /// The command, word by word, in capitals or not: besides writes there are `SELECT`, `MULTI`, `EXEC`, `PING` and
    /// `REPLCONF GETACK`. A `SELECT` may stand inside a transaction.
    pub words: Vec<Vec<u8>>,
    /// The replication offset behind it: bytes.
    pub offset: u64,
}

/// A link over which one server is followed. After an error it is of no more use.
pub trait ReplicationLink: Send {
    /// Bytes in the snapshot; none where the server sends it from memory and does not know yet.
    fn snapshot_size(&self) -> Option<u64>;

    /// The replication offset that the snapshot stands for: bytes.
    fn snapshot_offset(&self) -> u64;

    /// Reads the next bytes of the snapshot, in the format of RDB files, and says how many; 0 at its end, and for an empty buffer.
    ///
    /// # Errors
    /// When the link breaks or is silent for too long. What was read until then is no snapshot.
    fn read_snapshot<'a>(&'a mut self, into: &'a mut [u8]) -> BoxFuture<'a, Result<usize, NodeError>>;

    /// Waits for the next change after the snapshot, which must have been read to its end. Dropping the future loses nothing.
    ///
    /// Tells the server every second what was last given to [`acknowledge`](Self::acknowledge), and when it asks. It drops replicas
    /// of which it hears nothing for its `repl-timeout`, 60 s by default: call this more often than that.
    ///
    /// # Errors
    /// When the link breaks, is silent for too long, or what comes is no command.
    fn next(&mut self) -> BoxFuture<'_, Result<Replicated, NodeError>>;

    /// Says that all changes up to this offset are kept. `WAIT` on the server counts on it.
    fn acknowledge(&mut self, offset: u64);
}

/// Opens links over which servers are followed.
pub trait ReplicationDialer: Send + Sync {
    /// Connects, authenticates and asks for everything (`PSYNC ? -1`), then waits until the server has made its snapshot.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses the credentials or does not let itself be followed: while it loads, and as a
    /// replica without a link to its primary.
    fn follow<'a>(
        &'a self,
        address: &'a NodeAddr,
        options: ReplicationOptions,
    ) -> BoxFuture<'a, Result<Box<dyn ReplicationLink>, NodeError>>;
}
