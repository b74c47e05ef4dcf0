//! Who holds a record lock, and how to reach exactly that process.

use super::{LOOKS, LockError, Signal};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::AsFd,
    io::Errno,
    process::{Flock, FlockType, Pid, PidfdFlags, fcntl_getlk, pidfd_open, pidfd_send_signal},
};
use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    path::Path,
    time::{Duration, Instant},
};

/// The process that holds the lock of this file, if any; a file that does not exist is held by nobody.
///
/// Must not be asked by a process that may hold the lock itself: asking would give it up.
///
/// # Errors
/// When the file cannot be opened, and when a process holds it that has no id here, such as one outside this container.
pub fn holder(path: &Path) -> io::Result<Option<i32>> {
    Ok(holding(path)?.map(|pid| pid.as_raw_nonzero().get()))
}

/// Sends a signal to the process that holds the lock of this file, and to no other: not even when that process ends
/// meanwhile and another one gets its id. Gives the process that got the signal, or none when nobody holds the lock.
///
/// Must not be called by a process that may hold the lock itself.
///
/// # Errors
/// When the holder may not be signalled or cannot be told.
pub fn signal_holder(path: &Path, signal: Signal) -> Result<Option<i32>, LockError> {
    for _ in 0..LOOKS {
        let handle = match grasp(path)? {
            Grasp::Free => return Ok(None),
            Grasp::Changed => continue,
            Grasp::Held(handle) => handle,
        };
        match pidfd_send_signal(&handle.descriptor, signal) {
            Ok(()) => return Ok(Some(handle.pid.as_raw_nonzero().get())),
            // It ended just now.
            Err(Errno::SRCH) => {}
            Err(error) => return Err(LockError::system(path, error)),
        }
    }
    Err(LockError::Restless { path: path.to_owned() })
}

/// Blocks until nobody holds the lock of this file because its holder has ended, or until the deadline.
///
/// Must not be called by a process that may hold the lock itself. A holder that gives up its lock and goes on running
/// is noticed at the deadline only.
///
/// # Errors
/// [`LockError::Held`] when a process still holds it at the deadline.
pub fn wait_released(path: &Path, deadline: Instant) -> Result<(), LockError> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match grasp(path)? {
            Grasp::Free => return Ok(()),
            Grasp::Held(handle) if left.is_zero() => {
                return Err(LockError::Held { path: path.to_owned(), pid: handle.pid.as_raw_nonzero().get() });
            }
            Grasp::Changed if left.is_zero() => return Err(LockError::Restless { path: path.to_owned() }),
            Grasp::Changed => {}
            Grasp::Held(handle) => ended(&handle, left).map_err(|error| LockError::system(path, error))?,
        }
    }
}

/// The process behind this handle has ended, or the time is over, or a signal came.
fn ended(handle: &Handle, within: Duration) -> Result<(), Errno> {
    let within = Timespec::try_from(within).ok();
    match poll(&mut [PollFd::new(&handle.descriptor, PollFlags::IN)], within.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A process, held so that its id cannot come to mean another one.
struct Handle {
    pid: Pid,
    descriptor: OwnedFd,
}

/// What came of looking for a lock's holder.
enum Grasp {
    /// Nobody holds the lock.
    Free,
    /// The holder ended, or became another, between two looks.
    Changed,
    /// This process holds it.
    Held(Handle),
}

/// The handle is taken between two looks at the lock: as both show the same process, it was alive all the while, and the
/// handle is that process and not a later one with its id.
fn grasp(path: &Path) -> Result<Grasp, LockError> {
    let look = || holding(path).map_err(|error| LockError::system(path, error));
    let Some(pid) = look()? else { return Ok(Grasp::Free) };
    let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => descriptor,
        Err(Errno::SRCH) => return Ok(Grasp::Changed),
        Err(error) => return Err(LockError::system(path, error)),
    };
    Ok(if look()? == Some(pid) { Grasp::Held(Handle { pid, descriptor }) } else { Grasp::Changed })
}

fn holding(path: &Path) -> io::Result<Option<Pid>> {
    match File::open(path) {
        Ok(file) => of(&file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The process that keeps others from locking this open file.
pub(super) fn of(file: impl AsFd) -> io::Result<Option<Pid>> {
    let Some(lock) = fcntl_getlk(file, &Flock::from(FlockType::WriteLock))? else { return Ok(None) };
    lock.pid.map(Some).ok_or_else(|| io::Error::other("it is held by a process that cannot be seen from here"))
}
