//! One primary's databases, many commands at once.

use crate::cluster::Cluster;
use redis::{Cmd, Connection, Pipeline, RedisResult, Value, cmd};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);
/// So that neither side's buffers fill up while nobody reads.
const MOST_COMMANDS: usize = 1000;
const MOST_BYTES: usize = 1 << 20;

/// A connection to one database of one node.
pub(super) struct Node {
    connection: Connection,
}

/// Commands that belong together, and about how many bytes they and their replies take.
pub(super) struct Batch {
    pub(super) commands: Vec<Cmd>,
    pub(super) size: usize,
}

impl Node {
    pub(super) fn connect(cluster: &Cluster, address: &str, database: u32) -> RedisResult<Self> {
        Ok(Self { connection: cluster.connect(address, database, TIMEOUT)? })
    }

    /// Sends all batches, pipelined, and gives the replies of each to `use_replies`. Error replies are replies.
    pub(super) fn run<T>(
        &mut self,
        batches: impl Iterator<Item = (T, Batch)>,
        mut use_replies: impl FnMut(T, Vec<Value>),
    ) -> RedisResult<()> {
        let (mut pipeline, mut waiting, mut size) = (pipeline(), Vec::new(), 0);
        for (what, batch) in batches {
            waiting.push((what, batch.commands.len()));
            size += batch.size;
            for command in batch.commands {
                pipeline.add_command(command);
            }
            if pipeline.len() >= MOST_COMMANDS || size >= MOST_BYTES {
                self.send(&mut pipeline, &mut waiting, &mut use_replies)?;
                size = 0;
            }
        }
        self.send(&mut pipeline, &mut waiting, &mut use_replies)
    }

    pub(super) fn query<T: redis::FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        command.query(&mut self.connection)
    }

    /// Every key, some perhaps more than once.
    pub(super) fn keys(&mut self) -> RedisResult<Vec<Vec<u8>>> {
        let (mut cursor, mut keys) = (0, Vec::new());
        loop {
            let (next, some): (u64, Vec<Vec<u8>>) = self.query(cmd("SCAN").arg(cursor).arg("COUNT").arg(1000))?;
            keys.extend(some);
            cursor = next;
            if cursor == 0 {
                return Ok(keys);
            }
        }
    }

    fn send<T>(
        &mut self,
        sent: &mut Pipeline,
        waiting: &mut Vec<(T, usize)>,
        use_replies: &mut impl FnMut(T, Vec<Value>),
    ) -> RedisResult<()> {
        if waiting.is_empty() {
            return Ok(());
        }
        let mut replies = sent.query::<Vec<Value>>(&mut self.connection)?.into_iter();
        for (what, count) in waiting.drain(..) {
            use_replies(what, replies.by_ref().take(count).collect());
        }
        *sent = pipeline();
        Ok(())
    }
}

fn pipeline() -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(MOST_COMMANDS);
    pipeline.ignore_errors();
    pipeline
}
