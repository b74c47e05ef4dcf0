//! A client that keeps reading, and takes note of keys that are not there.

use crate::cluster::Cluster;
use redis::{Commands, cluster::ClusterConnection};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

/// Looks for keys that are always there, from a thread of its own and one after the other, until it is stopped or dropped: with a stock
/// client, which follows MOVED and ASK. After an error it goes on.
#[derive(Debug)]
pub struct Reader {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Readings>>,
}

/// What a [`Reader`] has seen.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// How often a key was there.
    pub found: u64,
    /// The keys that were not there at least once.
    pub missed: BTreeSet<Vec<u8>>,
}

impl Reader {
    /// Begins to look for these keys of database 0. Panics where the cluster cannot be entered.
    #[track_caller]
    pub fn start(cluster: &Cluster, keys: Vec<Vec<u8>>) -> Self {
        let client = cluster.enter_in_time();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (cluster, stop) = (cluster.clone(), Arc::clone(&stop));
            thread::spawn(move || read(&cluster, &keys, client, &stop))
        };
        Self { stop, thread: Some(thread) }
    }

    /// Ends it, and says what it has seen.
    #[track_caller]
    pub fn stop(mut self) -> Readings {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(readings)) => readings,
            _ => panic!("the reader's thread panicked"),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn read(cluster: &Cluster, keys: &[Vec<u8>], client: ClusterConnection, stop: &AtomicBool) -> Readings {
    let mut client = Some(client);
    let mut readings = Readings::default();
    for key in keys.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let Some(connection) = cluster.reenter(&mut client, stop) else { break };
        match connection.exists::<_, bool>(key) {
            Ok(true) => readings.found += 1,
            Ok(false) => {
                readings.missed.insert(key.clone());
            }
            Err(_) => client = None,
        }
    }
    readings
}
