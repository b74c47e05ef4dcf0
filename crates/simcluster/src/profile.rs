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
    /// A message that takes a slot from a primary takes its mark of migrating, too (Valkey 8.0).
    pub gossip_clears_marks: bool,
    /// A primary that imports a slot takes it as soon as its owner does not name it any more (Valkey 8.0).
    pub takes_what_is_let_go: bool,
    /// What was noted of an owner that does not name its slot stays when the slot is given by a command (7.0.12 and later, before 8.0).
    pub keeps_notes: bool,
    /// A primary votes once for each shard in two node timeouts (before Valkey 8.1).
    pub votes_slowly: bool,
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
        gossip_clears_marks: false,
        takes_what_is_let_go: false,
        keeps_notes: true,
        votes_slowly: true,
        migrates_slots: false,
        imports_slots: false,
        hides_foreign_keys: false,
        slot_stats: false,
        key_sizes: false,
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
        ..Self::REDIS_7_0
    };
    /// Valkey 8.1.
    pub const VALKEY_8_1: Self = Self {
        name: "valkey-8.1",
        engine: Engine::Valkey,
        version: "8.1.4",
        replicates_set_slot: true,
        gossip_clears_marks: true,
        takes_what_is_let_go: true,
        keeps_notes: false,
        votes_slowly: false,
        slot_stats: true,
        answers_while_loading: true,
        ..Self::REDIS_7_0
    };
    /// Valkey 9.1.
    pub const VALKEY_9_1: Self =
        Self { name: "valkey-9.1", version: "9.1.2", migrates_slots: true, ..Self::VALKEY_8_1 };
    /// All of them.
    pub const ALL: [&'static Self; 4] = [&Self::REDIS_7_0, &Self::REDIS_8_6, &Self::VALKEY_8_1, &Self::VALKEY_9_1];
}
