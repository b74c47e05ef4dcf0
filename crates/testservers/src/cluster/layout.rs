//! Who owns which slot.

use super::Cluster;
use crate::wait::comes_true;
use redis::{RedisResult, cluster_routing::Slot, cmd};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

const TIMEOUT: Duration = Duration::from_secs(5);
/// A cluster may be in the middle of something.
const PATIENCE: Duration = Duration::from_secs(20);

/// The nodes that call themselves primaries, and the slots that each says it owns itself.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// By address.
    pub(crate) primaries: BTreeMap<String, Primary>,
    owners: HashMap<Slot, String>,
}

/// One node by its own word.
#[derive(Clone, Debug, Default)]
pub(crate) struct Primary {
    epoch: u64,
    slots: Vec<Slot>,
}

impl Layout {
    /// Asks the first node that answers who there is, and each of these what it is. Panics where none answers.
    #[track_caller]
    pub(crate) fn of(cluster: &Cluster) -> Self {
        if let (true, Some(address)) = (cluster.standalone, cluster.addresses.first()) {
            let slots: Vec<Slot> = (0..16384).filter_map(Slot::new).collect();
            let owners = slots.iter().map(|slot| (*slot, address.clone())).collect();
            return Self { primaries: [(address.clone(), Primary { epoch: 0, slots })].into(), owners };
        }
        let mut known = None;
        comes_true(PATIENCE, || {
            known = cluster.addresses.iter().find_map(|address| Some((address, nodes(cluster, address).ok()?)));
            known.is_some()
        });
        let Some((entry, known)) = known else {
            panic!("no node of {} answers", cluster.addresses.join(", "));
        };
        let addresses = known.lines().filter(|line| !line.contains(",fail")).filter_map(|line| address(line, entry));
        let answers = addresses.filter_map(|address| Some((own_word(&nodes(cluster, &address).ok()?)?, address)));
        let primaries: BTreeMap<_, _> = answers.map(|(primary, address)| (address, primary)).collect();

        let mut by_epoch: Vec<_> = primaries.iter().collect();
        by_epoch.sort_by_key(|(_, primary)| primary.epoch);
        // Where two claim a slot, the higher epoch is what all come to believe.
        let claims =
            by_epoch.into_iter().flat_map(|(address, primary)| primary.slots.iter().map(move |s| (*s, address)));
        let owners = claims.map(|(slot, address)| (slot, address.clone())).collect();
        Self { primaries, owners }
    }

    /// Whether the node with this address owns any.
    pub(crate) fn has_slots(&self, address: &str) -> bool {
        self.primaries.get(address).is_some_and(|primary| !primary.slots.is_empty())
    }

    /// The address of the owner of this key's slot.
    pub(crate) fn owner(&self, key: &[u8]) -> Option<&str> {
        self.owners.get(&Slot::for_key(key)).map(String::as_str)
    }
}

fn nodes(cluster: &Cluster, address: &str) -> RedisResult<String> {
    cmd("CLUSTER").arg("NODES").query(&mut cluster.connect(address, 0, TIMEOUT)?)
}

/// Where a line of CLUSTER NODES says the node is; a node that has met nobody does not know its own address.
fn address(line: &str, entry: &str) -> Option<String> {
    let address = line.split(' ').nth(1)?.split('@').next()?;
    match address.rsplit_once(':')? {
        (_, "0") => None,
        ("", _) => Some(entry.to_owned()),
        _ => Some(address.to_owned()),
    }
}

/// What a node says of itself, where it is a primary.
fn own_word(nodes: &str) -> Option<Primary> {
    let myself = nodes.lines().find(|line| line.contains("myself,master"))?;
    let words: Vec<_> = myself.split(' ').collect();
    let epoch = words.get(6)?.parse().ok()?;
    let slots = words.get(8..).unwrap_or_default().iter().filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse().ok()?..=last.parse().ok()?)
    });
    Some(Primary { epoch, slots: slots.flatten().filter_map(Slot::new).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_primary_s_own_line_tells_its_slots_without_open_ones() {
        let line = "07c3 127.0.0.1:7000@17000,,shard-id=1 myself,master - 0 1 7 connected 0-2 5 [9->-be21]";
        let primary = own_word(line).unwrap();
        assert_eq!(primary.slots, [0, 1, 2, 5].map(|slot| Slot::new(slot).unwrap()));
        assert_eq!(primary.epoch, 7);
        assert_eq!(address(line, "x").unwrap(), "127.0.0.1:7000");
        assert!(own_word(&line.replace("master", "slave")).is_none());
    }
}
