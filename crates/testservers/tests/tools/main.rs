//! What tests and benches put between themselves and servers, write to clusters, and measure.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what helps tests fails as they do")]

mod latency;
mod proxy;
mod support;
