//! A client that keeps writing, and knows what was acknowledged.

mod ledger;

pub use ledger::{Ledger, Loss};

use crate::{
    cluster::{Cluster, Layout},
    wait::{be_punctual, pause_until},
};
use ledger::Operation;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use redis::{RedisResult, Value, cluster::ClusterConnection, cmd, from_redis_value};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// What a [`Writer`] is to do.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// Decides on the keys and commands.
    pub seed: u64,
    /// What its keys begin with: no two writers to one cluster have the same.
    pub name: String,
    /// How many keys of each type it writes to.
    pub keys: usize,
    /// How many of them get half of all writes.
    pub hot_keys: usize,
    /// The most writes a second; as many as possible without.
    pub per_second: Option<u32>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self { seed: 1, name: "writer".to_owned(), keys: 1000, hot_keys: 5, per_second: None }
    }
}

/// Writes to a cluster from a thread of its own, one command after the other, until it is stopped or dropped: SET, DEL,
/// INCR and RPUSH, as an application does that uses a stock client, which follows MOVED and ASK. Errors are noted, and it
/// goes on.
#[derive(Debug)]
pub struct Writer {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    thread: Option<JoinHandle<Ledger>>,
}

impl Writer {
    /// Begins to write. Panics where the cluster cannot be entered.
    #[track_caller]
    pub fn start(cluster: &Cluster, options: &WriterOptions) -> Self {
        let (client, owners) = (cluster.enter_in_time(), Layout::of(cluster));
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let work = Work {
            cluster: cluster.clone(),
            options: options.clone(),
            random: ChaCha8Rng::seed_from_u64(options.seed),
            stop: Arc::clone(&stop),
            acknowledged: Arc::clone(&acknowledged),
        };
        Self { stop, acknowledged, thread: Some(thread::spawn(move || work.run(client, owners))) }
    }

    /// How many writes have been acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Ends it, and says what has been written.
    #[track_caller]
    pub fn stop(mut self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(ledger)) => ledger,
            _ => panic!("the writer's thread panicked"),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Work {
    cluster: Cluster,
    options: WriterOptions,
    random: ChaCha8Rng,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
}

impl Work {
    fn run(mut self, client: ClusterConnection, owners: Layout) -> Ledger {
        be_punctual();
        let mut client = Some(client);
        let mut ledger = Ledger::new(&self.options, owners);
        let interval = self.options.per_second.map(|rate| Duration::from_secs(1) / rate.max(1));
        let mut due = Instant::now();
        for number in 1.. {
            if self.is_stopped() {
                break;
            }
            if let Some(interval) = interval {
                // What was missed during an outage is not made up for.
                due = due.max(Instant::now());
                pause_until(due);
                due += interval;
            }
            let operation = self.choose(number);
            let begin = Instant::now();
            let Some(connection) = self.cluster.reenter(&mut client, &self.stop) else { break };
            match send(connection, &self.options.name, operation) {
                Ok(reply) => {
                    ledger.acknowledged(operation, reply, begin.elapsed());
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    ledger.failed(operation, &error);
                    client = None;
                }
            }
        }
        ledger.ended();
        ledger
    }

    fn choose(&mut self, number: u64) -> Operation {
        let of_all = self.random.random_range(0..self.options.keys.max(1));
        let is_hot = self.options.hot_keys > 0 && self.random.random();
        let key = if is_hot { of_all % self.options.hot_keys } else { of_all };
        match self.random.random_range(0..10) {
            0..4 => Operation::Set(key, number),
            4 => Operation::Delete(key),
            5..8 => Operation::Increment(key),
            _ => Operation::Push(key, number),
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// The reply's number: the counter's value, or how many elements or keys.
fn send(client: &mut ClusterConnection, name: &str, operation: Operation) -> RedisResult<u64> {
    let key = operation.key(name);
    let command = match operation {
        Operation::Set(_, value) => cmd("SET").arg(key).arg(value).take(),
        Operation::Delete(_) => cmd("DEL").arg(key).take(),
        Operation::Increment(_) => cmd("INCR").arg(key).take(),
        Operation::Push(_, value) => cmd("RPUSH").arg(key).arg(value).take(),
    };
    match command.query(client)? {
        Value::Okay => Ok(0),
        reply => Ok(from_redis_value(reply)?),
    }
}
