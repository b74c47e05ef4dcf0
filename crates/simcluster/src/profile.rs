//! What differs between engines and versions.

use topology::Engine;

/// An engine and version, with what it does otherwise than others.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a table of differences")]
pub struct Profile {
    /// The name, as the test matrix has it.
    pub name: &'static str,
    /// The engine.
    pub engine: Engine,
    /// Its own version.
    pub version: &'static str,
    /// `CLUSTER SETSLOT` is carried out by the replicas first (Valkey 8.0).
    pub replicates_set_slot: bool,
    /// Messages change open slots, too, and who belongs to the same shard counts (Valkey 8.0).
    pub knows_shards: bool,
    /// What was noted of an owner that does not name its slot stays when the slot is given by a command (7.0.12 and later, before 8.0).
    pub keeps_notes: bool,
    /// A primary votes once for each shard in two node timeouts. Valkey has given that up with its pull request 1356, of which we know that
    /// it came after 8.1 was begun, and take it to be in 9.1.
    pub votes_slowly: bool,
    /// So it is also where the failover was asked for (before Valkey 8.1: pull request 1305).
    pub votes_slowly_when_asked: bool,
    /// A replica forgets its election when it has won, and when another node has a later epoch (Valkey 8.1: pull requests 1009 and 1711).
    /// Elsewhere the last one keeps the next from beginning for four node timeouts, and its votes count on for two: who is asked for a
    /// failover again in that time wins with them and with the epoch of then, and loses what is written to it (so does redis 8.6.3).
    pub resets_elections: bool,
    /// `CLUSTER MIGRATESLOTS` (Valkey 9.0).
    pub migrates_slots: bool,
    /// `CLUSTER MIGRATION` (Redis 8.4).
    pub imports_slots: bool,
    /// Keys of slots that are neither its own nor importing are not told of (Redis 8.4).
    pub hides_foreign_keys: bool,
    /// `CLUSTER SLOT-STATS` (Valkey 8.0, Redis 8.2).
    pub slot_stats: bool,
    /// `INFO keysizes` (Redis 8.0).
    pub key_sizes: bool,
    /// Who is told to forget a node tells others to do so, too (Redis 7.2, Valkey).
    pub forget_spreads: bool,
    /// What a server that has just started takes for the number of primaries with slots.
    pub first_size: usize,
    /// What stands behind the counts in a line of `INFO keyspace`.
    pub keyspace_end: &'static str,
    /// It answers questions about the cluster while it loads (Valkey).
    pub answers_while_loading: bool,
}

impl Profile {
    /// Redis 7.0.
    pub const REDIS_7_0: Self = Self {
        name: "redis-7.0",
        engine: Engine::Redis,
        version: "7.0.15",
        replicates_set_slot: false,
        knows_shards: false,
        keeps_notes: true,
        votes_slowly: true,
        votes_slowly_when_asked: true,
        resets_elections: false,
        migrates_slots: false,
        imports_slots: false,
        hides_foreign_keys: false,
        slot_stats: false,
        key_sizes: false,
        forget_spreads: false,
        first_size: 1,
        keyspace_end: "",
        answers_while_loading: false,
    };
    /// Redis 8.6.
    pub const REDIS_8_6: Self = Self {
        name: "redis-8.6",
        version: "8.6.3",
        keeps_notes: false,
        imports_slots: true,
        hides_foreign_keys: true,
        slot_stats: true,
        key_sizes: true,
        forget_spreads: true,
        first_size: 0,
        keyspace_end: ",subexpiry=0",
        ..Self::REDIS_7_0
    };
    /// Valkey 8.1.
    pub const VALKEY_8_1: Self = Self {
        name: "valkey-8.1",
        engine: Engine::Valkey,
        version: "8.1.4",
        replicates_set_slot: true,
        knows_shards: true,
        keeps_notes: false,
        votes_slowly_when_asked: false,
        resets_elections: true,
        slot_stats: true,
        forget_spreads: true,
        first_size: 0,
        answers_while_loading: true,
        ..Self::REDIS_7_0
    };
    /// Valkey 9.1.
    pub const VALKEY_9_1: Self = Self {
        name: "valkey-9.1",
        version: "9.1.2",
        migrates_slots: true,
        votes_slowly: false,
        keyspace_end: ",keys_with_volatile_items=0",
        ..Self::VALKEY_8_1
    };
    /// All of them.
    pub const ALL: [&'static Self; 4] = [&Self::REDIS_7_0, &Self::REDIS_8_6, &Self::VALKEY_8_1, &Self::VALKEY_9_1];
}
