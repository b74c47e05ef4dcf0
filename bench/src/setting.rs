//! What is run: the program under test, and the tool and servers that it is held against.

use crate::{arguments::Arguments, problem::Problem};
use std::{
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};
use testservers::Engine;

/// What a run is made with.
pub(crate) struct Setting {
    /// The servers and the reference tool.
    pub(crate) engine: Engine,
    /// The servers' node timeout in milliseconds.
    pub(crate) node_timeout: u32,
    reference: Invocation,
    tribune: Invocation,
}

/// Who does a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// The client that came with the servers.
    Reference,
    /// The program under test.
    Tribune,
}

/// How a tool is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    /// What the kernel runs.
    pub(crate) program: PathBuf,
    /// What comes before the tool's own words.
    pub(crate) words: Vec<OsString>,
    /// The file that holds the tool.
    pub(crate) file: PathBuf,
}

impl Setting {
    /// What was asked for.
    ///
    /// # Errors
    /// When a program is not there.
    pub(crate) fn new(arguments: &Arguments, engine: &str) -> Result<Self, Problem> {
        let tribune = match &arguments.tribune {
            Some(path) => path.clone(),
            None => built_beside(env::current_exe()).map_err(|source| Problem::System {
                what: "cannot tell where this program is, so --tribune PATH is needed".to_owned(),
                source,
            })?,
        };
        if !tribune.is_file() {
            return Err(Problem::NoProgram(tribune));
        }
        let found = testservers::engine(engine);
        let engine = found.ok_or_else(|| Problem::NoEngine(engine.to_owned()))?;
        let reference = without_script(&engine.cli).unwrap_or_else(|| Invocation::plain(engine.cli.clone()));
        Ok(Self { engine, node_timeout: arguments.node_timeout, reference, tribune: Invocation::plain(tribune) })
    }

    /// How a tool is started.
    pub(crate) const fn invocation(&self, tool: Tool) -> &Invocation {
        match tool {
            Tool::Reference => &self.reference,
            Tool::Tribune => &self.tribune,
        }
    }
}

impl Invocation {
    fn plain(program: PathBuf) -> Self {
        Self { file: program.clone(), program, words: Vec::new() }
    }
}

/// The cache starts its programs through a script that finds the loader and libraries beside it. The script takes longer
/// than some of what is measured here, and nobody who installed the tool has it, so it is left out.
fn without_script(cli: &Path) -> Option<Invocation> {
    let (root, name) = (cli.parent()?.parent()?, cli.file_name()?);
    let (libraries, file) = (root.join("lib"), root.join("programs").join(name));
    let loader = libraries.join(name);
    let words = ["--library-path".into(), libraries.into(), "--argv0".into(), name.to_owned(), file.clone().into()];
    (loader.is_file() && file.is_file()).then(|| Invocation { program: loader, words: words.into(), file })
}

/// The release build of the same target directory, whatever profile this program has.
fn built_beside(program: io::Result<PathBuf>) -> io::Result<PathBuf> {
    let program = program?;
    let target = program.parent().and_then(Path::parent).unwrap_or_else(|| Path::new("target"));
    Ok(target.join("release").join("tribune"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_build_is_meant_from_every_profile() {
        for profile in ["release", "debug"] {
            let program = Path::new("/w/target").join(profile).join("bench");
            assert_eq!(built_beside(Ok(program)).unwrap(), Path::new("/w/target/release/tribune"));
        }
    }

    #[test]
    fn a_client_with_its_own_loader_is_started_by_that() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for file in ["bin/redis-cli", "lib/redis-cli", "programs/redis-cli"] {
            std::fs::create_dir_all(path(file).parent().unwrap()).unwrap();
            std::fs::write(path(file), "").unwrap();
        }
        let invocation = without_script(&path("bin/redis-cli")).unwrap();
        assert_eq!(invocation.program, path("lib/redis-cli"));
        assert_eq!(invocation.words.last(), Some(&path("programs/redis-cli").into()));

        std::fs::remove_file(path("programs/redis-cli")).unwrap();
        assert_eq!(without_script(&path("bin/redis-cli")), None);
    }
}
