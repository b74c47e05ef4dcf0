//! The members of a cluster of this machine, as the loop that keeps it sees them.

use crate::{Cluster, LocalError, MemberState, MemberStatus, address};
use agent::Launch;
use futures_util::future::BoxFuture;
use operations::port::{Fleet, FleetError, Hold, MayGo, MayRestart};
use std::{net::Ipv4Addr, sync::Arc};
use tokio::sync::Notify;
use topology::{Data, FleetMember, Process, control::Loss};

/// The processes of a cluster of this machine.
pub struct LocalFleet {
    cluster: Cluster,
    /// Lets the supervisor look for new members.
    changed: Arc<Notify>,
}

impl LocalFleet {
    /// The members of this cluster; whoever supervises it is told when there are others.
    pub(crate) const fn new(cluster: Cluster, changed: Arc<Notify>) -> Self {
        Self { cluster, changed }
    }

    fn member(&self, status: &MemberStatus, wanted: &Launch) -> Result<FleetMember, LocalError> {
        let process = match status.state {
            MemberState::Running | MemberState::Paused => Process::Runs,
            MemberState::Starting | MemberState::CrashLoop => Process::Starts,
            MemberState::Stopped => Process::Stopped,
        };
        Ok(FleetMember {
            name: status.port.to_string(),
            address: Some(address(status.port)),
            host: Ipv4Addr::LOCALHOST.to_string(),
            zone: None,
            process,
            // While it runs it says so itself.
            id: if process == Process::Runs { None } else { self.cluster.kept_id(status.port) },
            // While it runs it has its data in memory.
            data: if process == Process::Runs || self.cluster.holds_data_of(status.port) {
                Data::Kept
            } else {
                Data::Nothing
            },
            update: self.cluster.update_of(status, wanted)?,
            trouble: trouble(status),
        })
    }

    fn members_now(&self) -> Result<Vec<FleetMember>, LocalError> {
        let (members, wanted) = (self.cluster.members()?, self.cluster.settings()?.launch());
        let member = |status: &MemberStatus| self.cluster.unless_removed(status.port, self.member(status, &wanted));
        members.iter().filter_map(member).collect()
    }

    fn add_now(&self, count: usize) -> Result<(), LocalError> {
        let launch = self.cluster.settings()?.launch();
        let last = self.cluster.ports()?.last().copied().unwrap_or_default();
        let (mut port, mut made, mut refused) = (last, 0, None);
        // Ports that something else has are left out.
        while made < count && port < last.saturating_add(FURTHER) {
            port = port.saturating_add(1);
            match self.cluster.write_members(port, 1, &launch) {
                Ok(_) => made += 1,
                Err(error @ LocalError::PortTaken { .. }) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        self.changed.notify_one();
        match refused {
            Some(error) if made < count => Err(error),
            _ => Ok(()),
        }
    }
}

/// How far beyond the last member's port a free one is looked for.
const FURTHER: u16 = 200;

impl Fleet for LocalFleet {
    fn members(&self) -> BoxFuture<'_, Result<Vec<FleetMember>, FleetError>> {
        Box::pin(async {
            let mut members = self.members_now();
            // One that goes while it is looked at is not there the next time.
            if members.is_err() {
                members = self.members_now();
            }
            members.map_err(|error| failed(&error))
        })
    }

    fn add(&self, count: usize) -> BoxFuture<'_, Result<(), FleetError>> {
        Box::pin(async move { self.add_now(count).map_err(|error| failed(&error)) })
    }

    fn held(&self) -> Option<String> {
        let by_command = || self.cluster.held_by().map(|pid| format!("a command changes the members: process {pid}"));
        self.cluster.held().or_else(by_command)
    }

    fn update<'a>(&'a self, member: &'a str) -> BoxFuture<'a, Result<(), FleetError>> {
        Box::pin(async move {
            let taken = self.cluster.take(port_of(member)?).await;
            taken.map_err(|error| FleetError(format!("member {member} was not told: {error}")))
        })
    }

    fn restart<'a>(&'a self, member: &'a str, _: MayRestart) -> BoxFuture<'a, Result<(), FleetError>> {
        Box::pin(async move { self.cluster.restart(port_of(member)?).await.map_err(|error| failed(&error)) })
    }

    fn fence<'a>(&'a self, member: &'a str) -> BoxFuture<'a, Result<Hold, FleetError>> {
        Box::pin(async move {
            let fence = self.cluster.fence(port_of(member)?).map_err(|error| failed(&error))?;
            Ok(Box::new(fence) as Hold)
        })
    }

    fn keep_loss<'a>(&'a self, loss: &'a Loss) -> BoxFuture<'a, Result<(), FleetError>> {
        Box::pin(async { self.cluster.keep_loss(loss).map_err(|error| failed(&error)) })
    }

    fn losses(&self) -> Vec<Loss> {
        self.cluster.losses()
    }

    fn remove<'a>(&'a self, member: &'a str, _: MayGo) -> BoxFuture<'a, Result<(), FleetError>> {
        Box::pin(async move {
            let port = port_of(member)?;
            let cluster = self.cluster.clone();
            let work = move || cluster.take_out(port).and_then(|()| cluster.discard(port));
            let removed = tokio::task::spawn_blocking(work).await;
            self.changed.notify_one();
            removed.map_err(|error| FleetError(error.to_string()))?.map_err(|error| failed(&error))
        })
    }
}

fn port_of(member: &str) -> Result<u16, FleetError> {
    member.parse().map_err(|_| FleetError(format!("no member is named {member}")))
}

/// Why a member's server does not run, if it ended by itself.
fn trouble(status: &MemberStatus) -> Option<String> {
    let exit = status.last_exit.as_ref().filter(|_| status.state != MemberState::Running)?;
    let words = status.last_words.last().map(|line| format!(", after saying \"{line}\"")).unwrap_or_default();
    Some(format!("its server {exit}{words}"))
}

fn failed(error: &LocalError) -> FleetError {
    FleetError(error.to_string())
}
