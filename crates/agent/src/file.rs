//! Small JSON files that are replaced as a whole, so that no reader ever sees half of one.

use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// A member's file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file could not be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else than it should.
    #[error("{} does not hold what it should: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// The file could not be written.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What a file has to survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survives {
    /// The end of any process: costs no disk write that is waited for.
    Processes,
    /// The loss of power as well.
    PowerLoss,
}

/// What the file holds.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    let text = fs::read(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|source| FileError::Content { path: path.to_owned(), source })
}

/// What the file holds; none where there is no such file.
pub fn read_if_there<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    match read(path) {
        Ok(value) => Ok(Some(value)),
        Err(FileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces the file. There must be one writer only.
pub fn write<T: Serialize>(path: &Path, value: &T, survives: Survives) -> Result<(), FileError> {
    let mut text =
        serde_json::to_vec_pretty(value).map_err(|source| FileError::Content { path: path.to_owned(), source })?;
    text.push(b'\n');
    replace(path, &text, survives).map_err(|source| FileError::Write { path: path.to_owned(), source })
}

fn replace(path: &Path, text: &[u8], survives: Survives) -> io::Result<()> {
    let beside = path.with_extension("tmp");
    let mut file = File::create(&beside)?;
    file.write_all(text)?;
    if survives == Survives::PowerLoss {
        file.sync_all()?;
    }
    fs::rename(&beside, path)?;
    match path.parent() {
        // The new name is in the directory, which has to be on disk, too.
        Some(directory) if survives == Survives::PowerLoss => File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_stays_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("numbers.json");
        write(&path, &vec![1, 2, 3], Survives::PowerLoss).unwrap();
        write(&path, &vec![4], Survives::Processes).unwrap();
        assert_eq!(read::<Vec<u8>>(&path).unwrap(), [4]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn errors_name_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("numbers.json");
        let named = |what: &str| format!("{} {what}", path.display());
        assert!(read::<Vec<u8>>(&path).unwrap_err().to_string().starts_with(&named("cannot be read: ")));
        fs::write(&path, "{").unwrap();
        assert!(read::<Vec<u8>>(&path).unwrap_err().to_string().starts_with(&named("does not hold what it should: ")));
    }
}
