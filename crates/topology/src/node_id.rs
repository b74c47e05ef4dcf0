//! The name a server gives itself in its cluster.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{borrow::Cow, fmt, str::FromStr};

/// A node's id: 160 random bits, written as 40 hexadecimal digits. Numbers, the last of 32 bits, are compared faster than bytes, and in the same order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u64, u64, u64);

/// Text that is not 40 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a node id: 40 hexadecimal digits")]
pub struct NotANodeId(pub String);

impl NodeId {
    /// The id with these bytes.
    pub fn from_bytes(bytes: [u8; 20]) -> Self {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let (first, rest) = bytes.split_at(8);
        let (second, last) = rest.split_at(8);
        Self(number(first), number(second), number(last))
    }

    /// The first 8 digits, as people see ids.
    pub fn short(&self) -> String {
        format!("{:08x}", self.0 >> 32)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}{:08x}", self.0, self.1, self.2)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl FromStr for NodeId {
    type Err = NotANodeId;

    fn from_str(text: &str) -> Result<Self, NotANodeId> {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let parse = || {
            let mut bytes = [0; 20];
            for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
                let &[high, low] = pair else { return None };
                *byte = digit(high)? << 4 | digit(low)?;
            }
            (text.len() == 40).then_some(Self::from_bytes(bytes))
        };
        parse().ok_or_else(|| NotANodeId(text.to_owned()))
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for NodeId {
    fn schema_name() -> Cow<'static, str> {
        "NodeId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": "A node's id.", "pattern": "^[0-9a-f]{40}$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_id_round_trips(bytes: [u8; 20]) {
            let id = NodeId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert!(id.to_string().starts_with(&id.short()));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,50}") {
            prop_assert!(text.parse::<NodeId>().is_err() || text.len() == 40);
        }
    }
}
