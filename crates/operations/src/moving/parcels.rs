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
use std::collections::VecDeque;
use tokio::time::Instant;
use topology::{Reply, Slot};

/// What parcels that go in one write may come to together, in units: beside the cost of a write of their own, that of heavier ones
/// is small, and others wait for all of them.
const LIGHT: u64 = 16_000;

/// Keys of one slot that are sent together.
struct Parcel {
    slot: Slot,
    keys: Vec<Key>,
    bytes: u64,
    units: u64,
    replace: bool,
}

/// What became of those that were sent in one write.
struct Delivered<'a> {
    carrier: &'a dyn NodeLink,
    start: Instant,
    units: u64,
    /// Of each its slot, what became of it, its keys and its bytes.
    parcels: Vec<(Slot, Outcome, u64, u64)>,
}

impl Transfer<'_> {
    /// Sends these keys in parcels, as large and as many at once as the pace allows. Tells of each parcel which slot it was of,
    /// what became of it, and how many keys it held.
    pub(super) async fn send(&self, database: u32, keys: Vec<Listed>) -> Result<Vec<(Slot, Outcome, u64)>, RunError> {
        let mut outcomes = Vec::new();
        let mut under_way = FuturesUnordered::new();
        let (mut keys, mut kept) = (VecDeque::from(keys), None);
        let mut last_arrival = Instant::now();
        let mut free: Vec<_> = self.carriers.iter().copied().cycle().take(self.governor().window()).collect();
        loop {
            while !free.is_empty() {
                let parcels = self.next_parcels(&mut keys, &mut kept);
                if parcels.is_empty() {
                    break;
                }
                under_way.extend(free.pop().map(|carrier| self.deliver(carrier, database, parcels)));
            }
            let Some(delivered) = under_way.next().await else { return Ok(outcomes) };
            let Delivered { carrier, start, units, parcels } = delivered?;
            free.push(carrier);
            let arrival = Instant::now();
            self.governor().sent(units, arrival.saturating_duration_since(start.max(last_arrival)));
            last_arrival = arrival;
            for (slot, outcome, keys, bytes) in parcels {
                if matches!(outcome, Outcome::Done) {
                    (self.tell)(Sent::Keys(keys, bytes));
                }
                outcomes.push((slot, outcome, keys));
            }
        }
    }

    /// Parcels that go in one write: a few light ones, because others wait for all of them. `kept` is one that did not fit the last
    /// time.
    fn next_parcels(&self, keys: &mut VecDeque<Listed>, kept: &mut Option<Parcel>) -> Vec<Parcel> {
        let (light, most) = {
            let governor = self.governor();
            (LIGHT.min(governor.most_units() / 2), if governor.is_settled() { self.timeout.together() } else { 1 })
        };
        let (mut parcels, mut units) = (Vec::new(), 0);
        while parcels.len() < most
            && let Some(parcel) = kept.take().or_else(|| self.next_parcel(keys))
        {
            units += parcel.units;
            if !parcels.is_empty() && units > light {
                *kept = Some(parcel);
                break;
            }
            parcels.push(parcel);
        }
        parcels
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
        parcels: Vec<Parcel>,
    ) -> Result<Delivered<'a>, RunError> {
        let (start, together) = (Instant::now(), parcels.len());
        let sizes: Vec<_> =
            parcels.iter().map(|parcel| (parcel.slot, parcel.keys.len() as u64, parcel.bytes)).collect();
        let units = parcels.iter().map(|parcel| parcel.units).sum();
        let migrate = |Parcel { units, replace, keys, .. }: Parcel| {
            let (host, port, timeout) = (self.host.clone(), self.port, self.timeout.of(units, together));
            Command::Migrate(Box::new(Migration { host, port, database, timeout, replace, copy: false, keys }))
        };
        let replies = in_database(carrier, database, parcels.into_iter().map(migrate).collect()).await?;
        let mut parcels = Vec::with_capacity(together);
        for ((slot, keys, bytes), reply) in sizes.into_iter().zip(replies) {
            let outcome = match reply {
                Reply::Error(line) if line.contains("BUSYKEY") => Outcome::Busy,
                Reply::Error(line) if passing(&line) => {
                    // It may have been heavier than the replica knows.
                    self.weigher.give_up();
                    Outcome::Unsure(line)
                }
                Reply::Error(line) => return Err(self.refusal(&line).into()),
                _ => Outcome::Done,
            };
            parcels.push((slot, outcome, keys, bytes));
        }
        Ok(Delivered { carrier, start, units, parcels })
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
