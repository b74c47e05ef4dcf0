//! Following a source that goes on being written to, until its clients are to go over to the cluster.
//!
//! The replication stream tells which keys change; what they are by then is copied as any other key is, and deleted where it is
//! gone. First the whole keyspace is copied, while changed keys are only noted. Then these are copied in rounds, one after the other:
//! two copies of one key on their way at once could arrive in the wrong order. At the end the source holds its writers for the moment that
//! the last keys take.

use super::{ImportError, Importer, Item, Standing, WINDOW, lock, scan::HEAVY};
use crate::{
    exchange::{accepted, in_database, number},
    port::{Command, Key, NodeError, ReplicationDialer, ReplicationOptions, Trouble},
    run::{Progress, RunError},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use topology::{Reply, ServerInfo, replicated::KeyPositions};

/// Keys that are read and restored together.
const TOGETHER: usize = 250;
/// From the beginning of one round to that of the next: a key that changes all the time is not copied more often.
const ROUND: Duration = Duration::from_millis(100);
/// Between two words on how far it is.
const TELLS_EVERY: Duration = Duration::from_millis(500);
/// Between two looks at the stream while the writers wait.
const BRIEFLY: Duration = Duration::from_millis(5);

/// How a source is followed.
#[derive(Clone)]
pub struct Follow {
    /// Opens the replication link.
    pub replication: Arc<dyn ReplicationDialer>,
    /// Where the cut-over is asked for.
    pub cut_over: Arc<CutOver>,
    /// How long the source holds its writers at the end, at most.
    pub hold: Duration,
    /// Only these databases; all when empty.
    pub only: Vec<u32>,
}

/// Where the cut-over is asked for.
#[derive(Debug, Default)]
pub struct CutOver {
    possible: AtomicBool,
    asked: Notify,
}

impl CutOver {
    /// Asks for it. False where it is not possible: the keyspace is still being copied, or it was asked for already.
    pub fn ask(&self) -> bool {
        let possible = self.possible.swap(false, Ordering::Relaxed);
        if possible {
            self.asked.notify_one();
        }
        possible
    }

    fn offer(&self) {
        self.possible.store(true, Ordering::Relaxed);
    }
}

/// How far a source is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// How many times a changed key was copied again, or deleted.
    pub changes: u64,
    /// Changed keys that were not copied again yet.
    pub pending: usize,
    /// Bytes of the stream that were not read yet.
    pub behind: u64,
    /// How old the oldest change may be that is not in the cluster yet, as far as the stream was read.
    pub lag: Duration,
    /// What goes on.
    pub phase: FollowPhase,
}

/// What goes on while a source is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowPhase {
    /// It is followed.
    Following,
    /// The source holds its writers, and the last keys are copied.
    CuttingOver,
    /// The last keys took too long: the writers go on, and it is followed as before.
    TooSlow,
    /// The cluster has all that the source has, whose writers are held for so long still.
    Over(Duration),
}

/// What is known while a source is followed.
pub(super) struct Following<'a> {
    pub(super) follow: &'a Follow,
    pub(super) positions: KeyPositions,
    databases: Mutex<BTreeSet<u32>>,
    /// Whether the source holds its writers.
    holds: AtomicBool,
}

impl Following<'_> {
    /// Whether keys of this database are known to be imported.
    pub(super) fn takes(&self, database: u32) -> bool {
        lock(&self.databases).contains(&database)
    }

    /// Has keys of this database imported from now on.
    pub(super) fn admit(&self, database: u32) {
        lock(&self.databases).insert(database);
    }
}

