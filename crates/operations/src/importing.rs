//! Importing: the keys of a server outside the cluster go to the owners of their slots.
//!
//! The server is scanned; its keys are gathered by owner into parcels, some of which are on their way at the same time. A
//! parcel goes by one `MIGRATE`, or through this process where the server cannot send it. Whatever stands in its way for a
//! while (slots that move, a failover) is waited out, and what may have arrived is compared before it is sent again.

mod answers;
mod changes;
mod compare;
mod deliver;
mod follow;
mod migrate;
mod notes;
mod owners;
mod relay;
mod scan;
mod source;
mod way;

pub use follow::{CutOver, Follow, FollowPhase, Followed};
pub use source::{ask_source, databases};

use crate::{
    observe::Observation,
    port::{Dialer, Key, NodeLink, Trouble},
    run::{Patience, Progress, RunError},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use notes::Notes;
use owners::{Owner, Owners};
use scan::Scan;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio_util::sync::CancellationToken;
use topology::{ClusterView, NodeAddr, NodeId, ServerInfo, plan::ImportedDatabase};
use way::Way;

/// Parcels on their way at the same time. The server sends one after the other; while it does, the next is there already.
const WINDOW: usize = 3;
/// So many keys refused and none taken: it would go on like that.
const HOPELESS: u64 = 1000;

/// How keys are imported.
#[derive(Clone)]
pub struct Import {
    /// The server that they come from. Its link has the credentials of the cluster for what it sends there.
    pub source: Arc<dyn NodeLink>,
    /// What it says of itself.
    pub server: ServerInfo,
    /// Opens further links to it.
    pub source_dialer: Arc<dyn Dialer>,
    /// Opens links to nodes of the cluster.
    pub dialer: Arc<dyn Dialer>,
    /// Whether the cluster is talked to over TLS.
    pub encrypted: bool,
    /// Keys in one `MIGRATE` at most: the server answers nobody else meanwhile.
    pub pipeline: u32,
    /// How long the server and a node may be silent to each other during `MIGRATE`, milliseconds.
    pub timeout: u32,
    /// How it is followed, where it is to be.
    pub follow: Option<Follow>,
}

/// What became of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The owner of their slots.
    pub to: NodeAddr,
    /// Their database.
    pub database: u32,
    /// The keys.
    pub keys: Vec<Key>,
    /// What became of them.
    pub fate: Fate,
}

/// What became of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in the cluster now.
    Arrived,
    /// The cluster had the same value already.
    AlreadyThere,
    /// The cluster has another value, which was kept.
    Kept,
    /// It was refused, with this line.
    Refused(String),
    /// It was deleted or has expired meanwhile.
    Vanished,
    /// It has changed on a source that is followed, and was copied again, or deleted.
    Changed,
}

/// Why an import cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The cluster takes none of the keys.
    #[error("{to} takes none of the keys: {line}")]
    NoneTaken {
        /// One of the owners.
        to: NodeAddr,
        /// What it says.
        line: String,
    },
    /// The cluster does not take a key of a source that is followed: it cannot become the same.
    #[error("{to} does not take the key {}: {line}", key.escape_ascii())]
    NotTaken {
        /// The owner.
        to: NodeAddr,
        /// The key.
        key: Key,
        /// What the owner says.
        line: String,
    },
    /// The source does not let itself be followed.
    #[error("{address} cannot be followed: {trouble}")]
    NotFollowed {
        /// The source.
        address: NodeAddr,
        /// Why.
        trouble: Trouble,
    },
    /// The source is not followed any more.
    #[error("the replication stream of {address} has ended: {trouble}")]
    StreamLost {
        /// The source.
        address: NodeAddr,
        /// How.
        trouble: Trouble,
    },
    /// The cut-over was given up, and the source may hold its writers until that ends by itself.
    #[error("{address} may hold its writes still: {trouble}")]
    NotReleased {
        /// The source.
        address: NodeAddr,
        /// Why it could not be told to let them go on.
        trouble: Trouble,
    },
    /// The source has emptied or exchanged whole databases.
    #[error("{address} has run {command}: what it does to whole databases is not done to the cluster")]
    WholeDatabases {
        /// The source.
        address: NodeAddr,
        /// The command.
        command: String,
    },
    /// The source writes to a database that the cluster does not have.
    #[error("{address} writes to database {database}, which the cluster does not have")]
    OtherDatabase {
        /// The source.
        address: NodeAddr,
        /// The database.
        database: u32,
    },
}

/// A key that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    key: Key,
    /// Its size, bytes, as far as it is known.
    bytes: u64,
    standing: Standing,
    /// It goes alone, so that an error is its own.
    alone: bool,
}

/// What is known of a key in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It should not be there.
    New,
    /// Somebody may have written it: it is compared first.
    Doubtful,
    /// It was sent, and may have arrived: it is compared first.
    Tried,
    /// What is there came from here, and is out of date.
    Outdated,
    /// The source, which is followed, has changed it: what is there is replaced, or deleted.
    Changed,
}

impl Item {
    const fn new(key: Key, bytes: u64, standing: Standing) -> Self {
        Self { key, bytes, standing, alone: false }
    }

    const fn standing(mut self, standing: Standing) -> Self {
        self.standing = standing;
        self
    }

