//! A cluster as processes of this machine.
//!
//! A cluster is a directory. In it a supervisor process keeps one agent for each member, and each agent keeps one server.
//! Record locks tell which process works where, so that a command never signals a process which it did not mean: not
//! after a crash, and not after a reboot has given the number to somebody else.

pub mod chaos;
mod checks;
mod cluster;
mod engine;
mod error;
mod fleet;
mod hold;
mod home;
mod keeping;
mod member;
mod partition;
mod ready;
mod settings;
mod supervise;
mod updating;

pub use checks::ports_of;
pub use cluster::{Cluster, CommandLock};
pub use engine::Engine;
pub use error::{LocalError, PortOf};
pub use fleet::LocalFleet;
pub use home::{Home, data_directory};
pub use member::{MemberState, MemberStatus, address};
pub use partition::CutOff;
pub use ready::{Ready, wait_until_ready};
pub use settings::Settings;
pub use supervise::supervise;
