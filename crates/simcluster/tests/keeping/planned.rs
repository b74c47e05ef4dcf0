//! What the loop does by plan loses nothing, whenever it dies and whatever answer is lost.

use crate::course::{Course, Life, calm, profile, seeds};
use simcluster::run;
use std::time::Duration;

const LONG: Duration = Duration::from_mins(2);

#[test]
fn a_cluster_is_formed_and_scaled_on_every_engine() {
    for seed in 0..8 {
        run(seed, |simulation| async move {
            let course = Course::new(&simulation, calm(profile(seed)), 3, 1);
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
                course.assert_kept(&lost);
            };
            course.beside(Life::Whole, life).await;
        })
        .unwrap();
    }
}

/// Shapes that a course goes through.
const SHAPES: [(usize, usize); 8] = [(3, 1), (4, 1), (2, 2), (1, 5), (5, 0), (1, 0), (3, 2), (2, 1)];

/// A cluster whose shape is changed at any time, by loops that die, over links that break, on a platform that is late.
fn change_at_any_time(seed: u64) {
    run(seed, |simulation| async move {
        let course = Course::new(&simulation, calm(profile(seed)), 3, 1);
        let draw = |below| simulation.draw(below);
        course.beside(Life::Whole, course.settled(LONG)).await;
        let writer = course.writer();
        course.set_faults(3.0);
        course.fleet.misbehave(1_000, 10);
        let life = Life::Short { wakes: 20 + draw(400), deaths: 20 };
        let life_ends = async {
            for _ in 0..4 {
                let (shards, replicas) = SHAPES[usize::try_from(draw(8)).unwrap()];
                course.want(shards, replicas);
                tokio::time::sleep(Duration::from_millis(draw(6_000))).await;
            }
            course.set_faults(0.0);
            course.fleet.behave();
            course.want(3, 1);
            course.settled(LONG).await;
        };
        course.beside(life, life_ends).await;
        course.check();
        let (_, lost) = writer.stop().await;
        course.assert_kept(&lost);
    })
    .unwrap();
}

#[test]
fn a_shape_that_changes_at_any_time_is_reached_by_loops_that_die_and_nothing_is_lost() {
    for seed in seeds(&[129, 500, 2735], 20) {
        eprintln!("seed {seed}");
        change_at_any_time(seed);
    }
}
