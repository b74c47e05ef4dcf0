//! Things take as long as they were measured to take on real servers with a node timeout of 5 s.

use crate::support::{dialer, on_all};
use operations::port::{Command, Failover};
use simcluster::{Number, ServerOptions, Simulation, Writer, WriterOptions};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

async fn formed(simulation: &Simulation, profile: &'static simcluster::Profile) {
    simulation.add_servers(6, profile);
    sleep(Duration::from_millis(100)).await;
    simulation.form(&[vec![0, 3], vec![1, 4], vec![2, 5]]);
    sleep(5 * SECOND).await;
}

async fn send(simulation: &Simulation, to: Number, command: Command) {
    let link = dialer(simulation).dial(&simulation.address(to)).await.unwrap();
    link.send(vec![command]).await.unwrap();
}

/// Lets all of these servers meet each other.
async fn mesh(simulation: &Simulation, servers: &[Number]) {
    for from in servers {
        for to in servers.iter().filter(|to| *to != from) {
            let address = simulation.address(*to);
            let topology::Host::Ip(ip) = address.host else { panic!("no address") };
            send(simulation, *from, Command::Meet { ip, port: address.port, bus_port: address.port + 10_000 }).await;
        }
    }
}

/// How long it takes until these servers serve.
async fn until_served(simulation: &Simulation, servers: &[Number]) -> Duration {
    let begin = Instant::now();
    while !servers.iter().all(|server| simulation.said(*server).is_some_and(|said| said.cluster.state_ok)) {
        assert!(begin.elapsed() < 30 * SECOND, "they do not serve");
        sleep(Duration::from_millis(10)).await;
    }
    begin.elapsed()
}

fn assert_between(took: Duration, least: f64, most: f64) {
    assert!((least..most).contains(&took.as_secs_f64()), "{took:?} is not between {least} and {most} s");
}

#[test]
fn an_empty_primary_serves_five_seconds_after_it_has_joined_or_at_once_with_a_short_node_timeout() {
    on_all(0..3, |simulation, profile| async move {
        formed(&simulation, profile).await;
        for (setting, least, most) in [("5000", 5.0, 5.6), ("500", 0.5, 1.0)] {
            let new = simulation.add_server(&ServerOptions::new(profile));
            sleep(3 * SECOND).await;
            send(&simulation, new, Command::ConfigSet("cluster-node-timeout".to_owned(), setting.to_owned())).await;
            let all: Vec<Number> = (0..=new).collect();
            mesh(&simulation, &all).await;
            sleep(Duration::from_millis(250)).await;
            // By the second time they know each other's slots.
            mesh(&simulation, &all).await;
            assert_between(until_served(&simulation, &[new]).await, least - 0.7, most);
        }
    });
}

#[test]
fn servers_that_all_start_again_elsewhere_serve_after_two_seconds() {
    on_all(0..3, |simulation, profile| async move {
        formed(&simulation, profile).await;
        let all: Vec<Number> = (0..6).collect();
        for server in &all {
            simulation.kill(*server);
        }
        for server in &all {
            simulation.start_elsewhere(*server);
        }
        let begin = Instant::now();
        mesh(&simulation, &all).await;
        until_served(&simulation, &all).await;
        assert_between(begin.elapsed(), 1.9, 2.5);
    });
}

#[test]
fn writers_wait_for_seconds_for_an_election_and_for_a_moment_where_a_failover_is_asked_for() {
    on_all(0..3, |simulation, profile| async move {
        for (kind, dies, least, most) in [
            (None, true, 5.0, 10.0),
            (Some(Failover::Forced), true, 0.0, 0.3),
            (Some(Failover::Planned), false, 0.0, 0.3),
        ] {
            let simulation = Simulation::new(simulation.draw(1 << 40));
            formed(&simulation, profile).await;
            let slots = simulation.said(0).map(|said| said.myself.slots.clone());
            let writer = Writer::start(&simulation, &WriterOptions { slots, ..WriterOptions::default() });
            sleep(SECOND).await;
            if dies {
                simulation.kill(0);
                sleep(Duration::from_millis(10)).await;
            }
            if let Some(kind) = kind {
                send(&simulation, 3, Command::Failover(kind)).await;
            }
            sleep(15 * SECOND).await;
            let (ledger, lost) = writer.stop().await;
            assert_eq!(lost, []);
            assert_between(ledger.worst_gap, least, most);
        }
    });
}
