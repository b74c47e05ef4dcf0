//! Sending keys by `MIGRATE`, so many at a time as the pace allows.

use super::{
    keys::{LARGE, Listed, Outcome, Sent, Transfer},
    pace::Governor,
};
use crate::{
    exchange::in_database,
    port::{Command, Key, Migration, NodeLink},
    run::RunError,
};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::{collections::VecDeque, time::Instant};
use topology::{Reply, Slot};

/// Keys of one slot that are sent together.
struct Parcel {
    slot: Slot,
    keys: Vec<Key>,
    bytes: u64,
    units: u64,
    replace: bool,
}

/// What became of one.
struct Delivered<'a> {
    carrier: &'a dyn NodeLink,
    slot: Slot,
    keys: u64,
    bytes: u64,
    units: u64,
    start: Instant,
    outcome: Outcome,
}

impl Transfer<'_> {
    /// Sends these keys in parcels, as large and as many at once as the pace allows. Tells of each parcel which slot it was of,
    /// what became of it, and how many keys it held.
    pub(super) async fn send(&self, database: u32, keys: Vec<Listed>) -> Result<Vec<(Slot, Outcome, u64)>, RunError> {
        let mut outcomes = Vec::new();
        let mut under_way = FuturesUnordered::new();
        let mut keys = VecDeque::from(keys);
        let mut last_arrival = Instant::now();
        let mut free: Vec<_> = self.carriers.iter().copied().cycle().take(self.governor().window()).collect();
        loop {
            while !free.is_empty() {
                let Some(parcel) = self.next_parcel(&mut keys) else { break };
                under_way.extend(free.pop().map(|carrier| self.deliver(carrier, database, parcel)));
            }
            let Some(delivered) = under_way.next().await else { return Ok(outcomes) };
            let Delivered { carrier, slot, keys, bytes, units, start, outcome } = delivered?;
            free.push(carrier);
            let arrival = Instant::now();
            self.governor().sent(units, arrival.saturating_duration_since(start.max(last_arrival)));
            last_arrival = arrival;
            if matches!(outcome, Outcome::Done) {
                (self.tell)(Sent::Keys(keys, bytes));
            }
            outcomes.push((slot, outcome, keys));
        }
    }

    /// The next keys that may go together: of one slot, and not too heavy. A large key goes alone.
    fn next_parcel(&self, keys: &mut VecDeque<Listed>) -> Option<Parcel> {
        let (most_units, most_keys) = {
            let governor = self.governor();
            (governor.most_units(), governor.most_keys() as usize)
        };
        let first = keys.pop_front()?;
        if first.bytes >= LARGE {
            (self.tell)(Sent::Large(first.key.clone(), first.bytes));
        }
        let (slot, replace) = (first.slot, first.replace);
        let together = |next: &&Listed| (next.slot, next.replace) == (slot, replace) && next.bytes < LARGE;
        let rest: u64 = keys.iter().take_while(together).map(|next| units(next.bytes)).sum();
        let mut parcel = Parcel { slot, keys: vec![first.key], bytes: first.bytes, units: units(first.bytes), replace };
        let most = even_share(parcel.units + rest, most_units);
        while parcel.keys.len() < most_keys && parcel.units < most {
            let Some(bytes) = keys.front().filter(together).map(|next| next.bytes) else { break };
            if parcel.units + units(bytes) > most_units.max(most) {
                break;
            }
            parcel.bytes += bytes;
            parcel.units += units(bytes);
            parcel.keys.extend(keys.pop_front().map(|next| next.key));
        }
        Some(parcel)
    }

    async fn deliver<'a>(
        &self,
        carrier: &'a dyn NodeLink,
        database: u32,
        parcel: Parcel,
    ) -> Result<Delivered<'a>, RunError> {
        let Parcel { slot, keys, bytes, units, replace } = parcel;
        let (start, count) = (Instant::now(), keys.len() as u64);
        let timeout = self.timeout.of(units);
        let (host, port) = (self.host.clone(), self.port);
        let migration = Migration { host, port, database, timeout, replace, copy: false, keys };
        let commands = vec![Command::Migrate(Box::new(migration))];
        let outcome = match in_database(carrier, database, commands).await?.pop() {
            Some(Reply::Error(line)) if line.contains("BUSYKEY") => Outcome::Busy,
            Some(Reply::Error(line)) if passing(&line) => Outcome::Unsure(line),
            Some(Reply::Error(line)) => return Err(self.refusal(&line).into()),
            _ => Outcome::Done,
        };
        Ok(Delivered { carrier, slot, keys: count, bytes, units, start, outcome })
    }
}

/// What a key of so many bytes costs.
const fn units(bytes: u64) -> u64 {
    Governor::units(1, bytes)
}

/// What one parcel of so much in all is to carry. Each costs something beside its keys: a little too much goes as one, and two
/// are alike instead of one full and one nearly empty.
const fn even_share(all: u64, most: u64) -> u64 {
    if all <= most.saturating_add(most / 2) {
        all
    } else if all < most.saturating_mul(2) {
        all.div_ceil(2)
    } else {
        most
    }
}

/// Whether a refusal of `MIGRATE` may go away when it is tried again.
fn passing(line: &str) -> bool {
    ["IOERR", "LOADING", "CLUSTERDOWN", "TRYAGAIN"].iter().any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hardly_fits_goes_as_one_and_two_parcels_are_alike() {
        assert_eq!(even_share(100, 100), 100);
        assert_eq!(even_share(150, 100), 150);
        assert_eq!(even_share(151, 100), 76);
        assert_eq!(even_share(200, 100), 100);
        assert_eq!(even_share(1000, 100), 100);
    }
}
