//! Members of a shard are apart wherever that can be: compared with all placements of few nodes.

use super::placements::{fresh, zones};
use proptest::prelude::*;
use topology::{
    create::{NewNode, Shards, plan},
    plan::{NodeRef, Plan, PlannedShard},
};

/// What is to be as small as can be, first by zones, then by hosts, of nodes divided into shards.
type Count = fn(&[Vec<&NewNode>]) -> (usize, usize);

/// Few nodes, and a number of shards that have at most so many members.
fn few(members: usize) -> impl Strategy<Value = (Vec<NewNode>, usize)> {
    let nodes = (proptest::collection::vec(0..4_u8, 2..=7), zones()).prop_map(|(hosts, zones)| fresh(&hosts, &zones));
    nodes.prop_flat_map(move |nodes| {
        let shards = nodes.len().div_ceil(members)..=nodes.len();
        (Just(nodes), shards)
    })
}

proptest! {
    // With more replicas, members spread evenly come first: then a shard may be two and two on two hosts, where one and
    // three would leave no replica beside its primary.
    #[test]
    fn with_up_to_two_replicas_no_placement_has_fewer_beside_their_primary((nodes, shards) in few(3)) {
        let plan = plan(&nodes, 0, Shards::Exactly(shards)).unwrap();
        let here = beside(&nodes, &plan);
        prop_assert_eq!(here, fewest(&nodes, shards, best_primaries), "{:?}", plan.expected_after);
        let quality = plan.placement.unwrap();
        prop_assert_eq!((quality.replicas_in_zone_of_primary.here, quality.replicas_on_host_of_primary.here), here);
    }

    #[test]
    fn a_shard_is_in_one_place_only_where_no_placement_avoids_it((nodes, shards) in few(7)) {
        let plan = plan(&nodes, 0, Shards::Exactly(shards)).unwrap();
        let members = |shard: &PlannedShard| {
            let ids = shard.replicas.iter().chain([&shard.primary]).map(|member| member.id);
            ids.map(|id| nodes.iter().find(|node| node.view.myself.id == id).unwrap()).collect::<Vec<_>>()
        };
        let divided: Vec<_> = plan.expected_after.iter().map(members).collect();
        prop_assert_eq!(in_one_place(&divided), fewest(&nodes, shards, in_one_place), "{:?}", plan.expected_after);
    }
}

/// How many replicas are in the zone of their primary, and how many of those even on its host.
fn beside(nodes: &[NewNode], plan: &Plan) -> (usize, usize) {
    let node = |of: &NodeRef| nodes.iter().find(|node| node.view.myself.id == of.id).unwrap();
    let pairs =
        plan.expected_after.iter().flat_map(|shard| shard.replicas.iter().map(|replica| (&shard.primary, replica)));
    let both = pairs.map(|(primary, replica)| conflict(node(primary), node(replica)));
    both.fold((0, 0), |(zones, hosts), (zone, host)| (zones + zone, hosts + host))
}

fn conflict(primary: &NewNode, replica: &NewNode) -> (usize, usize) {
    let host = primary.zone == replica.zone && primary.address.host == replica.address.host;
    (usize::from(primary.zone == replica.zone), usize::from(host))
}

/// In how many shards all members are in one zone, and in how many on one host.
fn in_one_place(divided: &[Vec<&NewNode>]) -> (usize, usize) {
    let together = |members: &&Vec<&NewNode>, same: fn(&NewNode, &NewNode) -> bool| {
        members.len() > 1 && members.iter().all(|member| same(members[0], member))
    };
    let shards = |same| divided.iter().filter(|members| together(members, same)).count();
    let zones = shards(|one, other| one.zone == other.zone);
    (zones, shards(|one, other| one.zone == other.zone && one.address.host == other.address.host))
}

/// The replicas beside their primary, with the best choice of primaries.
fn best_primaries(divided: &[Vec<&NewNode>]) -> (usize, usize) {
    let with = |members: &Vec<&NewNode>, primary: usize| {
        let replicas = members.iter().enumerate().filter(|(at, _)| *at != primary);
        let all = replicas.map(|(_, replica)| conflict(members[primary], replica));
        all.fold((0, 0), |(zones, hosts), (zone, host)| (zones + zone, hosts + host))
    };
    let least = |members: &Vec<&NewNode>| (0..members.len()).map(|primary| with(members, primary)).min().unwrap();
    divided.iter().map(least).fold((0, 0), |(zones, hosts), (zone, host)| (zones + zone, hosts + host))
}

/// The least, zones before hosts, that any division into even shards has. By trying all.
fn fewest(nodes: &[NewNode], shards: usize, count: Count) -> (usize, usize) {
    let mut trial = Trial { divided: vec![Vec::new(); shards], room: nodes.len().div_ceil(shards), best: None };
    trial.divide(nodes, count);
    trial.best.unwrap()
}

struct Trial<'a> {
    divided: Vec<Vec<&'a NewNode>>,
    room: usize,
    best: Option<(usize, usize)>,
}

impl<'a> Trial<'a> {
    fn divide(&mut self, rest: &'a [NewNode], count: Count) {
        let Some((node, rest)) = rest.split_first() else {
            if self.divided.iter().all(|members| members.len() + 1 >= self.room && !members.is_empty()) {
                let here = count(&self.divided);
                self.best = Some(self.best.map_or(here, |best| best.min(here)));
            }
            return;
        };
        let mut tried_empty = false;
        for at in 0..self.divided.len() {
            let empty = self.divided[at].is_empty();
            // Empty shards are all alike.
            if self.divided[at].len() < self.room && !(empty && tried_empty) {
                tried_empty |= empty;
                self.divided[at].push(node);
                self.divide(rest, count);
                self.divided[at].pop();
            }
        }
    }
}
