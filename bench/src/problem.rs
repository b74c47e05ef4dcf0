//! What can keep a bench from having results.

use std::{io, path::PathBuf, time::Duration};

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// The program under test has not been built.
    #[error("there is no program {}: cargo build --release -p cli, or --tribune PATH", .0.display())]
    NoProgram(PathBuf),
    /// The cache does not hold the engine.
    #[error("engine {0} is not in the cache: make engines")]
    NoEngine(String),
    /// A command did not do what it was to do.
    #[error("{command} ended with {status}; the last it said: {last_words}")]
    Failed {
        /// What was run.
        command: String,
        /// How it ended.
        status: String,
        /// The end of its output.
        last_words: String,
    },
    /// A command was killed because it took too long.
    #[error("{command} had not ended after {} s", limit.as_secs())]
    TooLong {
        /// What was run.
        command: String,
        /// How long it had.
        limit: Duration,
    },
    /// Something that a bench needs is not there.
    #[error("there is no {0}")]
    Absent(String),
    /// There are no rounds to take a median of.
    #[error("no round was measured")]
    NoRounds,
    /// This machine refuses something.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// The refusal.
        source: io::Error,
    },
}
