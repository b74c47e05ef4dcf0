//! Keys that the cluster may have already.

use super::{Fate, Importer, Item, Owner, Standing, deliver::Left, names, scan::HEAVY};
use crate::{
    exchange::{accepted_in, in_database},
    port::{Arrived, Command, Key, NodeError, NodeLink, Reading, ValueType},
    run::RunError,
};
use topology::Reply;

/// Larger values are not read here to be compared, bytes.
const MOST: u64 = 64 << 20;

impl Importer<'_> {
    /// Compares keys with what their owner has. Those that it does not have are given back, to be sent.
    pub(super) async fn compare(
        &self,
        owner: &Owner,
        database: u32,
        items: Vec<Item>,
    ) -> Result<(Vec<Item>, Left), RunError> {
        if items.is_empty() {
            return Ok((items, Left::NOTHING));
        }
        let commands = items.iter().map(|item| Command::Exists(item.key.clone())).collect();
        let replies = match in_database(owner.link.as_ref(), database, commands).await {
            Ok(replies) => replies,
            Err(error) => return Ok((Vec::new(), Self::passing(owner, error, items)?)),
        };
        let (mut missing, mut there, mut left) = (Vec::new(), Vec::new(), Left::NOTHING);
        for (item, reply) in items.into_iter().zip(replies) {
            match reply {
                Reply::Integer(0) => missing.push(item),
                Reply::Error(line) => left.add(Left::because(line, vec![item])),
                _ => there.push(item),
            }
        }
        let (large, mut there): (Vec<_>, Vec<_>) = there.into_iter().partition(|item| item.bytes > MOST);
        self.tell(owner, database, names(large), Fate::Kept)?;
        while !there.is_empty() {
            let some = few(&mut there);
            left.add(self.settle(owner, database, some).await?);
        }
        Ok((missing, left))
    }

    /// Keys that both have: the same value is one that has arrived, and leaves the server where keys are to move.
    async fn settle(&self, owner: &Owner, database: u32, items: Vec<Item>) -> Result<Left, RunError> {
        let link = self.link().await?;
        let keys: Vec<Key> = items.iter().map(|item| item.key.clone()).collect();
        let here = readings(link.as_ref(), database, &items, !self.order.copy).await?;
        let there = match readings(owner.link.as_ref(), database, &items, false).await {
            Ok(there) => there,
            Err(error) => return Self::passing(owner, error, items),
        };
        let (here, there) = match self.read_values(link.as_ref(), owner, database, &keys, here, there).await {
            Ok(read) => read,
            Err(error) => return Self::passing(owner, error, items),
        };
        let (mut same, mut different, mut gone, mut again) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (item, (here, there)) in items.into_iter().zip(here.into_iter().zip(there)) {
            match Arrived::same(&item.key, &here, &there) {
                _ if here.is_absent() => gone.push(item),
                Some(proof) => same.push((item, proof)),
                // It has gone since.
                None if there.is_absent() => again.push(item),
                None => different.push(item),
            }
        }
        let (left_over, vanished) =
            gone.into_iter().partition(|item: &Item| item.is(Standing::Tried) && !self.order.copy);
        self.tell(owner, database, names(vanished), Fate::Vanished)?;
        self.tell(owner, database, names(different), Fate::Kept)?;
        let (done, changed) = self.take_leave(link, database, same).await?;
        again.extend(changed);
        let (tried, before): (Vec<_>, Vec<_>) = done.into_iter().partition(|item| item.is(Standing::Tried));
        self.arrived(owner, database, left_over)?;
        self.arrived(owner, database, tried)?;
        self.tell(owner, database, names(before), Fate::AlreadyThere)?;
        Ok(Left::again(again))
    }

    /// Reads the values of those whose dumps differ in the form of their type.
    async fn read_values(
        &self,
        source: &dyn NodeLink,
        owner: &Owner,
        database: u32,
        keys: &[Key],
        mut here: Vec<Reading>,
        mut there: Vec<Reading>,
    ) -> Result<(Vec<Reading>, Vec<Reading>), NodeError> {
        for (key, (here, there)) in keys.iter().zip(here.iter_mut().zip(there.iter_mut())) {
            if here.is_absent() || there.is_absent() || here.same_dump(there) {
                continue;
            }
            *here = read(source, database, key, here.clone()).await?;
            *there = read(owner.link.as_ref(), database, key, there.clone()).await?;
        }
        Ok((here, there))
    }
}

/// The last of these keys, as many as are not too heavy together.
fn few(items: &mut Vec<Item>) -> Vec<Item> {
    const FEW: usize = 250;
    let mut weight = 0_u64;
    let light = items.iter().rev().take(FEW).take_while(|item| {
        weight = weight.saturating_add(item.bytes);
        weight <= HEAVY
    });
    let count = light.count().max(1);
    items.split_off(items.len().saturating_sub(count))
}

/// What a server holds under these keys, watched from before it is read where they may be taken away.
async fn readings(link: &dyn NodeLink, database: u32, items: &[Item], watch: bool) -> Result<Vec<Reading>, NodeError> {
    let watched = watch.then(|| Command::Watch(items.iter().map(|item| item.key.clone()).collect()));
    let questions = items
        .iter()
        .flat_map(|item| [Command::DumpLarge(item.key.clone(), item.bytes), Command::TimeToLive(item.key.clone())]);
    let commands: Vec<Command> = watched.into_iter().chain(questions).collect();
    let replies = accepted_in(link, database, commands).await?;
    let mut replies = replies.into_iter().skip(usize::from(watch));
    let reading = |_| {
        let (dump, expiry) = (replies.next().unwrap_or(Reply::Nil), replies.next().unwrap_or(Reply::Nil));
        Reading::of(dump, &expiry)
    };
    Ok(items.iter().map(reading).collect())
}

/// Adds the value, as the command of its type reads it.
async fn read(link: &dyn NodeLink, database: u32, key: &Key, reading: Reading) -> Result<Reading, NodeError> {
    let questions = vec![Command::TypeOf(key.clone()), Command::CommandInfo("hpexpiretime")];
    let told = accepted_in(link, database, questions).await?;
    let value_type = match told.first().and_then(Reply::as_text).as_deref() {
        Some("string") => ValueType::Text,
        Some("list") => ValueType::List,
        Some("set") => ValueType::Set,
        Some("zset") => ValueType::SortedSet,
        Some("hash") => ValueType::Hash,
        Some("stream") => ValueType::Stream,
        // A type of a module: its dump is all that there is.
        _ => return Ok(reading),
    };
    let value = accepted_in(link, database, vec![Command::Value(value_type, key.clone())]).await?.pop();
    let value = value.unwrap_or(Reply::Nil);
    // A server that does not know the command would name the key in its error, whose bytes no client can read.
    let knows_expiry = matches!(told.get(1).and_then(Reply::as_list), Some([Reply::List(_), ..]));
    let fields = match value_type {
        ValueType::Hash if knows_expiry => {
            let names = Reading::fields(&value);
            in_database(link, database, vec![Command::FieldExpiry(key.clone(), names)]).await?.pop()
        }
        _ => None,
    };
    Ok(reading.with_value(value_type, &value, fields.as_ref()))
}
