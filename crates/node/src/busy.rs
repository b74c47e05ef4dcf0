//! How long servers may be busy. A server does one thing after the other: whatever it is sent meanwhile, on this connection or on
//! another, waits.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};
use topology::NodeAddr;

/// What each server is busy with.
#[derive(Default)]
pub(crate) struct Servers(Mutex<BTreeMap<NodeAddr, Arc<Busy>>>);

impl Servers {
    /// What this one is busy with.
    pub(crate) fn at(&self, address: &NodeAddr) -> Arc<Busy> {
        Arc::clone(lock(&self.0).entry(address.clone()).or_default())
    }
}

/// What a server is busy with.
#[derive(Default)]
pub(crate) struct Busy(Mutex<Work>);

/// What a server was sent and has not answered.
#[derive(Default)]
struct Work {
    /// How long each batch may take, beyond the time in which the server answers otherwise.
    takes: Vec<Duration>,
    /// When it answered last, or, if that is later, began with the first of them.
    since: Option<Instant>,
}

impl Busy {
    /// How long the server may take for the longest that it was sent.
    pub(crate) fn longest(&self) -> Duration {
        lock(&self.0).longest()
    }

    /// Waits for an answer. The server may be silent on all connections for `patience` and the longest that it was sent; on this one,
    /// also if it answers others, for `patience` and all that it was sent until now.
    ///
    /// # Errors
    /// How long it was waited for.
    pub(crate) async fn answer<T>(
        &self,
        patience: Duration,
        take: Duration,
        exchange: impl Future<Output = T>,
    ) -> Result<T, Duration> {
        let mut exchange = std::pin::pin!(exchange);
        let _task = self.begin(take);
        let most = patience + lock(&self.0).takes.iter().sum::<Duration>();
        let last = Instant::now() + most;
        loop {
            let (silent, deadline) = lock(&self.0).deadline(patience);
            if let Ok(answer) = timeout_at(deadline.min(last), exchange.as_mut()).await {
                lock(&self.0).since = Some(Instant::now());
                return Ok(answer);
            }
            let now = Instant::now();
            if now >= last {
                return Err(most);
            }
            if now >= lock(&self.0).deadline(patience).1 {
                return Err(silent);
            }
        }
    }

    fn begin(&self, take: Duration) -> Task<'_> {
        let mut work = lock(&self.0);
        if work.takes.is_empty() {
            work.since = Some(Instant::now());
        }
        work.takes.push(take);
        Task { of: self, take }
    }
}

impl Work {
    fn longest(&self) -> Duration {
        self.takes.iter().max().copied().unwrap_or_default()
    }

    /// How long the server may be silent, and until when.
    fn deadline(&self, patience: Duration) -> (Duration, Instant) {
        let silent = patience + self.longest();
        (silent, self.since.unwrap_or_else(Instant::now) + silent)
    }
}

/// A batch that a server was sent, until this is dropped.
struct Task<'a> {
    of: &'a Busy,
    take: Duration,
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        let takes = &mut lock(&self.of.0).takes;
        if let Some(at) = takes.iter().position(|take| *take == self.take) {
            takes.swap_remove(at);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
