//! Cases about machines and zones.

use super::{LONG, SECOND, tell};
use crate::{
    course::{Course, Life},
    seeds::{self, profile},
};
use simcluster::{Number, Platform, Simulation, Writer, WriterOptions};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::sleep;

/// How many of these servers are on each machine.
fn by_host(course: &Course, numbers: &[Number]) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for number in numbers {
        *counts.entry(course.simulation.host(*number)).or_default() += 1;
    }
    counts
}

/// A primary and its replica were on the same machine, and in the same zone (OT #142, #405, #500, #1109, #1366; IBM #51; valkey-io #146, #224).
#[test]
fn c_01_no_shard_has_two_servers_on_a_machine() {
    for (hosts, replicas) in [(3, 1), (3, 2), (6, 2)] {
        seeds::all(&[], 2, async |simulation: Simulation, seed| {
            let platform = Platform { hosts, ..Platform::calm(profile(seed)) };
            let course = Course::new(&simulation, platform, 3, replicas);
            course.beside(Life::Whole, course.settled(LONG)).await;
            course.check();
            for primary in course.primaries() {
                let mut shard = course.replicas_of(primary);
                shard.push(primary);
                let most = by_host(&course, &shard).into_values().max();
                assert_eq!(most, Some(1), "shard of server-{primary} on {hosts} machines");
            }
        });
    }
}

/// After failures the primaries piled up on one machine, and when that failed most of them were gone (valkey-io #247, #311, #265).
#[test]
fn c_02_primaries_that_piled_up_are_spread_again_in_quiet_moments() {
    tell(&[], 4, (3, 1), async |course| {
        let [first, second] = [0, 1].map(|at| course.primaries()[at]);
        for number in [first, second] {
            course.fleet.kill_for(&[number], 2 * SECOND);
            sleep(15 * SECOND).await;
        }
        course.settled(LONG).await;
        let spread = || by_host(course, &course.primaries()).into_values().max() == Some(1);
        course.until("each primary is on a machine of its own", Duration::from_mins(15), spread).await;
    });
}

/// A machine without power, or a zone, and for minutes nobody took over (Dragonfly #302, #227). Nobody sees it go: agents are told of deaths only
/// by machines that live, so that this takes the node timeout.
#[test]
fn c_04_a_machine_goes_and_its_slots_are_written_again_within_the_node_timeout_and_some_seconds() {
    seeds::all(&[], 8, async |simulation: Simulation, seed| {
        let course = Course::made(&simulation, Platform::calm(profile(seed)), 3, 1).await;
        let one = course.primaries()[usize::try_from(simulation.draw(3)).unwrap()];
        let slots = Some(simulation.owned(one));
        let machine = course.fleet.beside(one);
        let life = async {
            course.settled(LONG).await;
            let writer = Writer::start(&simulation, &WriterOptions { slots, ..WriterOptions::default() });
            sleep(SECOND).await;
            simulation.isolate(&machine, &["client", "loop"]);
            sleep(20 * SECOND).await;
            let (ledger, _) = writer.stop().await;
            // Half a node timeout until it is asked, a whole one until it is suspected, a second for gossip and as much for the election.
            assert!(ledger.worst_gap < 10 * SECOND, "{:?}", ledger.worst_gap);
            simulation.heal();
            course.settled(LONG).await;
        };
        course.beside(Life::Whole, life).await;
        course.check();
    });
}
