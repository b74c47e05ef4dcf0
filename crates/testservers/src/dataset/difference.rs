//! What is not as it was written.

use super::Expiry;
use std::fmt;

/// One key that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The database.
    pub database: u32,
    /// The key.
    pub key: Vec<u8>,
    /// What is different.
    pub what: What,
}

/// What is different about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The owner of its slot does not have it.
    Missing,
    /// Nobody who answers owns its slot.
    Unowned,
    /// It is of another type, as the command TYPE calls it.
    Type {
        /// What was written.
        expected: String,
        /// What is there.
        found: String,
    },
    /// It has another value; both in short.
    Value {
        /// What was written.
        expected: String,
        /// What is there.
        found: String,
    },
    /// It goes at another time, in milliseconds since 1970, or one of both never.
    Expiry {
        /// What was written.
        expected: Option<Expiry>,
        /// What is there.
        found: Option<Expiry>,
    },
    /// This node has it and nobody wrote it.
    Extra(String),
    /// This node has it and does not own its slot.
    Stray(String),
    /// This node counts more keys in this database (DBSIZE) than it shows (SCAN): Redis, seen with 8.6, does not show keys
    /// in slots that it does not own. The key is empty.
    Hidden {
        /// The node.
        node: String,
        /// How many it does not show.
        keys: usize,
    },
    /// This node could not be asked about it, with the error.
    Unreadable(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.get(..100).unwrap_or(&self.key).escape_ascii();
        write!(f, "database {} key \"{key}\": ", self.database)?;
        match &self.what {
            What::Missing => write!(f, "missing"),
            What::Unowned => write!(f, "nobody who answers owns its slot"),
            What::Type { expected, found } => write!(f, "is a {found}, not a {expected}"),
            What::Value { expected, found } => write!(f, "is {found}, not {expected}"),
            What::Expiry { expected, found } => write!(f, "goes at {found:?}, not at {expected:?}"),
            What::Extra(node) => write!(f, "nobody wrote what {node} has"),
            What::Stray(node) => write!(f, "{node} has it and does not own its slot"),
            What::Hidden { node, keys } => write!(f, "{node} has {keys} keys in all that it does not show"),
            What::Unreadable(error) => write!(f, "cannot be read: {error}"),
        }
    }
}
