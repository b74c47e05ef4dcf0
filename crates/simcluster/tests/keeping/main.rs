//! The loop that keeps a cluster in its shape, on simulated servers and a simulated platform.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what helps tests fails as they do")]

mod course;
mod planned;
mod unplanned;
