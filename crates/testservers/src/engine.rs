//! The server versions in the cache that `testbed/engines/fetch` fills.

use crate::skipped::skipped;
use std::{env, io, path::PathBuf, thread};

/// The matrix: every engine that tests run against, in their order.
pub const ENGINES: [&str; 5] = ["redis-7.0", "redis-8.0", "valkey-8.1", "valkey-9.1", "redis-8.6"];

/// A server version: `redis-8.0` and where its programs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Product and version, such as `valkey-8.1`.
    pub name: String,
    /// The server program.
    pub server: PathBuf,
    /// The command-line client that came with it.
    pub cli: PathBuf,
}

/// All engines of the matrix that the cache holds. Says which are missing, and panics for them with
/// `TRIBUNE_REQUIRE_ENGINES=1`.
#[track_caller]
pub fn engines() -> Vec<Engine> {
    ENGINES.into_iter().filter_map(engine).collect()
}

/// One engine by its name, such as `redis-8.0`. None, said loudly, where the cache does not hold it; panics for that
/// with `TRIBUNE_REQUIRE_ENGINES=1`.
#[track_caller]
pub fn engine(name: &str) -> Option<Engine> {
    let found = cached(name);
    if found.is_none() {
        let missing = format!("engine {name} is not in the cache; make engines");
        assert!(env::var_os("TRIBUNE_REQUIRE_ENGINES").is_none_or(|required| required != "1"), "{missing}");
        skipped(&missing);
    }
    found
}

/// The first engine that the cache holds: for tests that do not depend on the version.
#[track_caller]
pub fn any_engine() -> Option<Engine> {
    ENGINES.into_iter().find_map(cached).or_else(|| engines().into_iter().next())
}

/// Runs `test` with every engine that the cache holds, and says which one it was when it fails.
#[track_caller]
pub fn each_engine(mut test: impl FnMut(&Engine)) {
    for engine in engines() {
        let _named = NamedOnFailure(&engine.name);
        test(&engine);
    }
}

struct NamedOnFailure<'a>(&'a str);

impl Drop for NamedOnFailure<'_> {
    #[expect(clippy::print_stderr, reason = "belongs to the failing test's own output")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("failed with engine {}", self.0);
        }
    }
}

fn cached(name: &str) -> Option<Engine> {
    let (product, _) = name.split_once('-')?;
    let programs = cache().ok()?.join("engines").join(name).join("bin");
    let engine = Engine {
        name: name.to_owned(),
        server: programs.join(format!("{product}-server")),
        cli: programs.join(format!("{product}-cli")),
    };
    (engine.server.is_file() && engine.cli.is_file()).then_some(engine)
}

fn cache() -> io::Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("TRIBUNE_CACHE")
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("tribune")))
        .or_else(|| Some(set("HOME")?.join(".cache/tribune")))
        .ok_or_else(|| io::Error::other("neither TRIBUNE_CACHE nor HOME is set"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_cache_comes_in_the_order_of_the_matrix() {
        let found: Vec<String> = engines().into_iter().map(|engine| engine.name).collect();
        let expected: Vec<&str> = ENGINES.into_iter().filter(|name| found.iter().any(|other| other == name)).collect();
        assert_eq!(found, expected);
        assert_eq!(any_engine().map(|engine| engine.name), found.first().cloned());
    }

    #[test]
    fn an_engine_that_the_cache_does_not_hold_is_none() {
        assert_eq!(cached("redis-1.0"), None);
        assert_eq!(cached("nonsense"), None);
    }
}
