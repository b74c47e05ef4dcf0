//! Going through the keys of a database, and gathering them by owner.
//!
//! The next page is asked for before the keys of the last one are sent: the server has the one to do while the other is looked at.

use super::{Importer, Item, Standing};
use crate::{
    exchange::{in_database, none_refused},
    port::{Command, Key, NodeError, NodeLink, Trouble},
    run::Progress,
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, poll_immediate, ready},
};
use std::collections::{BTreeMap, VecDeque};
use topology::{NodeId, Reply, Slot};

/// Keys that are asked for at once.
const PAGE: u32 = 1000;
/// A parcel weighs no more than this, bytes, unless a single key does.
pub(super) const HEAVY: u64 = 4 << 20;
/// A key from this size on goes alone, and is told of, bytes.
const LARGE: u64 = 1 << 20;

/// A walk through the keys of a database.
pub(super) struct Scan<'a> {
    importer: &'a Importer<'a>,
    database: u32,
    /// Whether the cluster may have such keys already.
    compare: bool,
    /// Where the walk goes on; none at its end.
    cursor: Option<u64>,
    /// Keys that were listed and are to be weighed; those of `coming`, while that is under way.
    listed: Vec<Key>,
    /// The weights of the keys that were listed, and the next page.
    coming: Option<BoxFuture<'a, Result<Vec<Reply>, NodeError>>>,
    /// Whether the server tells how large keys are.
    weighs: bool,
    /// Keys of each owner, and their bytes.
    gathered: BTreeMap<Option<NodeId>, (Vec<Item>, u64)>,
    ready: VecDeque<Vec<Item>>,
}

impl<'a> Scan<'a> {
    pub(super) const fn new(importer: &'a Importer<'a>, database: u32, compare: bool) -> Self {
        Self {
            importer,
            database,
            compare,
            cursor: Some(0),
            listed: Vec::new(),
            coming: None,
            weighs: true,
            gathered: BTreeMap::new(),
            ready: VecDeque::new(),
        }
    }

    /// Whether there is nothing more.
    pub(super) fn is_done(&self) -> bool {
        self.cursor.is_none() && self.listed.is_empty() && self.ready.is_empty() && self.gathered.is_empty()
    }

    /// The next keys that go together; none at the end, when it is to stop, and when changed keys are to be copied first.
    pub(super) async fn next_parcel(&mut self) -> Result<Option<Vec<Item>>, NodeError> {
        loop {
            if self.importer.stop.is_cancelled() || self.importer.notes.are_full() {
                return Ok(None);
            }
            if let Some(parcel) = self.ready.pop_front() {
                return Ok(Some(parcel));
            }
            if self.cursor.is_none() && self.listed.is_empty() {
                return Ok(self.gathered.pop_first().map(|(_, (last, _))| last));
            }
            self.page().await?;
        }
    }

    /// Takes in the weights of what is listed and the next page, and asks for those that come after them.
    async fn page(&mut self) -> Result<(), NodeError> {
        let coming = match self.coming.take() {
            Some(coming) => coming,
            None => self.ask(),
        };
        let mut replies = coming.await?;
        let listed = std::mem::take(&mut self.listed);
        if self.cursor.is_some() {
            let page = replies.pop().unwrap_or(Reply::Nil);
            self.turn(self.importer.import.source.as_ref(), page)?;
        }
        // A server that does not tell sizes has keys of its mean size.
        self.weighs &= !matches!(replies.first(), Some(Reply::Error(_)));
        if self.cursor.is_some() || !self.listed.is_empty() {
            let mut next = self.ask();
            // It is sent when it is polled first.
            let at_once = poll_immediate(&mut next).await;
            self.coming = Some(at_once.map_or(next, |answer| ready(answer).boxed()));
        }
        let mean = mean(self.importer);
        for (at, key) in listed.into_iter().enumerate() {
            let bytes = replies.get(at).and_then(Reply::as_integer).map_or(mean, i64::unsigned_abs);
            self.gather(key, bytes);
        }
        Ok(())
    }

    /// Asks how much that which is listed weighs, and for more, in one exchange.
    fn ask(&self) -> BoxFuture<'a, Result<Vec<Reply>, NodeError>> {
        let weighed = if self.weighs { self.listed.len() } else { 0 };
        let mut commands: Vec<Command> =
            self.listed.iter().take(weighed).map(|key| Command::MemoryUsage(key.clone())).collect();
        commands.extend(self.cursor.map(|cursor| Command::Scan(cursor, PAGE)));
        in_database(self.importer.import.source.as_ref(), self.database, commands).boxed()
    }

    /// Takes in a page of keys and where the next one begins.
    fn turn(&mut self, link: &dyn NodeLink, page: Reply) -> Result<(), NodeError> {
        none_refused(link, std::slice::from_ref(&page))?;
        let protocol = || NodeError::new(link.address().clone(), Trouble::Protocol("SCAN gave no page".into()));
        let Reply::List(parts) = page else { return Err(protocol()) };
        let [cursor, Reply::List(keys)] = &parts[..] else { return Err(protocol()) };
        let cursor: u64 = cursor.as_text().and_then(|cursor| cursor.parse().ok()).ok_or_else(protocol)?;
        self.cursor = (cursor != 0).then_some(cursor);
        let name = |key: &Reply| if let Reply::Bytes(key) = key { Some(key.clone()) } else { None };
        self.listed = keys.iter().filter_map(name).collect();
        Ok(())
    }

    /// Puts a key to the others of its owner; when these are enough, they are ready.
    fn gather(&mut self, key: Key, bytes: u64) {
        let item = Item::new(key, bytes, if self.compare { Standing::Doubtful } else { Standing::New });
        if bytes >= LARGE {
            (self.importer.progress)(Progress::LargeKey { key: item.key.clone(), bytes });
            self.ready.push_back(vec![item]);
            return;
        }
        let most = (self.importer.import.pipeline as usize).max(1);
        let owner = self.importer.owners().owner(Slot::of_key(&item.key)).map(|owner| owner.id);
        let (gathered, weight) = self.gathered.entry(owner).or_default();
        gathered.push(item);
        *weight = weight.saturating_add(bytes);
        if gathered.len() >= most || *weight >= HEAVY {
            self.ready.push_back(std::mem::take(gathered));
            *weight = 0;
        }
    }
}

fn mean(importer: &Importer<'_>) -> u64 {
    let server = &importer.import.server;
    server.dataset_memory.unwrap_or_default() / server.keys().max(1)
}
