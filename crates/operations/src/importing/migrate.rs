//! Keys that the server sends itself.

use super::{
    Fate, Importer, Item, Owner, Standing,
    answers::{Refusal, words},
    deliver::Left,
    names,
    way::Way,
};
use crate::{
    exchange::in_database,
    port::{Command, Key, Migration},
    run::RunError,
};
use topology::Reply;

impl Importer<'_> {
    /// The command for these keys.
    pub(super) fn migration(&self, owner: &Owner, database: u32, keys: Vec<Key>, replace: bool) -> Migration {
        let (host, port, copy) = (owner.host.clone(), owner.port, self.order.copy);
        Migration { host, port, database, timeout: self.import.timeout, replace, copy, keys }
    }

    /// Sends keys to their owner: all by one command, those that go alone by one each.
    pub(super) async fn migrate(&self, owner: &Owner, database: u32, items: Vec<Item>) -> Result<Left, RunError> {
        let (alone, together): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| item.alone);
        let mut parcels: Vec<Vec<Item>> = alone.into_iter().map(|item| vec![item]).collect();
        if !together.is_empty() {
            parcels.push(together);
        }
        let commands = parcels.iter().map(|parcel| {
            let keys = parcel.iter().map(|item| item.key.clone()).collect();
            let replace = self.order.replace || parcel.iter().all(|item| item.is(Standing::Outdated));
            Command::Migrate(Box::new(self.migration(owner, database, keys, replace)))
        });
        let replies = in_database(self.import.source.as_ref(), database, commands.collect()).await?;
        let mut left = Left::NOTHING;
        for (parcel, reply) in parcels.into_iter().zip(replies) {
            left.add(self.migrated(owner, database, parcel, reply).await?);
        }
        Ok(left)
    }

    async fn migrated(&self, owner: &Owner, database: u32, parcel: Vec<Item>, reply: Reply) -> Result<Left, RunError> {
        let Reply::Error(line) = reply else {
            // Keys that have vanished meanwhile are not told.
            let vanished = reply.as_text().as_deref() == Some("NOKEY");
            let (moved, vanished): (Vec<_>, Vec<_>) =
                parcel.into_iter().partition(|item| !vanished || item.is(Standing::Tried) && !self.order.copy);
            self.tell(owner, database, names(vanished), Fate::Vanished)?;
            self.arrived(owner, database, moved)?;
            return Ok(Left::NOTHING);
        };
        match Refusal::of_migrate(&line) {
            Refusal::Busy => Ok(Left::again(parcel.into_iter().map(Item::tried).collect())),
            // It was reached before: then its server is lost, for a while.
            Refusal::Passing | Refusal::NoWay => {
                Ok(Left::because(words(&line), parcel.into_iter().map(Item::tried).collect()))
            }
            Refusal::NotByServer => {
                self.relay_all(&line);
                self.ways.lock().await.insert(owner.id, Way::Relay);
                Ok(Left::again(parcel))
            }
            Refusal::Refused if parcel.len() == 1 => {
                self.tell(owner, database, names(parcel), Fate::Refused(words(&line).to_owned()))?;
                Ok(Left::NOTHING)
            }
            // One of them was refused; which one shows when each goes alone.
            Refusal::Refused => Ok(Left::again(parcel.into_iter().map(|item| item.tried().alone()).collect())),
        }
    }
}
