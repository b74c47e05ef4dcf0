//! How long servers may be busy with what they were sent. A server does one thing after the other: whatever it is sent meanwhile, on
//! this connection or on another, waits.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
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

/// What a server is busy with, as a time, beyond that in which it answers otherwise.
#[derive(Default)]
pub(crate) struct Busy(Mutex<Duration>);

impl Busy {
    /// How long it may be until the server is free.
    pub(crate) fn time(&self) -> Duration {
        *lock(&self.0)
    }

    /// Gives it more to do, until what is returned is dropped.
    pub(crate) fn with(&self, more: Duration) -> impl Drop {
        *lock(&self.0) += more;
        Task { of: self, takes: more }
    }
}

struct Task<'a> {
    of: &'a Busy,
    takes: Duration,
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        *lock(&self.of.0) -= self.takes;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
