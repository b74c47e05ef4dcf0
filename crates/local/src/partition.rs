//! Cutting members off from all others, and healing that.

use crate::{Cluster, LocalError};
use agent::{
    Cut, Followed, Partition,
    lock::{self, Signal},
    may_take_sockets,
};
use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::time::sleep;

/// How long all agents may take to follow.
const FOLLOW: Duration = Duration::from_secs(5);
/// Time between two looks until they have.
const LOOK: Duration = Duration::from_millis(10);

/// Members that are cut off.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct CutOff {
    /// The members by port: they reach each other, and nobody else.
    pub ports: BTreeSet<u16>,
    /// For how long they have been cut off, in seconds.
    pub for_seconds: u64,
    /// In how many seconds that ends by itself, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_in_seconds: Option<u64>,
}

impl Cluster {
    fn partition_file(&self) -> PathBuf {
        self.directory().join("partition.json")
    }

    /// The members that are cut off now.
    pub fn cut_off(&self) -> Result<Vec<CutOff>, LocalError> {
        let now = SystemTime::now();
        let at = |milliseconds| UNIX_EPOCH + Duration::from_millis(milliseconds);
        let cut_off = |cut: &Cut| CutOff {
            ports: cut.ports.clone(),
            for_seconds: now.duration_since(at(cut.since)).unwrap_or_default().as_secs(),
            ends_in_seconds: cut.until.map(|until| at(until).duration_since(now).unwrap_or_default().as_secs()),
        };
        Ok(Partition::read(&self.partition_file())?.active().map(cut_off).collect())
    }

    /// Cuts these members off from all others and from clients, together as one host, until that is healed or the time is over. Ends when all agents
    /// have done their part.
    ///
    /// # Errors
    /// When one of them is cut off already, when nobody else would be left, when the system does not let it, or when an agent does not follow; then nobody
    /// was cut off.
    pub async fn partition(&self, ports: &BTreeSet<u16>, lasts: Option<Duration>) -> Result<(), LocalError> {
        let all: BTreeSet<u16> = self.ports()?.into_iter().collect();
        let mut before = Partition::read(&self.partition_file())?;
        before.cuts = before.active().cloned().collect();
        if let Some(port) = ports.iter().find(|port| before.cuts.iter().any(|cut| cut.ports.contains(port))) {
            return Err(LocalError::CutOffAlready { port: *port });
        }
        if all.is_subset(ports) {
            return Err(LocalError::NobodyLeft);
        }
        may_take_sockets().map_err(LocalError::NoSockets)?;
        // An agent that has just started says so in a moment. One that does not is too old, and the signal would end it.
        self.until_followed(&all, 0).await?;
        let mut next = before.clone();
        next.version += 1;
        next.last_group += 1;
        next.cuts.push(Cut::now(next.last_group, ports.clone(), lasts.map(|lasts| SystemTime::now() + lasts)));
        next.write(&self.partition_file())?;
        // Nobody is to get out before the others keep the door shut.
        let others = all.difference(ports).copied().collect();
        let done = match self.have_followed(&others, next.version).await {
            Ok(()) => self.have_followed(ports, next.version).await,
            refused => refused,
        };
        if done.is_err() {
            let back = Partition { version: next.version + 1, last_group: next.last_group, cuts: before.cuts };
            back.write(&self.partition_file())?;
            self.have_followed(&all, back.version).await.ok();
        }
        done
    }

    /// Ends the cuts that one of these members is behind, or all; the members that were cut off. Ends when all agents have done their part.
    pub async fn heal(&self, ports: Option<&BTreeSet<u16>>) -> Result<BTreeSet<u16>, LocalError> {
        let before = Partition::read(&self.partition_file())?;
        let is_meant = |cut: &Cut| ports.is_none_or(|ports| !cut.ports.is_disjoint(ports));
        let (ended, left): (Vec<Cut>, Vec<Cut>) = before.active().cloned().partition(is_meant);
        if ended.is_empty() {
            return Ok(BTreeSet::new());
        }
        let next = Partition { version: before.version + 1, last_group: before.last_group, cuts: left };
        next.write(&self.partition_file())?;
        self.have_followed(&self.ports()?.into_iter().collect(), next.version).await?;
        Ok(ended.into_iter().flat_map(|cut| cut.ports).collect())
    }

    /// Forgets all cuts. No process may run that has followed one.
    pub(crate) fn forget_partition(&self) {
        // What is not there need not be removed; what cannot be is healed by the next command.
        fs::remove_file(self.partition_file()).ok();
    }

    /// Tells the agents of these members of the partition, and waits until they have followed it.
    async fn have_followed(&self, ports: &BTreeSet<u16>, version: u64) -> Result<(), LocalError> {
        for port in ports {
            lock::signal_holder(&self.member_directory(*port).agent_lock(), Signal::USR1)?;
        }
        self.until_followed(ports, version).await
    }

    async fn until_followed(&self, ports: &BTreeSet<u16>, version: u64) -> Result<(), LocalError> {
        let deadline = Instant::now() + FOLLOW;
        loop {
            match self.agents_that_do_not_follow(ports, version) {
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => sleep(LOOK).await,
                Ok(()) => return Ok(()),
            }
        }
    }

    /// An error unless each of these agents that runs has followed this version or a later one. One that does not run follows when it starts.
    fn agents_that_do_not_follow(&self, ports: &BTreeSet<u16>, version: u64) -> Result<(), LocalError> {
        for port in ports {
            // It was removed meanwhile.
            let Ok(member) = self.member(*port) else { continue };
            let Some(agent) = member.agent_pid else { continue };
            let followed = Followed::read(&self.member_directory(*port)).filter(|followed| followed.agent_pid == agent);
            match followed {
                Some(Followed { trouble: Some(reason), version: at, .. }) if at >= version => {
                    return Err(LocalError::NotCut { port: *port, reason });
                }
                Some(followed) if followed.version >= version => {}
                _ => return Err(LocalError::DoesNotFollow { port: *port }),
            }
        }
        Ok(())
    }
}
