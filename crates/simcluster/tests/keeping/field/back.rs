//! Cases in which a cluster did not come back.

use super::{LONG, SECOND, tell};
use crate::{
    course::{Course, Life},
    seeds::{self, profile},
};
use operations::port::{Command, SlotState};
use simcluster::{Faults, Number, Platform, Simulation};
use std::time::Duration;
use tokio::time::sleep;
use topology::Slot;

/// All servers die and come back at addresses that nobody has had.
async fn all_move(course: &Course) {
    let members = course.fleet.numbers();
    course.fleet.kill(&members);
    for number in members {
        sleep(Duration::from_millis(course.simulation.draw(300))).await;
        course.fleet.start_elsewhere(number);
    }
}

fn serves(course: &Course) -> bool {
    let ok = |number: Number| course.simulation.said(number).is_some_and(|said| said.cluster.state_ok);
    course.fleet.numbers().into_iter().all(ok) && course.simulation.unserved_slots().is_empty()
}

/// All servers restart with other addresses, and none finds another again: the complaint that comes up most (valkey-io #275; OT #20, #39, #145, #1233;
/// Bitnami #10774, #20395; redis #15136).
#[test]
fn b_01_all_servers_come_back_at_other_addresses_and_serve_within_half_a_minute() {
    for (shape, seeds) in [((3, 1), 4), ((10, 2), 1), ((30, 1), 1)] {
        tell(&[], seeds, shape, async |course| {
            all_move(course).await;
            course.until("all serve", 30 * SECOND, || serves(course)).await;
        });
    }
}

/// The same while nobody operates the cluster.
#[test]
fn b_01_all_servers_come_back_at_other_addresses_without_a_loop() {
    seeds::all(&[], 4, async |simulation: Simulation, seed| {
        let course = Course::made(&simulation, Platform::calm(profile(seed)), 3, 1).await;
        let writer = course.writer();
        sleep(3 * SECOND).await;
        let (ledger, _) = writer.stop().await;
        all_move(&course).await;
        course.until("all serve", 30 * SECOND, || serves(&course)).await;
        Course::assert_kept(&simcluster::lost(&simulation, &ledger));
        // And the loop finds nothing that it has to mend.
        course.beside(Life::Whole, course.settled(LONG)).await;
        course.check();
    });
}

/// Most primaries are gone at once, so that nobody can be elected (valkey-io #240, #256; OT #42): as long as their servers come back, nobody takes what
/// is not given by a vote.
#[test]
fn b_02_most_primaries_die_and_come_back_and_nobody_has_taken_over() {
    for (shards, dead) in [(3, 2), (5, 3)] {
        tell(&[], 4, (shards, 1), async |course| {
            let primaries = course.primaries();
            let before = course.takeovers();
            let time = Duration::from_secs(15 + course.simulation.draw(30));
            course.fleet.kill(&primaries[..dead]);
            sleep(time).await;
            assert_eq!(course.takeovers(), before, "somebody took over without a majority");
            course.fleet.start_all();
        });
    }
}

/// The same where they never come back: after a minute without any of them the fewest replicas that make a majority take over without a vote, and those
/// elect the others.
#[test]
fn b_02_most_primaries_never_come_back_and_replicas_take_over_within_two_minutes() {
    for (shards, dead) in [(3, 2), (5, 3)] {
        tell(&[], 2, (shards, 2), async |course| {
            course.fleet.kill(&course.primaries()[..dead]);
            let served = || course.simulation.unserved_slots().is_empty();
            course.until("all slots are served", 120 * SECOND, served).await;
        });
    }
}

/// After many primaries of a large cluster had died at the same time, some shards never got another one (valkey #2181).
#[test]
fn b_03_almost_half_of_all_primaries_die_and_all_shards_get_another() {
    tell(&[], 1, (11, 1), async |course| {
        let dead = &course.primaries()[..5];
        course.fleet.kill_for(dead, Duration::from_secs(90));
        course.until("all slots are served", 60 * SECOND, || course.simulation.unserved_slots().is_empty()).await;
    });
}

/// A dead primary was forgotten before its replica was elected: nobody knew for whom to vote, and the replica could not forget its primary
/// (valkey-io #103, #48).
#[test]
fn b_04_a_primary_that_dies_while_it_leaves_is_not_forgotten_before_it_is_replaced() {
    tell(&[], 8, (4, 1), async |course| {
        course.want(3, 1);
        let pause = Duration::from_millis(course.simulation.draw(5_000));
        let time = Duration::from_millis(course.simulation.draw(100_000));
        sleep(pause).await;
        let owned = course.primaries();
        let leaves = owned.iter().min_by_key(|number| course.simulation.owned(**number).len()).unwrap();
        course.fleet.kill_for(&[*leaves], time);
    });
}

