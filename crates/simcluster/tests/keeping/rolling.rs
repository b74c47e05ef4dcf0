//! All members get something else to run with, under load.

use crate::{
    course::{Course, Life},
    seeds::{self, profile},
};
use simcluster::{Platform, Simulation};
use std::{cell::RefCell, time::Duration};
use tokio::time::sleep;

const LONG: Duration = Duration::from_mins(3);

#[test]
fn all_members_are_restarted_and_nothing_is_lost_with_replicas_and_without_on_every_engine() {
    seeds::all(&[], 6, async |simulation, seed| {
        let shapes = [(3, 1), (2, 0), (3, 2), (1, 1)];
        let (shards, replicas) = shapes[usize::try_from(seed / 4 + seed % 3).unwrap() % 4];
        let course = Course::new(&simulation, Platform::calm(profile(seed)), shards, replicas);
        let life = async {
            course.settled(LONG).await;
            let writer = course.writer();
            course.fleet.want(1);
            course.settled(LONG).await;
            course.check();
            assert!(course.fleet.is_updated());
            let (ledger, lost) = writer.stop().await;
            assert!(ledger.done > 0, "{ledger:?}");
            Course::assert_kept(&lost);
        };
        course.beside(Life::Whole, life).await;
    });
}

#[test]
fn what_is_left_of_an_update_and_of_moves_is_told_and_becomes_less() {
    seeds::all(&[], 4, async |simulation, seed| {
        let course = Course::made(&simulation, Platform::calm(profile(seed)), 3, 1).await;
        let told: RefCell<[Vec<f64>; 2]> = RefCell::default();
        let watch = async {
            loop {
                let report = course.report();
                let moves = report.iter().flat_map(|report| &report.doing).filter_map(|doing| doing.seconds_left);
                let left = [report.as_ref().and_then(|report| report.update_seconds_left), moves.reduce(f64::max)];
                told.borrow_mut().iter_mut().zip(left).for_each(|(told, left)| told.extend(left));
                sleep(Duration::from_millis(20)).await;
            }
        };
        let life = async {
            course.settled(LONG).await;
            course.fleet.want(1);
            course.settled(LONG).await;
            course.want(4, 1);
            course.settled(LONG).await;
        };
        let both = async {
            tokio::select! { () = life => {}, () = watch => {} }
        };
        course.beside(Life::Whole, both).await;
        let [update, moves] = told.take();
        let most = update.iter().copied().reduce(f64::max).unwrap();
        assert!(*update.last().unwrap() < most / 2.0, "{update:?}");
        // These take some seconds here.
        assert!(!moves.is_empty() && moves.iter().all(|left| *left < 10.0), "{moves:?}");
        assert!(course.report().is_none_or(|report| report.update_seconds_left.is_none()));
    });
}

#[test]
fn what_no_server_can_run_with_stops_at_the_first_member_and_taking_it_back_recovers() {
    seeds::all(&[], 6, async |simulation, seed| {
        let course = Course::new(&simulation, Platform::calm(profile(seed)), 3, usize::from(seed % 3 > 0));
        let life = async {
            course.settled(LONG).await;
            let writer = course.writer();
            course.fleet.spoil(1);
            course.fleet.want(1);
            sleep(Duration::from_secs(40)).await;
            let down = course.fleet.numbers().into_iter().filter(|number| !simulation.is_up(*number)).count();
            assert_eq!(down, 1);
            course.fleet.want(0);
            course.settled(LONG).await;
            course.check();
            assert!(course.fleet.is_updated());
            let (_, lost) = writer.stop().await;
            Course::assert_kept(&lost);
        };
        course.beside(Life::Whole, life).await;
    });
}

/// Updates are begun and taken back at any time, by loops that die, over links that break, on a platform that is late, while the shape
/// changes, too.
async fn update_at_any_time(simulation: Simulation, seed: u64) {
    let happens = async |course: &Course| {
        for _ in 0..4 {
            let [build, shape, which, pause] = [3, 3, 4, 8_000].map(|below| course.simulation.draw(below));
            let (shards, replicas) = [(2, 0), (3, 1), (4, 1), (2, 2)][usize::try_from(which).unwrap()];
            if course.simulation.occurs(format!("build {build} is wanted")) {
                course.fleet.want(u32::try_from(build).unwrap());
            }
            if shape == 0
                && course.simulation.occurs(format!("{shards} shards with {replicas} replicas each are wanted"))
            {
                course.want(shards, replicas);
            }
            sleep(Duration::from_millis(pause)).await;
        }
    };
    let course = Course::among_faults(simulation, seed, LONG, happens, |_| {}).await;
    assert!(course.fleet.is_updated());
}

#[test]
fn updates_that_begin_and_are_taken_back_at_any_time_end_and_nothing_is_lost() {
    seeds::all(&[], 6, update_at_any_time);
}
