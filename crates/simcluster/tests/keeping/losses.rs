//! Data is lost, and what others have of it is not.

use crate::{
    course::{Course, Life},
    seeds::{calm, profile, some as seeds},
};
use operations::observe::dial_and_ask;
use operations::port::Fleet;
use simcluster::{Ledger, Number, Simulation, Timeouts, run};
use std::time::Duration;
use tokio::time::sleep;
use topology::{
    ClusterView, ObservedNode, Silence, Slot,
    control::{Advice, WhenShardLost},
};

const LONG: Duration = Duration::from_mins(5);

/// What all servers say.
pub(crate) async fn view(course: &Course) -> ClusterView {
    let timeouts = Timeouts { connect: Duration::from_secs(1), read: Duration::from_secs(2) };
    let dialer = course.simulation.dialer("test", timeouts);
    let mut view = ClusterView::default();
    for number in course.fleet.numbers() {
        let (address, id) = (course.simulation.address(number), Some(course.simulation.id(number)));
        let silent = || Silence { reason: "does not run".to_owned(), advice: None, answers: false, progress: None };
        let said = dial_and_ask(dialer.as_ref(), &address).await.map(|answer| answer.view).map_err(|_| silent());
        view.nodes.push(ObservedNode { address, id, said });
    }
    view
}

/// The shards: each primary with its replicas.
pub(crate) async fn shards(course: &Course) -> Vec<(Number, Vec<Number>)> {
    let view = view(course).await;
    let number = |id| course.simulation.number(id).unwrap();
    let shards = view.shards();
    let owners = shards.iter().filter(|shard| !shard.slots().is_empty());
    owners
        .map(|shard| {
            let replicas = shard.replicas.iter().map(|replica| number(replica.account.id));
            (number(shard.primary.account.id), replicas.collect())
        })
        .collect()
}

/// A cluster that has been written to, and whose replicas have all of it.
pub(crate) async fn written(course: &Course) -> Ledger {
    course.settled(LONG).await;
    let writer = course.writer();
    sleep(Duration::from_secs(3)).await;
    let (ledger, lost) = writer.stop().await;
    Course::assert_kept(&lost);
    sleep(Duration::from_secs(3)).await;
    ledger
}

/// How a primary comes back without its data.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// Its whole volume is lost.
    Volume,
    /// Its keys are lost, its id and its slots are not.
    Keys,
}

fn lose(course: &Course, number: Number, loss: Loss) {
    match loss {
        Loss::Volume => course.fleet.lose_data(number),
        Loss::Keys => course.fleet.lose_keys(number),
    }
}

/// A primary dies, alone or with all others, and comes back without data.
fn comes_back_empty(seed: u64, loss: Loss, all_die: bool) {
    run(seed, |simulation: Simulation| async move {
        simulation.keep_trace(2_000);
        let course = Course::new(&simulation, calm(profile(seed)), 3, 1);
        let ledger = course.beside(Life::Whole, written(&course)).await;
        let shards = shards(&course).await;
        let (primary, _) = shards[usize::try_from(simulation.draw(3)).unwrap()].clone();
        let dead = if all_die { course.fleet.numbers() } else { vec![primary] };
        for number in &dead {
            simulation.kill(*number);
        }
        lose(&course, primary, loss);
        let mut order = dead.clone();
        order.rotate_left(usize::try_from(simulation.draw(6)).unwrap() % dead.len());
        let after = course.beside(Life::Whole, async {
            for number in order {
                sleep(Duration::from_millis(simulation.draw(1_000))).await;
                course.fleet.start(number);
            }
            course.settled(LONG).await;
        });
        after.await;
        course.check();
        Course::assert_kept(&simcluster::lost(&simulation, &ledger));
    })
    .unwrap();
}

#[test]
fn a_primary_that_comes_back_without_data_costs_nobody_a_copy() {
    for seed in seeds(&[], 2) {
        for loss in [Loss::Volume, Loss::Keys] {
            for all_die in [false, true] {
                eprintln!("seed {seed}, {loss:?}, all die: {all_die}");
                comes_back_empty(seed, loss, all_die);
            }
        }
    }
}

/// Whether the loop waits for somebody to ask for what is lost to be made anew.
fn asks_for_anew(course: &Course) -> bool {
    let report = course.report();
    report.is_some_and(|report| report.waits.iter().any(|wait| wait.advice == Some(Advice::RecreateLost)))
}

