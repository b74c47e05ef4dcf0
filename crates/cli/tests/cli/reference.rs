//! `tribune --cluster …` beside the tool whose words it takes.

use crate::support::{
    PROGRAM, Run, addresses, assert_as_new, cluster, command, eventually, eventually_cluster, run, run_with_input,
    tribune, value,
};
use std::{fs, path::Path, process::Stdio, time::Duration};
use testservers::{Engine, Process, Proxy, Server, Servers, StockClient, any_engine, each_engine};

/// Runs the engine's own tool and the program with the same words and input.
fn twins(engine: &Engine, words: &str, input: &str, term: &str) -> (Run, Run) {
    let run = |program: &Path| {
        run_with_input(command(program).env("TERM", term).arg("--cluster").args(words.split_whitespace()), input)
    };
    (run(&engine.cli), run(Path::new(PROGRAM)))
}

/// The same words, but for the line that tells of nodes which a check could not look at, or which do not serve: with it ours ends
/// with 1.
#[track_caller]
fn assert_same(engine: &Engine, words: &str, input: &str, term: &str) -> Run {
    let (reference, ours) = twins(engine, words, input, term);
    let (out, err) = (ours.out.replace("at Redis", "at Valkey"), ours.err.replace("to Redis at", "to Valkey at"));
    let (told, out): (Vec<&str>, Vec<&str>) =
        out.split_inclusive('\n').partition(|line| line.starts_with("[WARNING] The following nodes "));
    let code = if told.is_empty() { reference.code } else { Some(1) };
    assert_eq!(code, ours.code, "{words}: {reference:#?} {ours:#?}");
    assert_eq!(reference.out, out.concat(), "{words}");
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
        servers[1].call_ok(&["CONFIG", "SET", "requirepass", "of its own"]);
        let closed = assert_same(engine, &format!("check {}", servers[2].address()), "", "dumb");
        assert!(closed.out.contains(&format!("[ERR] Unable to load info for node {}\n", servers[1].address())));
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
            "check 127.0.0.1 port",
            "check 127.0.0.1 1",
            "check ::1 1",
            "info 127.0.0.1 1 more words",
            "bogus -a secret",
            "bogus -a secret --no-auth-warning",
            "bogus -u redis://127.0.0.1:1",
            "bogus -u redis://secret@127.0.0.1:1",
            "bogus -u rediss://someone:secret@127.0.0.1:1/0",
            "bogus -u http://127.0.0.1:1",
            "bogus -c -s /tmp/socket",
            "bogus -2 -3",
            "rebalance 127.0.0.1:1 --cluster-weight a=1 --cluster-weight b=1",
            "info 127.0.0.1:1 -i 1 -r 2 -d x -D y --quoted-input --no-raw --json --csv --show-pushes no",
        ] {
            assert_same(engine, words, "", "dumb");
        }
        // These options are younger.
        if engine.name != "redis-7.0" {
            for words in
                ["bogus -4 -6", "bogus -t x", "bogus -t -1", "info 127.0.0.1:1 -t 0", "info 127.0.0.1:1 -t 0.5"]
            {
                assert_same(engine, words, "", "dumb");
            }
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
        for uri in ["right-one@host", "right%2Done@host:1/0", "default:right-one@127.0.0.1", "default:wrong@host"] {
            assert_same(engine, &format!("check {entry} -u redis://{uri}"), "", "dumb");
        }
    });
}

#[test]
fn every_option_that_a_tool_has_is_taken_with_what_it_takes() {
    each_engine(|engine| {
        let help = run(command(&engine.cli).arg("--help"));
        assert_eq!(help.code, Some(0), "{help:#?}");
        let mut options = 0;
        for line in help.out.lines() {
            // Deeper lines go on with what a line above says.
            let Some(told) =
                line.strip_prefix("  ").or_else(|| line.strip_prefix(' ')).filter(|told| told.starts_with('-'))
            else {
                continue;
            };
            let option = told.split(' ').next().unwrap();
            if option == "--cluster" {
                continue;
            }
            options += 1;
            let value = told.contains('<').then_some(match option {
                "-u" => "redis://127.0.0.1",
                "--show-pushes" => "yes",
                _ => "1",
            });
            for program in [engine.cli.as_path(), Path::new(PROGRAM)] {
                let told = run(command(program).arg(option).args(value).args(["--version", "--cluster"]));
                assert_eq!((told.code, told.err.as_str()), (Some(0), ""), "{option} {value:?}: {told:#?}");
            }
        }
        assert!(options > 50, "{options} options were found in {}", help.out);
    });
}

