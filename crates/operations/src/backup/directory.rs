//! The directory that a backup goes into: nothing has its name there before it is whole.

use rustix::fs::statvfs;
use std::{
    fs::{File, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tempfile::{Builder, NamedTempFile};

/// A file could not be made, written or named; reads as a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} cannot be written: {reason}", path.display())]
pub struct FileTrouble {
    /// The file or directory.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// A directory in which files can be made.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// The directory at this path.
    ///
    /// # Errors
    /// When there is none, or no file can be made in it.
    pub fn open(path: &Path) -> Result<Self, FileTrouble> {
        let directory = Self { path: path.to_owned() };
        // Whether one can be made shows best by making one.
        directory.unnamed("check").map(drop)?;
        Ok(directory)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the file with this name.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// How many bytes can be written there before its disk is full; none where the system does not say.
    pub fn room(&self) -> Option<u64> {
        statvfs(&self.path).ok().map(|told| told.f_bavail.saturating_mul(told.f_frsize))
    }

    /// A file that is to have this name once it is whole. It goes away with the value, also when nothing else is left of it.
    pub(super) fn unnamed(&self, name: &str) -> Result<Unnamed, FileTrouble> {
        let mut builder = Builder::new();
        // Who may read it says the user's umask, as for every file.
        let builder = builder.prefix(".tribune-").suffix(".partial").permissions(Permissions::from_mode(0o666));
        let path = self.file(name);
        let made = builder.tempfile_in(&self.path);
        let file = made.map_err(|error| FileTrouble { path: self.path.clone(), reason: reason(&error) })?;
        Ok(Unnamed { file, path })
    }

    /// A file of this text, on the disk, that has no name yet.
    pub(super) fn filled(&self, name: &str, text: &str) -> Result<Unnamed, FileTrouble> {
        let mut file = self.unnamed(name)?;
        file.write_all(text.as_bytes()).map_err(|error| file.trouble(&error))?;
        file.sync()?;
        Ok(file)
    }

    /// Has the disk keep the names.
    pub(super) fn sync(&self) -> Result<(), FileTrouble> {
        let synced = File::open(&self.path).and_then(|directory| directory.sync_all());
        synced.map_err(|error| FileTrouble { path: self.path.clone(), reason: reason(&error) })
    }
}

/// A file without its name.
#[derive(Debug)]
pub(super) struct Unnamed {
    file: NamedTempFile,
    path: PathBuf,
}

impl Unnamed {
    /// Has the disk keep what was written.
    pub(super) fn sync(&self) -> Result<(), FileTrouble> {
        self.file.as_file().sync_all().map_err(|error| self.trouble(&error))
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// When there is such a file already and it is not to be replaced.
    pub(super) fn keep(self, overwrite: bool) -> Result<(), FileTrouble> {
        let Self { file, path } = self;
        let kept = if overwrite { file.persist(&path) } else { file.persist_noclobber(&path) };
        kept.map(drop).map_err(|error| FileTrouble { path, reason: reason(&error.error) })
    }

    /// What an error of this file means.
    pub(super) fn trouble(&self, error: &io::Error) -> FileTrouble {
        FileTrouble { path: self.path.clone(), reason: reason(error) }
    }
}

impl Write for Unnamed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_file_mut().flush()
    }
}

fn reason(error: &io::Error) -> String {
    let known = match error.kind() {
        ErrorKind::StorageFull => "its disk is full",
        ErrorKind::QuotaExceeded => "the quota is used up",
        ErrorKind::FileTooLarge => "it is larger than files may be there",
        ErrorKind::PermissionDenied => "this user may not",
        ErrorKind::ReadOnlyFilesystem => "its disk is read-only",
        ErrorKind::NotFound => "there is no such directory",
        ErrorKind::NotADirectory => "that is no directory",
        ErrorKind::AlreadyExists => "there is such a file already",
        _ => return error.to_string(),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn files(directory: &Path) -> Vec<String> {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_without_a_name_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::open(place.path()).unwrap();
        let mut file = directory.unnamed("a").unwrap();
        file.write_all(b"half").unwrap();
        assert_eq!(files(place.path()).len(), 1);
        drop(file);
        assert!(files(place.path()).is_empty());
    }

    #[test]
    fn a_file_that_is_there_is_replaced_only_when_that_is_asked_for() {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::open(place.path()).unwrap();
        directory.filled("a", "old").unwrap().keep(false).unwrap();
        let refused = directory.filled("a", "new").unwrap().keep(false).unwrap_err();
        assert_eq!(refused.reason, "there is such a file already");
        assert_eq!(fs::read_to_string(place.path().join("a")).unwrap(), "old");
        directory.filled("a", "new").unwrap().keep(true).unwrap();
        assert_eq!(fs::read_to_string(place.path().join("a")).unwrap(), "new");
        assert_eq!(files(place.path()), ["a"]);
    }

    #[test]
    fn what_is_no_directory_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(Directory::open(&file).unwrap_err().reason, "that is no directory");
        assert_eq!(Directory::open(&place.path().join("none")).unwrap_err().reason, "there is no such directory");
    }
}
