//! Slots: the 16384 parts of a cluster's key space.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One of the 16384 hash slots, 0 to 16383.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "u16", into = "u16")]
pub struct Slot(u16);

/// A number above 16383 where a slot was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a slot: slots are 0 to 16383")]
pub struct NotASlot(pub u16);

impl Slot {
    /// How many slots a cluster has.
    pub const COUNT: u16 = 16384;
    /// The first slot, 0.
    pub const FIRST: Self = Self(0);
    /// The last slot, 16383.
    pub const LAST: Self = Self(Self::COUNT - 1);

    /// The slot with this number.
    pub const fn new(number: u16) -> Result<Self, NotASlot> {
        if number < Self::COUNT { Ok(Self(number)) } else { Err(NotASlot(number)) }
    }

    /// The slot of a key: CRC16 of its hash tag, or of the whole key where it has none.
    ///
    /// The tag is what stands between the first `{` and the next `}`, if that is not empty (cluster specification,
    /// "Hash tags").
    pub fn of_key(key: &[u8]) -> Self {
        Self(crc16(hash_tag(key)) % Self::COUNT)
    }

    /// The slot's number.
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Slot {
    type Error = NotASlot;

    fn try_from(number: u16) -> Result<Self, NotASlot> {
        Self::new(number)
    }
}

impl From<Slot> for u16 {
    fn from(slot: Slot) -> Self {
        slot.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&byte| byte == b'{') else {
        return key;
    };
    let rest = key.get(open + 1..).unwrap_or_default();
    match rest.iter().position(|&byte| byte == b'}') {
        Some(length) if length > 0 => rest.get(..length).unwrap_or(key),
        _ => key,
    }
}

/// CRC16 as the cluster specification names it: XMODEM, polynomial 0x1021, start 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, &byte| {
        let [high, low] = crc.to_be_bytes();
        (u16::from(low) << 8) ^ REMAINDERS.get(usize::from(high ^ byte)).copied().unwrap_or_default()
    })
}

/// What each byte in front leaves: a table, because an import takes the slots of millions of keys.
#[expect(clippy::indexing_slicing, reason = "while compiling")]
const REMAINDERS: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte: u16 = 0;
    while byte < 256 {
        let mut crc = byte << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
    }

    #[test]
    fn keys_go_where_the_servers_put_them() {
        for (key, slot) in [
            (&b"foo"[..], 12182),
            (b"bar", 5061),
            (b"hello", 866),
            (b"", 0),
            (b"\0", 0),
            (b"\0\x01\xfe\xff", 6414),
            (b"100%25 %s", 8089),
            (b"nul\0key", 9475),
            (b"{\0}x", 0),
        ] {
            assert_eq!(Slot::of_key(key).number(), slot, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn a_hash_tag_decides_alone_unless_it_is_empty() {
        assert_eq!(Slot::of_key(b"{user}.name"), Slot::of_key(b"user"));
        assert_eq!(Slot::of_key(b"x{user}{other}"), Slot::of_key(b"user"));
        assert_ne!(Slot::of_key(b"{}user"), Slot::of_key(b"user"));
        assert_ne!(Slot::of_key(b"{user"), Slot::of_key(b"user"));
    }

    #[test]
    fn there_is_no_slot_16384() {
        assert_eq!(Slot::new(16383), Ok(Slot::LAST));
        assert_eq!(Slot::new(16384), Err(NotASlot(16384)));
    }
}
