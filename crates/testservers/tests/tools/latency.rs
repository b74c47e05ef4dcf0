//! The probe notices what a server's clients would.

use crate::support::DEADLINE;
use std::time::{Duration, Instant};
use testservers::{Cluster, Latency, Server, any_engine, wait_until};

const EACH: Duration = Duration::from_millis(2);
const A_WHILE: Duration = Duration::from_millis(300);

#[test]
fn an_idle_server_answers_at_once_and_as_often_as_it_was_to_be_asked() {
    let Some(engine) = any_engine() else { return };
    let server = Server::builder(&engine).password("secret").start();
    let (begin, probe) = (Instant::now(), Latency::start(&cluster(&server), &server.address(), EACH));
    pass(A_WHILE);
    let latencies = probe.stop();
    let most = begin.elapsed().as_millis() / EACH.as_millis() + 1;
    assert!(latencies.count() > 50 && latencies.count() as u128 <= most, "{latencies}");
    assert!(latencies.p50() < EACH && latencies.p50() <= latencies.p99(), "{latencies}");
}

#[test]
fn a_stall_counts_for_everything_that_would_have_been_asked_meanwhile() {
    let Some(engine) = any_engine() else { return };
    let server = Server::builder(&engine).password("secret").start();
    let probe = Latency::start(&cluster(&server), &server.address(), EACH);
    pass(A_WHILE);
    server.stop_process();
    pass(A_WHILE);
    server.continue_process();
    pass(A_WHILE);
    let latencies = probe.stop();
    // It is asked for the first time only some time after the stall has begun.
    assert!(latencies.max() >= A_WHILE / 2, "{latencies}");
    assert!(latencies.quantile(0.9) >= A_WHILE / 10, "not one slow answer, but many: {latencies}");
}

#[test]
fn an_outage_is_measured_until_the_server_is_back() {
    let Some(engine) = any_engine() else { return };
    let server = Server::builder(&engine).password("secret").start();
    let probe = Latency::start(&cluster(&server), &server.address(), EACH);
    pass(A_WHILE);
    server.kill();
    pass(A_WHILE);
    server.restart();
    wait_until("the probe is back", DEADLINE, || !server.call(&["CLIENT", "LIST"]).is_empty());
    pass(A_WHILE);
    let latencies = probe.stop();
    assert!(latencies.max() >= A_WHILE, "{latencies}");
}

fn cluster(server: &Server) -> Cluster {
    Cluster::at(&[server.address()]).password("secret")
}

/// Time is what is measured here.
fn pass(time: Duration) {
    let begin = Instant::now();
    wait_until("time has passed", DEADLINE, || begin.elapsed() >= time);
}
