//! Nothing but keys going from one server to others: what a move of slots cannot take less than.

use crate::cluster::Cluster;
use redis::{Connection, RedisResult, Value, cmd, pipe};
use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

/// Slots whose keys are sent in one write.
const AT_ONCE: usize = 64;
const TIMEOUT: Duration = Duration::from_mins(1);

/// What goes to one node.
#[derive(Clone, Debug)]
pub struct Share {
    /// The node: `127.0.0.1:PORT`.
    pub to: String,
    /// Slots that `from` owns.
    pub slots: Vec<u16>,
}

/// The `MIGRATE` of all keys of one slot.
type Sending = redis::Cmd;

impl Cluster {
    /// Sends the keys of these slots by MIGRATE alone, one for each slot and many in one write, to all nodes at once; says how
    /// long that took. The slots are opened and their keys listed before, and stay open. Panics where anything is refused.
    #[track_caller]
    pub fn transfer(&self, from: &str, shares: &[Share]) -> Duration {
        let together = &Barrier::new(shares.len());
        let send = |share: &Share| -> RedisResult<(Instant, Instant)> {
            let prepared = self.connect(from, 0, TIMEOUT).and_then(|mut source| {
                let sendings = self.prepare(&mut source, from, share)?;
                Ok((source, sendings))
            });
            together.wait();
            let (mut source, sendings) = prepared?;
            let begin = Instant::now();
            for part in sendings.chunks(AT_ONCE) {
                let mut batch = pipe();
                for sending in part {
                    batch.add_command(sending.clone()).ignore();
                }
                batch.exec(&mut source)?;
            }
            Ok((begin, Instant::now()))
        };
        let send = &send;
        let ran: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = shares.iter().map(|share| scope.spawn(move || send(share))).collect();
            let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
            joined.map(|ran| ran.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        let times: Vec<(Instant, Instant)> = ran
            .into_iter()
            .map(|ran| ran.unwrap_or_else(|error| panic!("keys cannot be sent from {from}: {error}")))
            .collect();
        let begin = times.iter().map(|(begin, _)| *begin).min();
        let end = times.iter().map(|(_, end)| *end).max();
        begin.zip(end).map(|(begin, end)| end - begin).unwrap_or_default()
    }

    fn prepare(&self, source: &mut Connection, from: &str, share: &Share) -> RedisResult<Vec<Sending>> {
        let id = |connection: &mut Connection| cmd("CLUSTER").arg("MYID").query::<String>(connection);
        let mut destination = self.connect(&share.to, 0, TIMEOUT)?;
        let (source_id, destination_id) = (id(source)?, id(&mut destination)?);
        let (host, port) = share.to.rsplit_once(':').unwrap_or_else(|| panic!("{} is no address", share.to));
        let (mut importing, mut migrating, mut list) = (pipe(), pipe(), pipe());
        for slot in &share.slots {
            importing.cmd("CLUSTER").arg("SETSLOT").arg(slot).arg("IMPORTING").arg(&source_id).ignore();
            migrating.cmd("CLUSTER").arg("SETSLOT").arg(slot).arg("MIGRATING").arg(&destination_id).ignore();
            list.cmd("CLUSTER").arg("GETKEYSINSLOT").arg(slot).arg(1_000_000);
        }
        importing.exec(&mut destination)?;
        migrating.exec(source)?;
        let listed: Vec<Vec<Value>> = list.query(source)?;
        assert_eq!(listed.len(), share.slots.len(), "{from} lists the keys of each slot");
        let sending = |keys: &Vec<Value>| {
            let mut sending = cmd("MIGRATE");
            sending.arg(host).arg(port).arg("").arg(0).arg(60_000).arg("KEYS");
            for key in keys {
                if let Value::BulkString(key) = key {
                    sending.arg(key);
                }
            }
            sending
        };
        Ok(listed.iter().filter(|keys| !keys.is_empty()).map(sending).collect())
    }
}
