//! Nodes that tell by themselves that all their values are short, so that no key need be weighed.

use crate::{
    exchange::accepted,
    port::{Command, NodeError, NodeLink},
};
use std::sync::atomic::{AtomicBool, Ordering};
use topology::{Reply, ServerInfo};

/// Values below this many bytes count as short: a parcel of them takes no longer whichever they are.
const SHORT: u64 = 1024;

/// A node that is asked how long its values are, as long as it is one that tells.
#[derive(Default)]
pub(crate) struct Sizes {
    untold: AtomicBool,
}

impl Sizes {
    /// About how many bytes a value of this database has, where all are short strings and the node tells so: `INFO keysizes`, Redis
    /// 8.0 and newer. None where it tells nothing, or where any value is longer or is no string.
    pub(super) async fn all_short(&self, node: &dyn NodeLink, database: u32) -> Result<Option<u64>, NodeError> {
        if self.untold.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let replies = accepted(node, vec![Command::Keyspace, Command::KeySizes]).await?;
        let text = |at: usize| replies.get(at).and_then(Reply::as_text).unwrap_or_default();
        // Other servers take it for the name of a section that they do not have.
        self.untold.store(text(1).is_empty(), Ordering::Relaxed);
        let keys = ServerInfo::parse(&text(0)).databases.get(&database).copied().unwrap_or_default();
        Ok(mean(&text(1), database, keys))
    }
}

/// What `INFO keysizes` says of a database with so many keys. It counts strings by the greatest power of two that is not above
/// their length: `db0_distrib_strings_sizes:64=3,1K=1`.
fn mean(sizes: &str, database: u32, keys: u64) -> Option<u64> {
    let start = format!("db{database}_distrib_strings_sizes:");
    let counts = sizes.lines().find_map(|line| line.trim_end().strip_prefix(&start))?;
    let (mut counted, mut bytes) = (0_u64, 0_u64);
    for count in counts.split(',') {
        let (least, strings) = count.split_once('=')?;
        // From 1K on it is no plain number.
        let (least, strings) = (least.parse::<u64>().ok()?.max(1), strings.parse::<u64>().ok()?);
        if least.saturating_mul(2) > SHORT {
            return None;
        }
        counted = counted.saturating_add(strings);
        bytes = bytes.saturating_add(strings.saturating_mul(least + least / 2));
    }
    (counted == keys).then(|| bytes.div_ceil(counted.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: &str = "# Keysizes\r\ndb0_distrib_strings_sizes:0=1,8=2,64=3\r\ndb1_distrib_strings_sizes:64=3,1K=1\r\n\
        db2_distrib_strings_sizes:64=3,1024=1\r\ndb3_distrib_strings_sizes:1=4\r\ndb3_distrib_lists_items:1=1\r\n";

    #[test]
    fn keys_are_short_where_each_is_counted_as_a_short_string() {
        assert_eq!(mean(SIZES, 0, 6), Some(53));
        assert_eq!(mean(SIZES, 3, 4), Some(1));
    }

    #[test]
    fn nothing_is_said_of_long_strings_of_other_types_and_by_servers_that_do_not_tell() {
        let unknown = [(0, 7), (1, 4), (2, 4), (3, 5), (4, 0)];
        assert_eq!(unknown.map(|(database, keys)| mean(SIZES, database, keys)), [None; 5]);
        assert_eq!(mean("", 0, 0), None);
    }
}
