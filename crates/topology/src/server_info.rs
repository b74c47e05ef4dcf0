//! `INFO`: what a server says of itself.

use std::collections::BTreeMap;

/// What `INFO` tells, as far as it is needed here. Unknown fields are skipped, missing ones are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerInfo {
    /// `redis` or `valkey`.
    pub engine: Engine,
    /// The engine's own version, such as `9.1.2`.
    pub version: String,
    /// `cluster_enabled`.
    pub cluster_enabled: bool,
    /// The number of its process on its own machine, `process_id`.
    pub process_id: Option<i32>,
    /// `availability_zone`, set by the administrator (Valkey 8.0).
    pub zone: Option<String>,
    /// Keys of each database that holds any.
    pub databases: BTreeMap<u32, u64>,
    /// `used_memory`, bytes.
    pub used_memory: Option<u64>,
    /// `maxmemory`, bytes; 0 is no limit.
    pub max_memory: Option<u64>,
    /// Memory that the keys use, bytes (`used_memory_dataset`).
    pub dataset_memory: Option<u64>,
    /// `total_commands_processed`, since the server's start or `CONFIG RESETSTAT`.
    pub commands_processed: Option<u64>,
    /// `total_net_input_bytes`, from clients, since then.
    pub bytes_in: Option<u64>,
    /// `total_net_output_bytes`, to clients, since then.
    pub bytes_out: Option<u64>,
    /// `connected_clients`.
    pub clients: Option<u64>,
    /// `instantaneous_ops_per_sec`.
    pub operations_per_second: Option<u64>,
    /// `master_repl_offset`: bytes of the replication stream written (primary) or applied (replica).
    pub replication_offset: Option<u64>,
    /// `master_replid`: the history that its replication stream belongs to.
    pub replication_id: Option<String>,
    /// `master_replid2`: the history that it went on from when it became a primary.
    pub earlier_replication_id: Option<String>,
    /// `second_repl_offset`: whoever stopped in that history before this offset may take up there, without getting the data anew.
    pub earlier_replication_end: Option<u64>,
    /// Of a primary: how many replicas are connected to it (`connected_slaves`).
    pub connected_replicas: u64,
    /// Of a replica: `master_link_status` is `up`.
    pub primary_link_up: Option<bool>,
    /// Of a replica: `master_link_down_since_seconds`.
    pub primary_link_down_seconds: Option<u64>,
    /// Of a replica: `master_sync_in_progress`.
    pub sync_in_progress: bool,
    /// `master_sync_read_bytes`: how much of a copy of the data it has got, while it gets one.
    pub sync_read_bytes: Option<u64>,
    /// `loading_loaded_perc`: how much of its data it has read, percent, while it reads it.
    pub loaded_percent: Option<u8>,
    /// `loading`: the server is reading its data from disk.
    pub loading: bool,
    /// `uptime_in_seconds`.
    pub uptime_seconds: Option<u64>,
    /// `server_time_usec`: the server's clock, Unix microseconds (7.0).
    pub clock_microseconds: Option<u64>,
}

/// Which family a server is of.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Redis, or a server that does not say otherwise.
    #[default]
    Redis,
    /// Valkey.
    Valkey,
}

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Redis => "redis",
            Self::Valkey => "valkey",
        })
    }
}

impl ServerInfo {
    /// Whether the version is this one or a later one. A Valkey server has versions of its own: look at the engine, too.
    pub fn is_since(&self, major: u32, minor: u32) -> bool {
        self.is_since_patch(major, minor, 0)
    }

    /// As [`is_since`](Self::is_since), with the third number of the version.
    pub fn is_since_patch(&self, major: u32, minor: u32, patch: u32) -> bool {
        let mut numbers = self.version.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
        let [major_number, minor_number, patch_number] = std::array::from_fn(|_| numbers.next().unwrap_or_default());
        (major_number, minor_number, patch_number) >= (major, minor, patch)
    }

    /// Which process it is, whether it has data, and its replication, but for how far that has come.
    pub(crate) fn essence(&self) -> impl PartialEq {
        let process = (self.process_id, self.loading, self.keys() > 0);
        let links = (self.connected_replicas, self.primary_link_up, self.sync_in_progress);
        let histories =
            (self.replication_id.clone(), self.earlier_replication_id.clone(), self.earlier_replication_end);
        (process, links, histories)
    }

