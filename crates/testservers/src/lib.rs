//! Development only: real servers of several engines and versions, for tests and benches.
//!
//! Everything listens on loopback, in directories that go away, and ends with the test process however that ends.
//! What cannot be done makes the test fail by panicking.
#![expect(clippy::panic, clippy::missing_panics_doc, reason = "development only: tests fail by panicking")]

mod builder;
mod call;
mod certificates;
mod client;
mod cluster;
mod dataset;
mod engine;
mod fill;
mod latencies;
mod latency;
mod ports;
mod process;
mod proxies;
mod proxy;
mod reader;
mod server;
mod servers;
mod skipped;
mod stock_client;
mod transfer;
mod wait;
mod writer;

pub use builder::Builder;
pub use certificates::{CertificateFiles, Certificates};
pub use client::Client;
pub use cluster::Cluster;
pub use dataset::{Dataset, Difference, Kind, Options, What};
pub use engine::{ENGINES, Engine, any_engine, each_engine, engine, engines};
pub use latencies::Latencies;
pub use latency::Latency;
pub use ports::{Ports, agent_ports, free_ports};
pub use process::Process;
pub use proxies::Proxies;
pub use proxy::{Direction, Proxy};
pub use reader::{Reader, Readings};
pub use server::Server;
pub use servers::Servers;
pub use stock_client::StockClient;
pub use transfer::Share;
pub use wait::{comes_true, wait_until};
pub use writer::{Ledger, Loss, Writer, WriterOptions};
