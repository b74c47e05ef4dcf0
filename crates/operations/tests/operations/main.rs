//! Looking at clusters and running plans, over links that are played.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what helps tests fails as they do")]

mod looking;
mod played;
mod running;