    /// Reads the reply of `INFO`.
    pub fn parse(text: &str) -> Self {
        let mut info = Self::default();
        let mut valkey_version = None;
        for line in text.lines() {
            let Some((name, value)) = line.trim_end().split_once(':') else { continue };
            match name {
                "redis_version" => value.clone_into(&mut info.version),
                // Valkey keeps redis_version at 7.2.4 for old clients and tells its own beside it.
                "valkey_version" => valkey_version = Some(value.to_owned()),
                "cluster_enabled" => info.cluster_enabled = value == "1",
                "availability_zone" => info.zone = Some(value.to_owned()).filter(|zone| !zone.is_empty()),
                "used_memory" => info.used_memory = value.parse().ok(),
                "used_memory_dataset" => info.dataset_memory = value.parse().ok(),
                "maxmemory" => info.max_memory = value.parse().ok(),
                "total_commands_processed" => info.commands_processed = value.parse().ok(),
                "total_net_input_bytes" => info.bytes_in = value.parse().ok(),
                "total_net_output_bytes" => info.bytes_out = value.parse().ok(),
                "connected_clients" => info.clients = value.parse().ok(),
                "instantaneous_ops_per_sec" => info.operations_per_second = value.parse().ok(),
                "connected_slaves" => info.connected_replicas = value.parse().unwrap_or_default(),
                "master_repl_offset" => info.replication_offset = value.parse().ok(),
                "master_replid" => info.replication_id = Some(value.to_owned()),
                "master_replid2" => info.earlier_replication_id = Some(value.to_owned()),
                // -1 where there is none.
                "second_repl_offset" => info.earlier_replication_end = value.parse().ok(),
                "master_link_status" => info.primary_link_up = Some(value == "up"),
                "master_link_down_since_seconds" => info.primary_link_down_seconds = value.parse().ok(),
                "master_sync_in_progress" => info.sync_in_progress = value == "1",
                "master_sync_read_bytes" => info.sync_read_bytes = value.parse().ok(),
                // With two decimals.
                "loading_loaded_perc" => {
                    info.loaded_percent = value.split('.').next().and_then(|percent| percent.parse().ok());
                }
                "process_id" => info.process_id = value.parse().ok(),
                "loading" => info.loading = value == "1",
                "server_time_usec" => info.clock_microseconds = value.parse().ok(),
                "uptime_in_seconds" => info.uptime_seconds = value.parse().ok(),
                _ => info.databases.extend(parse_database(name, value)),
            }
        }
        // Where a server's overhead exceeds what it uses, the difference that it tells runs over (Redis 7.0).
        info.dataset_memory = info.dataset_memory.filter(|bytes| info.used_memory.is_none_or(|used| *bytes <= used));
        if let Some(version) = valkey_version {
            (info.engine, info.version) = (Engine::Valkey, version);
        }
        info
    }

    /// Whether it is a replica: `master_link_status` is told by those alone.
    pub const fn is_replica(&self) -> bool {
        self.primary_link_up.is_some()
    }

    /// Keys in all databases.
    pub fn keys(&self) -> u64 {
        self.databases.values().fold(0, |sum, keys| sum.saturating_add(*keys))
    }
}

/// A line such as `db0:keys=12,expires=0,avg_ttl=0`.
fn parse_database(name: &str, value: &str) -> Option<(u32, u64)> {
    let number = name.strip_prefix("db")?.parse().ok()?;
    let keys = value.split(',').find_map(|field| field.strip_prefix("keys="))?.parse().ok()?;
    Some((number, keys))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn valkey_is_told_from_redis_by_its_own_version() {
        let redis = ServerInfo::parse("redis_version:7.0.15\r\ncluster_enabled:1\r\n");
        assert_eq!((redis.engine, redis.version.as_str(), redis.cluster_enabled), (Engine::Redis, "7.0.15", true));
        let valkey = ServerInfo::parse("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n");
        assert_eq!((valkey.engine, valkey.version.as_str()), (Engine::Valkey, "9.1.2"));
    }

    #[test]
    fn keys_of_all_databases_count() {
        let info = ServerInfo::parse("# Keyspace\r\ndb0:keys=12,expires=0,avg_ttl=0\r\ndb3:keys=1,expires=1\r\n");
        assert_eq!(info.databases, [(0, 12), (3, 1)].into());
        assert_eq!(info.keys(), 13);
    }

    #[test]
    fn a_difference_that_ran_over_is_no_amount_of_memory() {
        let told = |dataset: &str| ServerInfo::parse(&format!("used_memory:1000\r\nused_memory_dataset:{dataset}\r\n"));
        assert_eq!(told("18446744073709433200").dataset_memory, None);
        assert_eq!(told("400").dataset_memory, Some(400));
    }

    proptest! {
        #[test]
        fn no_reply_makes_the_parser_panic(text in "([a-z_0-9]{0,20}:?[^\n]{0,20}\n){0,9}") {
            let _ = ServerInfo::parse(&text);
        }
    }
}
