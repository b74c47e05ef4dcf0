//! The planner of an import: the keys of a server outside the cluster go to the owners of their slots.

use crate::{
    ClusterView, NodeAddr, ServerInfo, Slot,
    basis::{Basis, NotYet},
    findings::{count, entry_point},
    plan::{Action, Cost, FORMAT, ImportShare, ImportedDatabase, Plan, Step},
};

/// The server that keys come from.
#[derive(Clone, Debug)]
pub struct ImportSource {
    /// Where it listens.
    pub address: NodeAddr,
    /// What it says of itself.
    pub server: ServerInfo,
    /// How many libraries of functions it has; none where it does not tell.
    pub functions: Option<usize>,
}

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportWishes {
    /// Whether the keys stay on the source, too.
    pub copy: bool,
    /// Whether a key that the cluster has is replaced.
    pub replace: bool,
    /// Whether what is written on the source meanwhile comes, too: then the keys stay there, and the cluster has none yet.
    pub follow: bool,
    /// Only these databases; all when empty.
    pub databases: Vec<u32>,
}

/// Why nothing can be imported; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportRefusal {
    /// The cluster is not well enough.
    #[error(transparent)]
    NotYet(#[from] NotYet),
    /// An interrupted move has left slots open: keys of such slots belong to two nodes.
    #[error("a move of slots from {from} to {to} is not finished")]
    OpenMove {
        /// Their owner.
        from: NodeAddr,
        /// Their owner to be.
        to: NodeAddr,
        /// A node of the cluster, for the remedy.
        entry_point: String,
    },
    /// The source is a node of a cluster.
    #[error("{address} is a node of a cluster: keys are imported from a server of its own")]
    SourceIsClusterNode {
        /// The source.
        address: NodeAddr,
    },
    /// A replica cannot give its keys away.
    #[error("{address} is a replica: keys cannot leave it")]
    SourceIsReplica {
        /// The source.
        address: NodeAddr,
    },
    /// A replica's writers are held by its primary only.
    #[error("{address} is a replica: only its primary can hold the writes when the clients are to go over")]
    FollowsReplica {
        /// The source.
        address: NodeAddr,
    },
    /// `CLIENT PAUSE … WRITE` is there since 6.2.
    #[error("{address} runs {version}: servers before 6.2 cannot hold their writes for the clients to go over")]
    TooOldToFollow {
        /// The source.
        address: NodeAddr,
        /// Its version.
        version: String,
    },
    /// What is deleted on the source is deleted in the cluster, which would not be told from what was there before.
    #[error("{address} holds {} in database {database}: a source is followed into an empty cluster", count(*keys, "key"))]
    NotEmpty {
        /// A node of the cluster.
        address: NodeAddr,
        /// A database that holds keys.
        database: u32,
        /// How many.
        keys: u64,
    },
    /// The cluster has no such database.
    #[error("database {database} of {address} holds {}, and the cluster has {}", count(*keys, "key"), count(*has, "database"))]
    NoSuchDatabase {
        /// The source.
        address: NodeAddr,
        /// The database.
        database: u32,
        /// How many keys it holds.
        keys: u64,
        /// How many databases the cluster has.
        has: u32,
    },
}

impl ImportRefusal {
    /// What the user can do about it.
    pub fn advice(&self) -> Option<String> {
        Some(match self {
            Self::NotYet(not_yet) => not_yet.advice(),
            Self::OpenMove { entry_point, .. } => format!("tribune resume {entry_point}      then import"),
            Self::SourceIsClusterNode { .. } => return None,
            Self::SourceIsReplica { .. } => "copy them: --copy      or import from its primary".to_owned(),
            Self::FollowsReplica { .. } => "follow its primary      or without --follow: --copy".to_owned(),
            Self::TooOldToFollow { .. } => "stop whoever writes to it, then import without --follow".to_owned(),
            Self::NotEmpty { .. } => {
                "look at them; if they may go, empty every primary (FLUSHALL), and repeat the command".to_owned()
            }
            Self::NoSuchDatabase { .. } => {
                "import some databases only: --database 0      Valkey 9 has more with cluster-databases".to_owned()
            }
        })
    }
}

