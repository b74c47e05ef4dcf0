//! The commands that operations send, as data.

use std::net::IpAddr;
use topology::{
    ClusterView, NodeId, Slot, SlotSet,
    findings::count,
    membership::{MembershipRefusal, owns_nothing},
};

/// A command to one server. What could destroy data takes a proof that there is none.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// `PING`
    Ping,
    /// `INFO`, the default sections.
    Info,
    /// `CLUSTER INFO`
    ClusterInfo,
    /// `CLUSTER NODES`
    ClusterNodes,
    /// `CLUSTER COUNTKEYSINSLOT`: of the selected database.
    CountKeysInSlot(Slot),
    /// `DBSIZE`: of the selected database.
    DatabaseSize,
    /// `SELECT`; a batch that selects must end with `Select(0)`, since links are shared.
    Select(u32),
    /// `MULTI`; the batch must hold the [`Command::Exec`] that ends it.
    Multi,
    /// `EXEC`
    Exec,
    /// `CLUSTER SET-CONFIG-EPOCH`: accepted only while the node knows no other and has epoch 0.
    SetConfigEpoch(u64),
    /// `CLUSTER ADDSLOTSRANGE`, since 7.0: refused as a whole when one of the slots is known to be served.
    AddSlots(SlotSet),
    /// `CLUSTER MEET ip port busport`
    Meet {
        /// Where the other node is; never a name.
        ip: IpAddr,
        /// Its client port.
        port: u16,
        /// Its cluster bus port.
        bus_port: u16,
    },
    /// `CLUSTER REPLICATE`: follow this primary. Refused by a primary that owns slots or holds keys.
    Replicate(NodeId),
    /// `CLUSTER FLUSHSLOTS`: give up all slots, on a node without keys.
    GiveUpSlots(NothingToLose),
    /// `CLUSTER FORGET`: for 60 s the node is not taken back when others tell of it.
    Forget(OwnsNothing),
    /// `CLUSTER RESET HARD`: forget the cluster and become as new, on a node without slots and keys.
    ResetHard(NothingToLose),
}

/// Proof that a node holds no keys in any database: without it nothing that could destroy data can be sent.
///
/// The proof is as fresh as the `INFO` it was made from: make it just before use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NothingToLose(());

/// Why there is no [`NothingToLose`] for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it holds {} in database {database}", count(*keys, "key"))]
pub struct NotEmpty {
    /// A database that holds keys.
    pub database: u32,
    /// How many keys it holds.
    pub keys: u64,
}

impl NothingToLose {
    /// The proof, from the server's own `INFO`.
    ///
    /// # Errors
    /// Names the first database that holds keys.
    pub fn by(info: &topology::ServerInfo) -> Result<Self, NotEmpty> {
        match info.databases.iter().find(|(_, keys)| **keys > 0) {
            Some((&database, &keys)) => Err(NotEmpty { database, keys }),
            None => Ok(Self(())),
        }
    }
}

/// Proof that a node owns no slot and that no live replica references it, by the word of a majority of primaries.
///
/// The proof is as fresh as the view it was made from: make it just before use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnsNothing(NodeId);

impl OwnsNothing {
    /// The proof, from a fresh look at the cluster.
    ///
    /// # Errors
    /// Says what the node still owns, or why that is not sure.
    pub fn by(view: &ClusterView, id: NodeId) -> Result<Self, MembershipRefusal> {
        owns_nothing(view, id).map(|()| Self(id))
    }

    /// The node.
    pub const fn id(&self) -> NodeId {
        self.0
    }
}
