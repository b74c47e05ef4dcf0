//! Where clusters live.

use crate::{Cluster, LocalError, checks};
use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// The directory with all clusters of a user.
#[derive(Clone, Debug)]
pub struct Home(PathBuf);

/// Where the program keeps what must outlive it: `$TRIBUNE_HOME`, else `$XDG_DATA_HOME/tribune`, else
/// `~/.local/share/tribune`; none without any of these.
pub fn data_directory() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
    variable("TRIBUNE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&variable("XDG_DATA_HOME")?).join("tribune")))
        .or_else(|| Some(Path::new(&variable("HOME")?).join(".local/share/tribune")))
}

impl Home {
    /// In the [`data_directory`].
    pub fn of_user() -> Result<Self, LocalError> {
        let home = data_directory().ok_or(LocalError::NoHome)?;
        let absolute = std::path::absolute(&home).map_err(|source| LocalError::Directory { path: home, source })?;
        Ok(Self(absolute.join("local")))
    }

    /// The home at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The cluster of this name, whether there is one or not.
    pub fn cluster(&self, name: &str) -> Result<Cluster, LocalError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 40 || name.starts_with('-') || !name.chars().all(fits) {
            return Err(LocalError::Name(name.to_owned()));
        }
        Ok(Cluster::new(name, self.0.join(name)))
    }

    /// The cluster of this name, which must exist.
    pub fn existing(&self, name: &str) -> Result<Cluster, LocalError> {
        let cluster = self.cluster(name)?;
        if cluster.exists() {
            return Ok(cluster);
        }
        if !cluster.is_new() {
            return Err(cluster.torso());
        }
        Err(LocalError::NoCluster { name: name.to_owned(), others: self.names()? })
    }

    /// The names of all clusters.
    pub fn names(&self) -> Result<Vec<String>, LocalError> {
        let failed = |source| LocalError::Directory { path: self.0.clone(), source };
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            if self.cluster(&name).is_ok_and(|cluster| cluster.exists()) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// All ports of all members of all clusters but this one, running or not: for clients, for the cluster bus, and the agents'.
    pub fn ports_of_others(&self, name: &str) -> Result<Vec<u16>, LocalError> {
        let mut ports = Vec::new();
        for other in self.names()?.iter().filter(|other| *other != name) {
            ports.extend(self.cluster(other)?.ports()?.into_iter().flat_map(checks::ports_of));
        }
        Ok(ports)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_lead_elsewhere_are_refused() {
        let home = Home::new("/nowhere");
        for name in ["", "..", "a/b", "-x", "a b", &"x".repeat(41)] {
            assert!(matches!(home.cluster(name), Err(LocalError::Name(_))), "{name:?}");
        }
        assert!(home.cluster("shop-2_b").is_ok());
    }

    #[test]
    fn a_home_that_is_not_there_holds_no_cluster() {
        assert_eq!(Home::new("/nowhere").names().unwrap(), Vec::<String>::new());
    }
}
