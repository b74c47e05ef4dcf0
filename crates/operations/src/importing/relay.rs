//! Keys that go through this process.

use super::{Fate, Importer, Item, Owner, Standing, answers::Refusal, deliver::Left, lock, names};
use crate::{
    exchange::{accepted_in, in_database, none_refused},
    port::{Arrived, Command, Expiry, Gone, Key, NodeError, NodeLink, Restoration},
    run::RunError,
};
use std::sync::Arc;
use topology::{Reply, ServerInfo};

/// A key as it is to be restored, or the proof that there is none.
type Dumped = Result<Restoration, Option<Gone>>;

impl Importer<'_> {
    /// Copies keys to their owner. Where they are to move, one leaves the server when it has arrived and has not been changed meanwhile.
    pub(super) async fn relay(&self, owner: &Owner, database: u32, items: Vec<Item>) -> Result<Left, RunError> {
        let link = self.link().await?;
        let dumped = self.dump(link.as_ref(), database, items).await?;
        let (gone, dumped): (Vec<_>, Vec<_>) = dumped.into_iter().partition(|(_, dump)| dump.is_err());
        let (deleted, gone): (Vec<_>, Vec<_>) = gone.into_iter().partition(|(item, _)| item.is(Standing::Changed));
        let mut left = self.delete(owner, database, deleted).await?;
        let (arrived, vanished) = gone
            .into_iter()
            .map(|(item, _)| item)
            .partition(|item: &Item| item.is(Standing::Tried) && !self.order.copy);
        self.tell(owner, database, names(vanished), Fate::Vanished)?;
        self.arrived(owner, database, arrived)?;
        let (items, commands): (Vec<Item>, Vec<Command>) =
            dumped.into_iter().filter_map(|(item, dump)| Some((item, Command::Restore(Box::new(dump.ok()?))))).unzip();
        let replies = match in_database(owner.link.as_ref(), database, commands).await {
            Ok(replies) => replies,
            Err(error) => {
                self.copy_later(database, &items);
                left.add(Self::passing(owner, error, items.into_iter().map(Item::tried).collect())?);
                return Ok(left);
            }
        };
        let (restored, others) = self.restored(owner, database, items, replies)?;
        left.add(others);
        let (gone, changed) = self.take_leave(link, database, restored).await?;
        self.arrived(owner, database, gone)?;
        // What has arrived is not what the server has now.
        left.again.extend(changed.into_iter().map(|item| item.standing(Standing::Outdated)));
        Ok(left)
    }

    /// Deletes keys in the cluster that a source which is followed has changed and does not have any more.
    async fn delete(&self, owner: &Owner, database: u32, gone: Vec<(Item, Dumped)>) -> Result<Left, RunError> {
        let proven = gone.into_iter().filter_map(|(item, dump)| Some((item, Command::Delete(dump.err()??))));
        let (items, commands): (Vec<Item>, Vec<Command>) = proven.unzip();
        let replies = match in_database(owner.link.as_ref(), database, commands).await {
            Ok(replies) => replies,
            Err(error) => {
                self.copy_later(database, &items);
                return Self::passing(owner, error, items);
            }
        };
        let (mut deleted, mut left) = (Vec::new(), Left::NOTHING);
        for (item, reply) in items.into_iter().zip(replies) {
            match reply {
                Reply::Error(line) if Refusal::of_restore(&line) == Refusal::Passing => {
                    left.add(Left::because(line, vec![item]));
                }
                Reply::Error(line) => self.tell(owner, database, vec![item.key], Fate::Refused(line))?,
                _ => deleted.push(item),
            }
        }
        self.arrived(owner, database, deleted)?;
        Ok(left)
    }

    /// Has keys of a source that is followed copied once more later. An owner that did not answer may still carry out what it was sent,
    /// after what it is sent next on another link.
    fn copy_later(&self, database: u32, items: &[Item]) {
        if self.order.follow {
            self.notes.again(items.iter().map(|item| (database, item.key.clone())).collect());
        }
    }

    /// A link to the server that nobody else uses meanwhile: it watches keys.
    pub(super) async fn link(&self) -> Result<Arc<dyn NodeLink>, NodeError> {
        let spare = lock(&self.spare).pop();
        match spare {
            Some(link) => Ok(link),
            None => self.import.source_dialer.dial(self.import.source.address()).await,
        }
    }

    /// Reads keys as they are to be restored, with the proof for one that is not there. Where they are to move, the link watches them.
    async fn dump(
        &self,
        link: &dyn NodeLink,
        database: u32,
        items: Vec<Item>,
    ) -> Result<Vec<(Item, Dumped)>, NodeError> {
        let keys: Vec<Key> = items.iter().map(|item| item.key.clone()).collect();
        let watch = (!self.order.copy).then_some(Command::Watch(keys));
        let watching = usize::from(watch.is_some());
        let absolute = tells_expiry_time(&self.import.server);
        let expiry = |key: Key| if absolute { Command::ExpiryTime(key) } else { Command::TimeToLive(key) };
        let questions =
            items.iter().flat_map(|item| [Command::DumpLarge(item.key.clone(), item.bytes), expiry(item.key.clone())]);
        let replies = accepted_in(link, database, watch.into_iter().chain(questions).collect()).await?;
        let mut replies = replies.into_iter().skip(watching);
        let dumped = items.into_iter().map(|item| {
            let (dump, expiry) = (replies.next().unwrap_or(Reply::Nil), replies.next());
            let Reply::Bytes(payload) = dump else {
                let gone = Gone::by(&item.key, &dump);
                return (item, Err(gone));
            };
            let expiry = match expiry.and_then(|expiry| expiry.as_integer()).map(u64::try_from) {
                Some(Ok(time)) if absolute => Expiry::At(time),
                // It goes within this millisecond: 0 would mean never.
                Some(Ok(left)) => Expiry::In(left.max(1)),
                _ => Expiry::Never,
            };
            let (key, replace) = (item.key.clone(), self.order.replace || item.is(Standing::Outdated));
            (item, Ok(Restoration { key, expiry, payload, replace }))
        });
        Ok(dumped.collect())
    }

    /// What the owner has made of keys: those that are there, each with the proof, and what is left of the others.
    fn restored(
        &self,
        owner: &Owner,
        database: u32,
        items: Vec<Item>,
        replies: Vec<Reply>,
    ) -> Result<(Vec<(Item, Arrived)>, Left), RunError> {
        let (mut restored, mut left) = (Vec::new(), Left::NOTHING);
        for (item, reply) in items.into_iter().zip(replies) {
            let Reply::Error(line) = &reply else {
                restored.extend(Arrived::restored(&item.key, &reply).map(|proof| (item, proof)));
                continue;
            };
            match Refusal::of_restore(line) {
                Refusal::Busy => left.again.push(item.standing(Standing::Doubtful)),
                Refusal::Passing => left.add(Left::because(line, vec![item])),
                _ => self.tell(owner, database, vec![item.key], Fate::Refused(line.clone()))?,
            }
        }
        Ok((restored, left))
    }

    /// Takes keys that are in the cluster from the server, where they are to move: those that are done, and those that were changed on
    /// the server meanwhile. All of them, or none.
    pub(super) async fn take_leave(
        &self,
        link: Arc<dyn NodeLink>,
        database: u32,
        restored: Vec<(Item, Arrived)>,
    ) -> Result<(Vec<Item>, Vec<Item>), NodeError> {
        let (items, proofs): (Vec<Item>, Vec<Arrived>) = restored.into_iter().unzip();
        if self.order.copy {
            lock(&self.spare).push(link);
            return Ok((items, Vec::new()));
        }
        // It ends the watching also where there is nothing to take.
        let unlink = (!proofs.is_empty()).then_some(Command::Unlink(proofs));
        let transaction = [Command::Multi].into_iter().chain(unlink).chain([Command::Exec]).collect();
        let replies = accepted_in(link.as_ref(), database, transaction).await?;
        let outcome = replies.into_iter().next_back();
        if let Some(Reply::List(replies)) = &outcome {
            none_refused(link.as_ref(), replies)?;
        }
        lock(&self.spare).push(link);
        Ok(if outcome == Some(Reply::Nil) { (Vec::new(), items) } else { (items, Vec::new()) })
    }
}

/// Whether a server tells when keys go, and not only how long they stay: since 7.0.
fn tells_expiry_time(server: &ServerInfo) -> bool {
    server.is_since(7, 0)
}
