//! The supervisor: one agent for each member, always.

use crate::{Cluster, LocalError, keeping::keep_shape};
use agent::{
    MemberDirectory,
    lock::{self, LockError, Signal},
};
use operations::port::Dialer;
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::Path,
    pin::pin,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    sync::{Notify, watch},
    task::JoinSet,
    time::sleep,
};

/// Pauses before an agent is started again: it hardly ever ends by itself.
const PAUSES: [Duration; 3] = [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(10)];
/// What tells an agent that all members stop: its server has nobody to hand its slots over to. TERM would stop this member alone.
const ALL_STOP: Signal = Signal::INT;
/// An agent that ran for longer than this was well.
const SETTLED: Duration = Duration::from_secs(30);
/// The log is kept below about this size, in bytes.
const LARGEST_LOG: u64 = 1_000_000;

/// Keeps the members of the cluster in this directory running until asked to stop.
///
/// SIGTERM and SIGINT stop all agents, and those their servers; SIGHUP looks for new members. Agents that an earlier
/// supervisor left behind are taken over with their servers as they are.
///
/// # Errors
/// When another supervisor runs there or the directory cannot be used.
pub fn supervise(directory: &Path, dialer: Arc<dyn Dialer>) -> Result<(), LocalError> {
    // A terminal that is closed must not end the cluster. It fails only for who is the leader of a session already.
    rustix::process::setsid().ok();
    let cluster = Cluster::new(&directory.file_name().unwrap_or_default().to_string_lossy(), directory.to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LocalError::EventLoop)?;
    let outcome = runtime.block_on(keep_all(&cluster, dialer));
    // Threads that still wait for the end of an agent have nothing to say any more.
    runtime.shutdown_background();
    outcome
}

async fn keep_all(cluster: &Cluster, dialer: Arc<dyn Dialer>) -> Result<(), LocalError> {
    let hear = |kind| signal(kind).map_err(LocalError::EventLoop);
    let (mut terminate, mut interrupt, mut look_again) =
        (hear(SignalKind::terminate())?, hear(SignalKind::interrupt())?, hear(SignalKind::hangup())?);
    let _lock = cluster.hold_supervisor_lock()?;
    let (stop, stopping) = watch::channel(false);
    let mut kept: BTreeSet<u16> = BTreeSet::new();
    let mut keepers = JoinSet::new();
    let changed = Arc::new(Notify::new());
    let asked = Arc::new(Notify::new());
    let mut keeping = pin!(keep_shape(cluster, dialer, Arc::clone(&changed), Arc::clone(&asked)));
    log(cluster, "watching");
    // Whoever started it waits for this word.
    writeln!(io::stdout(), "ready").ok();
    loop {
        for port in cluster.ports()? {
            if kept.insert(port) {
                let directory = MemberDirectory::new(cluster.members_directory().join(port.to_string()));
                keepers.spawn(keep(cluster.clone(), port, directory, stopping.clone()));
            }
        }
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = look_again.recv() => asked.notify_one(),
            () = changed.notified() => {}
            () = &mut keeping => {}
            Some(Ok(port)) = keepers.join_next() => {
                kept.remove(&port);
            }
        }
    }
    log(cluster, "stopping");
    stop.send_replace(true);
    while keepers.join_next().await.is_some() {}
    log(cluster, "stopped");
    Ok(())
}

/// Keeps an agent in a member's directory until the member is removed or everything stops.
async fn keep(cluster: Cluster, port: u16, directory: MemberDirectory, mut stopping: watch::Receiver<bool>) -> u16 {
    let mut ended_early = 0;
    while directory.member().exists() && !*stopping.borrow() {
        let began = Instant::now();
        let mut was_asked = false;
        match lock::holder(&directory.agent_lock()) {
            Ok(Some(pid)) => {
                log(&cluster, &format!("{port}: taking over agent {pid}"));
                tokio::select! {
                    () = released(&directory) => {}
                    () = stop_of(&mut stopping) => {
                        lock::signal_holder(&directory.agent_lock(), ALL_STOP).ok();
                        released(&directory).await;
                        break;
                    }
                }
            }
            _ => match start(&directory) {
                Ok(mut child) => tokio::select! {
                    status = child.wait() => {
                        was_asked = status.as_ref().is_ok_and(ExitStatus::success);
                        let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                        log(&cluster, &format!("{port}: the agent ended: {how}"));
                    }
                    () = stop_of(&mut stopping) => {
                        end(&mut child).await;
                        break;
                    }
                },
                Err(error) => log(&cluster, &format!("{port}: no agent can be started: {error}")),
            },
        }
        // Who was asked to stop alone is to be started again: a restart.
        if began.elapsed() > SETTLED || was_asked {
            ended_early = 0;
        }
        let mut pause = PAUSES.get(ended_early).or(PAUSES.last()).copied().unwrap_or_default();
        if was_asked && began.elapsed() > PAUSES[1] {
            pause = Duration::ZERO;
        } else if ended_early > 0 {
            log(&cluster, &format!("{port}: another agent is started in {}", humantime::format_duration(pause)));
        }
        ended_early += 1;
        tokio::select! {
            () = sleep(pause) => {}
            () = stop_of(&mut stopping) => {}
        }
    }
    port
}

/// Waits until everything is to stop.
async fn stop_of(stopping: &mut watch::Receiver<bool>) {
    // The sender lives as long as the supervisor's loop; without it there is nothing to go on for.
    stopping.wait_for(|stop| *stop).await.map(drop).ok();
}

fn start(directory: &MemberDirectory) -> io::Result<Child> {
    let log = fs::OpenOptions::new().create(true).append(true).open(directory.agent_log())?;
    Command::new("/proc/self/exe")
        .arg0("tribune")
        .arg("agent")
        .arg(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .current_dir(directory.path())
        .spawn()
}

/// Asks an agent of ours to stop and waits for it; it kills a server that does not end in time.
async fn end(child: &mut Child) {
    let pid = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(pid) = pid {
        // Not reaped yet, so the number is still its own.
        rustix::process::kill_process(pid, ALL_STOP).ok();
    }
    child.wait().await.ok();
}

/// Waits until nobody holds the agent's lock.
async fn released(directory: &MemberDirectory) {
    let path = directory.agent_lock();
    loop {
        let path = path.clone();
        let wait = move || lock::wait_released(&path, Instant::now() + Duration::from_mins(1));
        match tokio::task::spawn_blocking(wait).await {
            Ok(Err(LockError::Held { .. } | LockError::Restless { .. })) => {}
            // What cannot be waited for is looked at again after the pause between two agents.
            _ => return,
        }
    }
}

/// A line in the log, which is standard error. A log that has grown too long begins anew.
pub(crate) fn log(cluster: &Cluster, line: &str) {
    let path = cluster.supervisor_log();
    if fs::metadata(&path).is_ok_and(|log| log.len() > LARGEST_LOG)
        && let Ok(file) = fs::OpenOptions::new().write(true).open(&path)
    {
        file.set_len(0).ok();
    }
    let now = humantime::format_rfc3339_millis(std::time::SystemTime::now());
    writeln!(io::stderr(), "{now} {line}").ok();
}
