//! Waiting for servers to answer.

use crate::{Cluster, LocalError, MemberState, address};
use futures_util::future::try_join_all;
use operations::{
    observe::{Answer, dial_and_ask},
    port::{Dialer, Trouble},
};
use std::time::{Duration, Instant};
use topology::NodeAddr;

/// Time between two tries.
const AGAIN: Duration = Duration::from_millis(20);

/// How to wait.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// How long at most.
    pub patience: Duration,
    /// Whether a server that ended once is worth waiting for: it is when it was well before.
    pub forgiving: bool,
}

/// Waits until every member answers, all at the same time; in the order of the ports.
///
/// # Errors
/// When a server ends instead (unless forgiving), or does not answer in time.
pub async fn wait_until_ready(
    cluster: &Cluster,
    ports: &[u16],
    dialer: &dyn Dialer,
    ready: Ready,
) -> Result<Vec<(NodeAddr, Answer)>, LocalError> {
    try_join_all(ports.iter().map(|port| one(cluster, *port, dialer, ready))).await
}

async fn one(
    cluster: &Cluster,
    port: u16,
    dialer: &dyn Dialer,
    ready: Ready,
) -> Result<(NodeAddr, Answer), LocalError> {
    let address = address(port);
    let begin = Instant::now();
    let restarts = cluster.member(port)?.restarts;
    loop {
        let status = cluster.member(port)?;
        let trouble = match dial_and_ask(dialer, &address).await {
            // Whoever else listens there is not our server, which is about to find its port taken.
            Ok(answer) if status.server_pid.is_some() && answer.view.server.process_id == status.server_pid => {
                return Ok((address, answer));
            }
            Ok(answer) => {
                let parent = answer.view.server.process_id.and_then(parent_of);
                if parent.is_some() && parent == status.server_pid {
                    return Err(LocalError::NotTheServer { program: cluster.settings()?.engine.program });
                }
                Trouble::Protocol("another program listens there".to_owned())
            }
            Err(error) => error.trouble,
        };
        // What happened before the wait is forgiven, if anything is.
        let ended = if ready.forgiving { status.restarts > restarts } else { status.last_exit.is_some() };
        let hopeless = ended && (status.state == MemberState::CrashLoop || !ready.forgiving);
        if hopeless {
            return Err(LocalError::ServerEnded {
                port,
                exit: status.last_exit.unwrap_or_else(|| "ends again and again".to_owned()),
                last_words: status.last_words,
                log: status.log,
            });
        }
        // Whoever answers so will not answer otherwise later.
        let settled = matches!(trouble, Trouble::NotACluster | Trouble::Refusal(_) | Trouble::NotPermitted(_));
        if settled || begin.elapsed() >= ready.patience {
            return Err(LocalError::NotReady {
                port,
                seconds: begin.elapsed().as_secs(),
                reason: trouble.to_string(),
                log: status.log,
            });
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// The parent of a process, by the fourth field of `/proc/PID/stat`; the second is a name in parentheses.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
