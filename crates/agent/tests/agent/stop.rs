//! Stopping, in order and by force.

use crate::support::{IDLE, Place, member, signal, wait_until};
use agent::Phase;
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// Ends with status 7 when asked to end.
const ORDERLY: &str = "trap 'echo good night; exit 7' TERM; sleep 30 & idle=$!; echo ready; wait";
/// Does not listen to anybody.
const STUBBORN: &str = "trap '' TERM; echo ready; exec sleep 30";

fn ready(place: &Place) {
    wait_until("a server that is ready", || place.server_log().contains("ready").then_some(()));
}

#[test]
fn a_server_is_asked_to_end_and_its_agent_ends_well() {
    for asked in [Signal::TERM, Signal::INT] {
        let place = Place::new(ORDERLY);
        let mut agent = place.start();
        agent.running();
        ready(&place);
        signal(agent.pid(), asked);
        assert!(agent.ended().success());
        let state = place.state().unwrap();
        assert_eq!((state.phase, state.server_pid), (Phase::Stopped, None));
        assert_eq!(state.last_exit.as_deref(), Some("ended with status 7"));
        assert_eq!(state.last_log, ["ready", "good night"]);
        assert_eq!(place.server(), None);
    }
}

#[test]
fn what_a_program_started_instead_of_becoming_the_server_ends_with_it() {
    let place = Place::new("sleep 30 & echo started $!; echo ready; wait");
    let mut agent = place.start();
    agent.running();
    ready(&place);
    let log = place.server_log();
    let child = log.lines().find_map(|line| line.strip_prefix("started ")).unwrap().to_owned();
    signal(agent.pid(), Signal::TERM);
    assert!(agent.ended().success());
    wait_until("the end of what it started", || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
}

#[test]
fn a_server_that_does_not_end_in_time_is_killed() {
    let place = Place::new(STUBBORN);
    let mut member = member();
    member.stop_seconds = 1;
    member.write(place.path()).unwrap();
    let mut agent = place.start();
    agent.running();
    ready(&place);
    let asked = Instant::now();
    signal(agent.pid(), Signal::TERM);
    assert!(agent.ended().success());
    assert!(asked.elapsed() >= Duration::from_secs(1));
    assert_eq!(place.state().unwrap().last_exit.as_deref(), Some("was killed by signal 9"));
}

#[test]
fn a_repeated_wish_to_stop_kills_at_once() {
    let place = Place::new(STUBBORN);
    let mut agent = place.start();
    agent.running();
    ready(&place);
    let asked = Instant::now();
    signal(agent.pid(), Signal::TERM);
    agent.state_when("a stopping server", |state| state.phase == Phase::Stopping);
    signal(agent.pid(), Signal::TERM);
    assert!(agent.ended().success());
    assert!(asked.elapsed() < Duration::from_secs(8), "the patience is 10 s");
    assert_eq!(place.state().unwrap().phase, Phase::Stopped);
}

#[test]
fn an_agent_that_waits_stops_at_once() {
    let place = Place::new("exit 1");
    let mut agent = place.start();
    agent.state_when("a crash loop", |state| state.phase == Phase::CrashLoop);
    signal(agent.pid(), Signal::TERM);
    assert!(agent.ended().success());
    let state = place.state().unwrap();
    assert_eq!((state.phase, state.next_start), (Phase::Stopped, None));
}

#[test]
fn a_running_server_is_not_started_again_by_the_wish_to_start_now() {
    let place = Place::new(IDLE);
    let mut agent = place.start();
    let server = agent.running().server_pid;
    signal(agent.pid(), Signal::HUP);
    signal(agent.pid(), Signal::TERM);
    assert!(agent.ended().success());
    let state = place.state().unwrap();
    assert!(server.is_some());
    assert_eq!((state.restarts, state.last_exit.as_deref()), (0, Some("was killed by signal 15")));
}
