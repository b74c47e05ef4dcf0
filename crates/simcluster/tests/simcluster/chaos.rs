//! Whatever happens happens again with the same seed, breaks no invariant, and passes.

use crate::support::{cluster, look, on_all, primaries, run_plan, until_healthy};
use simcluster::{Faults, Profile, Simulation, Writer, WriterOptions};
use std::time::Duration;
use tokio::time::sleep;
use topology::{
    plan::Dialect,
    reshard::{self, Sources},
};

const SECOND: Duration = Duration::from_secs(1);

/// Servers die, stop and come back, and the network breaks, for half a minute.
async fn disturb(simulation: &Simulation, servers: usize) {
    for _ in 0..15 {
        let which = usize::try_from(simulation.draw(servers as u64)).unwrap();
        match simulation.draw(6) {
            0 | 1 if simulation.is_up(which) => simulation.kill(which),
            0 | 1 => simulation.start(which),
            2 => simulation.pause(which),
            3 => simulation.resume(which),
            4 => simulation.isolate(&[which], &["client"]),
            _ => simulation.heal(),
        }
        sleep(Duration::from_millis(500 + simulation.draw(3000))).await;
    }
    simulation.heal();
    for which in 0..servers {
        simulation.resume(which);
        if !simulation.is_up(which) {
            simulation.start(which);
        }
    }
}

/// All of it, as it is written down.
fn traced(seed: u64, profile: &'static Profile) -> String {
    let course = |simulation: Simulation| async move {
        simulation.set_network(0..=5, 0.01);
        let servers = cluster(&simulation, profile, 3).await;
        simulation.set_faults(Faults { answer_lost: 0.05, delay: 0..=3, ..Faults::default() });
        let writer = Writer::start(&simulation, &WriterOptions::default());
        disturb(&simulation, servers.len()).await;
        let (ledger, lost) = writer.stop().await;
        format!("{}{ledger:?}{lost:?}", simulation.trace())
    };
    simcluster::run(seed, course).unwrap()
}

#[test]
fn one_seed_is_one_course_of_events() {
    for profile in Profile::ALL {
        let first = traced(7, profile);
        assert!(first.lines().count() > 100, "{first}");
        assert_eq!(first, traced(7, profile), "{}", profile.name);
        assert_ne!(first, traced(8, profile), "{}", profile.name);
    }
}

#[test]
fn servers_that_are_disturbed_come_to_rest() {
    on_all(0..10, |simulation, profile| async move {
        let servers = cluster(&simulation, profile, 3).await;
        let writer = Writer::start(&simulation, &WriterOptions::default());
        disturb(&simulation, servers.len()).await;
        until_healthy(&simulation, 120 * SECOND).await;
        let (ledger, _) = writer.stop().await;
        assert!(ledger.done > 0);
        assert!(simulation.unowned_slots().is_empty());
    });
}

#[test]
fn a_reshard_is_finished_whatever_is_lost_at_the_ports() {
    on_all(0..5, |simulation, profile| async move {
        cluster(&simulation, profile, 3).await;
        let writer = Writer::start(&simulation, &WriterOptions { keys: 2000, ..WriterOptions::default() });
        sleep(5 * SECOND).await;
        let destination = primaries(&simulation).await[2];
        let faults = Faults { send_fails: 0.002, answer_lost: 0.002, dial_fails: 0.002, ..Faults::default() };
        let mut left = 200;
        for _ in 0..50 {
            simulation.set_faults(Faults::default());
            let seen = look(&simulation).await;
            let owned = seen.view.account(seen.view.node(destination).unwrap()).unwrap().slots.len();
            left = 5461 + 200 - owned.min(5461 + 200);
            let open = seen.view.answering().any(|(_, said)| !said.myself.open_slots().is_empty());
            if left == 0 && !open {
                break;
            }
            let Ok(plan) = reshard::plan(&seen.view, &Sources::All, destination, left.max(1)) else {
                sleep(SECOND).await;
                continue;
            };
            simulation.set_faults(faults.clone());
            if let Err(error) = run_plan(&simulation, seen, plan, Some(Dialect::Migrate)).await {
                simulation.note(&format!("ERROR {error}"));
            }
        }
        simulation.set_faults(Faults::default());
        assert_eq!(left, 0);
        let (ledger, lost) = writer.stop().await;
        assert_eq!(lost, []);
        assert!(ledger.done > 100);
    });
}
