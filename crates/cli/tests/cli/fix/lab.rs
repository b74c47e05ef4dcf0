//! A cluster with data, to be spoilt slot by slot.

use crate::support::{addresses, command, eventually, run_with_input, tribune};
use std::collections::BTreeMap;
use testservers::{Builder, Cluster, Dataset, Engine, Options, Server, Servers};

/// Three primaries with data. Node 0 owns the slots that are spoilt; each is used once.
pub(super) struct Lab {
    pub(super) servers: Servers,
    pub(super) data: Dataset,
    engine: Engine,
    /// Slots of node 0 with their keys.
    slots: BTreeMap<u16, Vec<String>>,
}

impl Lab {
    pub(super) fn new(engine: &Engine) -> Self {
        Self::with(engine, |builder| builder)
    }

    pub(super) fn with(engine: &Engine, configure: impl Fn(Builder) -> Builder) -> Self {
        let servers = Servers::start_with(engine, 3, |builder, _| configure(builder));
        tribune(&format!("create --yes {}", addresses(&servers))).succeeded();
        // Of fewer keys no two share a slot.
        let data = Dataset::generate(7, &Options::small(4500));
        data.write(&Cluster::of(&servers));
        let mut slots: BTreeMap<u16, Vec<String>> = BTreeMap::new();
        for (_, key) in data.keys() {
            slots.entry(slot_of(key)).or_default().push(String::from_utf8(key.to_vec()).unwrap());
        }
        slots.retain(|slot, _| *slot <= 5460);
        Self { servers, data, engine: engine.clone(), slots }
    }

    /// A slot of node 0 that was not used yet, with so many keys or more; with none for 0.
    pub(super) fn slot(&mut self, keys: usize) -> (u16, Vec<String>) {
        if keys == 0 {
            let empty = (0..5460).find(|slot| !self.slots.contains_key(slot)).unwrap();
            self.slots.insert(empty, Vec::new());
            return (empty, Vec::new());
        }
        let slot = *self.slots.iter().find(|(_, held)| held.len() >= keys).unwrap().0;
        let held = std::mem::take(self.slots.get_mut(&slot).unwrap());
        (slot, held)
    }

    pub(super) fn entry(&self) -> String {
        self.servers[0].address()
    }

    pub(super) fn id(&self, node: usize) -> String {
        self.servers[node].call_ok(&["CLUSTER", "MYID"])
    }

    pub(super) fn migrating(&self, node: usize, slot: u16, to: usize) {
        let id = self.id(to);
        self.servers[node].call_ok(&["CLUSTER", "SETSLOT", &slot.to_string(), "MIGRATING", &id]);
    }

    pub(super) fn importing(&self, node: usize, slot: u16, from: usize) {
        let id = self.id(from);
        self.servers[node].call_ok(&["CLUSTER", "SETSLOT", &slot.to_string(), "IMPORTING", &id]);
    }

    pub(super) fn stable(&self, node: usize, slot: u16) {
        self.servers[node].call_ok(&["CLUSTER", "SETSLOT", &slot.to_string(), "STABLE"]);
    }

    /// All nodes forget whose slot it is.
    pub(super) fn nobodys(&self, slot: u16) {
        for server in &self.servers {
            server.call_ok(&["CLUSTER", "DELSLOTS", &slot.to_string()]);
        }
    }

    /// Sends a key from one node to another on which the slot is importing.
    pub(super) fn send(&self, key: &str, from: usize, to: usize) {
        let port = self.servers[to].port().to_string();
        self.servers[from].call_ok(&["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS", key]);
    }

    /// Copies a key to a node that does not own it, where it stays without a mark.
    pub(super) fn stray(&self, slot: u16, key: &str, to: usize) {
        self.importing(to, slot, 0);
        let port = self.servers[to].port().to_string();
        self.servers[0].call_ok(&["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "COPY", "KEYS", key]);
        self.stable(to, slot);
    }

    /// Writes another value to a node on which the slot is importing.
    pub(super) fn write_stale(&self, key: &str, node: usize) {
        let port = self.servers[node].port().to_string();
        let words = format!("ASKING\nSET {key} stale\n");
        let told = run_with_input(command(&self.engine.cli).args(["-p", &port]), &words).succeeded();
        assert_eq!(told.out.matches("OK").count(), 2, "{told:#?}");
    }

    /// The nodes that own a slot by their own word.
    pub(super) fn owners(&self, slot: u16) -> Vec<usize> {
        let owns = |server: &Server| {
            let nodes = server.call_ok(&["CLUSTER", "NODES"]);
            let line = nodes.lines().find(|line| line.contains("myself")).unwrap().to_owned();
            line.split(' ').skip(8).filter(|word| !word.starts_with('[')).any(|word| {
                let (first, last) = word.split_once('-').unwrap_or((word, word));
                (first.parse().unwrap()..=last.parse().unwrap()).contains(&slot)
            })
        };
        (0..self.servers.len()).filter(|node| owns(&self.servers[*node])).collect()
    }

    /// Whether every node serves all slots.
    pub(super) fn serves(&self) -> bool {
        self.servers.iter().all(|server| {
            let info = server.call_ok(&["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384")
        })
    }

    /// Asserts without the program that all nodes serve and no slot is open.
    #[track_caller]
    pub(super) fn assert_closed(&self, what: &str) {
        eventually(&format!("{what}: every node serves all slots"), || self.serves());
        for server in &self.servers {
            let nodes = server.call_ok(&["CLUSTER", "NODES"]);
            assert!(!nodes.contains('['), "{what}: {nodes}");
        }
    }

    /// The same, and that every key is where it belongs as it was.
    #[track_caller]
    pub(super) fn assert_mended(&self, what: &str) {
        self.assert_closed(what);
        self.data.assert_same(&Cluster::of(&self.servers));
    }
}

/// CRC-16/XMODEM, as the servers count it; the keys here have no braces.
pub(super) fn slot_of(key: &[u8]) -> u16 {
    let mut crc = 0_u16;
    for byte in key {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        }
    }
    crc % 16384
}
