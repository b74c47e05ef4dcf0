//! Whatever is typed, the program ends, and never by a fault of its own.

use crate::support::{PROGRAM, command};
use proptest::{collection::vec, prelude::*, sample::select};
use std::{
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};
use testservers::wait_until;

/// Words of both grammars; nothing that asks at the terminal, starts servers or reaches any.
const WORDS: &[&str] = &[
    "127.0.0.1:1",
    "127.0.0.1",
    "1",
    "::1",
    "nonsense",
    "",
    "-",
    "--",
    "-1",
    "a=1",
    "all",
    "check",
    "info",
    "create",
    "status",
    "reshard",
    "rebalance",
    "add-node",
    "del-node",
    "call",
    "set-timeout",
    "fix",
    "PING",
    "--cluster",
    "--cluster-yes",
    "--cluster-from",
    "--cluster-weight",
    "--cluster-slave",
    "--cluster-master-id",
    "--cluster-replicas",
    "--cluster-timeout",
    "--json",
    "--yes",
    "--dry-run",
    "--slave",
    "--master-id",
    "--from",
    "--to",
    "--slots",
    "--weight",
    "--timeout",
    "--pipeline",
    "--verbose",
    "--tls",
    "--user",
    "-a",
    "-u",
    "-x",
    "-X",
    "-t",
    "-4",
    "-h",
    "-v",
    "--help",
    "--version",
    "help",
    "--only-masters",
    "--replica-of",
    "--threshold",
];

/// How it ends.
fn code(program: &Path, words: &[String]) -> Option<i32> {
    let mut started: Child =
        command(program).args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until(&format!("{words:?} ends"), Duration::from_secs(30), || {
        started.try_wait().is_ok_and(|ended| ended.is_some())
    });
    started.wait().ok()?.code()
}

fn any_word() -> impl Strategy<Value = String> {
    prop_oneof![8 => select(WORDS).prop_map(str::to_owned), 1 => "[^\\x00]{0,8}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn the_program_ends_by_itself_in_the_native_words(words in vec(any_word(), 0..7)) {
        let ended = code(Path::new(PROGRAM), &words);
        prop_assert!(matches!(ended, Some(0..=2)), "{ended:?}");
    }

    #[test]
    fn the_program_ends_by_itself_in_the_words_of_the_tools(
        name in select(&["tribune", "redis-cli", "valkey-cli", "redis-trib", "redis-trib.rb"][..]),
        before in vec(any_word(), 0..3),
        words in vec(any_word(), 0..6),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join(name);
        std::os::unix::fs::symlink(PROGRAM, &link).unwrap();
        let words: Vec<String> = if name.starts_with("redis-trib") {
            words
        } else {
            before.into_iter().chain(["--cluster".to_owned()]).chain(words).collect()
        };
        let ended = code(&link, &words);
        prop_assert!(matches!(ended, Some(0 | 1)), "{ended:?}");
    }

    #[test]
    fn a_command_that_there_is_not_ends_with_one_or_two(name in "zz[a-z]{0,6}") {
        prop_assert_eq!(code(Path::new(PROGRAM), std::slice::from_ref(&name)), Some(2));
        prop_assert_eq!(code(Path::new(PROGRAM), &["--cluster".to_owned(), name]), Some(1));
    }
}
