//! What the loop does by plan loses nothing, whenever it dies and whatever answer is lost.

use crate::{
    course::{Course, Life},
    seeds::{self, profile},
};
use simcluster::{Platform, Simulation};
use std::time::Duration;
use tokio::time::sleep;

const LONG: Duration = Duration::from_mins(2);

#[test]
fn a_cluster_is_formed_and_scaled_on_every_engine() {
    seeds::all(&[], 4, async |simulation, seed| {
        let course = Course::new(&simulation, Platform::calm(profile(seed)), 3, 1);
        let life = async {
            course.settled(LONG).await;
            course.check();
            let writer = course.writer();
            for (shards, replicas) in [(4, 1), (2, 2), (1, 5), (3, 1)] {
                course.want(shards, replicas);
                course.settled(LONG).await;
                course.check();
            }
            let (ledger, lost) = writer.stop().await;
            assert!(ledger.done > 0, "{ledger:?}");
            Course::assert_kept(&lost);
        };
        course.beside(Life::Whole, life).await;
    });
}

/// Shapes that a course goes through.
const SHAPES: [(usize, usize); 8] = [(3, 1), (4, 1), (2, 2), (1, 5), (5, 0), (1, 0), (3, 2), (2, 1)];

/// A cluster whose shape is changed at any time, by loops that die, over links that break, on a platform that is late.
async fn change_at_any_time(simulation: Simulation, seed: u64) {
    let happens = async |course: &Course| {
        let draw = |below| course.simulation.draw(below);
        for _ in 0..4 {
            let (shards, replicas) = SHAPES[usize::try_from(draw(8)).unwrap()];
            let pause = Duration::from_millis(draw(6_000));
            if course.simulation.occurs(format!("{shards} shards with {replicas} replicas each are wanted")) {
                course.want(shards, replicas);
            }
            sleep(pause).await;
        }
    };
    Course::among_faults(simulation, seed, LONG, happens, |course| course.want(3, 1)).await;
}

#[test]
fn a_shape_that_changes_at_any_time_is_reached_by_loops_that_die_and_nothing_is_lost() {
    seeds::all(&[58, 129, 500, 2735], 6, change_at_any_time);
}

/// A second loop keeps the same cluster, which nobody meant to run, and the shape is changed again and again.
async fn two_loops(simulation: Simulation, seed: u64) {
    let happens = async |course: &Course| {
        for _ in 0..3 {
            let (shards, replicas) = SHAPES[usize::try_from(course.simulation.draw(8)).unwrap()];
            course.want(shards, replicas);
            sleep(Duration::from_millis(course.simulation.draw(20_000))).await;
        }
        course.want(3, 1);
    };
    let course = Course::made(&simulation, Platform::calm(profile(seed)), 3, 1).await;
    course.beside(Life::Twice, course.under_writes(LONG, &happens)).await;
}

#[test]
fn two_loops_that_keep_the_same_cluster_by_mistake_reach_its_shape_and_lose_nothing() {
    seeds::all(&[], 6, two_loops);
}

/// The loop is held at any time of a change, while slots move too, and goes on later.
async fn held_meanwhile(simulation: Simulation, seed: u64) {
    let happens = async |course: &Course| {
        course.want(5, 1);
        sleep(Duration::from_millis(course.simulation.draw(8_000))).await;
        course.fleet.hold(true);
        sleep(Duration::from_secs(4)).await;
        let owned =
            || course.fleet.numbers().into_iter().map(|number| course.simulation.owned(number)).collect::<Vec<_>>();
        let (then, report) = (owned(), course.report().unwrap());
        assert!(report.doing.is_empty(), "what ran has ended: {report:#?}");
        sleep(Duration::from_secs(10)).await;
        assert_eq!(owned(), then, "nothing changes");
        course.fleet.hold(false);
    };
    let course = Course::made(&simulation, Platform::calm(profile(seed)), 3, 1).await;
    course.beside(Life::Whole, course.under_writes(LONG, &happens)).await;
}

#[test]
fn a_loop_that_is_held_lets_what_it_has_begun_end_and_goes_on_later() {
    seeds::all(&[], 6, held_meanwhile);
}
