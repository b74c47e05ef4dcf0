//! From every shape to every other one (B-08 among the cases of [`field`](crate::field)).

use crate::{
    course::{Course, Life},
    seeds::{self, profile},
};
use simcluster::{Platform, Simulation};
use std::time::Duration;

const SHARDS: [usize; 5] = [1, 2, 3, 5, 16];
const REPLICAS: [usize; 4] = [0, 1, 2, 3];
/// So many transitions there are.
const ALL: u64 = 400;
/// The next seed is about a transition so much further on, so that any few of them are of all sorts.
const STRIDE: u64 = 149;
const LONG: Duration = Duration::from_mins(10);

/// From which shape to which this seed leads. Any 400 in a row lead from all to all.
fn transition(seed: u64) -> [(usize, usize); 2] {
    let number = usize::try_from(seed * STRIDE % ALL).unwrap();
    [number / 20, number % 20].map(|shape| (SHARDS[shape / 4], REPLICAS[shape % 4]))
}

fn members((shards, replicas): (usize, usize)) -> usize {
    shards * (replicas + 1)
}

async fn change(simulation: Simulation, seed: u64) {
    let [from, to] = transition(seed);
    simulation.note(&format!("from {from:?} to {to:?}"));
    // Another engine for the same transition in the next round.
    let platform = Platform::calm(profile(seed + seed / ALL));
    let course = Course::made(&simulation, platform, from.0, from.1).await;
    let life = async {
        course.settled(LONG).await;
        let writer = course.writer();
        course.want(to.0, to.1);
        course.settled(LONG).await;
        course.check();
        let primaries = course.primaries();
        assert_eq!(primaries.len(), to.0, "shards");
        for primary in primaries {
            assert_eq!(course.replicas_of(primary).len(), to.1, "replicas of server-{primary}");
        }
        let (ledger, lost) = writer.stop().await;
        assert!(ledger.done > 0, "{ledger:?}");
        Course::assert_kept(&lost);
    };
    course.beside(Life::Whole, life).await;
}

#[test]
fn every_shape_is_reached_from_every_other_and_nothing_is_lost() {
    let is_small = |seed: &u64| transition(*seed).into_iter().all(|shape| members(shape) <= 12);
    let sample: Vec<u64> = (0..ALL).filter(is_small).take(12).collect();
    seeds::all(&sample, 0, change);
}

#[test]
fn four_hundred_seeds_are_all_transitions() {
    let mut all: Vec<_> = (7..7 + ALL).map(transition).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 400);
}