#[test]
fn help_and_version_are_told_on_standard_output() {
    for words in ["--cluster help", "--cluster help with words behind it", "--help --cluster", "--cluster check -h"] {
        let told = tribune(words).succeeded();
        assert!(told.out.contains("Cluster Manager Commands:\n  create "), "{words}: {told:#?}");
        assert_eq!(told.err, "", "{words}");
    }
    for words in ["--cluster check --version", "-v --cluster"] {
        let told = tribune(words).succeeded();
        assert_eq!(told.out, format!("tribune {}\n", env!("CARGO_PKG_VERSION")), "{words}");
    }
}

#[test]
fn a_password_in_what_was_typed_is_not_printed_back() {
    for words in [
        "create redis://:s3cret@127.0.0.1:9600 127.0.0.1:1 127.0.0.1:2",
        "check redis://:s3cret@127.0.0.1:9600",
        "check 127.0.0.1:1 --uri=redis://:s3cret@127.0.0.1",
        "check 127.0.0.1:1 -u http://:s3cret@127.0.0.1",
    ] {
        let run = tribune(&format!("--cluster {words}")).refused(1, &[]);
        assert!(!run.err.is_empty() && !run.err.contains("s3cret"), "{words}: {run:#?}");
    }
}

#[test]
fn nodes_that_keep_away_are_named_in_the_tools_words_on_every_engine() {
    each_engine(|engine| {
        let servers = Servers::start_with(engine, 8, |builder, _| {
            builder.password("one").config("cluster-replica-no-failover", "yes")
        });
        tribune(&format!("create --yes --replicas 1 -a one {}", addresses(&servers))).succeeded();
        let entry = servers[0].address();
        let say = |words: &str| assert_same(engine, &format!("{words} {entry} --no-auth-warning -a one"), "", "dumb");
        // Neither the entry nor the others that are spoken of.
        let (refusing, dead, dead_primary) = (&servers[7], &servers[6], &servers[1]);
        refusing.call_ok(&["CONFIG", "SET", "requirepass", "another"]);
        let checked = say("check");
        assert!(checked.out.contains(&format!("Node {} replied with error:\nWRONGPASS", refusing.address())));
        let last_line = |run: &Run| run.out.lines().last().unwrap_or_default().to_owned();
        let not_looked_at = "[WARNING] The following nodes could not be looked at: ";
        assert_eq!(last_line(&checked), format!("{not_looked_at}{}.", refusing.address()));
        dead.kill();
        let checked = say("check");
        assert!(checked.err.contains(&format!("{}: Connection refused", dead.address())), "{checked:#?}");
        let line = last_line(&checked);
        assert!(line.starts_with(not_looked_at) && line.contains(&dead.address()), "{checked:#?}");
        assert_eq!((checked.code, checked.out.matches("[OK]").count()), (Some(1), 3), "{checked:#?}");
        dead_primary.kill();
        let checked = say("check");
        assert!(checked.out.contains("of unknown node ID"), "{checked:#?}");
        assert_eq!(checked.code, Some(1));
        say("info");
    });
}

#[test]
fn a_node_that_never_answers_is_named_and_the_others_are_shown() {
    let Some(engine) = any_engine() else { return };
    let servers = cluster(&engine, 3, 0);
    servers[2].stop_process();
    let run = tribune(&format!("--cluster info {}", servers[0].address())).succeeded();
    servers[2].continue_process();
    let silent = format!(" at {}: takes connections but does not answer: silent for 5.0 s\n", servers[2].address());
    assert!(run.err.starts_with("Could not connect to ") && run.err.ends_with(&silent), "{run:#?}");
    assert!(run.out.contains("[OK] 0 keys in 2 "), "{run:#?}");
}

#[test]
fn a_check_tells_of_nodes_that_do_not_serve_although_every_slot_has_an_owner() {
    let Some(engine) = any_engine() else { return };
    let servers = Servers::start(&engine, 3);
    let buses: Vec<Proxy> = servers.iter().map(Proxy::start_for_bus).collect();
    let behind = |(server, bus): (&Server, &Proxy)| format!("{}@{}", server.address(), bus.port());
    let nodes = servers.iter().zip(&buses).map(behind).collect::<Vec<_>>().join(" ");
    tribune(&format!("create --yes --shards 3 {nodes}")).succeeded();
    // Nobody hears anybody any more.
    for bus in &buses {
        bus.freeze(true);
    }
    let state = |server: &Server| value(&server.call_ok(&["CLUSTER", "INFO"]), "cluster_state");
    eventually("none serves", || servers.iter().all(|server| state(server).as_deref() == Some("fail")));
    let run = tribune(&format!("--cluster check {}", servers[0].address()));
    assert!(run.code == Some(1) && run.err.is_empty(), "{run:#?}");
    let last = run.out.lines().last().unwrap();
    assert!(last.starts_with("[WARNING] The following nodes do not serve (cluster_state:fail): "), "{run:#?}");
    assert!(servers.addresses().iter().all(|address| last.contains(address)), "{run:#?}");
}

