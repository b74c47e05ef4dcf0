//! What cannot be done is refused with one clear error, and nothing is half-done.

use crate::support::{addresses, assert_as_new, cluster, tribune, tribune_with_input};
use std::time::{Duration, Instant};
use testservers::{Certificates, Server, Servers, any_engine, each_engine, engine};

#[test]
fn the_same_address_twice_is_refused() {
    tribune("create 127.0.0.1:7000 127.0.0.1:7001 127.0.0.1:7000").refused(1, &["127.0.0.1:7000 is given twice"]);
    let run = tribune("--cluster create 127.0.0.1:7000 127.0.0.1:7001 127.0.0.1:7000");
    assert_eq!((run.code, run.out.as_str()), (Some(1), "[ERR] 127.0.0.1:7000 is given twice.\n"));
}

#[test]
fn two_names_of_one_node_are_refused() {
    let Some(engine) = any_engine() else { return };
    let servers = Servers::start(&engine, 2);
    let port = servers[0].port();
    let nodes = format!("{} localhost:{port}", addresses(&servers));
    tribune(&format!("create --yes {nodes}")).refused(1, &["are the same node", &format!("localhost:{port}")]);
    servers.iter().for_each(assert_as_new);
}

#[test]
fn too_few_nodes_are_refused_with_the_number_that_is_needed() {
    tribune("create --replicas 1 127.0.0.1:7000 127.0.0.1:7001 127.0.0.1:7002 127.0.0.1:7003 127.0.0.1:7004")
        .refused(1, &["5 nodes are not enough for 3 primaries with 1 replica each", "6 are needed"]);
    tribune("create --shards 4 127.0.0.1:7000").refused(1, &["4 are needed"]);
}

#[test]
fn a_number_of_slots_that_there_is_not_is_refused_with_those_that_there_are() {
    for number in ["-5", "0", "16385"] {
        tribune(&format!("reshard 127.0.0.1:7000 --slots {number}"))
            .refused(2, &[&format!("'{number}'"), "'--slots <N>'", "1..=16384"]);
    }
}

#[test]
fn what_a_reshard_misses_is_named_with_what_to_type() {
    let Some(engine) = any_engine() else { return };
    let servers = cluster(&engine, 3, 0);
    tribune(&format!("reshard {}", servers[0].address())).refused(2, &["--slots is missing", "add --slots"]);
}

#[test]
fn a_node_of_another_cluster_is_refused() {
    let Some(engine) = any_engine() else { return };
    let others = cluster(&engine, 3, 0);
    let servers = Servers::start(&engine, 2);
    let nodes = format!("{} {}", addresses(&servers), others[0].address());
    let why = format!("{} already belongs to a cluster", others[0].address());
    tribune(&format!("create --yes {nodes}")).refused(1, &[&why]);
    let run = tribune(&format!("--cluster create --cluster-yes {nodes}"));
    assert_eq!(run.code, Some(1));
    assert!(run.out.starts_with(&format!("[ERR] Node {} is not empty.", others[0].address())), "{run:#?}");
    servers.iter().for_each(assert_as_new);
}

