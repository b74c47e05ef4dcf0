//! Reads clusters and runs plans through ports; knows no client library and no platform.

pub mod backup;
pub mod control;
pub mod everywhere;
mod exchange;
pub mod functions;
pub mod importing;
pub mod moving;
pub mod observe;
pub mod port;
mod redial;
pub mod repair;
pub mod run;
pub mod server_migrations;
pub mod stray;
pub mod watch;
pub mod weigh;
