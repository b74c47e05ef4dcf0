//! Many keys of one size, quickly: for measuring, where a dataset would take too long to write and to compare.

use crate::cluster::{Cluster, Layout};
use redis::{Connection, RedisResult, pipe};
use std::{collections::BTreeMap, thread, time::Duration};

/// Keys in one write.
const AT_ONCE: usize = 1000;
/// For a write and its answers, on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

impl Cluster {
    /// Writes the keys `prefix:0` to `prefix:N-1`, each with a value of so many bytes, to their owners at once. Panics where
    /// one is refused.
    #[track_caller]
    pub fn fill(&self, prefix: &str, keys: u64, bytes: usize) {
        let layout = Layout::of(self);
        let mut shares: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for number in 0..keys {
            let owner = layout.owner(format!("{prefix}:{number}").as_bytes());
            shares.entry(owner.unwrap_or_else(|| panic!("nobody owns the slot of a key"))).or_default().push(number);
        }
        let value = value(bytes);
        let write = |address: &str, numbers: &[u64]| -> RedisResult<()> {
            let mut connection = self.connect(address, 0, TIMEOUT)?;
            let at_once = (AT_ONCE * 1000 / bytes.max(1)).clamp(1, AT_ONCE);
            numbers.chunks(at_once).try_for_each(|part| set(&mut connection, prefix, part, &value))
        };
        let write = &write;
        let failure = thread::scope(|scope| {
            let writers: Vec<_> =
                shares.iter().map(|(address, numbers)| scope.spawn(move || write(address, numbers))).collect();
            writers.into_iter().find_map(|writer| match writer.join() {
                Ok(written) => written.err().map(|error| error.to_string()),
                Err(_) => Some("a writer panicked".to_owned()),
            })
        });
        assert!(failure.is_none(), "the cluster cannot be filled: {}", failure.unwrap_or_default());
    }
}

fn set(connection: &mut Connection, prefix: &str, numbers: &[u64], value: &[u8]) -> RedisResult<()> {
    let mut batch = pipe();
    for number in numbers {
        batch.set(format!("{prefix}:{number}"), value).ignore();
    }
    batch.exec(connection)
}

/// Bytes that do not repeat soon: a server that compresses gains little.
fn value(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        b'a' + u8::try_from(state % 26).unwrap_or_default()
    };
    (0..bytes).map(|_| next()).collect()
}
