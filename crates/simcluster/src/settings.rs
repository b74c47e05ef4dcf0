//! The configuration of a server.

use std::collections::BTreeMap;

/// What a server knows of settings, with what it comes with. Those that the model obeys: see [`Settings::take`].
const DEFAULTS: [(&str, &str); 15] = [
    ("appendonly", "yes"),
    ("availability-zone", ""),
    ("cluster-allow-replica-migration", "yes"),
    ("cluster-databases", "1"),
    ("cluster-manual-failover-timeout", "5000"),
    ("cluster-migration-barrier", "1"),
    ("cluster-node-timeout", "5000"),
    ("cluster-replica-no-failover", "no"),
    ("cluster-replica-validity-factor", "10"),
    ("cluster-require-full-coverage", "yes"),
    ("maxmemory", "0"),
    ("proto-max-bulk-len", "536870912"),
    ("repl-diskless-sync-delay", "5"),
    ("repl-timeout", "60"),
    ("save", ""),
];

/// The configuration of a server: what is set now, and what its file has.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    now: BTreeMap<String, String>,
    file: BTreeMap<String, String>,
    pub(crate) node_timeout: u64,
    pub(crate) replica_migration: bool,
    pub(crate) full_coverage: bool,
    pub(crate) no_failover: bool,
    /// Milliseconds.
    pub(crate) copy_delay: u64,
}

impl Settings {
    pub(crate) fn new(others: &BTreeMap<String, String>) -> Self {
        let mut now: BTreeMap<String, String> =
            DEFAULTS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        now.extend(others.clone());
        let mut settings = Self {
            file: now.clone(),
            now,
            node_timeout: 0,
            replica_migration: true,
            full_coverage: true,
            no_failover: false,
            copy_delay: 0,
        };
        settings.take();
        settings
    }

    /// Obeys what is set.
    fn take(&mut self) {
        let number = |name: &str, usual: u64| self.get(name).and_then(|value| value.parse().ok()).unwrap_or(usual);
        let is_on = |name: &str| self.get(name) == Some("yes");
        let (node_timeout, copy_delay) =
            (number("cluster-node-timeout", 5000).max(1), number("repl-diskless-sync-delay", 5) * 1000);
        let (replica_migration, full_coverage) =
            (is_on("cluster-allow-replica-migration"), is_on("cluster-require-full-coverage"));
        let no_failover = is_on("cluster-replica-no-failover");
        (self.node_timeout, self.copy_delay) = (node_timeout, copy_delay);
        (self.replica_migration, self.full_coverage, self.no_failover) =
            (replica_migration, full_coverage, no_failover);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.now.get(name).map(String::as_str)
    }

    /// Gives whether there is such a setting.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> bool {
        let Some(now) = self.now.get_mut(name) else { return false };
        value.clone_into(now);
        self.take();
        true
    }

    pub(crate) fn rewrite(&mut self) {
        self.file.clone_from(&self.now);
    }

    /// What a server has that starts again.
    pub(crate) fn reread(&mut self) {
        self.now.clone_from(&self.file);
        self.take();
    }
}
