//! Cases in which data was lost.

use super::{LONG, SECOND, tell, tell_with_short_lives};
use crate::course::Course;
use simcluster::Number;
use std::{cell::RefCell, collections::BTreeMap, time::Duration};
use tokio::time::sleep;
use topology::SlotSet;

async fn all_restart(course: &Course) {
    for round in 0..3 {
        let pause = Duration::from_millis(course.simulation.draw(20_000));
        let for_time = Duration::from_millis(course.simulation.draw(4_000));
        sleep(pause).await;
        if course.simulation.occurs(format!("all servers die, for the {round}. time, for {for_time:?}")) {
            course.fleet.kill_for(&course.fleet.numbers(), for_time);
        }
        sleep(for_time + 2 * SECOND).await;
        course.settled(LONG).await;
    }
}

/// After all servers had restarted, an operator took the cluster for one that it had to make, could not reset nodes that held keys, and emptied
/// them (OT #1164, #1069).
#[test]
fn a_01_all_servers_restart_at_once_and_nothing_is_emptied() {
    tell(&[], 4, (3, 1), all_restart);
}

/// The same was still possible where there was one shard only.
#[test]
fn a_01_a_single_server_restarts_and_nothing_is_emptied() {
    tell(&[], 4, (1, 0), async |course| all_restart(course).await);
}

/// Shrinking broke clusters: a primary that had failed was counted, errors of the move were passed over, and the servers that still had
/// slots were removed (OT #846, #860, #885, #1148, #1167, #1647).
#[test]
fn a_05_scale_in_while_sources_destinations_and_the_loop_die_loses_nothing() {
    tell_with_short_lives(&[8], 4, (6, 1), async |course| {
        course.want(3, 1);
        for _ in 0..4 {
            let [pause, which, time] = [6_000, 1 << 32, 8_000].map(|below| course.simulation.draw(below));
            sleep(Duration::from_millis(pause)).await;
            let owners = course.primaries();
            let Some(one) = owners.get(usize::try_from(which).unwrap() % owners.len().max(1)) else { continue };
            if course.simulation.occurs(format!("server-{one}, which owns slots, dies for {time} ms")) {
                course.fleet.kill_for(&[*one], Duration::from_millis(time));
            }
        }
    });
}

/// That one primary is down, and does not come back for a while, is no wish for fewer shards (OT #846).
#[test]
fn a_05_a_primary_that_fails_shrinks_nothing() {
    tell(&[], 4, (4, 1), async |course| {
        let one = course.primaries()[0];
        course.fleet.kill_for(&[one], Duration::from_secs(40));
        for _ in 0..300 {
            let members = course.fleet.numbers().len();
            assert!(members >= 8, "{members} members");
            sleep(SECOND / 5).await;
        }
    });
}

/// All slots of shards that leave went to one node first, which had no room for them, and from there to where they were to be (OT #1334).
#[test]
fn a_06_slots_of_shards_that_leave_go_once_and_to_where_they_stay() {
    tell(&[], 4, (6, 0), async |course| {
        let share = 16384_usize.div_ceil(3);
        let owned = |course: &Course| -> BTreeMap<Number, SlotSet> {
            course.fleet.numbers().into_iter().map(|number| (number, course.simulation.owned(number))).collect()
        };
        let before = owned(course);
        let moved = RefCell::new(SlotSet::new());
        let last = RefCell::new(before.clone());
        let look = || {
            let now = owned(course);
            for (number, slots) in &now {
                assert!(slots.len() <= share + 1, "server-{number} owns {} slots", slots.len());
                let was = last.borrow().get(number).cloned().unwrap_or_default();
                let came = slots.difference(&was);
                let again = moved.borrow().intersection(&came);
                assert!(again.is_empty(), "{again} moved twice");
                let all = moved.borrow().union(&came);
                *moved.borrow_mut() = all;
            }
            *last.borrow_mut() = now;
        };
        course.want(3, 0);
        while course.fleet.numbers().len() > 3 {
            look();
            sleep(Duration::from_millis(5)).await;
        }
        // Three shards of 2730 or 2731 slots go.
        let least: usize = course.fleet.numbers().iter().map(|number| share - before[number].len()).sum();
        let count = moved.borrow().len();
        assert!(count <= least, "{count} slots moved, {least} are enough");
    });
}