/// A shard without a replica loses its volume; the loop is killed again and again meanwhile.
fn begins_anew(seed: u64) {
    run(seed, |simulation: Simulation| async move {
        simulation.keep_trace(2_000);
        let course = Course::new(&simulation, calm(profile(seed)), 3, 0);
        let (ledger, shards) =
            course.beside(Life::Whole, async { (written(&course).await, shards(&course).await) }).await;
        let (gone, _) = shards[usize::try_from(simulation.draw(3)).unwrap()];
        let slots = simulation.said(gone).unwrap().myself.slots.clone();
        simulation.kill(gone);
        course.fleet.lose_data(gone);
        let life = async {
            sleep(Duration::from_secs(1)).await;
            course.fleet.start(gone);
            while !asks_for_anew(&course) {
                sleep(Duration::from_secs(1)).await;
            }
            // It is told again and again, each time as the same.
            sleep(Duration::from_secs(20)).await;
            let report = course.report().unwrap();
            assert!(report.unchanged_seconds.is_some_and(|seconds| seconds >= 15), "{report:#?}");
            assert_eq!(course.fleet.losses(), []);
            course.change(|desired| desired.when_shard_lost = WhenShardLost::Recreate);
        };
        course.beside(Life::Whole, life).await;
        let life = Life::Short { wakes: 20 + simulation.draw(300), deaths: 10 };
        course.beside(life, course.settled(LONG)).await;
        course.check();
        let losses = course.report().unwrap().losses;
        assert!(matches!(losses.as_slice(), [loss] if loss.slots == slots), "{losses:#?}");
        let others = simcluster::lost(&simulation, &ledger);
        assert!(
            others.iter().all(|lost| slots.contains(Slot::of_key(lost.key.as_bytes()))),
            "{others:?}\n{}",
            simulation.trace()
        );
    })
    .unwrap();
}

#[test]
fn a_shard_that_is_lost_for_good_begins_anew_when_that_is_wanted_and_the_loss_is_told() {
    for seed in seeds(&[], 2) {
        eprintln!("seed {seed}");
        begins_anew(seed);
    }
}

/// A replica has lost its link to its primary while all others hear both; then the primary's server dies, and its data is on its disk.
fn lags_behind(seed: u64) {
    run(seed, |simulation: Simulation| async move {
        simulation.keep_trace(2_000);
        let course = Course::new(&simulation, calm(profile(seed)), 3, 1);
        let life = async {
            course.settled(LONG).await;
            let shards = shards(&course).await;
            let (primary, replicas) = &shards[usize::try_from(simulation.draw(3)).unwrap()];
            let [replica] = replicas[..] else { panic!("one replica") };
            simulation.cut(*primary, replica, true);
            let writer = course.writer();
            // The replica misses its primary after a minute. The servers themselves elect nobody who has done so for ten times the node timeout and
            // ten seconds.
            sleep(Duration::from_secs(140 + simulation.draw(60))).await;
            let (ledger, _) = writer.stop().await;
            let kept = simulation.keys(*primary);
            assert!(simulation.keys(replica) < kept, "what was written meanwhile is not there");
            simulation.kill(*primary);
            // Longer than anybody is waited for whose data may be gone.
            sleep(Duration::from_secs(simulation.draw(150))).await;
            simulation.cut(*primary, replica, false);
            course.fleet.start(*primary);
            course.settled(LONG).await;
            let lost = simcluster::lost(&simulation, &ledger);
            assert!(lost.is_empty(), "{lost:?}\n{}", simulation.trace());
        };
        course.beside(Life::Short { wakes: 100 + simulation.draw(1000), deaths: 2 }, life).await;
        course.check();
    })
    .unwrap();
}

#[test]
fn a_replica_that_lags_behind_does_not_cost_what_its_dead_primary_has_on_its_disk() {
    for seed in seeds(&[], 3) {
        eprintln!("seed {seed}");
        lags_behind(seed);
    }
}

/// All members lose their volumes at once: nothing is left that could tell what there was.
fn all_is_gone(seed: u64) {
    run(seed, |simulation: Simulation| async move {
        simulation.keep_trace(2_000);
        let course = Course::new(&simulation, calm(profile(seed)), 3, 1);
        let life = async {
            written(&course).await;
            course.change(|desired| desired.formed = true);
            for number in course.fleet.numbers() {
                simulation.kill(number);
                course.fleet.lose_data(number);
            }
            course.fleet.start_all();
            course.until("it is told", LONG, || asks_for_anew(&course)).await;
            sleep(Duration::from_secs(simulation.draw(100))).await;
            assert!(asks_for_anew(&course), "it is not made anew by itself: {:#?}", course.report());
            assert!(!simulation.unserved_slots().is_empty());
            course.change(|desired| desired.when_shard_lost = WhenShardLost::Recreate);
            course.settled(LONG).await;
            course.check();
            let losses = course.fleet.losses();
            assert!(
                matches!(losses.as_slice(), [loss] if loss.slots.len() == 16384 && loss.had.is_none()),
                "{losses:#?}"
            );
        };
        course.beside(Life::Short { wakes: 50 + simulation.draw(500), deaths: 5 }, life).await;
    })
    .unwrap();
}

#[test]
fn a_cluster_of_which_nothing_is_left_begins_anew_only_when_that_is_wanted_and_the_loss_is_told() {
    for seed in seeds(&[], 3) {
        eprintln!("seed {seed}");
        all_is_gone(seed);
    }
}
