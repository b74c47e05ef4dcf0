//! The loop that keeps a cluster in its shape, on simulated servers and a simulated platform.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "what helps tests fails as they do"
)]

mod course;
mod field;
mod losses;
mod matrix;
mod planned;
mod rolling;
mod seeds;
mod shrinking;
mod takeovers;
mod unplanned;