/// From three shards to four and back, 5461 slots had no owner (`KubeBlocks` #9321, #8520, #6639).
#[test]
fn a_07_any_number_of_shards_in_a_row_leaves_each_slot_with_one_owner() {
    tell(&[], 4, (3, 0), async |course| {
        for _ in 0..4 {
            let shards = 1 + usize::try_from(course.simulation.draw(6)).unwrap();
            course.want(shards, 0);
            course.settled(LONG).await;
            course.check();
            let sizes: Vec<usize> =
                course.primaries().iter().map(|number| course.simulation.owned(*number).len()).collect();
            let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
            assert!(sizes.len() == shards && most - least <= 1, "{sizes:?}");
        }
        course.want(3, 0);
    });
}

/// Replicas looked like empty primaries to others, got no votes, and when a primary died its shard was lost (chideat #98, valkey #2811).
#[test]
fn a_08_each_primary_dies_in_turn_and_a_replica_with_its_data_takes_its_place() {
    tell(&[], 4, (3, 1), async |course| {
        for primary in course.primaries() {
            let replicas = course.replicas_of(primary);
            course.fleet.kill_for(&[primary], 3 * SECOND);
            let is_replaced = || replicas.iter().any(|replica| !course.simulation.owned(*replica).is_empty());
            let took = course.until("a replica takes the place", 10 * SECOND, is_replaced).await;
            assert!(took < 2 * SECOND, "the agents are quicker than the node timeout: {took:?}");
            course.settled(LONG).await;
            // Servers vote against the same shard again after two node timeouts.
            sleep(11 * SECOND).await;
        }
    });
}

/// An operator that died half-way through a scale-in removed servers that still had slots when it came back (wellcake, cha-02).
#[test]
fn a_09_the_loop_dies_at_any_wake_of_a_scale_in_and_removes_nobody_with_slots() {
    tell_with_short_lives(&[], 6, (4, 1), async |course| {
        course.want(2, 1);
        let removed = || course.fleet.numbers().len() <= 4;
        course.until("the members that are too many have gone", LONG, removed).await;
        assert!(course.simulation.unowned_slots().is_empty());
    });
}

/// A primary that came back with an empty volume was taken for the one that knows, and its replicas emptied themselves; or it was elected again and
/// took its slots back (valkey #885, #974; wellcake, cha-03).
#[test]
fn a_10_a_primary_that_comes_back_empty_serves_nothing_before_it_has_a_copy() {
    tell(&[], 8, (3, 1), async |course| {
        let one = course.primaries()[0];
        let time = Duration::from_millis(course.simulation.draw(9_000));
        // All that was acknowledged is with the replica.
        course.fleet.kill(&[one]);
        course.fleet.lose_data(one);
        sleep(time).await;
        course.fleet.start(one);
        let whole = || course.simulation.unserved_slots().is_empty();
        course.until("all slots are served again", LONG, whole).await;
        assert!(course.simulation.owned(one).is_empty(), "what is empty serves");
    });
}

/// A server that had given its slots away and had kept their keys on its disk had them again after a restart (redkey, upgrade notes).
#[test]
fn a_12_no_server_has_keys_of_slots_that_it_gave_away_also_after_a_restart() {
    tell(&[], 4, (4, 1), async |course| {
        for (shards, replicas) in [(2, 1), (3, 1)] {
            course.want(shards, replicas);
            course.settled(LONG).await;
            // Servers drop what has left them in their own time.
            sleep(20 * SECOND).await;
            for restarted in [false, true] {
                for number in course.fleet.numbers() {
                    let foreign = course.simulation.foreign_keys(number);
                    assert_eq!(foreign, 0, "keys of others on server-{number}, restarted: {restarted}");
                }
                course.fleet.kill_for(&course.fleet.numbers(), SECOND);
                sleep(3 * SECOND).await;
                course.settled(LONG).await;
            }
        }
    });
}
