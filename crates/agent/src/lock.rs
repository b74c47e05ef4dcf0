//! Which process works in a directory, told by record locks.
//!
//! A record lock (POSIX `fcntl`) names its holder's process, survives `exec`, and goes with its process, whatever ended
//! it. It has one trap: a process loses its lock when it closes any descriptor of the file. So a process must not ask
//! about a file whose lock it holds itself, nor open that file for anything else.

mod holder;

pub use holder::{holder, signal_holder, wait_released};
/// A signal, for [`signal_holder`].
pub use rustix::process::Signal;

use rustix::{
    fs::{FlockOperation, fcntl_lock, fstat, stat},
    io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_setfd},
};
use std::{
    fs::{File, OpenOptions},
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Instant,
};

/// Locks that survive `exec` have at least this descriptor number: programs and shells use and close small ones.
const OUT_OF_THE_WAY: i32 = 200;
/// A lock that changes hands more often than this while it is looked at is given up on.
const LOOKS: usize = 100;

/// A record lock could not be taken, or its holder not be dealt with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process holds the lock.
    #[error("{} is held by process {pid}", path.display())]
    Held {
        /// The lock's file.
        path: PathBuf,
        /// The process that holds it.
        pid: i32,
    },
    /// The holder changed each time that it was looked at.
    #[error("{} changes hands too fast to tell who holds it", path.display())]
    Restless {
        /// The lock's file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{} cannot be used as a lock: {source}", path.display())]
    System {
        /// The lock's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl LockError {
    fn system(path: &Path, source: impl Into<io::Error>) -> Self {
        Self::System { path: path.to_owned(), source: source.into() }
    }
}

/// A record lock on a whole file, held until this is dropped or the process ends.
///
/// It keeps other processes away, not other threads of this one.
#[derive(Debug)]
pub struct RecordLock {
    /// Closing it gives the lock up.
    descriptor: OwnedFd,
}

impl RecordLock {
    /// Takes the lock without waiting; makes the file when there is none. Programs that this process starts do not hold it.
    ///
    /// # Errors
    /// [`LockError::Held`] with the holder's process id when another process holds it.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let file = open(path).map_err(|error| LockError::system(path, error))?;
        Self::take(file.into(), path)
    }

    /// Whether the file that is locked is the one at this path, and not one that was removed or replaced meanwhile.
    pub fn is_at(&self, path: &Path) -> bool {
        // Asked without opening the file: closing it would give the lock up.
        let (Ok(there), Ok(here)) = (stat(path), fstat(&self.descriptor)) else { return false };
        (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
    }

    /// Takes the lock so that it stays with this process when it becomes another program by `exec`.
    ///
    /// A holder whose end is near, because its parent was killed, is waited for until the deadline.
    pub(crate) fn acquire_across_exec(path: &Path, deadline: Instant) -> Result<Self, LockError> {
        let file = open(path).map_err(|error| LockError::system(path, error))?;
        let descriptor = out_of_the_way(file).map_err(|error| LockError::system(path, error))?;
        // These looks open and close the file, which is harmless as long as the lock is not ours.
        wait_released(path, deadline)?;
        Self::take(descriptor, path)
    }

    fn take(descriptor: OwnedFd, path: &Path) -> Result<Self, LockError> {
        for _ in 0..LOOKS {
            match fcntl_lock(&descriptor, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { descriptor }),
                Err(Errno::AGAIN | Errno::ACCESS) => {}
                Err(error) => return Err(LockError::system(path, error)),
            }
            let holder = holder::of(&descriptor).map_err(|error| LockError::system(path, error))?;
            if let Some(holder) = holder {
                return Err(LockError::Held { path: path.to_owned(), pid: holder.as_raw_nonzero().get() });
            }
        }
        Err(LockError::Restless { path: path.to_owned() })
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// The same open file under a high descriptor number that stays open across `exec`.
fn out_of_the_way(file: File) -> rustix::io::Result<OwnedFd> {
    let descriptor = fcntl_dupfd_cloexec(&file, OUT_OF_THE_WAY)?;
    fcntl_setfd(&descriptor, FdFlags::empty())?;
    // Closed before the lock is taken: closing it later would give the lock up.
    drop(file);
    Ok(descriptor)
}