    /// The same after it was sent and nobody knows whether it has arrived.
    const fn tried(self) -> Self {
        // What is replaced anyway needs no comparison.
        if matches!(self.standing, Standing::Changed) { self } else { self.standing(Standing::Tried) }
    }

    /// The same, to be sent alone.
    const fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    fn is(&self, standing: Standing) -> bool {
        self.standing == standing
    }
}

/// What is asked for by the step of a plan.
#[derive(Clone, Copy)]
pub(crate) struct Order<'a> {
    pub(crate) databases: &'a [ImportedDatabase],
    pub(crate) copy: bool,
    pub(crate) replace: bool,
    pub(crate) follow: bool,
}

/// An import that goes on.
struct Importer<'a> {
    import: &'a Import,
    order: Order<'a>,
    patience: Patience,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
    stop: &'a CancellationToken,
    owners: Mutex<Arc<Owners>>,
    /// Whoever looks at the cluster anew has it.
    looking: tokio::sync::Mutex<()>,
    /// How keys go to each owner.
    ways: tokio::sync::Mutex<BTreeMap<NodeId, Way>>,
    /// Why none go by `MIGRATE`, if that is so.
    relayed: Mutex<Option<String>>,
    /// Links to the source that nobody uses.
    spare: Mutex<Vec<Arc<dyn NodeLink>>>,
    arrived: Mutex<u64>,
    refused: Mutex<u64>,
    /// What a source that is followed has changed.
    notes: Notes,
    /// How many times that was copied.
    changes: Mutex<u64>,
}

/// Imports into the cluster that was observed.
pub(crate) async fn run(
    import: &Import,
    order: Order<'_>,
    cluster: Observation,
    patience: Patience,
    progress: &(dyn Fn(Progress) + Send + Sync),
    stop: &CancellationToken,
) -> Result<(), RunError> {
    let compare = holds_keys(&cluster.view) && !order.replace;
    let follow = match (order.follow, &import.follow) {
        (false, _) => None,
        (true, Some(follow)) => Some(follow),
        (true, None) => {
            let address = import.source.address().clone();
            return Err(RunError::Changed { address, change: "nobody has said how to follow it".to_owned() });
        }
    };
    let importer = Importer {
        import,
        order,
        patience,
        progress,
        stop,
        owners: Mutex::new(Arc::new(Owners::of(&cluster, 0))),
        looking: tokio::sync::Mutex::default(),
        ways: tokio::sync::Mutex::default(),
        relayed: Mutex::default(),
        spare: Mutex::default(),
        arrived: Mutex::default(),
        refused: Mutex::default(),
        notes: Notes::default(),
        changes: Mutex::default(),
    };
    if let Some(follow) = follow {
        return importer.follow(follow).await;
    }
    importer.choose_way().await?;
    importer.all(compare).await
}

impl Importer<'_> {
    /// Imports the keys of all databases.
    async fn all(&self, compare: bool) -> Result<(), RunError> {
        for database in self.order.databases {
            self.database(database.database, compare).await?;
        }
        Ok(())
    }

    /// Imports the keys of a database. Whenever no more changes of a source can be noted, these are copied first.
    async fn database(&self, database: u32, compare: bool) -> Result<(), RunError> {
        let mut scan = Scan::new(self, database, compare);
        while !scan.is_done() {
            let parcels = stream::try_unfold(&mut scan, |scan| async move {
                let parcel = scan.next_parcel().await?;
                Ok::<_, RunError>(parcel.map(|parcel| (parcel, scan)))
            });
            let deliveries = parcels.map_ok(|parcel| self.deliver(database, parcel));
            deliveries.map(|delivery| async { delivery?.await }).buffer_unordered(WINDOW).try_collect::<()>().await?;
            if self.stop.is_cancelled() {
                return Err(RunError::Stopped);
            }
            if self.notes.are_full() {
                self.copy_noted().await?;
            }
        }
        Ok(())
    }

    fn owners(&self) -> Arc<Owners> {
        Arc::clone(&lock(&self.owners))
    }

    /// Takes down what became of keys.
    fn tell(&self, to: &Owner, database: u32, keys: Vec<Key>, fate: Fate) -> Result<(), RunError> {
        if keys.is_empty() {
            return Ok(());
        }
        let count = keys.len() as u64;
        let line = if let Fate::Refused(line) = &fate { Some(line.clone()) } else { None };
        if let (Some(line), true, Some(key)) = (&line, self.order.follow, keys.first()) {
            let (to, key, line) = (to.address.clone(), key.clone(), line.clone());
            return Err(ImportError::NotTaken { to, key, line }.into());
        }
        if fate == Fate::Changed {
            *lock(&self.changes) += count;
        }
        (self.progress)(Progress::Imported(Imported { to: to.address.clone(), database, keys, fate }));
        match line {
            None => *lock(&self.arrived) += count,
            Some(line) => {
                *lock(&self.refused) += count;
                if *lock(&self.arrived) == 0 && *lock(&self.refused) >= HOPELESS {
                    return Err(ImportError::NoneTaken { to: to.address.clone(), line }.into());
                }
            }
        }
        Ok(())
    }
}

fn holds_keys(view: &ClusterView) -> bool {
    view.answering().any(|(_, said)| said.server.keys() > 0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn names(items: Vec<Item>) -> Vec<Key> {
    items.into_iter().map(|item| item.key).collect()
}
