//! A schedule that fails is made short.

use crate::{course::Course, seeds};
use simcluster::{Platform, Profile, Simulation};
use std::time::Duration;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// A platform that loses the data of whatever restarts as the third: the last of three things that have to happen, among two dozen others.
async fn a_platform_that_forgets(simulation: Simulation, _: u64) {
    let course = Course::made(&simulation, Platform::calm(&Profile::VALKEY_8_1), 3, 0).await;
    let writer = course.writer();
    sleep(5 * SECOND).await;
    let (ledger, _) = writer.stop().await;
    let mut restarts = 0;
    for _ in 0..24 {
        let [what, which] = [3, 3].map(|below| simulation.draw(below));
        let one = course.member(which);
        match what {
            0 if simulation.occurs(format!("server-{one} restarts")) => {
                course.fleet.kill(&[one]);
                restarts += 1;
                if restarts == 3 {
                    course.fleet.lose_data(one);
                }
                sleep(SECOND).await;
                course.fleet.start(one);
            }
            1 if simulation.occurs(format!("server-{one} is cut off")) => simulation.isolate(&[one], &["client"]),
            2 if simulation.occurs("the network is mended") => simulation.heal(),
            _ => {}
        }
        sleep(SECOND).await;
    }
    Course::assert_kept(&simcluster::lost(&simulation, &ledger));
}

#[test]
fn of_a_schedule_that_fails_what_is_needed_is_found() {
    let shortest = seeds::shortest_of_first(&[0, 1, 2, 3], a_platform_that_forgets).expect("data is lost");
    let told: Vec<&str> = shortest.iter().map(simcluster::Happened::told).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.iter().all(|told| told.ends_with(" restarts")), "{told:?}");
}
