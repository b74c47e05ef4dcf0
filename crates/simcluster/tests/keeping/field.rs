//! What users of other operators have lived through, told anew for this loop. Each test is named after its case, and says what went wrong
//! elsewhere and where that was reported.
//!
//! Not here: what only Kubernetes can show (C-03, the resource's
//! versions of B-14), and the second half of B-02, a shard whose machines never come back.

mod back;
mod data;
mod places;
mod rolls;
mod shapes;

use crate::{
    course::{Course, Life},
    seeds::{self, profile},
};
use simcluster::Platform;
use std::{any::type_name, time::Duration};

/// Within this virtual time everything is as it should be again.
const LONG: Duration = Duration::from_mins(5);
const SECOND: Duration = Duration::from_secs(1);

/// Tells a story of a cluster of so many shards with so many replicas, with a client that writes meanwhile and so many seeds. At its end the
/// shape is reached, nothing that must not be has been, and nothing is lost.
fn tell<S: AsyncFn(&Course) + Sync>(found: &[u64], count: u64, shape: (usize, usize), story: S) {
    let course = async |simulation, seed| {
        let course = Course::made(&simulation, Platform::calm(profile(seed)), shape.0, shape.1).await;
        course.beside(Life::Whole, course.under_writes(LONG, &story)).await;
    };
    seeds::all_named(type_name::<S>(), found, count, course);
}

/// The same with a loop that dies again and again, after another number of wakes with each seed.
fn tell_with_short_lives<S: AsyncFn(&Course) + Sync>(found: &[u64], count: u64, shape: (usize, usize), story: S) {
    let course = async |simulation: simcluster::Simulation, seed| {
        let course = Course::made(&simulation, Platform::calm(profile(seed)), shape.0, shape.1).await;
        let life = Life::Short { wakes: 5 + simulation.draw(400), deaths: 20 };
        course.beside(life, course.under_writes(LONG, &story)).await;
    };
    seeds::all_named(type_name::<S>(), found, count, course);
}
