//! What the agent is asked to do, by signals.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the agent is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Stop the server, then end.
    Stop(Stop),
    /// Start the server now if it is not running, and forget how often it ended; lose its data first where that was ordered. SIGHUP.
    StartNow,
}

/// Who stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// This member alone: another one takes over what it serves. SIGTERM.
    Member,
    /// All members of the cluster, so there is nobody to take over. SIGINT, which Ctrl-C sends to all processes of a terminal, too.
    WholeCluster,
}

/// Hears signals from when it was made.
pub(crate) struct Wishes {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Wishes {
    /// From now on these signals do not end the process.
    pub(crate) fn hear() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The next wish. Dropping the future loses none.
    pub(crate) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop(Stop::Member),
            _ = self.interrupt.recv() => Wish::Stop(Stop::WholeCluster),
            _ = self.hang_up.recv() => Wish::StartNow,
        }
    }

    /// Waits for the next wish to stop; others are let go.
    pub(crate) async fn stop(&mut self) -> Stop {
        loop {
            if let Wish::Stop(stop) = self.next().await {
                return stop;
            }
        }
    }
}
