//! How long a server's answers take while something else goes on.

use crate::{
    cluster::Cluster,
    latencies::Latencies,
    wait::{be_punctual, comes_true, pause_until},
};
use redis::{Connection, RedisResult, cmd};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// PINGs one server at a fixed rate, over a connection and from a thread of its own, until it is stopped or dropped.
///
/// A PING that could not be sent on time, because the one before it was not yet answered, is measured from when it was
/// due: a stall counts for everything that would have been asked meanwhile.
#[derive(Debug)]
pub struct Latency {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Latencies>>,
}

impl Latency {
    /// Begins to PING `address`, a node of `cluster`, once in each `interval`. Panics where it cannot be reached.
    #[track_caller]
    pub fn start(cluster: &Cluster, address: &str, interval: Duration) -> Self {
        let connection = cluster.connect(address, 0, TIMEOUT);
        let connection = connection.unwrap_or_else(|error| panic!("{address} cannot be reached: {error}"));
        let stop = Arc::new(AtomicBool::new(false));
        let probe = Probe { cluster: cluster.clone(), address: address.to_owned(), stop: Arc::clone(&stop) };
        Self { stop, thread: Some(thread::spawn(move || probe.run(connection, interval))) }
    }

    /// Ends it, and says what it has measured.
    #[track_caller]
    pub fn stop(mut self) -> Latencies {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(latencies)) => latencies,
            _ => panic!("the probe's thread panicked"),
        }
    }
}

impl Drop for Latency {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Probe {
    cluster: Cluster,
    address: String,
    stop: Arc<AtomicBool>,
}

impl Probe {
    fn run(self, mut connection: Connection, interval: Duration) -> Latencies {
        be_punctual();
        let mut latencies = Vec::new();
        let mut due = Instant::now();
        while !self.is_stopped() {
            let is_late = due < Instant::now();
            pause_until(due);
            let begin = if is_late { due } else { Instant::now() };
            if !self.ping(&mut connection) {
                break;
            }
            latencies.push(begin.elapsed());
            due += interval;
        }
        latencies.into()
    }

    /// Until there is an answer, over another connection where the first has gone; whether there was one before the end.
    fn ping(&self, connection: &mut Connection) -> bool {
        let mut is_connected = true;
        let answered = |connection: &mut Connection| -> RedisResult<String> { cmd("PING").query(connection) };
        comes_true(Duration::MAX / 4, || {
            if !is_connected && let Ok(other) = self.cluster.connect(&self.address, 0, TIMEOUT) {
                *connection = other;
            }
            is_connected = answered(connection).is_ok();
            is_connected || self.is_stopped()
        });
        is_connected
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
