//! `call` and `set-timeout`: the same for every node, in both grammars.

use crate::support::{PROGRAM, Run, cluster, command, run_with_input, tribune, twins_of};
use std::path::Path;
use testservers::{Engine, Server, any_engine, each_engine};

/// The same words for the engine's own tool and the program; their lines are the same, and so is how they end unless `differs`.
#[track_caller]
fn assert_same_lines(engine: &Engine, words: &str, input: &str) -> (Run, Run) {
    let (reference, ours) = twins_of(engine, words, input);
    assert_eq!(reference.out, ours.out, "{words}");
    assert_eq!(reference.err.replace("to Redis at", "to Valkey at"), ours.err.replace("to Redis at", "to Valkey at"));
    (reference, ours)
}

#[track_caller]
fn assert_same(engine: &Engine, words: &str, input: &str) -> Run {
    let (reference, ours) = assert_same_lines(engine, words, input);
    assert_eq!(reference.code, ours.code, "{words}: {ours:#?}");
    ours
}

fn setting(server: &Server) -> String {
    let told = server.call_ok(&["CONFIG", "GET", "cluster-node-timeout"]);
    told.lines().last().unwrap_or_default().trim().to_owned()
}

#[test]
fn call_and_set_timeout_say_what_the_tools_say_on_every_engine() {
    each_engine(|engine| {
        let servers = cluster(engine, 6, 1);
        let entry = servers[0].address();
        for words in [
            format!("--cluster call {entry} PING"),
            format!("--cluster call {entry} PING --cluster-only-masters"),
            format!("--cluster-only-replicas --cluster call {entry} PING"),
            format!("--cluster call {entry} PING --cluster-only-replicas --cluster-only-masters"),
            format!("--cluster call {entry} CONFIG GET save"),
            format!("--cluster call {entry} EVAL return{{1,{{2,{{}},'x'}},false,-3}} 0"),
            format!("--cluster call {entry}"),
            format!("--cluster call 127.0.0.1 {} PING", servers[0].port()),
            "--cluster call nonsense PING".to_owned(),
            "--cluster call 127.0.0.1:1 PING".to_owned(),
            format!("--cluster set-timeout {entry} 2500"),
            format!("--cluster set-timeout {entry} 99"),
            format!("--cluster set-timeout {entry} abc"),
            format!("--cluster set-timeout {entry}"),
            "--cluster set-timeout nonsense 2500".to_owned(),
            "--cluster set-timeout 127.0.0.1:1 2500".to_owned(),
        ] {
            assert_same(engine, &words, "");
        }
        assert_same(engine, &format!("-x --cluster call {entry} ECHO"), "two\nlines");
        assert_same(engine, &format!("-X tag --cluster call {entry} EVAL return(ARGV) 0 tag tag"), "it");
        assert_same(engine, &format!("-X tag --cluster call {entry} PING"), "it");
        assert_eq!(servers.iter().map(setting).collect::<Vec<_>>(), vec!["2500"; 6], "it is set everywhere");
        let file = |server: &Server| server.call_ok(&["CONFIG", "REWRITE"]);
        assert!(servers.iter().all(|server| file(server) == "OK"));
    });
}

#[test]
fn a_node_that_fails_makes_call_and_set_timeout_end_with_one_on_every_engine() {
    each_engine(|engine| {
        let servers = cluster(engine, 3, 0);
        let entry = servers[0].address();
        let (reference, ours) = assert_same_lines(engine, &format!("--cluster call {entry} BOGUS a b"), "");
        assert_eq!((reference.code, ours.code), (Some(0), Some(1)));
        servers[1].call_ok(&["ACL", "SETUSER", "default", "-config"]);
        let (reference, ours) = assert_same_lines(engine, &format!("--cluster set-timeout {entry} 2600"), "");
        assert_eq!((reference.code, ours.code), (Some(0), Some(1)));
        assert!(ours.out.contains(&format!("ERR setting node-timeout for {}: NOPERM", servers[1].address())));
        assert!(ours.out.ends_with("2 OK, 1 ERR.\n"), "{ours:#?}");
        assert_eq!([0, 2].map(|at| setting(&servers[at])), ["2600", "2600"]);
        servers[2].kill();
        let (reference, ours) = assert_same_lines(engine, &format!("--cluster call {entry} PING"), "");
        assert_eq!((reference.code, ours.code), (Some(0), Some(1)), "a node that is not there was not asked");
        let (reference, ours) = assert_same_lines(engine, &format!("--cluster set-timeout {entry} 2700"), "");
        assert_eq!((reference.code, ours.code), (Some(0), Some(1)));
    });
}