/// Both servers of a shard were replaced, and what gossip told of the dead owner won against the new one: slots stayed without an owner
/// (valkey-io #197).
#[test]
fn b_05_both_servers_of_a_shard_go_one_after_the_other_and_no_slot_stays_without_owner() {
    tell(&[], 4, (3, 1), async |course| {
        for _ in 0..2 {
            let one = course.primaries()[0];
            for number in course.replicas_of(one).into_iter().chain([one]) {
                course.fleet.kill(&[number]);
                course.fleet.lose_data(number);
                sleep(Duration::from_millis(course.simulation.draw(3_000))).await;
                course.fleet.start(number);
                course.settled(LONG).await;
                assert!(course.simulation.unowned_slots().is_empty());
            }
        }
    });
}

/// A scale-in was taken back right after the shard had been emptied, and the operator waited for ever without a word (valkey-io #445).
#[test]
fn b_06_a_scale_in_that_is_taken_back_at_any_time_is_undone_and_the_loop_says_what_it_waits_for() {
    tell(&[], 8, (4, 1), async |course| {
        for _ in 0..3 {
            course.want(3, 1);
            sleep(Duration::from_millis(course.simulation.draw(8_000))).await;
            course.want(4, 1);
            sleep(Duration::from_millis(course.simulation.draw(3_000))).await;
        }
        for _ in 0..200 {
            let report = course.report();
            let is_silent = report.is_some_and(|report| {
                let told = report.doing.len() + report.waits.len() + report.failures.len();
                !report.settled && told == 0 && report.trouble.is_none()
            });
            assert!(!is_silent, "not settled, and nothing is said");
            sleep(Duration::from_millis(100)).await;
        }
    });
}

/// All of an operator's work went by the first server: when that was new, it made the cluster once more; when it was ill, nothing was done
/// (OT #1251, #1100, #166, #108).
#[test]
fn b_07_any_server_may_be_silent_while_the_shape_changes() {
    tell(&[], 8, (3, 1), async |course| {
        let silent = course.member(course.simulation.draw(1 << 32));
        if course.simulation.draw(2) == 0 {
            course.simulation.pause(silent);
        } else {
            course.simulation.kill(silent);
        }
        let (shards, replicas) = [(4, 1), (3, 2), (5, 1)][usize::try_from(course.simulation.draw(3)).unwrap()];
        course.want(shards, replicas);
        sleep(50 * SECOND).await;
        course.fleet.start_all();
    });
}

/// Members that cannot be placed kept a cluster from being made, and more and more of them came (the first half of hyperspike #250).
#[test]
fn b_09_a_cluster_is_made_though_some_members_never_start_and_the_wish_changes() {
    let course = async |simulation: Simulation, seed| {
        let room = 4 + usize::try_from(simulation.draw(2)).unwrap();
        let course = Course::new(&simulation, Platform { room, ..Platform::calm(profile(seed)) }, 3, 1);
        let life = async {
            sleep(Duration::from_secs(30 + simulation.draw(200))).await;
            assert!(course.fleet.numbers().len() <= 12, "more and more: {:?}", course.fleet.numbers());
            if simulation.draw(2) == 0 {
                course.want(2, 1);
            } else {
                course.fleet.set_room(usize::MAX);
            }
            course.settled(LONG).await;
        };
        course.beside(Life::Whole, life).await;
        course.check();
    };
    seeds::all(&[], 4, course);
}

/// Servers that did not find each other at once were never joined: a slot was already busy, a node unknown (hyperspike #250, #393).
#[test]
fn b_09_a_cluster_is_made_while_messages_get_lost_and_servers_restart() {
    let course = async |simulation: Simulation, seed| {
        let course = Course::new(&simulation, Platform { late: 2_000, ..Platform::calm(profile(seed)) }, 3, 1);
        simulation.set_network(0..=20, 0.3);
        course.set_faults(5.0);
        let life = async {
            for _ in 0..3 {
                sleep(Duration::from_millis(2_000 + simulation.draw(3_000))).await;
                let which = simulation.draw(1 << 32);
                if !course.fleet.numbers().is_empty() {
                    course.fleet.kill_for(&[course.member(which)], 2 * SECOND);
                }
            }
            sleep(20 * SECOND).await;
            simulation.set_network(0..=1, 0.0);
            simulation.set_faults(Faults::default());
            course.settled(LONG).await;
            course.check();
        };
        course.beside(Life::Short { wakes: 200, deaths: 10 }, life).await;
    };
    seeds::all(&[], 4, course);
}

