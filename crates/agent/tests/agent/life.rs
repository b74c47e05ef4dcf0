//! Servers that start, die, and start again; agents that die.

use crate::support::{IDLE, Place, member, program, signal, wait_until};
use agent::{Phase, lock};
use rustix::process::Signal;
use std::{process::Command, time::SystemTime};

#[test]
fn a_server_runs_in_its_directory_and_both_locks_name_their_holders() {
    let place = Place::new("echo in $(basename $PWD), auth ${TRIBUNE_AUTH-none}, colour $COLOUR; exec sleep 100");
    let agent = place.start();
    let state = agent.running();
    assert_eq!(place.server(), state.server_pid);
    assert_eq!(lock::holder(&place.files.agent_lock()).unwrap(), Some(agent.pid()));
    assert_eq!((state.restarts, state.last_exit, state.next_start), (0, None, None));
    wait_until("the server's words", || (place.server_log() == "in data, auth none, colour blue\n").then_some(()));
}

#[test]
fn a_killed_server_is_started_again() {
    let place = Place::new(IDLE);
    let agent = place.start();
    let first = agent.running().server_pid.unwrap();
    signal(first, Signal::KILL);
    let state = agent.state_when("another server", |state| state.phase == Phase::Running && state.restarts == 1);
    assert_ne!(state.server_pid, Some(first));
    assert_eq!(place.server(), state.server_pid);
    assert_eq!(state.last_exit.as_deref(), Some("was killed by signal 9"));
}

#[test]
fn a_server_dies_with_its_agent_and_a_new_agent_takes_over() {
    let place = Place::new(IDLE);
    let mut agent = place.start();
    agent.running();
    agent.kill();
    place.server_ends_at_once();
    let next = place.start();
    let state = next.running();
    assert_eq!(place.server(), state.server_pid);
}

#[test]
fn a_second_agent_is_refused_and_told_who_is_there() {
    let place = Place::new(IDLE);
    let agent = place.start();
    agent.running();
    let second = Command::new(program()).arg("agent").arg(place.path()).output().unwrap();
    assert!(!second.status.success());
    let expected =
        format!("error: another agent, process {}, already runs in {}\n", agent.pid(), place.path().display());
    assert_eq!(String::from_utf8(second.stderr).unwrap(), expected);
    assert_eq!(agent.running().agent_pid, agent.pid());
}

#[test]
fn a_crash_loop_is_told_with_its_reason_and_ends_when_asked_to_start_now() {
    let place = Place::new("for line in 1 2 3 4 5 6; do echo trouble $line; done; exit 3");
    let agent = place.start();
    let state = agent.state_when("a crash loop", |state| state.phase == Phase::CrashLoop);
    assert_eq!((state.restarts, state.server_pid), (4, None));
    assert_eq!(state.last_exit.as_deref(), Some("ended with status 3"));
    assert_eq!(state.last_log, ["trouble 2", "trouble 3", "trouble 4", "trouble 5", "trouble 6"]);
    let pause = state.next_start_in(SystemTime::now()).unwrap();
    assert!(pause.as_secs() >= 8, "{pause:?}");

    place.script(IDLE);
    let asked = lock::signal_holder(&place.files.agent_lock(), Signal::HUP).unwrap();
    assert_eq!(asked, Some(agent.pid()));
    let state = agent.running();
    assert_eq!((state.restarts, state.next_start), (5, None));
}

#[test]
fn a_program_that_is_missing_is_named() {
    let place = Place::new(IDLE);
    let mut missing = member();
    missing.launch.program = "/nowhere/valkey-server".into();
    missing.write(place.path()).unwrap();
    let agent = place.start();
    let state = agent.state_when("a pause", |state| state.phase == Phase::Waiting);
    assert_eq!(state.last_exit.as_deref(), Some("ended with status 1"));
    let expected = "error: /nowhere/valkey-server cannot be started: No such file or directory (os error 2)";
    assert_eq!(state.last_log, [expected]);
    // The member is read again before each start.
    member().write(place.path()).unwrap();
    agent.running();
}

#[test]
fn a_missing_data_directory_is_named_and_waited_for() {
    let place = Place::new(IDLE);
    std::fs::remove_dir(place.files.data()).unwrap();
    let agent = place.start();
    let state = agent.state_when("a pause", |state| state.phase == Phase::Waiting);
    let expected = format!("could not be started: no process can be made in {}: ", place.files.data().display());
    assert!(state.last_exit.unwrap().starts_with(&expected));
    std::fs::create_dir(place.files.data()).unwrap();
    agent.running();
}
