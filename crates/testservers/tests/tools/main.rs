//! What tests and benches put between themselves and servers, write to clusters, and measure.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "what helps tests fails as they do")]

mod dataset;
mod latency;
mod proxy;
mod support;
mod writer;