#[test]
fn a_check_waits_for_a_node_that_has_just_joined() {
    let Some(engine) = any_engine() else { return };
    let servers = cluster(&engine, 3, 0);
    let another = Servers::start(&engine, 1);
    another[0].call_ok(&["CONFIG", "SET", "cluster-node-timeout", "60000"]);
    let (host, port) = (servers[0].address(), another[0].port());
    servers[0].call_ok(&["CLUSTER", "MEET", host.split(':').next().unwrap_or_default(), &port.to_string()]);
    let served = || value(&another[0].call_ok(&["CLUSTER", "INFO"]), "cluster_state").as_deref() == Some("ok");
    eventually("it knows who owns the slots", || {
        let nodes = another[0].call_ok(&["CLUSTER", "NODES"]);
        ["0-5460", "5461-10922", "10923-16383"].iter().all(|slots| nodes.contains(slots))
    });
    // It refuses to serve for 5 s more.
    tribune(&format!("--cluster check {}", servers[0].address())).succeeded();
    assert!(served());
}

#[test]
fn a_password_that_nobody_asks_for_does_no_harm() {
    let Some(engine) = any_engine() else { return };
    let servers = cluster(&engine, 3, 0);
    tribune(&format!("--cluster check {} -a secret", servers[0].address())).succeeded();
}

#[test]
fn whoever_stops_a_create_is_told_what_goes_on_and_what_undoes_it() {
    let Some(engine) = any_engine() else { return };
    // The last node tells a bus port on which nobody listens: the nodes never come together.
    let servers = Servers::start_with(&engine, 3, |builder, index| {
        let builder = builder.password("secret");
        if index == 2 { builder.config("cluster-announce-bus-port", "1") } else { builder }
    });
    let nodes = addresses(&servers);
    let directory = tempfile::tempdir().unwrap();
    let [out, err] = ["out", "err"].map(|name| directory.path().join(name));
    let running = Process::start(Path::new(PROGRAM), |command| {
        let words =
            format!("--cluster create {nodes} --cluster-yes -t 3 --no-auth-warning -u redis://default:secret@host");
        command.args(words.split_whitespace()).stdin(Stdio::null());
        command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
    });
    eventually("it waits for the nodes to come together", || fs::read_to_string(&out).unwrap().contains("join\n."));
    run(command(Path::new("sh")).args(["-c", &format!("kill -INT {}", running.pid())])).succeeded();
    let status = running.finish(Duration::from_secs(10));
    let told = fs::read_to_string(&err).unwrap();
    assert_eq!(status.code(), Some(130), "{told}");
    let undo = format!("tribune create --undo {nodes} --user default");
    assert!(told.starts_with(&format!("stopped: the same command goes on from here; as new again: {undo}")), "{told}");
    assert_eq!((told.lines().count(), told.contains("secret")), (1, false), "{told}");
    let (_, undo) = told.trim_end().split_once("tribune ").unwrap();
    let mut program = command(Path::new(PROGRAM));
    run(program.args(undo.split_whitespace()).arg("--yes").env("TRIBUNE_AUTH", "secret")).succeeded();
    servers.iter().for_each(assert_as_new);
}

#[test]
fn help_lists_commands_and_options_as_the_tool_does_under_its_names() {
    each_engine(|engine| {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join(engine.cli.file_name().unwrap());
        std::os::unix::fs::symlink(PROGRAM, &link).unwrap();
        let [theirs, ours] = [&engine.cli, &link].map(|program| run(command(program).args(["--cluster", "help"])));
        assert_eq!((ours.code, ours.err.as_str()), (Some(0), ""));
        // The option's name is another than the tool's help tells.
        let theirs = theirs.out.replace("--cluster-primaries-id", "--cluster-primary-id");
        let lines = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        assert_eq!(lines(&theirs), lines(&ours.out));
    });
}
