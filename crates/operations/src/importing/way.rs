//! How keys go to an owner: sent by the server itself, or through this process.

use super::{Fate, Importer, Item, Owner, Standing, answers::Refusal, deliver::Left, lock};
use crate::{
    exchange::in_database,
    port::{Command, Migration},
    run::{Progress, RunError},
};
use std::net::IpAddr;
use topology::{NodeAddr, Reply};

/// How keys go to an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By `MIGRATE`: one key was seen to arrive.
    Migrate,
    /// By `DUMP` and `RESTORE`, through this process.
    Relay,
    /// Not known yet.
    Unproven,
}

impl Importer<'_> {
    /// Finds out what speaks against `MIGRATE` before anything is sent.
    pub(super) async fn choose_way(&self) -> Result<(), RunError> {
        let import = self.import;
        if import.server.is_replica() {
            self.relay_all("a replica does not run MIGRATE");
            return Ok(());
        }
        let replies = import.source.send(vec![Command::ConfigGet("tls-cluster".into())]).await?;
        // A server that does not tell, or has no such setting, is taken at its default.
        let encrypted =
            replies.first().and_then(|reply| reply.field("tls-cluster")?.as_text().map(|told| told == "yes"));
        match (encrypted.unwrap_or(false), import.encrypted) {
            (false, true) => self.relay_all("the cluster speaks TLS, and it sends in clear text (tls-cluster no)"),
            (true, false) => self.relay_all("it sends over TLS (tls-cluster yes), and the cluster speaks clear text"),
            _ => {}
        }
        Ok(())
    }

    /// From now on every key goes through this process.
    pub(super) fn relay_all(&self, reason: &str) {
        let mut relayed = lock(&self.relayed);
        if relayed.is_none() {
            *relayed = Some(reason.to_owned());
            (self.progress)(Progress::Relays { to: None, reason: reason.to_owned() });
        }
    }

    /// How keys go to this owner, and which of these are still to go.
    ///
    /// The address by which the cluster knows the owner may lead the server nowhere, or to somebody else. So its first key is sent as a
    /// copy, and looked for at the owner.
    pub(super) async fn way(
        &self,
        owner: &Owner,
        database: u32,
        mut items: Vec<Item>,
    ) -> Result<(Way, Left), RunError> {
        if lock(&self.relayed).is_some() {
            return Ok((Way::Relay, Left::again(items)));
        }
        let mut ways = self.ways.lock().await;
        let known = ways.get(&owner.id).copied().unwrap_or(Way::Unproven);
        if known != Way::Unproven {
            return Ok((known, Left::again(items)));
        }
        if self.only_here(&owner.host) {
            let reason = format!("{} is an address of this machine only", owner.address);
            ways.insert(owner.id, self.relay_to(&owner.address, reason));
            return Ok((Way::Relay, Left::again(items)));
        }
        items.sort_by_key(|item| std::cmp::Reverse(item.bytes));
        let Some(first) = items.pop() else { return Ok((Way::Unproven, Left::NOTHING)) };
        let proof = self.prove(owner, database, first).await?;
        ways.insert(owner.id, proof.way);
        // The first key is compared or sent again with the others.
        items.extend(proof.item);
        Ok((Way::Unproven, Left { again: items, trouble: proof.trouble }))
    }

    /// Whether an address leads to this machine, which is not the source's.
    fn only_here(&self, host: &str) -> bool {
        host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()) && !self.import.source.ip().is_loopback()
    }

    fn relay_to(&self, to: &NodeAddr, reason: String) -> Way {
        (self.progress)(Progress::Relays { to: Some(to.clone()), reason });
        Way::Relay
    }

    /// Sends a copy of a key, and looks whether it has arrived.
    async fn prove(&self, owner: &Owner, database: u32, item: Item) -> Result<Proof, RunError> {
        let migration = self.migration(owner, database, vec![item.key.clone()], self.order.replace);
        let sent = vec![Command::Migrate(Box::new(Migration { copy: true, ..migration }))];
        let reply = in_database(self.import.source.as_ref(), database, sent).await?.pop();
        let proof = |way, item| Proof { way, item: Some(item), trouble: None };
        let mut item = item;
        match reply {
            Some(Reply::Error(line)) => match Refusal::of_migrate(&line) {
                Refusal::Busy => item = item.standing(Standing::Doubtful),
                Refusal::Passing => return Ok(Proof { trouble: Some(line), ..proof(Way::Unproven, item.tried()) }),
                Refusal::NoWay => return Ok(proof(self.relay_to(&owner.address, line), item)),
                Refusal::NotByServer => {
                    self.relay_all(&line);
                    return Ok(proof(Way::Relay, item));
                }
                // Sent alone it will say so again.
                Refusal::Refused => return Ok(proof(Way::Migrate, item.tried().alone())),
            },
            Some(reply) if reply.as_text().as_deref() == Some("NOKEY") => {
                self.tell(owner, database, vec![item.key], Fate::Vanished)?;
                return Ok(Proof { way: Way::Unproven, item: None, trouble: None });
            }
            _ => item = item.tried(),
        }
        let seen = in_database(owner.link.as_ref(), database, vec![Command::Exists(item.key.clone())]).await;
        match seen.map(|mut replies| replies.pop()) {
            Ok(Some(Reply::Integer(0))) => {
                let (host, port, source) = (&owner.host, owner.port, self.import.source.address());
                let reason = format!("{host}:{port} is another server for {source}");
                Ok(proof(self.relay_to(&owner.address, reason), item.standing(Standing::New)))
            }
            Ok(Some(Reply::Error(line))) => Ok(Proof { trouble: Some(line), ..proof(Way::Unproven, item) }),
            Err(error) => Ok(Proof { trouble: Some(error.to_string()), ..proof(Way::Unproven, item) }),
            Ok(_) => Ok(proof(Way::Migrate, item)),
        }
    }
}

/// What was learnt from a first key.
struct Proof {
    way: Way,
    /// The key, unless it has vanished.
    item: Option<Item>,
    /// What stands in the way for a while.
    trouble: Option<String>,
}
