//! The ports: what operations need of the world, for real servers and simulated ones alike.

mod command;
mod error;
mod fencing;
mod fleet;
mod reading;
mod replication;

pub use command::{
    Arrived, Command, Dispensable, Expiry, Failover, Gone, Key, Migration, NotEmpty, NothingToLose, OnlyACopy,
    OwnsNothing, Rehearsal, Restoration, SlotState, Superseded, ValueType,
};
pub use error::{NodeError, TlsTrouble, Trouble};
pub use fencing::{Fenced, Hold, NotFenced, Unopposed};
pub use fleet::{Fleet, FleetError, MayGo, MayRestart, StillNeeded};
pub use reading::Reading;
pub use replication::{Replicated, ReplicationDialer, ReplicationLink, ReplicationOptions};

use futures_util::future::BoxFuture;
use std::{net::IpAddr, sync::Arc};
use topology::{NodeAddr, Reply};

/// A connection to one server, already authenticated. It may be used by many tasks at once.
pub trait NodeLink: Send + Sync {
    /// The address that was dialled.
    fn address(&self) -> &NodeAddr;

    /// The IP address that the host resolved to: `CLUSTER MEET` takes no names.
    fn ip(&self) -> IpAddr;

    /// Sends these commands in one write, nothing of others between them, and waits for all replies.
    ///
    /// There is one reply for each command, in order; a command that the server refuses has a [`Reply::Error`] and does
    /// not keep the others from being carried out.
    ///
    /// # Errors
    /// When the connection broke, or the server was silent for the read timeout and what [`Command::take`] adds to it, for these commands
    /// and for those that it was sent before and has not answered yet. Which of the commands the server has carried out is then unknown.
    fn send(&self, commands: Vec<Command>) -> BoxFuture<'_, Result<Vec<Reply>, NodeError>>;
}

/// Opens links.
pub trait Dialer: Send + Sync {
    /// Connects within the connect timeout, and authenticates within the read timeout after that.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses the credentials. Without credentials nothing is sent yet: what the server
    /// speaks shows with the first commands.
    fn dial<'a>(&'a self, address: &'a NodeAddr) -> BoxFuture<'a, Result<Arc<dyn NodeLink>, NodeError>>;

    /// The same, for links that come from this address of the machine; none where that makes no difference.
    fn coming_from(&self, _source: IpAddr) -> Option<Arc<dyn Dialer>> {
        None
    }
}