/// Plans an import into a cluster that has so many databases.
///
/// # Errors
/// When the cluster is not well, or the source cannot give its keys, or there is no place for them.
pub fn plan(
    view: &ClusterView,
    source: &ImportSource,
    databases: u32,
    wishes: &ImportWishes,
) -> Result<Plan, ImportRefusal> {
    let basis = Basis::of(view)?;
    if let Some(open) = basis.interrupted.first() {
        let (from, to) = (open.from.address.clone(), open.to.address.clone());
        return Err(ImportRefusal::OpenMove { from, to, entry_point: entry_point(view) });
    }
    refuse_source(source, wishes)?;
    if wishes.follow {
        refuse_to_follow(view, source)?;
    }
    let wanted = |database: &u32| wishes.databases.is_empty() || wishes.databases.contains(database);
    let held = source.server.databases.iter().filter(|(_, keys)| **keys > 0);
    let (taken, left): (Vec<_>, Vec<_>) = held.partition(|(database, _)| wanted(database));
    let taken: Vec<ImportedDatabase> =
        taken.into_iter().map(|(database, keys)| ImportedDatabase { database: *database, keys: *keys }).collect();
    if let Some(none) = taken.iter().find(|held| held.database >= databases) {
        let ImportedDatabase { database, keys } = *none;
        return Err(ImportRefusal::NoSuchDatabase { address: source.address.clone(), database, keys, has: databases });
    }
    let keys: u64 = taken.iter().map(|held| held.keys).sum();
    let bytes = source.server.dataset_memory.unwrap_or_default() / source.server.keys().max(1) * keys;
    let to = shares(&basis, keys);
    let mut reasons = reasons(source, wishes);
    reasons.extend(left.into_iter().map(|(database, keys)| {
        format!("database {database} with {} was not asked for: it stays where it is", count(*keys, "key"))
    }));
    let goal = format!(
        "{} of {} {} to {}",
        count(keys, "key"),
        source.address,
        if wishes.copy || wishes.follow { "are copied" } else { "go" },
        count(to.len(), "shard"),
    );
    let ImportWishes { copy, replace, follow, .. } = *wishes;
    // Somebody may write to a source that is followed.
    let nothing = keys == 0 && !follow;
    // What was copied once is replaced when it has changed.
    let (copy, replace) = (copy || follow, replace || follow);
    let action = Action::ImportKeys { source: source.address.clone(), databases: taken, to, copy, replace, follow };
    let reason = "each key goes to the owner of its slot".to_owned();
    Ok(Plan {
        format: FORMAT,
        goal,
        based_on: basis.nodes.clone(),
        steps: if nothing { Vec::new() } else { vec![Step { stage: 1, action, reason }] },
        reasons: if nothing { vec![format!("{} holds no keys", source.address)] } else { reasons },
        expected_after: basis.shards.clone(),
        placement: None,
        // 10 microseconds a small key, and 100 MB a second.
        cost: Cost {
            keys_moved: keys,
            bytes_moved: bytes,
            seconds: (keys * 10 + bytes / 100).div_ceil(1_000_000),
            ..Cost::default()
        },
    })
}

fn refuse_source(source: &ImportSource, wishes: &ImportWishes) -> Result<(), ImportRefusal> {
    let address = || source.address.clone();
    if source.server.cluster_enabled {
        return Err(ImportRefusal::SourceIsClusterNode { address: address() });
    }
    if source.server.is_replica() && !wishes.copy && !wishes.follow {
        return Err(ImportRefusal::SourceIsReplica { address: address() });
    }
    Ok(())
}

fn refuse_to_follow(view: &ClusterView, source: &ImportSource) -> Result<(), ImportRefusal> {
    let (address, server) = (source.address.clone(), &source.server);
    if server.is_replica() {
        return Err(ImportRefusal::FollowsReplica { address });
    }
    if !holds_writes(server) {
        return Err(ImportRefusal::TooOldToFollow { address, version: server.version.clone() });
    }
    let mut held = view.answering().flat_map(|(node, said)| said.server.databases.iter().map(move |held| (node, held)));
    match held.find(|(_, (_, keys))| **keys > 0) {
        Some((node, (&database, &keys))) => {
            Err(ImportRefusal::NotEmpty { address: node.address.clone(), database, keys })
        }
        None => Ok(()),
    }
}

/// Whether a server has `CLIENT PAUSE … WRITE`: since 6.2.
fn holds_writes(server: &ServerInfo) -> bool {
    server.is_since(6, 2)
}

/// The owners of slots, each with about how many of the keys are its.
fn shares(basis: &Basis, keys: u64) -> Vec<ImportShare> {
    let owners = basis.shards.iter().filter(|shard| !shard.slots.is_empty());
    let share = |slots: usize| keys.saturating_mul(slots as u64) / u64::from(Slot::COUNT);
    owners
        .map(|shard| ImportShare {
            node: shard.primary.clone(),
            slots: shard.slots.clone(),
            keys: share(shard.slots.len()),
        })
        .collect()
}

fn reasons(source: &ImportSource, wishes: &ImportWishes) -> Vec<String> {
    let address = &source.address;
    let mut reasons = vec![match (wishes.copy, wishes.replace) {
        _ if wishes.follow => format!(
            "the keys stay on {address}, too; what is written there meanwhile comes, until Ctrl-C cuts over: nobody is to write \
             to the cluster before"
        ),
        (true, true) => format!("the keys stay on {address}, too; keys that the cluster has are replaced"),
        (true, false) => format!("the keys stay on {address}, too; keys that the cluster has are kept and named"),
        (false, true) => format!("a key leaves {address} when it has arrived; keys that the cluster has are replaced"),
        (false, false) => {
            format!("a key leaves {address} when it has arrived; keys that the cluster has are kept there and named")
        }
    }];
    if source.server.is_replica() {
        reasons.push(format!("{address} is a replica: what its primary writes meanwhile may be missed"));
    }
    match source.functions {
        Some(0) => {}
        Some(functions) => reasons.push(format!(
            "not copied: {} of functions (FUNCTION DUMP there, FUNCTION RESTORE on every primary)",
            if functions == 1 { "1 library".to_owned() } else { format!("{functions} libraries") }
        )),
        None => reasons.push("not copied: functions, if there are any".to_owned()),
    }
    reasons.push("not copied: cached scripts, users and configuration".to_owned());
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_hold_their_writes_since_6_2() {
        for (version, holds) in [("6.0.20", false), ("5.0", false), ("6.2.0", true), ("7.0.15", true), ("10.0", true)] {
            let server = ServerInfo { version: version.to_owned(), ..ServerInfo::parse("") };
            assert_eq!(holds_writes(&server), holds, "{version}");
        }
    }
}
