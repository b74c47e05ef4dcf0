//! A majority of primaries goes: those that come back are waited for, and of those that do not the fewest are replaced without a vote.

use crate::{
    course::{Course, Life},
    losses::{shards, written},
    seeds::{calm, profile, some as seeds},
};
use operations::control::Report;
use simcluster::{Simulation, run};
use std::time::Duration;
use tokio::time::sleep;
use topology::plan::{Action, FailoverKind};

const LONG: Duration = Duration::from_mins(5);

/// Counts the replicas that take over without a vote, as long as it is polled.
async fn count_takeovers(course: &Course, seen: &mut Vec<String>) {
    loop {
        let takeovers = course.report().iter().flat_map(takeovers).collect::<Vec<_>>();
        assert!(takeovers.len() <= 1, "one at a time: {takeovers:?}");
        for takeover in takeovers {
            if !seen.contains(&takeover) {
                seen.push(takeover);
            }
        }
        sleep(Duration::from_millis(2)).await;
    }
}

fn takeovers(report: &Report) -> Vec<String> {
    let replica = |action: &Action| match action {
        Action::Failover { replica, kind: FailoverKind::Takeover, .. } => Some(replica.address.to_string()),
        _ => None,
    };
    report.doing.iter().filter_map(|doing| replica(&doing.action)).collect()
}

/// Of so many shards so many primaries die at once, and come back at some time between these; gives how many replicas took over without a
/// vote.
fn lose_majority(seed: u64, shards_wanted: usize, dead: usize, away: (u64, u64)) -> usize {
    run(seed, |simulation: Simulation| async move {
        simulation.keep_trace(4_000);
        let course = Course::new(&simulation, calm(profile(seed)), shards_wanted, 1);
        let mut seen = Vec::new();
        let life = async {
            let (ledger, shards) = (written(&course).await, shards(&course).await);
            for (primary, _) in shards.iter().take(dead) {
                let time = away.0 + simulation.draw(away.1 - away.0);
                course.fleet.kill_for(&[*primary], Duration::from_millis(time));
            }
            ledger
        };
        let end = async |seen: &mut Vec<String>| {
            let waiting = async {
                sleep(Duration::from_millis(away.1 + 1_000)).await;
                course.settled(LONG).await;
            };
            tokio::select! {
                () = count_takeovers(&course, seen) => {}
                () = waiting => {}
            }
        };
        // The loop that sees the end has seen the beginning, or not.
        let ledger = if seed.is_multiple_of(2) {
            let ledger = course.beside(Life::Whole, life).await;
            course.beside(Life::Whole, end(&mut seen)).await;
            ledger
        } else {
            let whole = async {
                let ledger = life.await;
                end(&mut seen).await;
                ledger
            };
            course.beside(Life::Whole, whole).await
        };
        course.check();
        Course::assert_kept(&simcluster::lost(&simulation, &ledger));
        seen.len()
    })
    .unwrap()
}

#[test]
fn primaries_that_come_back_are_waited_for_and_nobody_takes_over_without_a_vote() {
    for seed in seeds(&[], 2) {
        eprintln!("seed {seed}");
        assert_eq!(lose_majority(seed, 3, 2, (100, 40_000)), 0, "seed {seed}");
    }
}

#[test]
fn primaries_that_do_not_come_back_are_replaced_by_one_takeover_and_elections_after_that() {
    for seed in seeds(&[], 2) {
        eprintln!("seed {seed}");
        assert_eq!(lose_majority(seed, 3, 2, (90_000, 120_000)), 1, "seed {seed}");
    }
}

#[test]
fn a_primary_that_comes_back_just_when_a_replica_takes_over_costs_nothing() {
    for seed in seeds(&[], 3) {
        eprintln!("seed {seed}");
        assert!(lose_majority(seed, 3, 2, (58_000, 64_000)) <= 1, "seed {seed}");
    }
}
