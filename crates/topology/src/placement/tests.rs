use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Candidates from words such as `a/h1`: zone and host; a word without a slash has no zone.
fn candidates(words: &[&str]) -> Vec<Candidate> {
    let candidate = |(number, word): (usize, &&str)| {
        let (zone, host) = word.split_once('/').map_or((None, *word), |(zone, host)| (Some(zone.to_owned()), host));
        let port = 7000 + u16::try_from(number).unwrap();
        Candidate { address: format!("{host}:{port}").parse().unwrap(), zone }
    };
    words.iter().enumerate().map(candidate).collect()
}

fn shape(placement: &Placement) -> Vec<(usize, Vec<usize>)> {
    placement.shards.iter().map(|shard| (shard.primary, shard.replicas.clone())).collect()
}

#[test]
fn on_one_host_the_order_given_decides() {
    let placement = place(&candidates(&["h"; 6]), 3);
    assert_eq!(shape(&placement), [(0, vec![3]), (1, vec![4]), (2, vec![5])]);
    assert!(placement.quality.is_best(), "one host leaves no choice");
    assert_eq!(placement.quality.replicas_on_host_of_primary, Against { here: 3, bound: 3 });
}

#[test]
fn three_hosts_with_two_nodes_each_hold_a_primary_and_a_stranger_each() {
    let placement = place(&candidates(&["h1", "h1", "h2", "h2", "h3", "h3"]), 3);
    assert!(placement.quality.is_best(), "{placement:?}");
    assert_eq!(placement.quality.replicas_on_host_of_primary.here, 0);
    assert_eq!(placement.quality.primaries_on_one_host.here, 1);
}

#[test]
fn zones_come_before_hosts() {
    let placement = place(&candidates(&["a/1", "a/2", "a/3", "b/4", "b/5", "b/6"]), 3);
    assert_eq!(placement.quality.replicas_in_zone_of_primary, Against { here: 0, bound: 0 });
    assert_eq!(placement.quality.primaries_in_one_zone, Against { here: 2, bound: 2 });
}

#[test]
fn the_second_node_of_a_large_host_goes_where_others_are() {
    let placement = place(&candidates(&["small", "large", "large", "large", "other"]), 2);
    assert_eq!(placement.quality.replicas_on_host_of_primary, Against { here: 0, bound: 0 });
}

#[test]
fn a_host_too_large_is_said_to_be_so() {
    let placement = place(&candidates(&["big", "big", "big", "big", "big", "small"]), 3);
    assert_eq!(placement.quality.replicas_on_host_of_primary, Against { here: 2, bound: 2 });
}

#[test]
fn a_thousand_nodes_are_placed_at_once() {
    let words: Vec<String> = (0..1000).map(|node| format!("z{}/h{}", node % 3, node % 250)).collect();
    let placement = place(&candidates(&words.iter().map(String::as_str).collect::<Vec<_>>()), 500);
    assert_eq!(placement.shards.len(), 500);
    assert_eq!(placement.quality.replicas_on_host_of_primary.here, 0);
}

/// All ways to choose a primary of each shard of every division, for small sets: the truth to compare with.
fn best_by_trying_all(candidates: &[Candidate], shards: usize) -> (usize, usize) {
    fn divide(node: usize, divided: &mut Vec<Vec<usize>>, all: &[Candidate], best: &mut (usize, usize)) {
        if node == all.len() {
            let (most, least) = (divided.iter().map(Vec::len).max(), divided.iter().map(Vec::len).min());
            if most.unwrap() - least.unwrap() <= 1 {
                let beside = |same: &dyn Fn(usize, usize) -> bool| -> usize {
                    let of = |members: &Vec<usize>, primary: usize| {
                        members.iter().filter(|member| **member != primary && same(**member, primary)).count()
                    };
                    divided.iter().map(|m| m.iter().map(|&p| of(m, p)).min().unwrap_or(0)).sum()
                };
                let zones = beside(&|a, b| all[a].zone == all[b].zone);
                let hosts = beside(&|a, b| all[a].zone == all[b].zone && all[a].address.host == all[b].address.host);
                best.0 = best.0.min(zones);
                best.1 = best.1.min(hosts);
            }
            return;
        }
        for shard in 0..divided.len() {
            divided[shard].push(node);
            divide(node + 1, divided, all, best);
            divided[shard].pop();
        }
    }
    let mut best = (usize::MAX, usize::MAX);
    divide(0, &mut vec![Vec::new(); shards], candidates, &mut best);
    best
}

fn few() -> impl Strategy<Value = (Vec<Candidate>, usize)> {
    let word = prop_oneof![Just("a/1"), Just("a/2"), Just("b/3"), Just("b/4"), Just("c/5")];
    proptest::collection::vec(word, 2..7).prop_flat_map(|words| {
        let most = words.len() / 2;
        (Just(candidates(&words)), 1..=most.max(1))
    })
}

fn many() -> impl Strategy<Value = (Vec<Candidate>, usize)> {
    let word = (0..4_u8, 0..5_u8).prop_map(|(zone, host)| format!("z{zone}/h{zone}-{host}"));
    proptest::collection::vec(word, 1..40).prop_flat_map(|words| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let count = words.len();
        (Just(candidates(&words)), 1..=count)
    })
}

proptest! {
    #[test]
    fn every_node_has_one_place_and_shards_are_even((candidates, shards) in many()) {
        let placement = place(&candidates, shards);
        prop_assert_eq!(placement.shards.len(), shards);
        let placed: Vec<usize> =
            placement.shards.iter().flat_map(|shard| shard.replicas.iter().copied().chain([shard.primary])).collect();
        prop_assert_eq!(placed.len(), candidates.len());
        prop_assert_eq!(placed.iter().collect::<BTreeSet<_>>().len(), candidates.len());
        let sizes: Vec<usize> = placement.shards.iter().map(|shard| shard.replicas.len()).collect();
        prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
        for part in [
            placement.quality.replicas_in_zone_of_primary,
            placement.quality.replicas_on_host_of_primary,
            placement.quality.primaries_in_one_zone,
            placement.quality.primaries_on_one_host,
        ] {
            prop_assert!(part.here >= part.bound, "a bound that is beaten is none: {part:?}");
        }
        prop_assert_eq!(place(&candidates, shards), placement, "the same nodes give the same placement");
    }

    #[test]
    fn what_is_called_best_is_best((candidates, shards) in few()) {
        let placement = place(&candidates, shards);
        let (zones, hosts) = best_by_trying_all(&candidates, shards);
        let quality = placement.quality;
        prop_assert!(quality.replicas_in_zone_of_primary.bound <= zones);
        prop_assert!(quality.replicas_on_host_of_primary.bound <= hosts);
        // Zones come first; within that choice hosts may be worse than if they alone counted.
        let beside = quality.replicas_in_zone_of_primary;
        prop_assert!(beside.here == zones || !beside.is_best(), "{beside:?} against {zones}");
    }
}
