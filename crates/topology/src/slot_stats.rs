//! What servers count for each slot, and which slots are hot.

use crate::{Reply, Slot};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a server has counted for a slot: `CLUSTER SLOT-STATS` (Valkey 8.0, Redis 8.2). All but the keys only with
/// `cluster-slot-stats-enabled`, since the server's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotStats {
    /// The slot.
    pub slot: Slot,
    /// Its keys.
    pub keys: u64,
    /// Time spent on its commands, microseconds.
    pub cpu_microseconds: Option<u64>,
    /// Bytes that clients have sent to it and got from it.
    pub network_bytes: Option<u64>,
}

/// A slot, and what it costs now.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct HotSlot {
    /// The slot.
    pub slot: Slot,
    /// Its keys.
    pub keys: u64,
    /// Its share of one processor core, percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    /// Bytes a second to and from clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
}

impl SlotStats {
    /// Reads the reply of `CLUSTER SLOT-STATS`; entries that cannot be read are left out.
    pub fn parse(reply: &Reply) -> Vec<Self> {
        reply.as_list().unwrap_or_default().iter().filter_map(Self::of).collect()
    }

    fn of(entry: &Reply) -> Option<Self> {
        let [slot, counts] = entry.as_list()? else { return None };
        let count = |name: &str| u64::try_from(counts.field(name)?.as_integer()?).ok();
        let (sent, got) = (count("network-bytes-in"), count("network-bytes-out"));
        Some(Self {
            slot: Slot::new(u16::try_from(slot.as_integer()?).ok()?).ok()?,
            keys: count("key-count")?,
            cpu_microseconds: count("cpu-usec"),
            network_bytes: sent.zip(got).map(|(sent, got)| sent.saturating_add(got)),
        })
    }
}

/// The hottest of these slots, by the time that was spent on them between two looks, or else by their keys.
///
/// A slot that the look before did not tell of, or whose counters began anew, has no rate yet.
pub fn hottest(before: &[SlotStats], after: &[SlotStats], microseconds: u64, most: usize) -> Vec<HotSlot> {
    let before: BTreeMap<Slot, &SlotStats> = before.iter().map(|stats| (stats.slot, stats)).collect();
    let microseconds = microseconds.max(1);
    let mut hot: Vec<(Option<u64>, HotSlot)> = after
        .iter()
        .map(|now| {
            let then = before.get(&now.slot);
            let grown = |of: fn(&SlotStats) -> Option<u64>| of(now)?.checked_sub(of(then?)?);
            let spent = grown(|stats| stats.cpu_microseconds);
            let bytes = grown(|stats| stats.network_bytes);
            #[expect(clippy::cast_precision_loss, reason = "shown to people")]
            let cpu_percent = spent.map(|spent| spent as f64 * 100.0 / microseconds as f64);
            let bytes_per_second = bytes.map(|bytes| per_second(bytes, microseconds));
            (spent, HotSlot { slot: now.slot, keys: now.keys, cpu_percent, bytes_per_second })
        })
        .collect();
    if after.iter().any(|stats| stats.cpu_microseconds.is_some()) {
        hot.retain(|(spent, _)| spent.is_some_and(|spent| spent > 0));
    } else {
        hot.retain(|(_, slot)| slot.keys > 0);
    }
    hot.sort_by_key(|(spent, slot)| std::cmp::Reverse((*spent, slot.keys)));
    hot.into_iter().take(most).map(|(_, slot)| slot).collect()
}

/// So much in so many microseconds, per second.
pub(crate) fn per_second(amount: u64, microseconds: u64) -> u64 {
    let per_second = u128::from(amount) * 1_000_000 / u128::from(microseconds.max(1));
    u64::try_from(per_second).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(slot: u16, keys: u64, cpu: Option<u64>) -> SlotStats {
        SlotStats {
            slot: Slot::new(slot).unwrap(),
            keys,
            cpu_microseconds: cpu,
            network_bytes: cpu.map(|cpu| cpu * 10),
        }
    }

    fn numbers(hot: &[HotSlot]) -> Vec<u16> {
        hot.iter().map(|slot| slot.slot.number()).collect()
    }

    #[test]
    fn the_hottest_slots_are_those_on_which_most_time_was_spent_since_the_last_look() {
        let before = [stats(1, 5, Some(1_000_000)), stats(2, 5, Some(0)), stats(3, 5, Some(10))];
        let after =
            [stats(1, 5, Some(1_000_100)), stats(2, 5, Some(250_000)), stats(3, 5, Some(10)), stats(4, 5, Some(7))];
        let hot = hottest(&before, &after, 1_000_000, 5);
        assert_eq!(numbers(&hot), [2, 1], "neither one that rests nor one without a rate");
        assert_eq!((hot[0].cpu_percent, hot[0].bytes_per_second), (Some(25.0), Some(2_500_000)));
        assert_eq!(numbers(&hottest(&before, &after, 1_000_000, 1)), [2]);
    }

    #[test]
    fn without_these_counters_slots_with_most_keys_come_first() {
        let after = [stats(1, 5, None), stats(2, 50, None), stats(3, 0, None)];
        assert_eq!(numbers(&hottest(&[], &after, 1, 5)), [2, 1]);
    }

    #[test]
    fn counters_that_began_anew_give_no_rate() {
        let (before, after) = ([stats(1, 5, Some(500))], [stats(1, 5, Some(20))]);
        assert_eq!(hottest(&before, &after, 1_000_000, 5), []);
    }

    #[test]
    fn what_a_server_tells_is_read() {
        let counts = ["key-count", "cpu-usec", "network-bytes-in", "network-bytes-out"];
        let counts = counts.iter().zip(1..).flat_map(|(name, value)| [Reply::text(*name), Reply::Integer(value)]);
        let entry = Reply::List(vec![Reply::Integer(12), Reply::List(counts.collect())]);
        let read = SlotStats::parse(&Reply::List(vec![entry, Reply::Nil]));
        let expected = SlotStats { network_bytes: Some(7), ..stats(12, 1, Some(2)) };
        assert_eq!(read, [expected]);
        assert_eq!(SlotStats::parse(&Reply::Error("ERR unknown subcommand".into())), []);
    }
}