impl Importer<'_> {
    /// Imports and follows until the clients go over. However it ends before that, the source does not hold its writers.
    pub(super) async fn follow(&self, follow: &Follow) -> Result<(), RunError> {
        let source = self.import.source.as_ref();
        let replies = accepted(source, vec![Command::CommandTable]).await?;
        let positions = KeyPositions::of(replies.first().unwrap_or(&Reply::Nil));
        if positions.is_empty() {
            let trouble = Trouble::Protocol("COMMAND tells no commands".into());
            return Err(NodeError::new(source.address().clone(), trouble).into());
        }
        let databases = self.order.databases.iter().map(|held| held.database);
        let databases = Mutex::new(databases.chain(follow.only.iter().copied()).collect());
        let following = Following { follow, positions, databases, holds: AtomicBool::new(false) };
        let outcome = tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(RunError::Stopped),
            outcome = self.copy_and_read(&following) => outcome,
        };
        if outcome.is_err() && following.holds.load(Ordering::Relaxed) {
            let released = self.release_writers().await;
            if let (Err(RunError::Stopped), Err(NodeError { address, trouble })) = (&outcome, released) {
                return Err(ImportError::NotReleased { address, trouble }.into());
            }
        }
        outcome
    }

    /// Ends the hold of the source's writers, which otherwise ends by itself.
    async fn release_writers(&self) -> Result<(), NodeError> {
        let (source, release) = (self.import.source.as_ref(), || vec![Command::ReleaseWriters]);
        if accepted(source, release()).await.is_err() {
            let other = self.import.source_dialer.dial(source.address()).await?;
            accepted(other.as_ref(), release()).await?;
        }
        Ok(())
    }

    async fn copy_and_read(&self, following: &Following<'_>) -> Result<(), RunError> {
        let source = self.import.source.address();
        let stream = following.follow.replication.follow(source, ReplicationOptions::default()).await;
        let stream =
            stream.map_err(|error| ImportError::NotFollowed { address: source.clone(), trouble: error.trouble })?;
        let copying = async {
            self.all(false).await?;
            self.catch_up(following).await
        };
        tokio::select! {
            biased;
            error = self.read_stream(following, stream) => Err(error),
            outcome = copying => outcome,
        }
    }

    /// Copies what changes until the clients go over.
    async fn catch_up(&self, following: &Following<'_>) -> Result<(), RunError> {
        let CutOver { asked, .. } = following.follow.cut_over.as_ref();
        let (mut told, mut wanted) = (None::<Instant>, false);
        loop {
            let begin = Instant::now();
            self.copy_noted().await?;
            let took = begin.elapsed();
            let due = told.is_none_or(|told| told.elapsed() >= TELLS_EVERY);
            if let (true, Some(read)) = (due, self.notes.offset()) {
                let behind = self.written().await?.saturating_sub(read);
                self.tell_followed(behind, took, FollowPhase::Following);
                if told.is_none() {
                    following.follow.cut_over.offer();
                }
                told = Some(Instant::now());
            }
            // What is left at this pace takes a part of the time for which the writers are held.
            if wanted && took < following.follow.hold / 4 {
                if self.cut_over(following).await? {
                    return Ok(());
                }
                wanted = false;
                self.tell_followed(0, took, FollowPhase::TooSlow);
                following.follow.cut_over.offer();
            }
            tokio::select! {
                biased;
                () = asked.notified(), if !wanted => wanted = true,
                () = sleep_until(begin + ROUND) => {}
            }
        }
    }

    /// Copies again what has changed.
    pub(super) async fn copy_noted(&self) -> Result<(), RunError> {
        let mut by_database: BTreeMap<u32, Vec<Key>> = BTreeMap::new();
        for (database, key) in self.notes.take() {
            by_database.entry(database).or_default().push(key);
        }
        let parcels = by_database.into_iter().flat_map(|(database, keys)| {
            let parcels: Vec<(u32, Vec<Key>)> = keys.chunks(TOGETHER).map(|keys| (database, keys.to_vec())).collect();
            parcels
        });
        // A key is in one of these parcels only.
        let copies = stream::iter(parcels).map(|(database, keys)| self.copy_again(database, keys));
        copies.buffer_unordered(WINDOW).try_collect().await
    }

    async fn copy_again(&self, database: u32, keys: Vec<Key>) -> Result<(), RunError> {
        for parcel in self.weighed(database, keys).await? {
            self.deliver(database, parcel).await?;
        }
        Ok(())
    }

    /// Parcels of these keys that are not too heavy.
    async fn weighed(&self, database: u32, keys: Vec<Key>) -> Result<Vec<Vec<Item>>, NodeError> {
        let commands = keys.iter().map(|key| Command::MemoryUsage(key.clone())).collect();
        let sizes = in_database(self.import.source.as_ref(), database, commands).await?;
        let (mut parcels, mut parcel, mut weight) = (Vec::new(), Vec::new(), 0_u64);
        for (key, size) in keys.into_iter().zip(&sizes) {
            let bytes = number(size);
            if !parcel.is_empty() && weight.saturating_add(bytes) > HEAVY {
                parcels.push(std::mem::take(&mut parcel));
                weight = 0;
            }
            weight = weight.saturating_add(bytes);
            parcel.push(Item::new(key, bytes, Standing::Changed));
        }
        parcels.push(parcel);
        Ok(parcels)
    }

    /// Up to where the source has written its stream.
    async fn written(&self) -> Result<u64, NodeError> {
        let link = self.import.source.as_ref();
        let replies = accepted(link, vec![Command::Info]).await?;
        let info = replies.first().and_then(Reply::as_text).map(|text| ServerInfo::parse(&text));
        info.and_then(|info| info.replication_offset).ok_or_else(|| {
            NodeError::new(link.address().clone(), Trouble::Protocol("INFO tells no replication offset".into()))
        })
    }

    /// Has the source hold its writers and copies the rest; false when that took too long, and the writers go on.
    async fn cut_over(&self, following: &Following<'_>) -> Result<bool, RunError> {
        let (source, hold) = (self.import.source.as_ref(), following.follow.hold);
        let begin = Instant::now();
        following.holds.store(true, Ordering::Relaxed);
        accepted(source, vec![Command::HoldWriters(hold)]).await?;
        self.tell_followed(0, Duration::ZERO, FollowPhase::CuttingOver);
        // The rest of the time is for the clients to go over.
        if self.drain(begin + hold / 2).await? {
            self.tell_followed(0, Duration::ZERO, FollowPhase::Over(hold.saturating_sub(begin.elapsed())));
            return Ok(true);
        }
        self.release_writers().await?;
        following.holds.store(false, Ordering::Relaxed);
        Ok(false)
    }

    /// Copies all that the source has written; false when that is not done by then.
    async fn drain(&self, deadline: Instant) -> Result<bool, RunError> {
        // The stream goes on with signs of life, so that the offset of now counts, not a later one.
        let written = self.written().await?;
        while !self.notes.are_empty_at(written) {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            if self.notes.pending() == 0 {
                self.notes.news(BRIEFLY).await;
            }
            self.copy_noted().await?;
        }
        Ok(Instant::now() < deadline)
    }

    fn tell_followed(&self, behind: u64, lag: Duration, phase: FollowPhase) {
        let (changes, pending) = (*lock(&self.changes), self.notes.pending());
        (self.progress)(Progress::Followed(Followed { changes, pending, behind, lag, phase }));
    }
}
