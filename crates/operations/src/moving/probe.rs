//! What others wait for an answer of a node: measured by being one of them.

use crate::port::{Command, Dialer, NodeError, NodeLink};
use futures_util::future::{join_all, try_join_all};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{sync::oneshot, time::sleep};
use tokio_util::sync::CancellationToken;
use topology::NodeAddr;

/// Time between two questions to a node.
const PERIOD: Duration = Duration::from_millis(5);
/// How many answers make a figure: of a hundred, one may be late.
const WINDOW: usize = 100;
/// How long it is found out what is usual, at most.
const USUAL: Duration = Duration::from_millis(30);

/// Nodes that are asked again and again, over links and on a thread of their own: how busy this program is does not count.
pub(crate) struct Probe {
    nodes: Vec<Arc<Mutex<State>>>,
    stop: CancellationToken,
}

#[derive(Default)]
struct State {
    /// What answers take without the move, 99 times of 100.
    usual: Duration,
    /// What an answer takes without the move: the median.
    round_trip: Duration,
    /// Answers since the last figure.
    answers: Vec<Duration>,
    /// The last figure, until it is taken.
    figure: Option<Duration>,
}

impl Probe {
    /// Measures what is usual, then goes on measuring until it is dropped.
    ///
    /// # Errors
    /// When a node cannot be reached.
    pub(crate) async fn start(dialer: Arc<dyn Dialer>, addresses: Vec<NodeAddr>) -> Result<Self, NodeError> {
        let nodes: Vec<Arc<Mutex<State>>> = addresses.iter().map(|_| Arc::default()).collect();
        let stop = CancellationToken::new();
        let (ready, is_ready) = oneshot::channel();
        let work = {
            let (nodes, stop) = (nodes.clone(), stop.clone());
            async move {
                let measured = stop.run_until_cancelled(measure(dialer.as_ref(), &addresses, &nodes, ready));
                measured.await;
            }
        };
        let spawned = std::thread::Builder::new().name("probe".to_owned()).spawn(move || {
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                runtime.block_on(work);
                runtime.shutdown_background();
            }
        });
        let probe = Self { nodes, stop };
        match (spawned, is_ready.await) {
            (Ok(_), Ok(Err(error))) => Err(error),
            // Without a thread there is no measure, and the move goes at the pace that is taken for safe.
            _ => Ok(probe),
        }
    }

    /// What an answer of the slowest of the nodes takes without the move.
    pub(crate) fn round_trip(&self) -> Duration {
        self.nodes.iter().map(|node| locked(node).round_trip).max().unwrap_or_default()
    }

    /// What others waited lately for the slowest of the nodes, beyond what is usual, 99 times of 100. Each figure is given once.
    pub(crate) fn latency(&self) -> Option<Duration> {
        self.nodes.iter().filter_map(|node| locked(node).figure.take()).max()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Dials the nodes, says so, and measures for ever.
async fn measure(
    dialer: &dyn Dialer,
    addresses: &[NodeAddr],
    nodes: &[Arc<Mutex<State>>],
    ready: oneshot::Sender<Result<(), NodeError>>,
) {
    let links = match try_join_all(addresses.iter().map(|address| dialer.dial(address))).await {
        Ok(links) => links,
        Err(error) => {
            // Whoever waited for it has gone otherwise.
            let _ = ready.send(Err(error));
            return;
        }
    };
    join_all(links.iter().zip(nodes).map(|(link, node)| usual(link.as_ref(), node))).await;
    let _ = ready.send(Ok(()));
    join_all(links.iter().zip(nodes).map(|(link, node)| go_on(link.as_ref(), node))).await;
}

async fn usual(link: &dyn NodeLink, node: &Mutex<State>) {
    let mut answers = Vec::with_capacity(WINDOW);
    let begin = Instant::now();
    while answers.len() < WINDOW && begin.elapsed() < USUAL {
        answers.extend(question(link).await);
    }
    answers.sort_unstable();
    let mut state = locked(node);
    state.round_trip = answers.get(answers.len() / 2).copied().unwrap_or_default();
    state.usual = percentile(answers);
}

async fn go_on(link: &dyn NodeLink, node: &Mutex<State>) {
    loop {
        if let Some(took) = question(link).await {
            locked(node).take(took);
        }
        sleep(PERIOD).await;
    }
}

fn locked(node: &Mutex<State>) -> MutexGuard<'_, State> {
    node.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn take(&mut self, took: Duration) {
        self.answers.push(took);
        if self.answers.len() == WINDOW {
            self.figure = Some(percentile(std::mem::take(&mut self.answers)).saturating_sub(self.usual));
        }
    }
}

/// What all but one of a hundred do not exceed; nothing where there is none.
fn percentile(mut answers: Vec<Duration>) -> Duration {
    answers.sort_unstable();
    let late = answers.len() / 100;
    answers.into_iter().rev().nth(late).unwrap_or_default()
}

/// How long one answer takes; none where there is none.
async fn question(link: &dyn NodeLink) -> Option<Duration> {
    let begin = Instant::now();
    let answered = link.send(vec![Command::Ping]).await;
    answered.is_ok().then(|| begin.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_late_answer_of_a_hundred_does_not_count() {
        let mut state = State { usual: Duration::from_millis(1), ..State::default() };
        (0..99).for_each(|_| state.take(Duration::from_millis(2)));
        assert_eq!(state.figure, None, "few answers tell nothing");
        state.take(Duration::from_millis(50));
        assert_eq!(state.figure, Some(Duration::from_millis(1)));
        (0..98).for_each(|_| state.take(Duration::from_millis(2)));
        (0..2).for_each(|_| state.take(Duration::from_millis(30)));
        assert_eq!(state.figure, Some(Duration::from_millis(29)));
    }
}