async fn mark(course: &Course, number: Number, slot: Slot, state: SlotState) {
    let dialer = course.simulation.dialer("somebody", simcluster::Timeouts::default());
    let link = dialer.dial(&course.simulation.address(number)).await.unwrap();
    link.send(vec![Command::SetSlot(slot, state)]).await.unwrap();
}

/// An interrupted move left slots open on one side or on both, also on nodes that had no part in it, and nothing could be scaled any more (valkey
/// #998, #1664; `KubeBlocks` add-ons #2365, #3222).
#[test]
fn b_10_open_slots_in_every_combination_are_closed_and_the_shape_changes() {
    tell(&[], 8, (3, 1), async |course| {
        let primaries = course.primaries();
        for _ in 0..4 {
            let [slot, from, to, kind] = [16384, 3, 3, 3].map(|below| course.simulation.draw(below));
            let slot = Slot::new(u16::try_from(slot).unwrap()).unwrap();
            let at = |drawn: u64| primaries[usize::try_from(drawn).unwrap()];
            let owner = primaries.iter().find(|number| course.simulation.owned(**number).contains(slot));
            let (Some(owner), to) = (owner.copied(), at(to)) else { continue };
            if kind != 1 && to != owner {
                mark(course, owner, slot, SlotState::Migrating(course.simulation.id(to))).await;
            }
            if kind != 0 && at(from) != owner {
                let source = if kind == 1 { at(from) } else { to };
                if source != owner {
                    mark(course, source, slot, SlotState::Importing(course.simulation.id(owner))).await;
                }
            }
        }
        course.want(4, 1);
    });
}

/// One replica that did not answer kept everything from being scaled.
#[test]
fn b_10_a_replica_that_is_down_does_not_keep_slots_from_moving() {
    tell(&[], 4, (3, 1), async |course| {
        let replica = course.replicas_of(course.primaries()[0])[0];
        course.simulation.kill(replica);
        course.want(4, 1);
        let spread = || course.primaries().len() == 4;
        course.until("the fourth shard has slots", 50 * SECOND, spread).await;
        course.fleet.start(replica);
    });
}

/// After a loss of power, servers that never came back stayed members for ever, and there were eight where there should have been six
/// (IBM #70; ucloud #40, #22).
#[test]
fn b_11_power_is_lost_and_one_machine_comes_back_much_later() {
    tell(&[], 4, (3, 1), async |course| {
        let late = usize::try_from(course.simulation.draw(6)).unwrap();
        let of_late = course.fleet.on_host(late);
        let all = course.fleet.numbers();
        course.fleet.kill(&all);
        for number in all.into_iter().filter(|number| !of_late.contains(number)) {
            sleep(Duration::from_millis(course.simulation.draw(2_000))).await;
            course.fleet.start(number);
        }
        sleep(Duration::from_secs(150)).await;
        course.fleet.start_all();
    });
}

/// What ended a server and what looked after the cluster both asked for a failover, and one disturbed the other (valkey #3996).
#[test]
fn b_12_a_primary_that_dies_is_replaced_by_one_election() {
    tell(&[], 8, (3, 2), async |course| {
        let one = course.member(0);
        let one = if course.simulation.owned(one).is_empty() { course.primaries()[0] } else { one };
        let before = course.takeovers();
        course.fleet.kill_for(&[one], 20 * SECOND);
        sleep(15 * SECOND).await;
        assert_eq!(course.takeovers() - before, 1, "elections that were won");
    });
}

/// Members for which there was no room kept a cluster from getting smaller again, which would have removed them (valkey-io #258, #273).
#[test]
fn b_14_members_without_room_are_removed_when_the_wish_is_taken_back() {
    tell(&[], 4, (3, 1), async |course| {
        course.fleet.set_room(7);
        course.want(5, 1);
        sleep(Duration::from_secs(10 + course.simulation.draw(100))).await;
        course.want(3, 1);
    });
}

/// A change that could not be carried out could not be taken back either: what waited for the new server waited on (OT #1097).
#[test]
fn b_15_a_wish_that_is_stuck_can_be_replaced_by_another() {
    tell(&[], 4, (3, 1), async |course| {
        course.fleet.set_room(6);
        course.want(3, 2);
        sleep(Duration::from_secs(5 + course.simulation.draw(70))).await;
        course.want(2, 1);
        let shrunk = || course.fleet.numbers().len() == 4;
        course.until("it is smaller", LONG, shrunk).await;
        course.fleet.set_room(usize::MAX);
        course.want(3, 1);
    });
}