#[test]
fn a_node_that_holds_keys_is_refused_and_keeps_them() {
    each_engine(|engine| {
        let servers = Servers::start(engine, 3);
        let holder = &servers[1];
        // The only way to keys without slots: they are loaded before the slots are given up again.
        holder.call_ok(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        testservers::wait_until("it serves", Duration::from_secs(10), || holder.call(&["SET", "a", "1"]) == "OK");
        let why = format!("{} holds 1 key in database 0", holder.address());
        tribune(&format!("create --yes {}", addresses(&servers))).refused(1, &[&why, "--scan"]);
        assert_eq!(holder.call_ok(&["GET", "a"]), "1");
        assert_as_new(&servers[0]);
        assert_as_new(&servers[2]);
    });
}

#[test]
fn keys_in_any_database_count() {
    // The first version with databases in a cluster.
    let Some(engine) = engine("valkey-9.1") else { return };
    let servers = Servers::start_with(&engine, 3, |builder, _| builder.config("cluster-databases", "16"));
    let holder = &servers[2];
    holder.call_ok(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let script = "server.call('SELECT', '9') return server.call('SET', 'a', '1')";
    testservers::wait_until("it serves", Duration::from_secs(10), || {
        holder.call(&["EVAL", script, "0"]) == "OK" || holder.call(&["EVAL", script, "1", "a"]) == "OK"
    });
    let why = format!("{} holds 1 key in database 9", holder.address());
    tribune(&format!("create --yes {}", addresses(&servers))).refused(1, &[&why]);
}

#[test]
fn a_server_without_cluster_mode_is_refused() {
    each_engine(|engine| {
        let server = Server::builder(engine).cluster(false).start();
        let address = server.address();
        let why = format!("{address} is not a cluster node");
        for words in ["check", "info", "status", "create --yes 127.0.0.1:1 127.0.0.1:2"] {
            let run = tribune(&format!("{words} {address}"));
            assert_eq!(run.code, Some(1), "{run:#?}");
            assert!(
                run.err.contains(&why) && (words.starts_with("create") || run.err.contains("cluster-enabled yes")),
                "{run:#?}"
            );
        }
        let run = tribune(&format!("--cluster check {address}"));
        assert_eq!(run.out, format!("[ERR] Node {address} is not configured as a cluster node.\n"));
        assert_eq!((run.code, run.err.as_str()), (Some(1), ""));
    });
}

#[test]
fn passwords_that_are_wrong_or_missing_are_told_apart_and_never_shown() {
    let Some(engine) = any_engine() else { return };
    let server = Server::builder(&engine).password("right-one").start();
    let address = server.address();
    tribune(&format!("check {address}")).refused(1, &["asks for a password and none was given"]);
    let run = tribune(&format!("check {address} -a wrong-one")).refused(1, &["does not accept the user and password"]);
    assert!(!run.err.contains("wrong-one"), "{run:#?}");
    tribune(&format!("check {address} --user nobody -a right-one"))
        .refused(1, &["does not accept the user and password"]);
    tribune(&format!("check {address} -u redis://default:right-one@ignored")).out.contains("not healthy");
    let run = tribune("check -u http://me:secret@host 127.0.0.1:1").refused(2, &["URI"]);
    assert!(!run.err.contains("secret"), "{run:#?}");
}

#[test]
fn an_owner_of_slots_that_does_not_let_the_user_in_is_not_to_be_started_again() {
    let Some(engine) = any_engine() else { return };
    let servers = cluster(&engine, 3, 0);
    let rights = ["ACL", "SETUSER", "ops", "on", ">of-ops", "~*", "+@all"];
    servers.iter().skip(1).for_each(|server| drop(server.call_ok(&rights)));
    let words = format!("rebalance {} --user ops -a of-ops --yes", servers[1].address());
    let run = tribune(&words).refused(1, &["does not accept the user and password", "check --user and the password"]);
    assert!(!run.err.contains("start "), "{run:#?}");
}

#[test]
fn tls_to_a_plain_port_and_the_reverse_are_told_apart() {
    let Some(engine) = any_engine() else { return };
    let certificates = Certificates::new();
    let plain = Server::builder(&engine).start();
    let secure = Server::builder(&engine).tls(&certificates).start();
    let ca = certificates.ca();
    tribune(&format!("check {} --tls --cacert {}", plain.address(), ca.display()))
        .refused(1, &["does not speak TLS on this port", "leave out --tls"]);
    tribune(&format!("check {}", secure.address())).refused(1, &["speaks TLS on this port", "add --tls"]);
    tribune(&format!("check {} --tls --cacert /nowhere/ca.crt", secure.address())).refused(1, &["/nowhere/ca.crt"]);
    tribune(&format!("check {} --tls --cacert {}", secure.address(), certificates.untrusted_ca().display()))
        .refused(1, &["not signed by a trusted authority", "--cacert"]);
}

#[test]
fn addresses_that_lead_nowhere_are_refused_by_name() {
    tribune("check no-such-host.invalid:7000")
        .refused(1, &["no-such-host.invalid:7000 has a host name that does not resolve"]);
    tribune("check 127.0.0.1:1").refused(1, &["127.0.0.1:1 refuses connections"]);
    tribune("check nonsense").refused(2, &["\"nonsense\" is not an address", "127.0.0.1:7000"]);
    tribune("check 127.0.0.1 port").refused(2, &["is not an address"]);
    tribune("create 127.0.0.1:7000 [::1").refused(2, &["\"[::1\" is not an address"]);
}

#[test]
fn wrong_words_end_with_two() {
    for words in [
        "bogus",
        "check",
        "check 127.0.0.1:1 --bogus",
        "create --replicas many 127.0.0.1:1",
        "check --read-timeout 0 h:1",
    ] {
        let run = tribune(words);
        assert_eq!((run.code, run.out.as_str()), (Some(2), ""), "{words}: {run:#?}");
        assert!(run.err.contains("error"), "{words}: {run:#?}");
    }
}

#[test]
fn a_question_that_nobody_can_answer_changes_nothing() {
    let Some(engine) = any_engine() else { return };
    let servers = Servers::start(&engine, 3);
    let nodes = addresses(&servers);
    let run = tribune(&format!("create {nodes}"));
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("standard input is no terminal") && run.err.contains("--yes"), "{run:#?}");
    let run = tribune(&format!("--cluster create {nodes}"));
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.out.contains("Can I set the above configuration? (type 'yes' to accept): "), "{run:#?}");
    let run = tribune_with_input(&format!("--cluster create {nodes}"), "no\n");
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:#?}");
    servers.iter().for_each(assert_as_new);
}

