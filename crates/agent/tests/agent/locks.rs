//! Record locks, held by processes that became another program.

use crate::support::{program, wait_until};
use agent::lock::{self, LockError, RecordLock, Signal};
use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Becomes `sleep`, holding the lock, as a child of this test.
fn exec(lock: &Path, parent: &str) -> Command {
    let mut command = Command::new(program());
    command.arg("exec-server").arg(lock).args([parent, "--", "sleep", "30"]).stdout(Stdio::null());
    command
}

/// A process of a test, ended with it.
struct Holder(Child);

impl Holder {
    fn new(lock: &Path) -> Self {
        let holder = Self(exec(lock, &std::process::id().to_string()).spawn().unwrap());
        wait_until("a held lock", || lock::holder(lock).unwrap().filter(|pid| *pid == holder.pid()));
        holder
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn error(output: Output) -> String {
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_lock_stays_with_its_process_across_exec_and_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.lock");
    assert_eq!(lock::holder(&path).unwrap(), None);
    let holder = Holder::new(&path);
    wait_until("another program", || {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", holder.pid())).unwrap();
        (name == "sleep\n").then_some(())
    });
    assert_eq!(lock::holder(&path).unwrap(), Some(holder.pid()));
    let refused = RecordLock::acquire(&path).unwrap_err();
    assert_eq!(refused.to_string(), format!("{} is held by process {}", path.display(), holder.pid()));
}

#[test]
fn a_holder_is_signalled_and_its_end_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.lock");
    assert_eq!(lock::signal_holder(&path, Signal::TERM).unwrap(), None);
    lock::wait_released(&path, Instant::now()).unwrap();

    let holder = Holder::new(&path);
    let begin = Instant::now();
    let error = lock::wait_released(&path, begin + Duration::from_millis(200)).unwrap_err();
    assert!(matches!(error, LockError::Held { pid, .. } if pid == holder.pid()), "{error}");
    assert!(begin.elapsed() >= Duration::from_millis(200));

    assert_eq!(lock::signal_holder(&path, Signal::KILL).unwrap(), Some(holder.pid()));
    lock::wait_released(&path, Instant::now() + Duration::from_secs(10)).unwrap();
    // The process was not reaped yet, and still neither holds the lock nor is signalled.
    assert_eq!(lock::holder(&path).unwrap(), None);
    assert_eq!(lock::signal_holder(&path, Signal::KILL).unwrap(), None);
    drop(RecordLock::acquire(&path).unwrap());
}

#[test]
fn a_second_server_waits_for_the_first_one_to_end_and_is_refused_when_it_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.lock");
    let first = Holder::new(&path);
    let refused = exec(&path, &std::process::id().to_string()).output().unwrap();
    let expected = format!("error: another server, process {}, still runs in this directory\n", first.pid());
    assert_eq!(error(refused), expected);

    let mut second = Holder(exec(&path, &std::process::id().to_string()).spawn().unwrap());
    drop(first);
    wait_until("the second server", || lock::holder(&path).unwrap().filter(|pid| *pid == second.pid()));
    assert!(second.0.try_wait().unwrap().is_none());
}

#[test]
fn a_server_is_not_started_for_another_parent() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.lock");
    let orphan = exec(&path, "1").output().unwrap();
    assert_eq!(error(orphan), "error: the agent, process 1, has ended, so the server is not started\n");
    let nobody = exec(&path, "one").output().unwrap();
    assert_eq!(error(nobody), "error: \"one\" is not the id of a process\n");
    assert!(!path.exists());
}