#[test]
fn any_bytes_go_to_every_node_from_standard_input() {
    let Some(engine) = any_engine() else { return };
    let servers = cluster(&engine, 3, 0);
    let words = format!("call {} EVAL return(#ARGV[1]..ARGV[2]) 0 tag -1", servers[0].address());
    let mut program = command(Path::new(PROGRAM));
    // A tag in any place; what begins with - is no option behind -x and -X only natively.
    let run = run_with_input(
        program.args(["--cluster"]).args(words.replace(" -1", " end").split(' ')).args(["-X", "tag"]),
        "a\0é\r\n",
    );
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert!(run.out.ends_with(": 6end\n"), "{run:#?}");
}

#[test]
fn call_shows_each_answer_beside_its_node() {
    let Some(engine) = any_engine() else { return };
    let servers = cluster(&engine, 6, 1);
    let entry = servers[0].address();
    let told = tribune(&format!("call {entry} PING --only-masters")).succeeded();
    let wanted: Vec<String> = servers[..3].iter().map(|server| format!("{}  PONG", server.address())).collect();
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&told.out), sorted(&wanted.join("\n")));
    assert!(told.err.starts_with("3 of 3 nodes did it"), "{told:#?}");
    assert!(tribune(&format!("call {entry} --only-replicas -- ECHO -x")).succeeded().out.contains("  -x\n"));
    assert!(tribune(&format!("call {entry} ECHO -1")).succeeded().out.contains("  -1\n"));
    let report = tribune(&format!("call --json {entry} CONFIG GET save")).succeeded();
    let report: serde_json::Value = serde_json::from_str(&report.out).unwrap();
    assert_eq!(report["nodes"].as_array().unwrap().len(), 6);
    assert_eq!(report["nodes"][0]["reply"], serde_json::json!(["save", ""]));
    let refused = tribune(&format!("call {entry} BOGUS"));
    assert_eq!((refused.code, refused.out.matches("! ERR unknown command").count()), (Some(1), 6), "{refused:#?}");
}

#[test]
fn what_takes_data_is_not_sent_before_somebody_says_yes() {
    let Some(engine) = any_engine() else { return };
    let servers = cluster(&engine, 3, 0);
    let entry = servers[0].address();
    for words in ["FLUSHALL", "cluster reset", "SHUTDOWN NOSAVE"] {
        tribune(&format!("call {entry} {words}")).refused(1, &["nobody can be asked", "--yes"]);
    }
    tribune(&format!("call {entry} --dry-run FLUSHALL")).succeeded();
    assert!(tribune(&format!("check {entry}")).succeeded().out.contains("healthy"));
    tribune(&format!("call --yes {entry} --only-primaries FLUSHALL")).succeeded();
}

#[test]
fn set_timeout_shows_its_plan_asks_and_names_who_kept_another_value() {
    let Some(engine) = any_engine() else { return };
    let servers = cluster(&engine, 3, 0);
    let entry = servers[0].address();
    let asked = tribune(&format!("set-timeout {entry} 2500"));
    assert_eq!(asked.code, Some(1), "{asked:#?}");
    assert!(asked.out.contains("cluster-node-timeout 2500 on 3 nodes"), "{asked:#?}");
    assert_eq!(setting(&servers[0]), "2000", "nobody has said yes");
    tribune(&format!("set-timeout {entry} 99 --yes")).refused(2, &["99"]);
    tribune(&format!("set-timeout {entry} 2500 --yes")).succeeded();
    assert_eq!(servers.iter().map(setting).collect::<Vec<_>>(), vec!["2500"; 3]);
    servers[1].call_ok(&["ACL", "SETUSER", "default", "-config"]);
    let run = tribune(&format!("set-timeout {entry} 2600 --yes"));
    let named = format!("{} does not allow the user given", servers[1].address());
    assert!(run.code == Some(1) && run.err.contains(&named), "{run:#?}");
    servers[2].kill();
    let run = tribune(&format!("set-timeout {entry} 2700 --yes --json"));
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.err.contains(&servers[1].address()) || run.err.contains(&servers[2].address()), "{run:#?}");
}
