//! What a cluster is: slots, nodes, views, findings and plans.
//!
//! Everything here is pure: no clock, no randomness, no input or output. Text and replies of servers go in, decisions
//! come out, so that each decision can be tested without a server.

mod address;
pub mod backup;
mod basis;
pub mod changed;
pub mod choose_slots;
mod cluster_info;
mod cluster_view;
pub mod control;
mod copies;
pub mod create;
mod draft;
pub mod failover;
pub mod findings;
mod fleet;
pub mod importing;
pub mod load;
pub mod membership;
mod node_entry;
mod node_id;
mod node_view;
pub mod open_moves;
pub mod placement;
pub mod plan;
pub mod rebalance;
pub mod remaining;
pub mod repair;
pub mod replicated;
mod reply;
pub mod report;
pub mod repurpose;
pub mod reshard;
pub mod scale;
mod server_info;
mod server_migration;
pub mod settings;
mod shard_entry;
mod slot;
mod slot_set;
pub mod slot_stats;
mod stages;
pub mod survival;

pub use address::{Host, NodeAddr, NotAnAddress, behind_userinfo};
pub use basis::{NotAPrimary, NotYet};
pub use cluster_info::ClusterInfo;
pub use cluster_view::{ClusterView, Member, ObservedNode, Shard, Silence};
pub use fleet::{Data, FleetMember, Process, Update};
pub use node_entry::{Endpoint, Flag, Flags, NodeEntry, NodeFacts, NotANodeEntry};
pub use node_id::{NodeId, NotANodeId};
pub use node_view::{NodeView, NotAView, SlotMap};
pub use reply::Reply;
pub use server_info::{Engine, ServerInfo};
pub use server_migration::ServerMigration;
pub use shard_entry::{Health, NotShards, ShardEntry, ShardNode};
pub use slot::{NotASlot, Slot};
pub use slot_set::{NotSlots, SlotSet};
