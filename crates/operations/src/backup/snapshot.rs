//! Whether bytes are a whole snapshot: the format of RDB files, of which only the beginning and the end are looked at.

use crc::{CRC_64_REDIS, Crc, Digest, Table};

/// The checksum of RDB files: CRC-64 by Jones. With these tables 16 bytes are taken at once, several gigabytes a second.
static CHECKSUM: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// Before the data: `REDIS` or `VALKEY`, and the version of the format in the digits that are left.
const HEADER: usize = 9;
/// Behind the data: the last opcode, and the checksum in little-endian order; 0 where the server makes none.
const TRAILER: usize = 9;
/// The last opcode.
const END: u8 = 0xff;

/// What was found of a snapshot that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Bytes.
    pub bytes: u64,
    /// The version of the format.
    pub version: u16,
    /// The checksum, which is that of the bytes; none where the server makes none (`rdbchecksum no`).
    pub checksum: Option<u64>,
}

/// Why bytes are no whole snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotASnapshot {
    /// It does not begin as one.
    #[error("it does not begin with REDIS or VALKEY and a version")]
    Header,
    /// It does not end as one.
    #[error("its end is missing")]
    End,
    /// Its bytes are not those that were sent.
    #[error("its checksum is {computed:016x}, and should be {told:016x}")]
    Checksum {
        /// What the server says.
        told: u64,
        /// What the bytes say.
        computed: u64,
    },
}

/// Checks a snapshot that comes in pieces.
pub(super) struct SnapshotCheck {
    header: Vec<u8>,
    digest: Digest<'static, u64, Table<16>>,
    /// The last bytes, which are the trailer if no more come.
    tail: Vec<u8>,
    bytes: u64,
}

impl SnapshotCheck {
    pub(super) fn new() -> Self {
        Self { header: Vec::new(), digest: CHECKSUM.digest(), tail: Vec::new(), bytes: 0 }
    }

    pub(super) fn feed(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.header.extend(piece.iter().take(HEADER - self.header.len()));
        // All but the last bytes of what is there now count.
        let ahead = (self.tail.len() + piece.len()).saturating_sub(TRAILER);
        let of_tail = ahead.min(self.tail.len());
        let (counted, kept) = piece.split_at(ahead - of_tail);
        self.digest.update(self.tail.get(..of_tail).unwrap_or_default());
        self.digest.update(counted);
        self.tail.drain(..of_tail);
        self.tail.extend_from_slice(kept);
    }

    pub(super) fn finish(mut self) -> Result<Checked, NotASnapshot> {
        let version = version(&self.header).ok_or(NotASnapshot::Header)?;
        let Some((&END, told)) = self.tail.split_first() else { return Err(NotASnapshot::End) };
        let told = u64::from_le_bytes(told.try_into().map_err(|_| NotASnapshot::End)?);
        self.digest.update(&[END]);
        let computed = self.digest.finalize();
        if told != 0 && told != computed {
            return Err(NotASnapshot::Checksum { told, computed });
        }
        Ok(Checked { bytes: self.bytes, version, checksum: (told != 0).then_some(told) })
    }
}

fn version(header: &[u8]) -> Option<u16> {
    let digits = header.strip_prefix(b"REDIS").or_else(|| header.strip_prefix(b"VALKEY"))?;
    let text = str::from_utf8(digits).ok().filter(|_| header.len() == HEADER)?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn snapshot(data: &[u8]) -> Vec<u8> {
        let mut bytes = [b"REDIS0011", data, &[END]].concat();
        let checksum = CHECKSUM.checksum(&bytes);
        bytes.extend(checksum.to_le_bytes());
        bytes
    }

    fn check(bytes: &[u8], piece: usize) -> Result<Checked, NotASnapshot> {
        let mut check = SnapshotCheck::new();
        bytes.chunks(piece).for_each(|piece| check.feed(piece));
        check.finish()
    }

    #[test]
    fn the_checksum_is_that_of_the_servers() {
        // From their own source's test.
        assert_eq!(CHECKSUM.checksum(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    proptest! {
        #[test]
        fn a_whole_snapshot_is_told_in_whatever_pieces_it_comes(data in vec(any::<u8>(), 0..60), piece in 1_usize..30) {
            let bytes = snapshot(&data);
            let checked = check(&bytes, piece).unwrap();
            prop_assert_eq!((checked.bytes, checked.version), (bytes.len() as u64, 11));
            prop_assert!(checked.checksum.is_some());
        }

        #[test]
        fn a_flipped_bit_and_a_missing_end_are_noticed(
            data in vec(any::<u8>(), 0..60),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u8,
            piece in 1_usize..30,
        ) {
            let bytes = snapshot(&data);
            let at = at.index(bytes.len());
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            prop_assert!(check(&flipped, piece).is_err());
            prop_assert!(check(&bytes[..at], piece).is_err());
        }
    }

    #[test]
    fn without_a_checksum_the_ends_are_looked_at() {
        let without = |begin: &str| [begin.as_bytes(), &[END], &[0; 8]].concat();
        assert_eq!(check(&without("VALKEY080"), 5), Ok(Checked { bytes: 18, version: 80, checksum: None }));
        for begin in ["", "REDIS", "REDIS00x1", "NOTRDB011", "VALKEY0x1"] {
            assert_eq!(check(&without(begin), 5), Err(NotASnapshot::Header), "{begin}");
        }
        assert_eq!(check(b"REDIS0011", 5), Err(NotASnapshot::End));
    }
}
