//! The commands that operations send, as data.

use super::{Reading, Unopposed};
use std::{net::IpAddr, time::Duration};
use topology::{
    ClusterView, NodeId, NodeView, Reply, Slot, SlotSet,
    findings::count,
    membership::{MembershipRefusal, owns_nothing},
};

/// A command to one server. What could destroy data takes a proof that there is none.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// `PING`
    Ping,
    /// `INFO`, the default sections.
    Info,
    /// `INFO server persistence replication keyspace`, several sections at once since 7.0: which process it is, whether it loads, whom it
    /// follows, how many keys it holds.
    Standing,
    /// `INFO keyspace`: how many keys each database holds.
    Keyspace,
    /// `INFO keysizes`: how long the values of each database are (Redis 8.0; nothing elsewhere).
    KeySizes,
    /// `CLUSTER INFO`
    ClusterInfo,
    /// `CLUSTER NODES`
    ClusterNodes,
    /// `READONLY`: a replica answers questions about its primary's keys over this link.
    ReadOnly,
    /// `PUBLISH` of an empty message, which goes to all nodes behind all that this one has told them, on a channel that nobody needs.
    Publish,
    /// `CLUSTER COUNTKEYSINSLOT`: of the selected database.
    CountKeysInSlot(Slot),
    /// `DBSIZE`: of the selected database.
    DatabaseSize,
    /// `SELECT`; a batch that selects must end with `Select(0)`, since links are shared.
    Select(u32),
    /// `MULTI`; the batch must hold the [`Command::Exec`] that ends it.
    Multi,
    /// `EXEC`
    Exec,
    /// `CLUSTER SET-CONFIG-EPOCH`: accepted only while the node knows no other and has epoch 0.
    SetConfigEpoch(u64),
    /// `CLUSTER ADDSLOTSRANGE`, since 7.0: refused as a whole when one of the slots is known to be served.
    AddSlots(SlotSet),
    /// `CLUSTER DELSLOTSRANGE`, since 7.0: the node forgets whose these slots are, its own among them; keys stay. Refused as a
    /// whole when it knows no owner of one of them.
    RemoveSlots(SlotSet),
    /// `CLUSTER BUMPEPOCH`: a config epoch above all that the node knows, unless it has the highest already.
    BumpEpoch,
    /// `CLUSTER MEET ip port busport`
    Meet {
        /// Where the other node is; never a name.
        ip: IpAddr,
        /// Its client port.
        port: u16,
        /// Its cluster bus port.
        bus_port: u16,
    },
    /// `CLUSTER REPLICATE`: follow this primary. Refused by a primary that owns slots or holds keys.
    Replicate(NodeId),
    /// `CLUSTER SHARDS` (7.0): the nodes with their plain and TLS ports.
    ClusterShards,
    /// `CLUSTER SETSLOT`: Valkey 8.0 and newer has its replicas carry it out first.
    SetSlot(Slot, SlotState),
    /// `CLUSTER GETKEYSINSLOT`: so many keys of the selected database at most.
    KeysInSlot(Slot, u32),
    /// `MEMORY USAGE`: bytes; nil for a key that is not there.
    MemoryUsage(Key),
    /// `MIGRATE`
    Migrate(Box<Migration>),
    /// `ASKING`: the next command may ask for a slot that this node imports.
    Asking,
    /// `DUMP`: the value as `RESTORE` takes it; nil for a key that is not there.
    Dump(Key),
    /// `DUMP` of a key with so many bytes, which may take their time.
    DumpLarge(Key, u64),
    /// How many bytes `DUMP` would give, by a script: nil for a key that is not there.
    DumpLength(Key),
    /// `RESTORE`: refused with `BUSYKEY` when the key is there and is not to be replaced.
    Restore(Box<Restoration>),
    /// `PTTL`: milliseconds; -1 for a key that stays, -2 for one that is not there.
    TimeToLive(Key),
    /// `PEXPIRETIME` (7.0): Unix milliseconds; -1 for a key that stays, -2 for one that is not there.
    ExpiryTime(Key),
    /// `EXISTS`: 1 or 0.
    Exists(Key),
    /// `TYPE`
    TypeOf(Key),
    /// The whole value, by the command for its type.
    Value(ValueType, Key),
    /// `HPEXPIRETIME`: when these fields of a hash go (Redis 7.4, Valkey 9.0).
    FieldExpiry(Key, Vec<Vec<u8>>),
    /// `SCAN`: from this cursor, about so many keys of the selected database.
    Scan(u64, u32),
    /// `COMMAND`: all commands, each with where its keys are.
    CommandTable,
    /// `COMMAND GETKEYS` of this command: its keys; refused for one without keys.
    KeysOf(Vec<Vec<u8>>),
    /// `CLIENT PAUSE … WRITE` (6.2): whoever writes waits, for so long at most.
    HoldWriters(Duration),
    /// `CLIENT UNPAUSE` (6.2)
    ReleaseWriters,
    /// `UNLINK` (4.0) of a key in the cluster that is gone where it came from.
    Delete(Gone),
    /// `WATCH`: the next transaction on the link fails when one of these has changed.
    Watch(Vec<Key>),
    /// `UNLINK` (4.0) of keys that are in the cluster.
    Unlink(Vec<Arrived>),
    /// `OBJECT IDLETIME`: seconds since the key was used; refused under an LFU eviction policy.
    IdleTime(Key),
    /// A command that does nothing but show whether the user may run it.
    Rehearse(Rehearsal),
    /// `ACL WHOAMI`
    WhoAmI,
    /// `UNLINK` of a key that the owner of its slot holds, too, as new or newer.
    DropCopy(Superseded),
    /// `COMMAND INFO`: nil for a command that the server does not have, such as `cluster|migrateslots`.
    CommandInfo(&'static str),
    /// `CLUSTER MIGRATESLOTS SLOTSRANGE … NODE id` (Valkey 9.0), sent to the source.
    MigrateSlots(SlotSet, NodeId),
    /// `CLUSTER GETSLOTMIGRATIONS` (Valkey 9.0): the newest first.
    SlotMigrations,
    /// `CLUSTER CANCELSLOTMIGRATIONS` (Valkey 9.0): all that this source exports; refused (by `EVAL`) while one of the destinations has been let take over, since
    /// the source would take writes that are lost then.
    CancelSlotMigrations,
    /// `CLUSTER MIGRATION IMPORT` (Redis 8.4), sent to the destination: the id of the task.
    MigrationImport(SlotSet),
    /// `CLUSTER MIGRATION STATUS ID` (Redis 8.4)
    MigrationStatus(String),
    /// `CLUSTER SLOT-STATS ORDERBY metric LIMIT n DESC` (Valkey 8.0, Redis 8.2), of the primary's own slots.
    SlotStats(&'static str, u32),
    /// `CLUSTER MIGRATION STATUS ALL` (Redis 8.4)
    MigrationTasks,
    /// `CLUSTER MIGRATION CANCEL ID` (Redis 8.4), sent to the destination.
    CancelMigration(String),
    /// `CONFIG GET`: names and values.
    ConfigGet(String),
    /// `CONFIG SET`
    ConfigSet(String, String),
    /// `CONFIG REWRITE`
    ConfigRewrite,
    /// `FUNCTION DUMP` (7.0)
    FunctionDump,
    /// `FUNCTION LIST` (7.0)
    FunctionList,
    /// `FUNCTION RESTORE payload` (7.0): refused when a library of the same name is there.
    FunctionRestore(Vec<u8>),
    /// `CLUSTER FAILOVER`, sent to the replica that is to become primary.
    Failover(Failover),
    /// What a user typed for `call`, word by word: the one way to send a command that is not in this list.
    Typed(Vec<Vec<u8>>),
    /// `WAIT` for more replicas than there are, a millisecond: the primary asks its replicas how far they are, by a word in the replication
    /// stream.
    AskReplicas,
    /// `CLUSTER FLUSHSLOTS`: give up all slots, on a node without keys.
    GiveUpSlots(NothingToLose),
    /// `CLUSTER FORGET`: for 60 s the node is not taken back when others tell of it.
    Forget(OwnsNothing),
    /// `CLUSTER RESET HARD`: forget the cluster and become as new, on a node without slots and keys.
    ResetHard(NothingToLose),
    /// `CLUSTER RESET SOFT`: forget the cluster, drop the copy of another node's data, and become a primary without slots that
    /// keeps its id.
    ResetSoft(Dispensable),
    /// `BGREWRITEAOF`: what is on disk becomes what is in memory.
    RewriteLog,
    /// `BGSAVE`: the same for the snapshot.
    SaveSnapshot,
}

/// The name of a key: any bytes.
pub type Key = Vec<u8>;

/// What `CLUSTER SETSLOT` makes of a slot, for the node that gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotState {
    /// It comes from this node.
    Importing(NodeId),
    /// It goes to this node.
    Migrating(NodeId),
    /// It belongs to this node. An importing node takes it with an epoch of its own.
    Node(NodeId),
    /// It neither comes nor goes.
    Stable,
}

