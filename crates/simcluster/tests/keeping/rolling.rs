//! All members get something else to run with, under load.

use crate::course::{Course, Life, calm, profile, seeds};
use simcluster::run;
use std::time::Duration;

const LONG: Duration = Duration::from_mins(3);

#[test]
fn all_members_are_restarted_and_nothing_is_lost_with_replicas_and_without_on_every_engine() {
    for seed in 0..8 {
        run(seed, |simulation| async move {
            let (shards, replicas) =
                [(3, 1), (2, 0), (3, 2), (1, 1)][usize::try_from(seed / 4 + seed % 3).unwrap() % 4];
            let course = Course::new(&simulation, calm(profile(seed)), shards, replicas);
            let life = async {
                course.settled(LONG).await;
                let writer = course.writer();
                course.fleet.want(1);
                course.settled(LONG).await;
                course.check();
                assert!(course.fleet.is_updated());
                let (ledger, lost) = writer.stop().await;
                assert!(ledger.done > 0, "{ledger:?}");
                course.assert_kept(&lost);
            };
            course.beside(Life::Whole, life).await;
        })
        .unwrap();
    }
}

#[test]
fn what_no_server_can_run_with_stops_at_the_first_member_and_taking_it_back_recovers() {
    for seed in 0..8 {
        run(seed, |simulation| async move {
            let course = Course::new(&simulation, calm(profile(seed)), 3, usize::from(seed % 3 > 0));
            let life = async {
                course.settled(LONG).await;
                let writer = course.writer();
                course.fleet.spoil(1);
                course.fleet.want(1);
                tokio::time::sleep(Duration::from_secs(40)).await;
                let down = course.fleet.numbers().into_iter().filter(|number| !simulation.is_up(*number)).count();
                assert_eq!(down, 1);
                course.fleet.want(0);
                course.settled(LONG).await;
                course.check();
                assert!(course.fleet.is_updated());
                let (_, lost) = writer.stop().await;
                course.assert_kept(&lost);
            };
            course.beside(Life::Whole, life).await;
        })
        .unwrap();
    }
}

/// Updates are begun and taken back at any time, by loops that die, over links that break, on a platform that is late, while the shape
/// changes, too.
fn update_at_any_time(seed: u64) {
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
                course.fleet.want(u32::try_from(draw(3)).unwrap());
                if draw(3) == 0 {
                    let (shards, replicas) = [(2, 0), (3, 1), (4, 1), (2, 2)][usize::try_from(draw(4)).unwrap()];
                    course.want(shards, replicas);
                }
                tokio::time::sleep(Duration::from_millis(draw(8_000))).await;
            }
            course.set_faults(0.0);
            course.fleet.behave();
            course.settled(LONG).await;
        };
        course.beside(life, life_ends).await;
        course.check();
        assert!(course.fleet.is_updated());
        let (_, lost) = writer.stop().await;
        course.assert_kept(&lost);
    })
    .unwrap();
}

#[test]
fn updates_that_begin_and_are_taken_back_at_any_time_end_and_nothing_is_lost() {
    for seed in seeds(&[], 15) {
        eprintln!("seed {seed}");
        update_at_any_time(seed);
    }
}
