//! A dataset and what is there.

use super::{
    Dataset, Place, Record,
    difference::{Difference, What},
    node::Node,
    read,
};
use crate::cluster::{Cluster, Layout};
use redis::{RedisResult, cmd};
use std::{
    collections::{BTreeMap, BTreeSet},
    thread::{self, ScopedJoinHandle},
};

type Share<'a> = BTreeMap<u32, Vec<(&'a Place, &'a Record)>>;

#[track_caller]
pub(super) fn compare(dataset: &Dataset, cluster: &Cluster) -> Vec<Difference> {
    let layout = Layout::of(cluster);
    // Nodes without slots can have keys all the same.
    let mut shares: BTreeMap<&str, Share> =
        layout.primaries.keys().map(|address| (address.as_str(), Share::new())).collect();
    let mut found = Vec::new();
    for (place, record) in &dataset.records {
        match layout.owner(&place.1) {
            Some(owner) => shares.entry(owner).or_default().entry(place.0).or_default().push((place, record)),
            None => found.push(difference(place, What::Unowned)),
        }
    }
    let of_nodes = thread::scope(|scope| {
        let comparison = Comparison { dataset, cluster, layout: &layout };
        let look = |address, share| move || comparison.look(address, share);
        let threads: Vec<_> = shares.iter().map(|(address, share)| scope.spawn(look(address, share))).collect();
        threads.into_iter().map(ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    for of_node in of_nodes {
        found.extend(of_node.unwrap_or_else(|_| panic!("a thread that compares panicked")));
    }
    found.sort_by(|one, other| (one.database, &one.key).cmp(&(other.database, &other.key)));
    found
}

#[derive(Clone, Copy)]
struct Comparison<'a> {
    dataset: &'a Dataset,
    cluster: &'a Cluster,
    layout: &'a Layout,
}

impl Comparison<'_> {
    fn look(self, address: &str, share: &Share) -> Vec<Difference> {
        let mut found = Vec::new();
        let looked = self.read_back(address, share, &mut found).and_then(|()| self.stray(address, share, &mut found));
        if let Err(error) = looked {
            let what = What::Unreadable(format!("{address}: {error}"));
            // Also where it was to have nothing.
            let first = share.iter().find_map(|(_, records)| records.first());
            let key = first.map(|(place, _)| place.1.clone()).unwrap_or_default();
            found.push(Difference { database: 0, key, what });
        }
        found
    }

    fn read_back(self, address: &str, share: &Share, found: &mut Vec<Difference>) -> RedisResult<()> {
        for (database, records) in share {
            let batches =
                records.iter().map(|(place, record)| ((*place, *record), read::batch(self.dataset, &place.1, record)));
            Node::connect(self.cluster, address, *database)?.run(batches, |(place, record), replies| {
                found.extend(read::differences(record, replies).into_iter().map(|what| difference(place, what)));
            })?;
        }
        Ok(())
    }

    /// Keys that nobody wrote, or that do not belong to this node.
    fn stray(self, address: &str, share: &Share, found: &mut Vec<Difference>) -> RedisResult<()> {
        let used = databases(&mut Node::connect(self.cluster, address, 0)?)?;
        for database in share.keys().copied().chain(used).collect::<BTreeSet<_>>() {
            let mut node = Node::connect(self.cluster, address, database)?;
            let keys: BTreeSet<_> = node.keys()?.into_iter().collect();
            let hidden = node.query::<usize>(&cmd("DBSIZE"))?.saturating_sub(keys.len());
            if hidden > 0 {
                let what = What::Hidden { node: address.to_owned(), keys: hidden };
                found.push(Difference { database, key: Vec::new(), what });
            }
            for key in keys {
                let place = (database, key);
                if self.layout.owner(&place.1) != Some(address) {
                    found.push(difference(&place, What::Stray(address.to_owned())));
                } else if !self.dataset.records.contains_key(&place) {
                    found.push(difference(&place, What::Extra(address.to_owned())));
                }
            }
        }
        Ok(())
    }
}

/// Those with keys, from the lines of INFO: `db0:keys=1,…`.
fn databases(node: &mut Node) -> RedisResult<Vec<u32>> {
    let info: String = node.query(cmd("INFO").arg("keyspace"))?;
    let lines = info.lines().filter_map(|line| line.strip_prefix("db")?.split_once(':'));
    Ok(lines.filter_map(|(number, _)| number.parse().ok()).collect())
}

fn difference((database, key): &Place, what: What) -> Difference {
    Difference { database: *database, key: key.clone(), what }
}
