//! Server programs on this machine.

use crate::LocalError;
use serde::{Deserialize, Serialize};
use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{process::Command, time::timeout};

/// How long a program may take to tell its version.
const PATIENCE: Duration = Duration::from_secs(5);
/// The oldest version that has all commands that are needed, such as `CLUSTER ADDSLOTSRANGE`.
const OLDEST: (u32, u32) = (7, 0);

/// A server program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Engine {
    /// The program, an absolute path.
    pub program: PathBuf,
    /// `redis` or `valkey`.
    pub product: String,
    /// Its version, such as `7.0.15`.
    pub version: String,
}

impl Engine {
    /// The engine that is meant: a path, `redis`, `valkey`, a name in the cache such as `valkey-9.1`; without a name
    /// whatever this machine has, those in `PATH` before those in the cache.
    pub async fn find(wanted: Option<&str>) -> Result<Self, LocalError> {
        if let Some(path) = wanted.filter(|wanted| wanted.contains('/')) {
            let path = absolute(Path::new(path))?;
            return Self::ask(if path.is_dir() { server_in(&path).unwrap_or(path) } else { path }).await;
        }
        let mut refused = None;
        for candidate in candidates(wanted) {
            match Self::ask(candidate).await {
                Ok(engine) => return Ok(engine),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        let wanted = wanted.map_or_else(|| "redis-server or valkey-server".to_owned(), str::to_owned);
        Err(refused.unwrap_or(LocalError::NoEngine { wanted }))
    }

    /// Asks a program for its version.
    async fn ask(program: PathBuf) -> Result<Self, LocalError> {
        let bad = |reason: String| LocalError::BadEngine { program: program.clone(), reason };
        let mut command = Command::new(&program);
        command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let output = match timeout(PATIENCE, command.output()).await {
            Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).into_owned(),
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                return Err(bad("there is no such file".into()));
            }
            Ok(Err(error)) => return Err(bad(error.to_string())),
            Err(_) => return Err(bad("it does not tell its version within 5 s".into())),
        };
        let (product, version) =
            read_version(&output).ok_or_else(|| bad("it is not a server of Redis or Valkey".to_owned()))?;
        if release(&version) < OLDEST {
            return Err(bad(format!("its version is {version}, and 7.0 is the oldest that works")));
        }
        Ok(Self { program, product, version })
    }
}

/// Reads `Redis server v=7.0.15 sha=…` or `Valkey server v=9.1.2 …`; `Sentinel` and others are none.
fn read_version(text: &str) -> Option<(String, String)> {
    let line = text.lines().find(|line| line.contains(" server v="))?;
    let product = match line.split_whitespace().next()? {
        "Redis" => "redis",
        "Valkey" => "valkey",
        _ => return None,
    };
    let version = line.split_once(" v=")?.1.split_whitespace().next()?;
    Some((product.to_owned(), version.to_owned()))
}

fn release(version: &str) -> (u32, u32) {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn absolute(path: &Path) -> Result<PathBuf, LocalError> {
    std::path::absolute(path).map_err(|source| LocalError::Directory { path: path.to_owned(), source })
}

/// Programs that may be meant, the best first.
fn candidates(wanted: Option<&str>) -> Vec<PathBuf> {
    let products: &[&str] = match wanted {
        None => &["valkey", "redis"],
        Some("redis" | "redis-server") => &["redis"],
        Some("valkey" | "valkey-server") => &["valkey"],
        Some(name) => {
            return cache().map(|cache| cache.join(name)).and_then(|engine| server_in(&engine)).into_iter().collect();
        }
    };
    let mut found: Vec<PathBuf> = products.iter().filter_map(|product| in_path(&format!("{product}-server"))).collect();
    found.extend(
        cached()
            .into_iter()
            .filter(|(name, _)| {
                products.iter().any(|product| name.strip_prefix(product).is_some_and(|rest| rest.starts_with('-')))
            })
            .map(|(_, program)| program),
    );
    found
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// The cache that `make engines` fills.
fn cache() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let root = variable("TRIBUNE_CACHE")
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("tribune")))
        .or_else(|| Some(variable("HOME")?.join(".cache/tribune")))?;
    std::path::absolute(root.join("engines")).ok()
}

/// The engines of the cache by name, the newest version first.
fn cached() -> Vec<(String, PathBuf)> {
    let entries = cache().and_then(|cache| fs::read_dir(cache).ok()).into_iter().flatten().flatten();
    let mut found: Vec<(String, PathBuf)> =
        entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, server_in(&entry.path())?))).collect();
    let version = |name: &str| release(name.rsplit('-').next().unwrap_or_default());
    found.sort_by_key(|(name, _)| std::cmp::Reverse((version(name), name.clone())));
    found
}

/// The server program in the directory of an engine.
fn server_in(directory: &Path) -> Option<PathBuf> {
    let places = [directory.join("bin"), directory.to_owned()];
    let programs = ["redis-server", "valkey-server"].map(OsStr::new);
    let mut candidates = places.iter().flat_map(|place| programs.iter().map(|program| place.join(program)));
    candidates.find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_servers_print_them() {
        let read = |text: &str| read_version(text).map(|(product, version)| format!("{product} {version}"));
        assert_eq!(
            read("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=e08d").as_deref(),
            Some("redis 7.0.15")
        );
        assert_eq!(read("Valkey server v=9.1.2 sha=0:0 malloc=x bits=64").as_deref(), Some("valkey 9.1.2"));
        assert_eq!(read("true (GNU coreutils) 9.1"), None);
        assert_eq!(read(""), None);
    }

    #[tokio::test]
    async fn what_is_no_server_is_refused_by_name() {
        for (program, reason) in [("/bin/true", "not a server"), ("/nowhere/redis-server", "no such file")] {
            let error = Engine::find(Some(program)).await.unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(program), "{error}");
        }
    }
}
