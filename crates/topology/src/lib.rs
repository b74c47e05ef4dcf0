//! What a cluster is: slots, nodes, views, findings and plans.
//!
//! Everything here is pure: no clock, no randomness, no input or output. Text and replies of servers go in, decisions
//! come out, so that each decision can be tested without a server.

mod address;
mod node_id;
mod reply;
mod server_info;
mod slot;
mod slot_set;

pub use address::{Host, NodeAddr, NotAnAddress};
pub use node_id::{NodeId, NotANodeId};
pub use reply::Reply;
pub use server_info::{Engine, ServerInfo};
pub use slot::{NotASlot, Slot};
pub use slot_set::{NotSlots, SlotSet};
