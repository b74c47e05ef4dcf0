//! Cases in which servers were restarted one after another.

use super::{LONG, SECOND, tell, tell_with_short_lives};
use crate::{
    course::{Course, Life},
    seeds::{self, profile},
};
use simcluster::{Number, Platform, Simulation};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::sleep;
use topology::Slot;

/// All members get something else to run with, and have it in the end.
async fn roll(course: &Course) {
    course.fleet.want(1);
    course.settled(LONG).await;
    assert!(course.fleet.is_updated());
}

/// Looks every few milliseconds, for as long as the other goes on.
async fn while_it_goes_on(other: impl Future<Output = ()>, mut look: impl FnMut()) {
    let looking = async {
        loop {
            look();
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = other => {}
        () = looking => {}
    }
}

fn synced_replicas(course: &Course, primary: Number) -> usize {
    let is_synced = |number: &Number| {
        let said = course.simulation.said(*number);
        course.simulation.is_up(*number) && said.is_some_and(|said| said.server.primary_link_up == Some(true))
    };
    course.replicas_of(primary).into_iter().filter(is_synced).count()
}

/// Primaries and replicas were rolled at the same time, and every key was gone (OT #951).
#[test]
fn a_02_a_roll_under_load_by_loops_that_die_loses_nothing() {
    tell_with_short_lives(&[], 4, (3, 1), roll);
}

/// Without volumes a replica came back empty and followed nobody; its primary was rolled next, and the shard was lost (valkey-io PR #208).
#[test]
fn a_03_members_that_lose_their_volumes_at_each_restart_are_rolled_and_nothing_is_lost() {
    seeds::all(&[], 4, async |simulation: Simulation, seed| {
        let platform = Platform { keeps: false, ..Platform::calm(profile(seed)) };
        let course = Course::made(&simulation, platform, 3, 1).await;
        course.beside(Life::Whole, kept(&course)).await;
    });
}

/// A roll dropped all data where nothing was on disk, and stale replicas took over (ucloud #54, Dragonfly #289).
#[test]
fn a_11_shards_without_replicas_and_volumes_are_rolled_and_nothing_is_lost() {
    seeds::all(&[], 4, async |simulation: Simulation, seed| {
        let platform = Platform { keeps: false, ..Platform::calm(profile(seed)) };
        let course = Course::made(&simulation, platform, 2, 0).await;
        course.beside(Life::Whole, kept(&course)).await;
    });
}

async fn kept(course: &Course) {
    let writer = course.writer();
    roll(course).await;
    course.check();
    let (ledger, lost) = writer.stop().await;
    assert!(ledger.done > 0, "{ledger:?}");
    Course::assert_kept(&lost);
}

/// Shards with one replica or none had no safe roll, and a bad image reached serving primaries (valkey-io #255, #267).
#[test]
fn a_04_what_cannot_run_touches_no_serving_primary_and_what_can_reaches_all() {
    for replicas in [0, 1] {
        tell(&[], 3, (3, replicas), async |course| {
            let primaries = course.primaries();
            course.fleet.spoil(1);
            course.fleet.want(1);
            for _ in 0..300 {
                assert!(primaries.iter().all(|primary| course.simulation.is_up(*primary)));
                sleep(Duration::from_millis(100)).await;
            }
            assert_eq!(course.primaries(), primaries);
            course.fleet.want(2);
            course.settled(LONG).await;
            assert!(course.fleet.is_updated());
        });
    }
}

/// While one server could not be looked at, primaries were taken for replicas, and failovers went to and fro (valkey-io #251).
#[test]
fn b_13_a_server_that_the_loop_does_not_reach_during_a_roll_causes_no_failover_more() {
    tell(&[], 4, (3, 1), async |course| {
        let shards: Vec<Slot> = [0, 8000, 16000].map(|slot| Slot::new(slot).unwrap()).into();
        let mut owners: BTreeMap<Slot, Vec<Number>> = BTreeMap::new();
        let [which, pause, time] = [6, 3_000, 20_000].map(|below| course.simulation.draw(below));
        let cut = course.fleet.numbers()[usize::try_from(which).unwrap() % course.fleet.numbers().len()];
        let rolls = async {
            let is_cut = async {
                sleep(Duration::from_millis(pause)).await;
                course.simulation.cut_from(cut, "loop", true);
                sleep(Duration::from_millis(time)).await;
                course.simulation.cut_from(cut, "loop", false);
            };
            tokio::join!(is_cut, roll(course));
        };
        let look = || {
            for number in course.primaries() {
                let Some(said) = course.simulation.said(number) else { continue };
                for slot in shards.iter().filter(|slot| said.myself.slots.contains(**slot)) {
                    let seen = owners.entry(*slot).or_default();
                    if seen.last() != Some(&number) && course.simulation.is_up(number) {
                        seen.push(number);
                    }
                }
            }
        };
        while_it_goes_on(rolls, look).await;
        // The first one, and the one that it handed over to.
        assert!(owners.values().all(|seen| seen.len() <= 2), "{owners:?}");
    });
}

/// A roll took down all replicas of a shard at once (Dragonfly #504, #359).
#[test]
fn c_05_each_shard_has_a_replica_in_sync_at_any_time_of_a_roll() {
    tell(&[], 4, (3, 2), async |course| {
        let alone = std::cell::RefCell::new(BTreeMap::<Number, u32>::new());
        let look = || {
            for primary in course.primaries() {
                // A failover takes some milliseconds, in which the others change over.
                let mut alone = alone.borrow_mut();
                let seen = alone.entry(primary).or_default();
                *seen = if synced_replicas(course, primary) == 0 { *seen + 1 } else { 0 };
                assert!(*seen < 50, "server-{primary} has had no replica in sync for a second");
            }
        };
        while_it_goes_on(roll(course), look).await;
        sleep(SECOND).await;
    });
}
