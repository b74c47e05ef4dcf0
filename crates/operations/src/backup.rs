//! Copying the data of all shards into files, all at once.

mod directory;
mod snapshot;

pub use directory::{Directory, FileTrouble};
pub use snapshot::{Checked, NotASnapshot};

use crate::port::{NodeError, ReplicationDialer, ReplicationLink, ReplicationOptions, Trouble};
use directory::Unnamed;
use futures_util::{StreamExt, stream};
use snapshot::SnapshotCheck;
use std::{
    io::Write,
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc::{self, Receiver},
    task::spawn_blocking,
};
use tokio_util::sync::CancellationToken;
use topology::{
    NodeAddr,
    backup::{NODES_FILE, Source},
};

/// How many shards are copied at the same time.
const AT_ONCE: usize = 32;
/// How much goes from a link to its file at once, bytes.
const PIECE: usize = 128 * 1024;
/// How many pieces may wait for the disk.
const WAITING: usize = 2;

/// What is to be saved.
#[derive(Clone, Copy, Debug)]
pub struct Backup<'a> {
    /// The shards.
    pub sources: &'a [Source],
    /// Where.
    pub directory: &'a Directory,
    /// The text of [`NODES_FILE`].
    pub nodes: &'a str,
    /// Whether files that are there already are replaced.
    pub overwrite: bool,
}

/// A shard that was saved: its file is whole, on the disk, and has its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// What was checked of it.
    pub checked: Checked,
    /// How long it took.
    pub took: Duration,
}

/// A shard that was copied, in a file that has no name yet and goes away unless it gets one.
struct Copied {
    file: Unnamed,
    saved: Saved,
}

/// A shard that could not be copied. Nothing is left of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The node could not be talked to.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// What came is no snapshot, or not the one that was sent.
    #[error("{from} sent a snapshot that cannot be used: {reason}")]
    Snapshot {
        /// The node.
        from: NodeAddr,
        /// What is wrong with it.
        reason: NotASnapshot,
    },
    /// The file could not be written.
    #[error(transparent)]
    File(#[from] FileTrouble),
    /// The user stopped it.
    #[error("stopped")]
    Stopped,
}

/// How far the copy of one shard has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which of the sources it is.
    pub source: usize,
    /// Bytes that have come.
    pub bytes: u64,
    /// Bytes that will have come; none where the server does not know.
    pub of: Option<u64>,
}

/// Saves all shards at once; then the files that are whole get their names, and the file that says who owned what its own. The
/// outcomes are in the order of the sources.
///
/// # Errors
/// When the user stopped it, or no file could be made: then nothing has a name.
pub async fn save(
    dialer: &dyn ReplicationDialer,
    backup: Backup<'_>,
    stop: &CancellationToken,
    show: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Vec<Result<Saved, BackupError>>, BackupError> {
    let Backup { sources, directory, nodes, overwrite } = backup;
    let copies = sources.iter().enumerate().map(|(index, source)| async move {
        let tell = |bytes, of| show(Progress { source: index, bytes, of });
        copy(dialer, source, directory, stop, &tell).await
    });
    let copied: Vec<_> = stream::iter(copies).buffered(AT_ONCE).collect().await;
    if stop.is_cancelled() {
        return Err(BackupError::Stopped);
    }
    let nodes_file = directory.filled(NODES_FILE, nodes)?;
    let keep = |copied: Copied| copied.file.keep(overwrite).map(|()| copied.saved).map_err(BackupError::from);
    let saved: Vec<_> = copied.into_iter().map(|copied| copied.and_then(keep)).collect();
    if saved.iter().any(Result::is_ok) {
        nodes_file.keep(overwrite)?;
        directory.sync()?;
    }
    Ok(saved)
}

async fn copy(
    dialer: &dyn ReplicationDialer,
    source: &Source,
    directory: &Directory,
    stop: &CancellationToken,
    tell: &(dyn Fn(u64, Option<u64>) + Send + Sync),
) -> Result<Copied, BackupError> {
    let begin = Instant::now();
    let from = &source.from.address;
    let file = directory.unnamed(&source.file)?;
    let mut link = tokio::select! {
        biased;
        () = stop.cancelled() => return Err(BackupError::Stopped),
        link = follow(dialer, from) => link?,
    };
    let (pieces, received) = mpsc::channel(WAITING);
    let writing = spawn_blocking(move || write(file, received));
    let read = async {
        let (mut bytes, size) = (0, link.snapshot_size());
        loop {
            tell(bytes, size);
            let mut piece = vec![0; PIECE];
            let count = link.read_snapshot(&mut piece).await?;
            piece.truncate(count);
            bytes += count as u64;
            // Whoever writes may have given up, and says why.
            if count == 0 || pieces.send(piece).await.is_err() {
                return Ok(());
            }
        }
    };
    let read = tokio::select! {
        biased;
        () = stop.cancelled() => Err(BackupError::Stopped),
        read = read => read,
    };
    drop(pieces);
    // Also where there is nothing to keep: only then is the file gone.
    let written = writing.await;
    read?;
    match written {
        Ok(Ok((file, checked))) => Ok(Copied { file, saved: Saved { checked, took: begin.elapsed() } }),
        Ok(Err(WriteError::File(trouble))) => Err(trouble.into()),
        Ok(Err(WriteError::Snapshot(reason))) => Err(BackupError::Snapshot { from: from.clone(), reason }),
        Err(_) => {
            Err(FileTrouble { path: directory.file(&source.file), reason: "its writer has ended".to_owned() }.into())
        }
    }
}

/// A link to a server that has made its snapshot: by way of its disk, which takes the least time of it and makes no changes wait
/// for us; from memory where that fails, such as when its disk is full.
async fn follow(dialer: &dyn ReplicationDialer, from: &NodeAddr) -> Result<Box<dyn ReplicationLink>, NodeError> {
    let options = ReplicationOptions { snapshot_only: true, ..ReplicationOptions::default() };
    match dialer.follow(from, options).await {
        Err(NodeError { trouble: Trouble::Closed | Trouble::Refusal(_), .. }) => {
            dialer.follow(from, ReplicationOptions { diskless: true, ..options }).await
        }
        other => other,
    }
}

enum WriteError {
    File(FileTrouble),
    Snapshot(NotASnapshot),
}

/// Writes until no more pieces come, on a thread of its own: neither the disk nor the checksum keeps the others waiting.
fn write(mut file: Unnamed, mut pieces: Receiver<Vec<u8>>) -> Result<(Unnamed, Checked), WriteError> {
    let mut check = SnapshotCheck::new();
    while let Some(piece) = pieces.blocking_recv() {
        check.feed(&piece);
        file.write_all(&piece).map_err(|error| WriteError::File(file.trouble(&error)))?;
    }
    let checked = check.finish().map_err(WriteError::Snapshot)?;
    file.sync().map_err(WriteError::File)?;
    Ok((file, checked))
}