#[test]
fn one_silent_node_keeps_nobody_from_seeing_the_others() {
    each_engine(|engine| {
        let servers = cluster(engine, 6, 1);
        let (entry, silent) = (servers[0].address(), &servers[4]);
        silent.stop_process();
        for words in ["check", "info", "status"] {
            let begin = Instant::now();
            let run = tribune(&format!("{words} {entry} --read-timeout 1"));
            let took = begin.elapsed();
            assert_eq!(run.code, Some(1), "{run:#?}");
            let all = format!("{}{}", run.out, run.err);
            let named = format!("{} takes connections but does not answer: silent for 1.0 s", silent.address());
            assert!(
                all.contains(&named) || (words == "status" && all.contains("silent for 1.0 s")),
                "{words}: {run:#?}"
            );
            // The figure itself is measured by the bench; here only that nothing is waited for twice.
            assert!(took < Duration::from_millis(1900), "{words} took {took:?}");
        }
        let run = tribune(&format!("--cluster check {entry} -t 1"));
        assert!(run.err.contains(&silent.address()), "{run:#?}");
        assert_eq!(run.out.matches("[OK]").count(), 3, "{run:#?}");
        tribune(&format!("check {} --read-timeout 0.5", silent.address()))
            .refused(1, &["silent for 0.5 s", "stopped or busy"]);
    });
}

#[test]
fn a_reader_that_has_gone_does_not_make_a_failure_a_success() {
    let Some(engine) = any_engine() else { return };
    let server = Server::builder(&engine).start();
    let script = format!("{} check {} | true; exit ${{PIPESTATUS[0]}}", crate::support::PROGRAM, server.address());
    let run = crate::support::run(std::process::Command::new("bash").args(["-c", &script]));
    assert_eq!(run.code, Some(1), "{run:#?}");
    let script = format!("{} check {} > /dev/full", crate::support::PROGRAM, server.address());
    let run = crate::support::run(std::process::Command::new("bash").args(["-c", &script]));
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.err.contains("standard output cannot be written"), "{run:#?}");
}

#[test]
fn a_failure_is_json_where_json_was_asked_for() {
    let run = tribune("check --json 127.0.0.1:1");
    let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(report["error"], "127.0.0.1:1 refuses connections: nothing listens on this port");
    assert!(report["do"].as_str().unwrap().contains("server runs"), "{run:#?}");
    assert_eq!(run.code, Some(1));
}

#[test]
fn a_zone_for_no_host_is_refused() {
    let nodes = "127.0.0.1:7000 127.0.0.1:7001 127.0.0.1:7002";
    tribune(&format!("create {nodes} --zone 127.0.0.9=a")).refused(2, &["no address has the host 127.0.0.9"]);
    tribune(&format!("create {nodes} --zone [::1]=a")).refused(2, &["no address has the host ::1"]);
    tribune(&format!("create {nodes} --zone nonsense")).refused(2, &["HOST=ZONE"]);
    tribune(&format!("create {nodes} --shards 0")).refused(2, &["at least 1 shard"]);
}

#[test]
fn an_empty_password_variable_counts_as_none_and_one_that_is_no_text_is_refused() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};
    let Some(engine) = any_engine() else { return };
    let server = Server::builder(&engine).password("right-one").start();
    let program = || crate::support::command(Path::new(crate::support::PROGRAM));
    let mut asked = program();
    asked.args(["check", &server.address()]).env("TRIBUNE_AUTH", "").env("REDISCLI_AUTH", "right-one");
    assert!(crate::support::run(&mut asked).out.contains("no slot is served"));
    let mut asked = program();
    asked.args(["check", &server.address()]).env("TRIBUNE_AUTH", OsStr::from_bytes(b"\xff"));
    crate::support::run(&mut asked).refused(1, &["TRIBUNE_AUTH is not UTF-8"]);
}

#[test]
fn a_password_typed_in_the_wrong_place_is_not_repeated() {
    let run = tribune("check redis://:s3cret@127.0.0.1:9600").refused(2, &["is not an address"]);
    assert!(!run.err.contains("s3cret"), "{run:#?}");
}

#[test]
fn a_password_is_asked_for_on_the_terminal() {
    let Some(engine) = any_engine() else { return };
    let server = Server::builder(&engine).password("right-one").start();
    // script gives the program a terminal of its own and types what it reads.
    let words = format!("{} check --askpass {}", crate::support::PROGRAM, server.address());
    let mut script = std::process::Command::new("script");
    let run = crate::support::run_with_input(script.args(["-qec", &words, "/dev/null"]), "right-one\n");
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.out.contains("Please input password") && run.out.contains("no slot is served"), "{run:#?}");
}
