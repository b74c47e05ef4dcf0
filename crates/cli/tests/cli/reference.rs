//! `tribune --cluster …` beside the tool whose words it takes.

use crate::support::{PROGRAM, Run, addresses, cluster, command, eventually_cluster, run_with_input};
use std::path::Path;
use testservers::{Engine, Servers, StockClient, each_engine};

/// Runs the engine's own tool and the program with the same words and input.
fn twins(engine: &Engine, words: &str, input: &str, term: &str) -> (Run, Run) {
    let run = |program: &Path| {
        run_with_input(command(program).env("TERM", term).arg("--cluster").args(words.split_whitespace()), input)
    };
    (run(&engine.cli), run(Path::new(PROGRAM)))
}

#[track_caller]
fn assert_same(engine: &Engine, words: &str, input: &str, term: &str) -> Run {
    let (reference, ours) = twins(engine, words, input, term);
    let (out, err) = (ours.out.replace("at Redis", "at Valkey"), ours.err.replace("to Redis at", "to Valkey at"));
    assert_eq!(reference.code, ours.code, "{words}: {reference:#?} {ours:#?}");
    assert_eq!(reference.out, out, "{words}");
    assert_eq!(reference.err.replace("to Redis at", "to Valkey at"), err, "{words}");
    ours
}

#[test]
fn a_healthy_check_and_info_are_the_same_to_the_letter_on_every_engine() {
    each_engine(|engine| {
        let servers = cluster(engine, 7, 1);
        StockClient::connect(&servers.addresses(), None).write(50);
        let (entry, port) = (servers[0].address(), servers[0].port());
        let check = assert_same(engine, &format!("check {entry}"), "", "dumb");
        assert_eq!(check.out.matches("[OK]").count(), 3, "other programs count them: {check:#?}");
        assert_same(engine, &format!("check {entry}"), "", "xterm-256color");
        assert_same(engine, &format!("check --cluster-search-multiple-owners {entry}"), "", "dumb");
        assert_same(engine, &format!("info 127.0.0.1 {port}"), "", "dumb");
        assert_same(engine, &format!("create {} --cluster-replicas 1", addresses(&servers)), "", "dumb");
    });
}

#[test]
fn a_cluster_in_trouble_is_described_the_same_on_every_engine() {
    each_engine(|engine| {
        let servers = cluster(engine, 6, 1);
        let (from, to) = (&servers[0], &servers[1]);
        from.call_ok(&["CLUSTER", "SETSLOT", "5", "MIGRATING", &to.call_ok(&["CLUSTER", "MYID"])]);
        to.call_ok(&["CLUSTER", "SETSLOT", "5", "IMPORTING", &from.call_ok(&["CLUSTER", "MYID"])]);
        let (a, b) = twins(engine, &format!("check {}", from.address()), "", "dumb");
        assert_eq!((a.code, &a.out), (b.code, &b.out));
        from.call_ok(&["CLUSTER", "SETSLOT", "5", "STABLE"]);
        to.call_ok(&["CLUSTER", "SETSLOT", "5", "STABLE"]);
        servers[2].call_ok(&["CLUSTER", "DELSLOTS", "16383"]);
        assert_same(engine, &format!("check {}", servers[2].address()), "", "dumb");
    });
}

#[test]
fn wrong_words_are_answered_the_same_on_every_engine() {
    each_engine(|engine| {
        let servers = Servers::start(engine, 3);
        let entry = servers[0].address();
        for words in [
            "check",
            "check nonsense",
            "bogus 127.0.0.1:1",
            "info 127.0.0.1:1",
            "check no-such-host.invalid:1",
            "create nonsense 127.0.0.1:1 127.0.0.1:2",
            "check 127.0.0.1:1 --cluster-bogus",
            "check 127.0.0.1:1 --cluster-timeout",
        ] {
            assert_same(engine, words, "", "dumb");
        }
        assert_same(engine, &format!("check {entry}"), "", "dumb");
        assert_same(engine, &format!("info {entry}"), "", "dumb");
    });
}

#[test]
fn create_says_the_same_lines_and_makes_the_same_cluster_on_every_engine() {
    each_engine(|engine| {
        let lines = |run: &Run| -> Vec<String> {
            // Ids and ports differ, the choice of replicas may, and so may the order in which a node lists the others.
            let kept =
                run.out.lines().filter(|line| line.starts_with(['>', '[', '*', 'C', 'W']) || line.contains("-> Slots"));
            kept.map(|line| line.split(" (using node").next().unwrap_or_default().to_owned()).collect()
        };
        let mut told = Vec::new();
        for program in [engine.cli.as_path(), Path::new(PROGRAM)] {
            let servers = Servers::start(engine, 6);
            let words = format!("--cluster create {} --cluster-replicas 1", addresses(&servers));
            let run = run_with_input(command(program).args(words.split_whitespace()), "yes\n");
            assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:#?}");
            // The reference does not wait until the nodes serve.
            eventually_cluster(&servers, 3);
            told.push(lines(&run));
        }
        assert_eq!(told[0], told[1]);
    });
}

#[test]
fn called_by_the_name_of_a_tool_it_is_that_tool() {
    let directory = tempfile::tempdir().unwrap();
    for (name, product) in [("redis-cli", "Redis"), ("valkey-cli", "Valkey")] {
        let link = directory.path().join(name);
        std::os::unix::fs::symlink(PROGRAM, &link).unwrap();
        let run = run_with_input(command(&link).args(["--cluster", "check", "127.0.0.1:1"]), "");
        assert_eq!(run.err, format!("Could not connect to {product} at 127.0.0.1:1: Connection refused\n"));
    }
}

#[test]
fn passwords_come_from_the_variables_of_the_tools() {
    each_engine(|engine| {
        let servers = Servers::start_with(engine, 3, |builder, _| builder.password("right-one"));
        let words = format!("--cluster create {} --cluster-yes", addresses(&servers));
        let variable = if engine.name.starts_with("valkey") { "VALKEYCLI_AUTH" } else { "REDISCLI_AUTH" };
        let mut program = command(Path::new(PROGRAM));
        let run = run_with_input(program.args(words.split_whitespace()).env(variable, "right-one"), "");
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:#?}");
        eventually_cluster(&servers, 3);
        let entry = servers[0].address();
        assert_same(engine, &format!("check {entry}"), "", "dumb");
        assert_same(engine, &format!("check {entry} -a wrong --no-auth-warning"), "", "dumb");
        assert_same(engine, &format!("check {entry} -a right-one"), "", "dumb");
    });
}
