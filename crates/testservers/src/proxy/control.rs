//! What the owner of a proxy and its thread share.

use super::Direction;
use rustix::{
    event::{EventfdFlags, eventfd},
    fd::OwnedFd,
};
use std::{
    io,
    sync::{
        atomic::AtomicU64,
        mpsc::{Sender, channel},
    },
    time::Duration,
};

#[derive(Debug)]
pub(super) enum Control {
    Delay {
        to_server: Duration,
        to_client: Duration,
    },
    Cut,
    CutAfterBytes(Direction, u64),
    CutAfterCommands(u64),
    FlipBehind(Vec<u8>),
    Refuse(bool),
    Freeze(bool),
    /// Nothing, once what was being done is done and counted.
    Settle,
    Stop,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) bytes_to_server: AtomicU64,
    pub(super) bytes_to_client: AtomicU64,
    pub(super) commands: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) open: AtomicU64,
    pub(super) cuts: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) counts: Counts,
    /// Readable when there are controls.
    pub(super) wake: OwnedFd,
}

impl Shared {
    pub(super) fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { counts: Counts::default(), wake })
    }
}

/// Returns when it is done; at once where the thread has ended.
pub(super) fn send(controls: &Sender<(Control, Sender<()>)>, shared: &Shared, control: Control) {
    let (done, is_done) = channel();
    if controls.send((control, done)).is_ok() && rustix::io::write(&shared.wake, &1_u64.to_ne_bytes()).is_ok() {
        // An error is a thread that has ended instead.
        let _ = is_done.recv();
    }
}
