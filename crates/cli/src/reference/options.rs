//! Every option that one of the reference tools takes.

use super::Wording;

/// What an option takes behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Value,
    /// All following words with a `=` in them.
    Pairs,
}

use Takes::{Nothing, Pairs, Value};

/// The name under which an option is kept, and what it takes; none for an option that no tool has.
pub(super) fn find(typed: &str) -> Option<(&'static str, Takes)> {
    let used = USED.iter().map(|(name, takes)| (*name, *takes));
    let flags = UNUSED_FLAGS.iter().map(|name| (*name, Nothing));
    let values = UNUSED_WITH_VALUE.iter().map(|name| (*name, Value));
    let name = SYNONYMS.iter().find(|(synonym, _)| *synonym == typed).map_or(typed, |(_, name)| name);
    used.chain(flags).chain(values).find(|(kept, _)| *kept == name)
}

/// Further names, and the names under which they are kept.
const SYNONYMS: &[(&str, &str)] = &[
    ("-a", "--pass"),
    ("--cluster-fix-with-unreachable-primaries", "--cluster-fix-with-unreachable-masters"),
    ("--cluster-use-empty-primaries", "--cluster-use-empty-masters"),
    ("--cluster-replica", "--cluster-slave"),
    ("--cluster-primary-id", "--cluster-master-id"),
    ("--cluster-only-primaries", "--cluster-only-masters"),
];

/// All names of all options.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let used = USED.iter().map(|(name, _)| *name);
    let unused = UNUSED_FLAGS.iter().chain(UNUSED_WITH_VALUE).copied();
    used.chain(unused).chain(SYNONYMS.iter().map(|(synonym, _)| *synonym))
}

/// The name of an option in the words of a tool.
pub(super) fn name_in(wording: Wording, name: &'static str) -> &'static str {
    let newer = SYNONYMS.iter().find(|(synonym, kept)| *kept == name && synonym.starts_with("--cluster"));
    match (wording, newer) {
        (Wording::Valkey, Some((newer, _))) => newer,
        _ => name,
    }
}

/// Pairs of options that the tools do not take together, in the order in which they look.
pub(super) const EXCLUSIVE: &[(&str, &str)] = &[("-c", "-s"), ("-2", "-3"), ("-x", "-X"), ("-4", "-6")];

/// Options with a meaning for `--cluster`.
const USED: &[(&str, Takes)] = &[
    ("--pass", Value),
    ("--user", Value),
    ("--askpass", Nothing),
    ("--no-auth-warning", Nothing),
    ("-u", Value),
    ("-t", Value),
    ("-4", Nothing),
    ("-6", Nothing),
    ("--tls", Nothing),
    ("--sni", Value),
    ("--cacert", Value),
    ("--cacertdir", Value),
    ("--cert", Value),
    ("--key", Value),
    ("--insecure", Nothing),
    ("--verbose", Nothing),
    ("-x", Nothing),
    ("-X", Value),
    ("--cluster-yes", Nothing),
    ("--cluster-replicas", Value),
    ("--cluster-search-multiple-owners", Nothing),
    ("--cluster-fix-with-unreachable-masters", Nothing),
    ("--cluster-from", Value),
    ("--cluster-to", Value),
    ("--cluster-slots", Value),
    ("--cluster-timeout", Value),
    ("--cluster-pipeline", Value),
    ("--cluster-threshold", Value),
    ("--cluster-replace", Nothing),
    ("--cluster-copy", Nothing),
    ("--cluster-simulate", Nothing),
    ("--cluster-weight", Pairs),
    ("--cluster-use-empty-masters", Nothing),
    ("--cluster-slave", Nothing),
    ("--cluster-master-id", Value),
    ("--cluster-only-masters", Nothing),
    ("--cluster-only-replicas", Nothing),
    ("--cluster-from-user", Value),
    ("--cluster-from-pass", Value),
    ("--cluster-from-askpass", Nothing),
    ("--cluster-use-atomic-slot-migration", Nothing),
];

/// Options of the tools' other modes, which scripts may pass along.
const UNUSED_FLAGS: &[&str] = &[
    "-2",
    "-3",
    "-c",
    "-e",
    "--bigkeys",
    "--csv",
    "--hotkeys",
    "--json",
    "--keystats",
    "--latency",
    "--latency-dist",
    "--latency-history",
    "--ldb",
    "--ldb-sync-mode",
    "--memkeys",
    "--mono",
    "--mptcp",
    "--no-raw",
    "--pipe",
    "--quoted-input",
    "--quoted-json",
    "--raw",
    "--replica",
    "--scan",
    "--slave",
    "--stat",
];

/// The same, with a value, which is not looked at.
const UNUSED_WITH_VALUE: &[&str] = &[
    "-D",
    "-d",
    "-h",
    "-i",
    "-n",
    "-p",
    "-r",
    "-s",
    "--count",
    "--cursor",
    "--eval",
    "--functions-rdb",
    "--hotkeys-count",
    "--intrinsic-latency",
    "--keystats-samples",
    "--lru-test",
    "--memkeys-samples",
    "--name",
    "--pattern",
    "--pipe-timeout",
    "--quoted-pattern",
    "--rdb",
    "--show-pushes",
    "--test_hint",
    "--test_hint_file",
    "--tls-ciphers",
    "--tls-ciphersuites",
    "--top",
    "--vset-recall",
    "--vset-recall-count",
    "--vset-recall-ef",
    "--vset-recall-ele",
];
