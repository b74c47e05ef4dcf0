//! What an agent tells whoever watches it: one line of JSON for each.

use crate::Phase;
use serde::{Deserialize, Serialize};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};

/// So many lines may wait for a watcher; one that falls back further is let go.
const BEHIND: usize = 64;

/// Something that happened to a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Happening {
    /// The first line: how things are when the stream begins.
    Begin {
        /// What the agent is at.
        phase: Phase,
        /// The server's process, while there is one.
        server_pid: Option<i32>,
    },
    /// The server's process was made.
    Started {
        /// The server's process.
        server_pid: i32,
    },
    /// The server has ended, and was reaped.
    Died {
        /// How, in words that follow "the server".
        how: String,
    },
    /// The server is about to be stopped.
    Stopping {
        /// Whether all members of the cluster stop: nobody is to take over.
        whole_cluster: bool,
    },
    /// Something that this version does not know.
    #[serde(other)]
    Unknown,
}

/// Everybody who watches.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Mutex<Vec<mpsc::Sender<Vec<u8>>>>);

impl Watchers {
    /// A new watcher, whose first line this is.
    pub(crate) fn add(&self, begin: &Happening) -> mpsc::Receiver<Vec<u8>> {
        let (sender, receiver) = mpsc::channel(BEHIND);
        sender.try_send(line(begin)).ok();
        self.lock().push(sender);
        receiver
    }

    /// Tells everybody at once.
    pub(crate) fn tell(&self, happening: &Happening) {
        self.send(&line(happening));
    }

    /// A line without words: the stream is still there.
    pub(crate) fn breathe(&self) {
        self.send(b"\n");
    }

    /// Waits until everybody was sent all that was told, for this long at most.
    pub(crate) async fn heard(&self, limit: Duration) {
        let watchers = self.lock().clone();
        let all = async {
            for watcher in watchers {
                // There is room for so many when none waits. Who is gone hears nothing more.
                watcher.reserve_many(BEHIND).await.map(drop).ok();
            }
        };
        timeout(limit, all).await.ok();
    }

    fn send(&self, line: &[u8]) {
        self.lock().retain(|watcher| watcher.try_send(line.to_vec()).is_ok());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<mpsc::Sender<Vec<u8>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(happening: &Happening) -> Vec<u8> {
    let mut line = serde_json::to_vec(happening).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn happenings_have_stable_words_and_unknown_ones_are_let_through() {
        let died = Happening::Died { how: "was killed by signal 9".into() };
        assert_eq!(line(&died), b"{\"event\":\"died\",\"how\":\"was killed by signal 9\"}\n");
        let begin = Happening::Begin { phase: Phase::CrashLoop, server_pid: None };
        assert_eq!(line(&begin), b"{\"event\":\"begin\",\"phase\":\"crash-loop\",\"server_pid\":null}\n");
        let later: Happening = serde_json::from_str(r#"{"event":"slept","hours":8}"#).unwrap();
        assert_eq!(later, Happening::Unknown);
    }

    #[test]
    fn whoever_went_or_fell_back_is_not_told_any_more() {
        let watchers = Watchers::default();
        let begin = Happening::Begin { phase: Phase::Running, server_pid: Some(1) };
        let (gone, slow) = (watchers.add(&begin), watchers.add(&begin));
        drop(gone);
        for _ in 0..BEHIND {
            watchers.breathe();
        }
        assert!(watchers.lock().is_empty());
        drop(slow);
    }
}
