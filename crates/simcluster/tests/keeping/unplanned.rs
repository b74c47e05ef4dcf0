//! Servers die, machines and networks go, and the loop with them; when that is over, all is as it should be.

use crate::course::{Course, Life, calm, profile, seeds};
use simcluster::{Simulation, run};
use std::time::Duration;
use tokio::time::sleep;

const LONG: Duration = Duration::from_mins(5);

/// Something happens.
fn happens(course: &Course, simulation: &Simulation) {
    let draw = |below: usize| usize::try_from(simulation.draw(u64::try_from(below).unwrap())).unwrap();
    let members = course.fleet.numbers();
    let one = members[draw(members.len())];
    match draw(8) {
        0 | 1 => course.fleet.kill_for(&[one], Duration::from_millis(100 + simulation.draw(3_000))),
        2 => course.fleet.kill_for(&[one], Duration::from_millis(5_000 + simulation.draw(90_000))),
        3 => {
            let all = course.fleet.on_host(draw(6));
            course.fleet.kill_for(&all, Duration::from_millis(simulation.draw(20_000)));
        }
        4 => simulation.pause(one),
        5 => simulation.isolate(&course.fleet.on_host(draw(6)), &[]),
        6 => simulation.heal(),
        _ => {
            let shapes = [(3, 1), (4, 1), (2, 2), (3, 2), (5, 1)];
            let (shards, replicas) = shapes[draw(shapes.len())];
            course.want(shards, replicas);
        }
    }
}

fn live_through(seed: u64) {
    run(seed, |simulation| async move {
        simulation.keep_trace(4_000);
        let mut course = Course::new(&simulation, calm(profile(seed)), 3, 1);
        course.is_partitioned = true;
        let draw = |below| simulation.draw(below);
        let ledger = course
            .beside(Life::Whole, async {
                course.settled(LONG).await;
                let writer = course.writer();
                sleep(Duration::from_secs(3)).await;
                let (ledger, lost) = writer.stop().await;
                course.assert_kept(&lost);
                // Replicas have all of it by then.
                sleep(Duration::from_secs(3)).await;
                ledger
            })
            .await;
        course.set_faults(2.0);
        course.fleet.misbehave(2_000, 5);
        let life = Life::Short { wakes: 50 + draw(1_000), deaths: 20 };
        let life_ends = async {
            for _ in 0..6 {
                happens(&course, &simulation);
                sleep(Duration::from_millis(draw(12_000))).await;
            }
            course.set_faults(0.0);
            course.fleet.behave();
            simulation.heal();
            course.fleet.start_all();
            simulation.note("nothing happens any more");
            course.settled(LONG).await;
        };
        course.beside(life, life_ends).await;
        course.check();
        course.assert_kept(&simcluster::lost(&simulation, &ledger));
    })
    .unwrap();
}

#[test]
fn whatever_happens_the_shape_is_reached_again_and_what_was_replicated_is_there() {
    for seed in seeds(&[21, 22, 25, 101, 180, 188, 318, 332, 985], 15) {
        eprintln!("seed {seed}");
        live_through(seed);
    }
}
