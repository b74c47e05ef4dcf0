//! How heavy keys are. A replica of their node is asked where one follows, so that the node has less to do.

use super::keys::Listed;
use crate::{
    exchange::{in_database, number},
    port::{Command, NodeError, NodeLink},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;
use topology::Reply;

/// How long an answer of the replica is waited for: the move waits as well.
const PATIENCE: Duration = Duration::from_millis(500);

/// Who is asked how heavy keys are.
#[derive(Default)]
pub(crate) struct Weigher {
    /// A replica, over a link that nobody else uses; otherwise the node itself.
    replica: Option<Arc<dyn NodeLink>>,
    /// It has not answered, or does not know any of the keys: it is not asked any more.
    is_lost: AtomicBool,
}

impl Weigher {
    /// Asks this replica as long as it answers, over a link that nobody else uses.
    pub(crate) const fn replica(link: Arc<dyn NodeLink>) -> Self {
        Self { replica: Some(link), is_lost: AtomicBool::new(false) }
    }

    /// The bytes of each of these keys of a node (`MEMORY USAGE`), 0 for one that is not there. Those that the replica does not know, such as
    /// ones that have just been written, are asked of the node.
    pub(super) async fn weigh(
        &self,
        node: &dyn NodeLink,
        database: u32,
        keys: &[Listed],
    ) -> Result<Vec<u64>, NodeError> {
        let known = self.ask_replica(database, keys).await;
        let known = |at: usize| known.get(at).and_then(Reply::as_integer).and_then(|bytes| u64::try_from(bytes).ok());
        let unknown = keys.iter().enumerate().filter(|(at, _)| known(*at).is_none()).map(|(_, listed)| listed);
        let mut told = in_database(node, database, unknown.map(question).collect()).await?.into_iter();
        let mut weigh = |at| known(at).or_else(|| told.next().as_ref().map(number)).unwrap_or_default();
        Ok((0..keys.len()).map(&mut weigh).collect())
    }

    /// Asks the node itself from now on.
    pub(super) fn give_up(&self) {
        self.is_lost.store(true, Ordering::Relaxed);
    }

    /// What the replica says of these keys; nothing where there is none that answers.
    async fn ask_replica(&self, database: u32, keys: &[Listed]) -> Vec<Reply> {
        let Some(replica) = self.replica.as_ref().filter(|_| !self.is_lost.load(Ordering::Relaxed)) else {
            return Vec::new();
        };
        // A replica sends clients to its primary unless they say this.
        let questions = [Command::ReadOnly].into_iter().chain(keys.iter().map(question)).collect();
        let answer = timeout(PATIENCE, in_database(replica.as_ref(), database, questions)).await;
        let replies: Vec<Reply> = answer.ok().and_then(Result::ok).unwrap_or_default().into_iter().skip(1).collect();
        if !replies.iter().any(|reply| reply.as_integer().is_some()) {
            self.give_up();
        }
        replies
    }
}

fn question(listed: &Listed) -> Command {
    Command::MemoryUsage(listed.key.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::{BoxFuture, pending};
    use std::sync::Mutex;
    use topology::NodeAddr;

    /// A server that knows the keys that begin with this letter, 100 bytes each; one without a letter does not answer.
    struct Server {
        address: NodeAddr,
        knows: Option<u8>,
        asked: Mutex<Vec<usize>>,
    }

    impl Server {
        fn new(knows: Option<u8>) -> Self {
            Self { address: "127.0.0.1:7000".parse().unwrap(), knows, asked: Mutex::default() }
        }

        /// How many keys it was asked for, each time.
        fn asked(&self) -> Vec<usize> {
            self.asked.lock().unwrap().clone()
        }
    }

    impl NodeLink for Server {
        fn address(&self) -> &NodeAddr {
            &self.address
        }

        fn ip(&self) -> std::net::IpAddr {
            std::net::Ipv4Addr::LOCALHOST.into()
        }

        fn send(&self, commands: Vec<Command>) -> BoxFuture<'_, Result<Vec<Reply>, NodeError>> {
            let keys = commands.iter().filter(|command| matches!(command, Command::MemoryUsage(_))).count();
            self.asked.lock().unwrap().extend((keys > 0).then_some(keys));
            let Some(known) = self.knows else { return Box::pin(pending()) };
            let answer = move |command: &Command| match command {
                Command::ReadOnly => Reply::Bytes(b"OK".to_vec()),
                Command::MemoryUsage(key) if key.first() == Some(&known) => Reply::Integer(100),
                _ => Reply::Nil,
            };
            Box::pin(async move { Ok(commands.iter().map(answer).collect()) })
        }
    }

    fn listed(names: &[&str]) -> Vec<Listed> {
        let slot = topology::Slot::new(5).unwrap();
        names.iter().map(|name| Listed { slot, key: name.as_bytes().to_vec(), bytes: 0, replace: false }).collect()
    }

    #[tokio::test]
    async fn keys_that_the_replica_does_not_know_are_asked_of_the_node() {
        let (replica, node) = (Arc::new(Server::new(Some(b'a'))), Server::new(Some(b'b')));
        let weigher = Weigher::replica(Arc::clone(&replica) as Arc<dyn NodeLink>);
        let keys = listed(&["b1", "a1", "c1", "a2", "b2"]);
        assert_eq!(weigher.weigh(&node, 0, &keys).await.unwrap(), [100, 100, 0, 100, 100]);
        assert_eq!((replica.asked(), node.asked()), (vec![5], vec![3]));
        assert_eq!(weigher.weigh(&node, 0, &listed(&["a1", "a2"])).await.unwrap(), [100, 100]);
        assert_eq!((replica.asked(), node.asked()), (vec![5, 2], vec![3]), "the node need not be asked");
    }

    #[tokio::test]
    async fn a_replica_that_does_not_answer_or_knows_no_key_is_asked_once() {
        for knows in [None, Some(b'x')] {
            let (replica, node) = (Arc::new(Server::new(knows)), Server::new(Some(b'a')));
            let weigher = Weigher::replica(Arc::clone(&replica) as Arc<dyn NodeLink>);
            for _ in 0..3 {
                assert_eq!(weigher.weigh(&node, 0, &listed(&["a1", "a2"])).await.unwrap(), [100, 100]);
            }
            assert_eq!((replica.asked(), node.asked()), (vec![2], vec![2, 2, 2]));
        }
    }
}
