//! Reading the replication stream of a source that is followed: which keys change.

use super::{ImportError, Importer, follow::Following, notes::Place, source};
use crate::{
    port::{Command, Key, NodeError, ReplicationLink, Trouble},
    run::RunError,
};
use std::time::Duration;
use topology::{Reply, Slot, replicated::Effect};

/// Bytes of the snapshot that are passed over at once.
const BUFFER: usize = 64 << 10;
/// Between two looks whether there is room for more notes.
const PAUSE: Duration = Duration::from_millis(100);

impl Importer<'_> {
    /// Notes which keys the stream changes, until it ends: why.
    pub(super) async fn read_stream(&self, following: &Following<'_>, mut link: Box<dyn ReplicationLink>) -> RunError {
        let address = self.import.source.address();
        let lost = |error: NodeError| ImportError::StreamLost { address: address.clone(), trouble: error.trouble };
        let mut reading = async || -> Result<(), RunError> {
            let mut buffer = vec![0; BUFFER];
            while link.read_snapshot(&mut buffer).await.map_err(lost)? > 0 {}
            drop(buffer);
            self.notes.note(Vec::new(), link.snapshot_offset());
            let mut database = 0;
            loop {
                let change = link.next().await.map_err(lost)?;
                let keys = match following.positions.effect(&change.words, database) {
                    Effect::Nothing => Vec::new(),
                    Effect::Selects(selected) => {
                        database = selected;
                        Vec::new()
                    }
                    Effect::Keys(keys) => keys,
                    Effect::Asks => self.keys_of(change.words, database).await?,
                    Effect::Databases(command) => {
                        return Err(ImportError::WholeDatabases { address: address.clone(), command }.into());
                    }
                };
                let keys = self.wanted(following, keys).await?;
                self.notes.note(keys, change.offset);
                link.acknowledge(change.offset);
                while self.notes.are_full() {
                    // The server keeps the rest until there is room.
                    self.notes.news(PAUSE).await;
                }
            }
        };
        reading().await.err().unwrap_or(RunError::Stopped)
    }

    /// The keys of a command, as the source tells them.
    async fn keys_of(&self, words: Vec<Vec<u8>>, database: u32) -> Result<Vec<Place>, NodeError> {
        let name = words.first().map(|name| name.escape_ascii().to_string()).unwrap_or_default();
        let link = self.import.source.as_ref();
        match link.send(vec![Command::KeysOf(words)]).await?.pop() {
            Some(Reply::List(keys)) => {
                let place = |key| if let Reply::Bytes(key) = key { Some((database, key)) } else { None };
                Ok(keys.into_iter().filter_map(place).collect())
            }
            Some(Reply::Error(line)) if line.contains("no key arguments") => Ok(Vec::new()),
            Some(Reply::Error(line)) if line.starts_with("NOPERM") => {
                Err(NodeError::new(link.address().clone(), Trouble::from_refusal(&line)))
            }
            _ => {
                let what = format!("it does not tell which keys {name} changes");
                Err(NodeError::new(link.address().clone(), Trouble::Protocol(what)))
            }
        }
    }

    /// Those of the databases that are imported: the ones asked for, or else all. One that was empty at the beginning must be there in
    /// the cluster, too.
    async fn wanted(&self, following: &Following<'_>, keys: Vec<Place>) -> Result<Vec<Place>, RunError> {
        let mut wanted = Vec::with_capacity(keys.len());
        for (database, key) in keys {
            if following.takes(database) {
                wanted.push((database, key));
            } else if following.follow.only.is_empty() {
                self.admit(following, database, &key).await?;
                wanted.push((database, key));
            }
        }
        Ok(wanted)
    }

    async fn admit(&self, following: &Following<'_>, database: u32, key: &Key) -> Result<(), RunError> {
        let owners = self.owners();
        // All nodes of a cluster have the same databases, as far as anybody can set them up.
        if let Some(owner) = owners.owner(Slot::of_key(key))
            && !source::has(owner.link.as_ref(), database).await?
        {
            let address = self.import.source.address().clone();
            return Err(ImportError::OtherDatabase { address, database }.into());
        }
        following.admit(database);
        Ok(())
    }
}
