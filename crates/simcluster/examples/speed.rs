//! How many schedules a second: eight servers for a virtual minute with a look at all of them every second, a death and a return.
//!
//! `cargo run --release -p simcluster --example speed [SCHEDULES]`
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement")]

use operations::{observe, port::Command};
use simcluster::{Profile, Simulation, Timeouts};
use std::time::{Duration, Instant};
use tokio::time::sleep;

async fn schedule(simulation: Simulation, loops: bool) -> u64 {
    simulation.keep_trace(0);
    simulation.add_servers(8, &Profile::VALKEY_9_1);
    let dialer = simulation.dialer("operator", Timeouts::default());
    sleep(Duration::from_millis(100)).await;
    let addresses = simulation.addresses();
    simulation.form(&[vec![0, 4], vec![1, 5], vec![2, 6], vec![3, 7]]);
    for second in 0..60 {
        match second {
            10 => simulation.kill(0),
            30 => simulation.start(0),
            _ => {}
        }
        if loops {
            let seen = observe::look(dialer.as_ref(), &addresses).await.unwrap();
            let sent = seen.links.values().map(|link| link.send(vec![Command::Ping]));
            futures_util::future::join_all(sent).await;
        }
        sleep(Duration::from_secs(1)).await;
    }
    simulation.events()
}

fn main() {
    let schedules: u64 = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(200);
    for loops in [false, true] {
        let (begin, mut events) = (Instant::now(), 0);
        for seed in 0..schedules {
            events += simcluster::run(seed, |simulation| schedule(simulation, loops)).unwrap();
        }
        let took = begin.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a measurement")]
        let (per_second, each) = (schedules as f64 / took, events as f64 / schedules as f64);
        let what = if loops { "with a look each second" } else { "servers alone" };
        println!("{what}: {per_second:.0} schedules a second, {each:.0} events in each");
    }
}