/// A command with a word in it that it never takes: users who may not run it are told so first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rehearsal {
    /// `CLUSTER SETSLOT`
    SetSlot,
    /// `CLUSTER GETKEYSINSLOT`
    KeysInSlot,
    /// `MIGRATE`
    Migrate,
    /// `SELECT`: what `MIGRATE` sends to the other node first, as the same user.
    Select,
    /// `RESTORE-ASKING`: what it sends then.
    Restore,
    /// `ASKING`: before a question for a key of a slot that is being imported.
    Asking,
    /// `OBJECT IDLETIME`
    IdleTime,
    /// `DUMP`
    Dump,
}

impl Rehearsal {
    /// The command by the name that `ACL SETUSER` knows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SetSlot => "cluster|setslot",
            Self::KeysInSlot => "cluster|getkeysinslot",
            Self::Migrate => "migrate",
            Self::Select => "select",
            Self::Restore => "restore-asking",
            Self::Asking => "asking",
            Self::IdleTime => "object|idletime",
            Self::Dump => "dump",
        }
    }
}

/// Which `CLUSTER FAILOVER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failover {
    /// Agreed with the primary: no write is lost.
    Planned,
    /// Without the primary, by the vote of a majority of the others.
    Forced,
    /// The same, as long as that one is its primary when the server comes to it (by `EVAL`): a server that has just followed another
    /// one would be elected in place of that, without what that has written.
    ForcedFrom(NodeId),
    /// Without the primary and without a vote.
    Takeover(Unopposed),
}

