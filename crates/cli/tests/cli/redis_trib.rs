//! Called by the name of redis-trib.rb it takes its words.

use crate::support::{PROGRAM, Run, cluster, command, eventually, run_with_input, tribune, value};
use std::path::PathBuf;
use testservers::{Server, Servers, any_engine, each_engine};

/// The program under another name.
struct Named {
    link: PathBuf,
    _directory: tempfile::TempDir,
}

impl Named {
    fn new(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join(name);
        std::os::unix::fs::symlink(PROGRAM, &link).unwrap();
        Self { link, _directory: directory }
    }

    fn run(&self, words: &str, input: &str) -> Run {
        run_with_input(command(&self.link).args(words.split_whitespace()), input)
    }
}

fn id(server: &Server) -> String {
    server.call_ok(&["CLUSTER", "MYID"])
}

fn slots(server: &Server, of: &str) -> String {
    let nodes = server.call_ok(&["CLUSTER", "NODES"]);
    let line = nodes.lines().find(|line| line.starts_with(of)).unwrap_or_default();
    line.split(' ').skip(8).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_cluster_is_made_grown_and_shrunk_in_the_words_of_redis_trib_on_every_engine() {
    each_engine(|engine| {
        let (trib, servers) = (Named::new("redis-trib.rb"), Servers::start(engine, 5));
        let addresses = servers.addresses();
        let silent = |run: Run| {
            assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:#?}");
            run.out
        };
        silent(trib.run(&format!("create --replicas 0 {}", addresses[..3].join(" ")), "yes\n"));
        let (entry, ids) = (&addresses[0], servers.iter().map(id).collect::<Vec<_>>());
        let checked = silent(trib.run(&format!("check {entry}"), ""));
        assert_eq!(checked.matches("[OK]").count(), 3, "{checked}");
        assert!(checked.contains(" master\n"), "its wording is that of Redis: {checked}");
        silent(trib.run(&format!("add-node {} {entry}", addresses[3]), ""));
        silent(trib.run(&format!("add-node --slave --master-id {} {} {entry}", ids[1], addresses[4]), ""));
        let to = &ids[3];
        let words =
            format!("reshard --from {} --to {to} --slots 10 --yes --timeout 60000 --pipeline 20 {entry}", ids[0]);
        silent(trib.run(&words, ""));
        assert_eq!(slots(&servers[3], to), "5451-5460");
        let weights = format!("--weight {}=0 --weight {}=1 --auto-weights", &to[..10], &ids[0][..10]);
        let simulated = silent(trib.run(&format!("rebalance {weights} --simulate --threshold 1 {entry}"), ""));
        assert!(simulated.contains(&format!("Moving 10 slots from {}", addresses[3])), "{simulated}");
        silent(trib.run(&format!("rebalance {weights} {entry}"), ""));
        assert_eq!(slots(&servers[0], to), "");
        silent(trib.run(&format!("set-timeout {entry} 2500"), ""));
        let called = silent(trib.run(&format!("call {entry} ECHO --slave"), ""));
        assert_eq!(called.matches(": --slave\n").count(), 5, "{called}");
        // Where a primary without slots follows another by itself, it leaves as a replica.
        eventually("all agree", || tribune(&format!("--cluster check {entry}")).code == Some(0));
        silent(trib.run(&format!("del-node {entry} {to}"), ""));
        let known = |server: &Server| value(&server.call_ok(&["CLUSTER", "INFO"]), "cluster_known_nodes");
        // A node that was met again counts twice for a while.
        eventually("four nodes are left", || known(&servers[0]).as_deref() == Some("4"));
        // redis-trib.rb shut it down.
        assert_eq!(known(&servers[3]).as_deref(), Some("1"));
        silent(trib.run(&format!("info {entry}"), ""));
    });
}

#[test]
fn wrong_words_end_with_one_and_help_with_zero() {
    let trib = Named::new("redis-trib");
    for (words, told) in [
        ("bogus", "Unknown redis-trib subcommand 'bogus'\n"),
        ("check --bogus 127.0.0.1:1", "Unknown option 'bogus' for command 'check'\n"),
        ("check", "[ERR] Wrong number of arguments for specified sub command\n"),
        ("import 127.0.0.1:1", "Option '--from' is required for subcommand 'import'\n"),
    ] {
        let run = trib.run(words, "");
        assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(1), told, ""), "{words}");
    }
    let [without, help] = ["", "help"].map(|words| trib.run(words, ""));
    assert_eq!((without.code, help.code), (Some(1), Some(0)));
    assert_eq!(without.out, help.out);
    for told in
        ["  reshard         host:port\n                  --from <arg>\n", "  help            (show this help)\n"]
    {
        assert!(help.out.contains(told), "{}", help.out);
    }
    let run = trib.run("check 127.0.0.1:1", "");
    assert_eq!(
        (run.code, run.err.as_str()),
        (Some(1), "Could not connect to Redis at 127.0.0.1:1: Connection refused\n")
    );
}

#[test]
fn the_native_commands_take_the_options_of_redis_trib() {
    let Some(engine) = any_engine() else { return };
    let servers = cluster(&engine, 3, 0);
    let (entry, ids) = (servers[0].address(), servers.iter().map(id).collect::<Vec<_>>());
    tribune(&format!(
        "reshard --from {} --to {} --slots 10 --yes --timeout 60000 --pipeline 20 --verbose {entry}",
        ids[0], ids[1]
    ))
    .succeeded();
    let words = format!(
        "rebalance --weight {}=1 --auto-weights --use-empty-masters --threshold 0.01 --simulate --verbose {entry}",
        &ids[1][..3]
    );
    let shown = tribune(&words).succeeded();
    assert!(shown.out.contains("10 slots"), "{shown:#?}");
    tribune(&format!("rebalance --weight {}=1 {}=2 {entry} --simulate", &ids[1][..3], &ids[2][..8])).succeeded();
    for words in [format!("check --verbose {entry}"), format!("info --verbose {entry}")] {
        tribune(&words).succeeded();
    }
    tribune(&format!("rebalance --weight x=1 {entry} --simulate"))
        .refused(2, &["no primary has an id that begins with \"x\""]);
}
