//! Bringing a parcel to where its keys belong, whatever moves meanwhile.

use super::{Fate, Importer, Item, Owner, Standing, names, way::Way};
use crate::{port::NodeError, run::RunError};
use tokio::time::Instant;
use topology::findings::count;

/// Rounds in which nothing stood in the way of keys and none was done.
const ROUNDS: u32 = 20;

/// What is left of keys that were sent.
#[derive(Default)]
pub(super) struct Left {
    /// To be sent again.
    pub(super) again: Vec<Item>,
    /// Why; none where they only have to be sent in another way.
    pub(super) trouble: Option<String>,
}

impl Left {
    /// Nothing is left.
    pub(super) const NOTHING: Self = Self { again: Vec::new(), trouble: None };

    pub(super) const fn again(again: Vec<Item>) -> Self {
        Self { again, trouble: None }
    }

    /// All of them, because of this.
    pub(super) fn because(trouble: impl Into<String>, again: Vec<Item>) -> Self {
        Self { again, trouble: Some(trouble.into()) }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.again.extend(other.again);
        self.trouble = self.trouble.take().or(other.trouble);
    }
}

impl Importer<'_> {
    /// Sends these keys until each has arrived, or is known not to.
    pub(super) async fn deliver(&self, database: u32, parcel: Vec<Item>) -> Result<(), RunError> {
        let mut items = parcel;
        let (mut since, mut idle) = (Instant::now(), 0);
        loop {
            let owners = self.owners();
            let before = items.len();
            let (groups, homeless) = owners.group(items);
            let mut left = Left::NOTHING;
            if !homeless.is_empty() {
                left = Left::because("a slot has no owner that answers", homeless);
            }
            for (owner, group) in groups {
                left.add(self.send(&owner, database, group).await?);
            }
            items = left.again;
            if items.is_empty() {
                return Ok(());
            }
            if items.len() < before {
                (since, idle) = (Instant::now(), 0);
            }
            idle += 1;
            if since.elapsed() >= self.patience.service || idle > ROUNDS && left.trouble.is_none() {
                let trouble = left.trouble.as_deref().unwrap_or("their owner has them and has them not");
                let missing = format!("{} not taken: {trouble}", count(items.len() as u64, "key"));
                return Err(RunError::NotInTime { waited: since.elapsed(), missing });
            }
            let Some(trouble) = left.trouble else { continue };
            // What was sent is settled first: until then nobody knows on which side it is.
            let look = self.look_again(owners.look, &trouble);
            if self.stop.run_until_cancelled(look).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Sends keys to their owner, after a comparison where it may have them.
    async fn send(&self, owner: &Owner, database: u32, items: Vec<Item>) -> Result<Left, RunError> {
        let may_be_there = |item: &Item| item.is(Standing::Doubtful) || item.is(Standing::Tried);
        let (doubtful, mut items): (Vec<_>, Vec<_>) =
            items.into_iter().partition(|item| may_be_there(item) && !self.order.replace);
        let (missing, mut left) = self.compare(owner, database, doubtful).await?;
        items.extend(missing.into_iter().map(|item| item.standing(Standing::New)));
        if items.is_empty() {
            return Ok(left);
        }
        if self.order.follow {
            // The source goes on serving its clients, which wait during MIGRATE.
            left.add(self.relay(owner, database, items).await?);
            return Ok(left);
        }
        let (way, rest) = self.way(owner, database, items).await?;
        left.add(match way {
            Way::Migrate => self.migrate(owner, database, rest.again).await?,
            Way::Relay => self.relay(owner, database, rest.again).await?,
            // What was found out is that it has to be tried again.
            Way::Unproven => rest,
        });
        Ok(left)
    }

    /// Errors of the owner's link pass: somebody else may become the owner. Those of the source do not.
    pub(super) fn passing(owner: &Owner, error: NodeError, again: Vec<Item>) -> Result<Left, RunError> {
        if error.address.same_endpoint(owner.link.address()) {
            return Ok(Left::because(error.to_string(), again));
        }
        Err(error.into())
    }

    /// Takes down that keys have arrived.
    pub(super) fn arrived(&self, owner: &Owner, database: u32, items: Vec<Item>) -> Result<(), RunError> {
        let (changed, arrived): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| item.is(Standing::Changed));
        self.tell(owner, database, names(changed), Fate::Changed)?;
        self.tell(owner, database, names(arrived), Fate::Arrived)
    }
}