/// Keys that one server sends to another and then deletes. All are of one slot.
///
/// The user and password of the link go with it, since the other server asks for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The other server's host, as the sending one reaches it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database there, which must be the one selected here.
    pub database: u32,
    /// How long the server may be silent to the other, milliseconds.
    pub timeout: u32,
    /// Whether keys that the other server has are replaced.
    pub replace: bool,
    /// Whether the keys stay here, too.
    pub copy: bool,
    /// The keys.
    pub keys: Vec<Key>,
}

/// A key as `RESTORE` makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restoration {
    /// Its name.
    pub key: Key,
    /// When it goes.
    pub expiry: Expiry,
    /// Its value as `DUMP` gave it.
    pub payload: Vec<u8>,
    /// Whether another value is replaced.
    pub replace: bool,
}

/// When a key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Never.
    Never,
    /// In so many milliseconds.
    In(u64),
    /// At this time, Unix milliseconds (`ABSTTL`, 5.0).
    At(u64),
}

/// What a value is, for the command that reads it whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// `GET`
    Text,
    /// `LRANGE 0 -1`
    List,
    /// `SMEMBERS`
    Set,
    /// `ZRANGE 0 -1 WITHSCORES`
    SortedSet,
    /// `HGETALL`
    Hash,
    /// `XINFO STREAM FULL COUNT 0`
    Stream,
}

/// Proof that a key is in the cluster: without it none can be taken from the server that it was imported from.
///
/// It is made from what the key's owner said, and is as fresh as that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived(Key);

impl Arrived {
    /// The proof, from the owner's reply to `RESTORE` of this key.
    pub fn restored(key: &Key, reply: &Reply) -> Option<Self> {
        (reply.as_text().as_deref() == Some("OK")).then(|| Self(key.clone()))
    }

    /// The proof, from two readings of this key, on the server and at the owner, that say the same.
    pub fn same(key: &Key, here: &Reading, there: &Reading) -> Option<Self> {
        here.same(there).then(|| Self(key.clone()))
    }

    /// The key.
    pub const fn key(&self) -> &Key {
        &self.0
    }
}

/// Proof that a key is gone on the server that is followed: without it none can be deleted in the cluster.
///
/// It is made from what the server says after its replication stream has told of a change of this key, and is as fresh as that: when
/// the key comes again, the stream tells so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone(Key);

