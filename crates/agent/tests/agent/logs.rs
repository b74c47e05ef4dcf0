//! Logs that have become too long.

use crate::support::{IDLE, Place, long_file, wait_until};
use std::fs;

#[test]
fn logs_that_are_too_long_are_put_aside_at_the_start() {
    let place = Place::new("echo hello; exec sleep 100");
    let (server_log, agent_log) = (place.files.server_log(), place.files.agent_log());
    long_file(&server_log, (16 << 20) + 1);
    long_file(&agent_log, (1 << 20) + 1);
    let agent = place.start();
    let server = agent.running().server_pid.unwrap();
    wait_until("the server's words", || (place.server_log() == "hello\n").then_some(()));
    let started = format!("started /bin/sh for port 7000 as process {server}\n");
    wait_until("the agent's words", || fs::read_to_string(&agent_log).unwrap().ends_with(&started).then_some(()));
    assert!(fs::metadata(&agent_log).unwrap().len() < 200);
    assert_eq!(fs::metadata(server_log.with_extension("log.1")).unwrap().len(), (16 << 20) + 1);
    assert_eq!(fs::metadata(agent_log.with_extension("log.1")).unwrap().len(), (1 << 20) + 1);
}

#[test]
fn logs_that_are_short_go_on() {
    let place = Place::new(IDLE);
    fs::write(place.files.agent_log(), "before\n").unwrap();
    let agent = place.start();
    agent.running();
    let log = wait_until("the agent's words", || {
        fs::read_to_string(place.files.agent_log()).ok().filter(|log| log.lines().count() == 2)
    });
    let (time, event) = log.lines().nth(1).unwrap().split_once(' ').unwrap();
    assert!(log.starts_with("before\n"));
    assert!(time.ends_with('Z') && time.contains('T'), "{time}");
    assert!(event.starts_with("started /bin/sh for port 7000 as process "), "{event}");
}
