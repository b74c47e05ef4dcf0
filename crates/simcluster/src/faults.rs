//! What goes wrong at the ports.

use std::ops::RangeInclusive;

/// How often something goes wrong: parts of 1. Nothing does by default.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// A dial is refused.
    pub dial_fails: f64,
    /// A dial hangs until it times out.
    pub dial_hangs: f64,
    /// The connection breaks before the server has carried anything out.
    pub send_fails: f64,
    /// The connection breaks after the server has carried everything out.
    pub answer_lost: f64,
    /// Milliseconds that a round trip takes.
    pub delay: RangeInclusive<u64>,
    /// A migration by the servers fails on its way.
    pub migration_fails: f64,
}

impl Default for Faults {
    fn default() -> Self {
        Self { dial_fails: 0.0, dial_hangs: 0.0, send_fails: 0.0, answer_lost: 0.0, delay: 1..=1, migration_fails: 0.0 }
    }
}