impl Gone {
    /// The proof, from the server's reply to `DUMP` of this key.
    pub fn by(key: &Key, dump: &Reply) -> Option<Self> {
        (*dump == Reply::Nil).then(|| Self(key.clone()))
    }

    /// The key.
    pub const fn key(&self) -> &Key {
        &self.0
    }
}

/// Proof that a node holds no keys in any database: without it nothing that could destroy data can be sent.
///
/// The proof is as fresh as the `INFO` it was made from: make it just before use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NothingToLose(());

/// Why there is no [`NothingToLose`] for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it holds {} in database {database}", count(*keys, "key"))]
pub struct NotEmpty {
    /// A database that holds keys.
    pub database: u32,
    /// How many keys it holds.
    pub keys: u64,
}

impl Command {
    /// How long the server may be busy with commands that are sent together, beyond the time in which it answers others: with one
    /// `MIGRATE` after the other, and otherwise the longest counts.
    pub fn take(commands: &[Self]) -> Duration {
        let is_migrate = |command: &&Self| matches!(command, Self::Migrate(_));
        let others = commands.iter().filter(|command| !is_migrate(command)).map(Self::takes).max();
        commands.iter().filter(is_migrate).map(Self::takes).sum::<Duration>() + others.unwrap_or_default()
    }

    fn takes(&self) -> Duration {
        match self {
            Self::Migrate(migration) => Duration::from_millis(migration.timeout.into()),
            // All keys of a copy are freed before it answers; the script makes up a whole value; nobody knows what was typed.
            Self::ResetSoft(_) | Self::DumpLength(_) | Self::Typed(_) => Duration::from_mins(1),
            Self::DumpLarge(_, bytes) => transfer(*bytes),
            Self::Restore(restoration) => transfer(restoration.payload.len() as u64),
            // The servers wait for their replicas, 2 s unless told otherwise.
            Self::SetSlot(..) => Duration::from_secs(2),
            _ => Duration::ZERO,
        }
    }
}

/// How long so many bytes may take on a slow network, 1 MB a second.
const fn transfer(bytes: u64) -> Duration {
    Duration::from_micros(bytes)
}

impl NothingToLose {
    /// The proof, from the server's own `INFO`.
    ///
    /// # Errors
    /// Names the first database that holds keys.
    pub fn by(info: &topology::ServerInfo) -> Result<Self, NotEmpty> {
        match info.databases.iter().find(|(_, keys)| **keys > 0) {
            Some((&database, &keys)) => Err(NotEmpty { database, keys }),
            None => Ok(Self(())),
        }
    }
}

/// Proof that a key on a node which does not own its slot is not needed: it was compared with that of the owner, which holds
/// the same value or a newer one.
///
/// Clients do not write to a copy outside of its owner, so that the proof does not grow old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superseded(Key);

impl Superseded {
    /// The proof, by whoever has compared the two.
    pub(crate) const fn compared(key: Key) -> Self {
        Self(key)
    }

    /// The key.
    pub const fn key(&self) -> &Key {
        &self.0
    }
}

/// Proof that a node is a replica: what it holds is a copy of what its primary holds, which says itself that it is a primary.
///
/// The proof is as fresh as the views it was made from: make it just before use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnlyACopy(());

impl OnlyACopy {
    /// The proof, from what both nodes say; none when they do not say so.
    pub fn by(replica: &NodeView, primary: &NodeView) -> Option<Self> {
        let follows = replica.myself.primary == Some(primary.myself.id) && replica.myself.slots.is_empty();
        (follows && primary.myself.is_primary()).then_some(Self(()))
    }
}

/// Proof that nothing is lost when a node drops what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dispensable {
    /// It is a copy.
    Copy(OnlyACopy),
    /// There is nothing.
    Nothing(NothingToLose),
}

/// Proof that a node owns no slot and that no live replica references it, by the word of a majority of primaries.
///
/// The proof is as fresh as the view it was made from: make it just before use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnsNothing(NodeId);

impl OwnsNothing {
    /// The proof, from a fresh look at the cluster.
    ///
    /// # Errors
    /// Says what the node still owns, or why that is not sure.
    pub fn by(view: &ClusterView, id: NodeId) -> Result<Self, MembershipRefusal> {
        owns_nothing(view, id).map(|()| Self(id))
    }

    /// The node.
    pub const fn id(&self) -> NodeId {
        self.0
    }
}
