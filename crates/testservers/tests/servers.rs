//! Servers of every engine start, answer, stop, die and come back.

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use testservers::{Process, Server, Servers, any_engine, each_engine, wait_until};

const DEADLINE: Duration = Duration::from_secs(10);

#[test]
fn every_engine_is_a_cluster_node_of_the_version_in_its_name() {
    each_engine(|engine| {
        let server = Server::builder(engine).start();
        assert_eq!(server.call(&["PING"]), "PONG");
        assert!(server.call(&["CLUSTER", "INFO"]).starts_with("cluster_state:fail"));
        let (product, version) = engine.name.split_once('-').unwrap();
        let info = server.call(&["INFO", "server"]);
        assert!(info.contains(&format!("{product}_version:{version}.")), "{info}");
    });
}

#[test]
fn settings_users_and_passwords_apply() {
    each_engine(|engine| {
        let server = Server::builder(engine)
            .cluster(false)
            .password(r#"pass "word\"#)
            .user("reader on >secret ~* +get")
            .config("maxmemory", "64mb")
            .config("client-output-buffer-limit", "pubsub 1mb 0 0")
            .start();
        assert_eq!(server.call_ok(&["CONFIG", "GET", "maxmemory"]), "maxmemory\n67108864");
        assert_eq!(server.call_ok(&["CONFIG", "GET", "masterauth"]), "masterauth\npass \"word\\");
        assert_eq!(server.call(&["AUTH", "reader", "secret"]), "OK");
        assert!(server.call(&["CLUSTER", "INFO"]).starts_with("-ERR"));
    });
}

#[test]
fn a_restarted_server_keeps_port_and_directory() {
    each_engine(|engine| {
        let server = Server::builder(engine).start();
        let (pid, id) = (server.pid(), server.call(&["CLUSTER", "MYID"]));
        server.kill();
        assert!(!server.is_running());
        assert!(server.try_call(&["PING"]).is_err());

        server.restart();
        assert_ne!(server.pid(), pid);
        assert_eq!(server.call(&["CLUSTER", "MYID"]), id);
        assert_eq!(server.log().matches("Ready to accept connections").count(), 2);
    });
}

#[test]
fn a_stopped_server_answers_nothing_until_it_goes_on() {
    let Some(engine) = any_engine() else { return };
    let server = Server::builder(&engine).start();
    server.stop_process();
    assert!(server.is_running());
    assert!(server.try_call(&["PING"]).is_err());
    server.continue_process();
    assert_eq!(server.call(&["PING"]), "PONG");

    let pid = server.pid();
    server.stop_process();
    drop(server);
    assert!(!runs(pid), "dropping ends a stopped process too");
}

#[test]
fn servers_that_start_together_meet() {
    each_engine(|engine| {
        let servers = Servers::start_with(engine, 3, |builder, index| {
            builder.config("cluster-announce-hostname", ["a", "b", "c"][index])
        });
        for other in &servers[1..] {
            servers[0].call_ok(&["CLUSTER", "MEET", "127.0.0.1", &other.port().to_string()]);
        }
        wait_until("all know each other", DEADLINE, || {
            servers.iter().all(|server| server.call(&["CLUSTER", "INFO"]).contains("cluster_known_nodes:3"))
        });
        assert_eq!(servers.addresses()[2], servers[2].address());
    });
}

#[test]
fn sixty_servers_run_at_once() {
    let Some(engine) = any_engine() else { return };
    let servers = Servers::start(&engine, 60);
    assert!(servers.iter().all(|server| server.call(&["PING"]) == "PONG"));
}

#[test]
fn a_server_that_does_not_start_says_why() {
    let Some(engine) = any_engine() else { return };
    let said = failure(|| Server::builder(&engine).config("no-such-setting", "1").start());
    assert!(said.contains("no-such-setting"), "{said}");
}

#[test]
fn a_port_in_use_is_not_mistaken_for_the_new_server() {
    let Some(engine) = any_engine() else { return };
    let first = Server::builder(&engine).start();
    let said = failure(|| Server::builder(&engine).port(first.port()).start());
    assert!(said.contains("Address already in use"), "{said}");
}

#[test]
fn servers_die_with_a_killed_test_process() {
    let Some(_) = any_engine() else { return };
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("pid");
    let test = Process::start(&env::current_exe().unwrap(), |command| {
        command.args(["--exact", "waits_to_be_killed"]).env("PID_FILE", &pid_file);
        // The server's own directory stays behind when nobody drops it.
        command.env("TMPDIR", directory.path()).stdout(Stdio::null());
    });
    let pid = || fs::read_to_string(&pid_file).ok()?.strip_suffix('\n')?.parse().ok();
    wait_until("the other test has a server", DEADLINE, || pid().is_some());
    let pid = pid().unwrap();
    assert!(runs(pid));
    drop(test);
    wait_until("the server has gone", DEADLINE, || !runs(pid));
}

/// The process that [`servers_die_with_a_killed_test_process`] kills. Does nothing by itself.
#[test]
fn waits_to_be_killed() {
    let (Some(file), Some(engine)) = (env::var_os("PID_FILE").map(PathBuf::from), any_engine()) else { return };
    let server = Server::builder(&engine).start();
    fs::write(file, format!("{}\n", server.pid())).unwrap();
    wait_until("somebody kills this", 3 * DEADLINE, || false);
}

/// What a start panics with; nothing where it succeeds.
fn failure(start: impl FnOnce() -> Server) -> String {
    let panicked = catch_unwind(AssertUnwindSafe(start)).err();
    panicked.and_then(|said| said.downcast::<String>().ok()).map(|said| *said).unwrap_or_default()
}

fn runs(pid: u32) -> bool {
    // A process that nobody has reaped yet has ended all the same.
    fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
