//! Servers die, machines and networks go, and the loop with them; when that is over, all is as it should be.

use crate::{
    course::{Course, Life},
    seeds::{self, profile},
};
use simcluster::{Platform, Simulation};
use std::time::Duration;
use tokio::time::sleep;

const LONG: Duration = Duration::from_mins(5);

/// Something happens. It draws as much whatever that is, so that what comes after it is the same without it.
fn happens(course: &Course, simulation: &Simulation) {
    let [what, which, host, time, shape] = [8, 1 << 32, 6, 90_000, 5].map(|below| simulation.draw(below));
    let members = course.fleet.numbers();
    let one = members[usize::try_from(which).unwrap() % members.len()];
    let of_host = course.fleet.on_host(usize::try_from(host).unwrap());
    let (shards, replicas) = [(3, 1), (4, 1), (2, 2), (3, 2), (5, 1)][usize::try_from(shape).unwrap()];
    let for_time = match what {
        0 | 1 => Duration::from_millis(100 + time / 30),
        2 => Duration::from_millis(5_000 + time),
        _ => Duration::from_millis(time / 5),
    };
    let occurs = |words: String| simulation.occurs(words);
    match what {
        0..=2 if occurs(format!("server-{one} dies for {for_time:?}")) => course.fleet.kill_for(&[one], for_time),
        3 if occurs(format!("host-{host} dies for {for_time:?}")) => course.fleet.kill_for(&of_host, for_time),
        4 if occurs(format!("server-{one} stops")) => simulation.pause(one),
        5 if occurs(format!("host-{host} is cut off")) => simulation.isolate(&of_host, &[]),
        6 if occurs("the network is mended".to_owned()) => simulation.heal(),
        7 if occurs(format!("{shards} shards with {replicas} replicas each are wanted")) => {
            course.want(shards, replicas);
        }
        _ => {}
    }
}

async fn live_through(simulation: Simulation, seed: u64) {
    let draw = |below| simulation.draw(below);
    let agents = draw(2) == 1;
    let mut course = Course::new(&simulation, Platform { agents, ..Platform::calm(profile(seed)) }, 3, 1);
    course.epochs_meet = true;
    let ledger = course
        .beside(Life::Whole, async {
            course.settled(LONG).await;
            let writer = course.writer();
            sleep(Duration::from_secs(3)).await;
            let (ledger, lost) = writer.stop().await;
            Course::assert_kept(&lost);
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
    Course::assert_kept(&simcluster::lost(&simulation, &ledger));
}

#[test]
fn whatever_happens_the_shape_is_reached_again_and_what_was_replicated_is_there() {
    seeds::all(&[21, 22, 25, 56, 101, 180, 188, 318, 332, 926, 985], 4, live_through);
}
