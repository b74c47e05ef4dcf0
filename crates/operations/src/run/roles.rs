//! Steps that change what a node is: a replica, a primary.

use super::{
    RunError, Runner,
    steps::{changed, command},
};
use crate::{
    exchange::accepted,
    functions::{self, Functions},
    port::{Command, Dispensable, Failover, NodeError, NodeLink, OnlyACopy, Trouble},
};
use futures_util::future::try_join;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use topology::{
    NodeId, NodeView, Reply, ServerInfo,
    findings::count,
    plan::{FailoverKind, NodeRef},
};

/// Time between two looks at a node that is about to change.
const LOOK: Duration = Duration::from_millis(10);
/// What is heard at all is heard within this time: nodes ping each other every second or two.
const HEARD: Duration = Duration::from_secs(3);
/// The servers give up a planned failover after 5 s (`cluster-manual-failover-timeout`), and forget an election sooner.
const FAILOVER_TRIED: Duration = Duration::from_secs(6);

impl Runner<'_> {
    /// Lets a node follow a primary. One that owned slots until now may still be freeing their keys.
    pub(super) async fn replicate(&self, replica: &NodeRef, primary: &NodeRef) -> Result<(), RunError> {
        let begin = Instant::now();
        loop {
            let (link, view) = self.fresh(replica).await?;
            if view.myself.primary == Some(primary.id) {
                return Ok(());
            }
            if !view.myself.slots.is_empty() {
                return Err(changed(replica, format!("it owns {}", count(view.myself.slots.len(), "slot"))));
            }
            if view.myself.is_replica() && may_take_up(&view.server, &self.fresh(primary).await?.1.server) {
                if begin.elapsed() >= self.patience.service {
                    return Err(changed(
                        replica,
                        "it hears nothing from its primary and would keep its keys".to_owned(),
                    ));
                }
                let last = view.myself.primary.and_then(|last| self.links.get(&last));
                if let Some(last) = last {
                    last.send(vec![Command::AskReplicas]).await?;
                }
                sleep(LOOK).await;
                continue;
            }
            if view.myself.is_replica() || view.server.keys() == 0 {
                command(link, Command::Replicate(primary.id)).await?;
                return self.be_heard(replica, view.myself.config_epoch, primary).await;
            }
            if begin.elapsed() >= self.patience.service {
                let keys = count(view.server.keys(), "key");
                return Err(changed(replica, format!("it holds {keys} of slots that it does not own")));
            }
            sleep(LOOK).await;
        }
    }

    /// Waits until a primary knows a replica for one that had a higher config epoch as a primary. Whoever has taken it for a primary with that epoch takes
    /// what it says as a replica for old news, for ever where messages overtake each other (Redis 7.2, Valkey 8.0.10, 8.1.9, 9.0.5, 9.1):
    /// then the primary gets a higher one.
    async fn be_heard(&self, replica: &NodeRef, epoch: u64, primary: &NodeRef) -> Result<(), RunError> {
        let (begin, mut was_raised) = (Instant::now(), false);
        loop {
            let (link, view) = self.fresh(primary).await?;
            let is_known = view.entry(replica.id).is_some_and(|entry| entry.primary == Some(primary.id));
            if is_known || was_raised || view.myself.config_epoch >= epoch || view.myself.is_replica() {
                return Ok(());
            }
            // The next epoch is above all that it has heard of.
            if begin.elapsed() >= HEARD && view.cluster.current_epoch >= epoch {
                command(link, Command::BumpEpoch).await?;
                was_raised = true;
            }
            if begin.elapsed() >= self.patience.agreement {
                let missing = format!("{} does not know {} for its replica", primary.address, replica.address);
                return Err(RunError::NotInTime { waited: begin.elapsed(), missing });
            }
            sleep(LOOK).await;
        }
    }

    /// Lets a replica leave its primary: it keeps its id, drops its copy, and is introduced to all nodes again.
    pub(super) async fn detach(&self, node: &NodeRef, from: &NodeRef) -> Result<(), RunError> {
        let ((link, view), (_, primary)) = try_join(self.fresh(node), self.fresh(from)).await?;
        if view.myself.is_replica() {
            let proof = OnlyACopy::by(&view, &primary)
                .ok_or_else(|| changed(node, format!("it does not follow {} any more", from.address)))?;
            command(link, Command::ResetSoft(Dispensable::Copy(proof))).await?;
        }
        // The others hear more than it has heard: none that comes to follow it, by itself even, takes up its stream.
        self.link(from)?.send(vec![Command::AskReplicas]).await?;
        // Also after a detachment that was interrupted.
        if view.myself.slots.is_empty() {
            keep_functions(self.link(from)?, link).await?;
            forget_on_disk(link).await?;
        }
        self.await_agreement(&self.all()).await
    }

    /// Makes a replica the primary, and again when the servers have given up meanwhile.
    pub(super) async fn failover(
        &self,
        replica: &NodeRef,
        primary: &NodeRef,
        kind: FailoverKind,
    ) -> Result<(), RunError> {
        let begin = Instant::now();
        let mut asked: Option<Instant> = None;
        loop {
            let (link, view) = self.fresh(replica).await?;
            if view.myself.is_primary() {
                break;
            }
            if view.myself.primary != Some(primary.id) {
                return Err(changed(replica, format!("it does not follow {} any more", primary.address)));
            }
            if begin.elapsed() >= self.patience.service {
                let missing = format!("{} is not the primary: {}", replica.address, linked(&view));
                return Err(RunError::NotInTime { waited: begin.elapsed(), missing });
            }
            if asked.is_none_or(|last| last.elapsed() >= FAILOVER_TRIED) {
                asked = Some(Instant::now());
                self.ask_for_failover(link, replica, primary.id, kind).await?;
            }
            sleep(LOOK).await;
        }
        self.await_known(replica).await
    }

    async fn ask_for_failover(
        &self,
        link: &dyn NodeLink,
        replica: &NodeRef,
        primary: NodeId,
        kind: FailoverKind,
    ) -> Result<(), RunError> {
        let word = match (kind, self.unopposed) {
            (FailoverKind::Planned, _) => Failover::Planned,
            (FailoverKind::Forced, _) => Failover::ForcedFrom(primary),
            (FailoverKind::Takeover, Some(right)) => Failover::Takeover(right),
            (FailoverKind::Takeover, None) => {
                return Err(changed(replica, "this run may let nobody take over without a vote"));
            }
        };
        match command(link, Command::Failover(word)).await {
            // A user that may not run scripts.
            Err(RunError::Node(NodeError { trouble: Trouble::NotPermitted(_), .. }))
                if kind == FailoverKind::Forced =>
            {
                command(link, Command::Failover(Failover::Forced)).await
            }
            outcome => outcome,
        }
    }

    /// All nodes of the run.
    pub(super) fn all(&self) -> Vec<NodeRef> {
        self.links.iter().map(|(id, link)| NodeRef { id: *id, address: link.address().clone() }).collect()
    }
}

/// Whether a replica would take up the replication stream of another primary where it stopped with its last one, and keep all keys
/// that it has (`PSYNC`, all versions).
///
/// That primary was a replica of the same one and has dropped its copy, but still passes for the successor. The replica refuses what comes
/// for keys that it has, and goes on with old values. Once it has heard more from its last primary than the other had, it does not.
fn may_take_up(replica: &ServerInfo, primary: &ServerInfo) -> bool {
    let is_shared = replica.replication_id.is_some() && replica.replication_id == primary.earlier_replication_id;
    is_shared
        && primary
            .earlier_replication_end
            .is_some_and(|end| replica.replication_offset.is_none_or(|offset| offset < end))
}

/// The functions of one node for another that has none: leaving the cluster takes them away on some servers, and clients expect
/// them on every primary. Where the user may not read them, they stay away.
async fn keep_functions(from: &dyn NodeLink, to: &dyn NodeLink) -> Result<(), RunError> {
    match functions::compare(from, to).await {
        Ok(Functions::Missing(dump)) => command(to, Command::FunctionRestore(dump)).await,
        Ok(Functions::Unreadable(error)) | Err(error) if error.trouble.may_pass() => Err(error.into()),
        _ => Ok(()),
    }
}

/// What a server loads when it starts again is not to be the copy that it has just dropped: as a primary it would claim the
/// slots of these keys.
pub(super) async fn forget_on_disk(link: &dyn NodeLink) -> Result<(), RunError> {
    let settings = vec![Command::ConfigGet("appendonly".to_owned()), Command::ConfigGet("save".to_owned())];
    let replies = link.send(settings).await?;
    let value = |at: usize| replies.get(at).and_then(Reply::as_list).and_then(|pair| pair.get(1)?.as_text());
    let mut commands = Vec::new();
    commands.extend(value(0).is_some_and(|value| value == "yes").then_some(Command::RewriteLog));
    commands.extend(value(1).is_some_and(|value| !value.is_empty()).then_some(Command::SaveSnapshot));
    // A save that is under way already is of what was there before: the next one is of what is there now.
    let refused = accepted(link, commands).await;
    if let Err(error) = refused
        && !error.to_string().contains("progress")
    {
        return Err(error.into());
    }
    Ok(())
}

const fn linked(view: &NodeView) -> &'static str {
    if let Some(false) = view.server.primary_link_up {
        "its link to the primary is down"
    } else {
        "the servers have not elected it"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_takes_up_a_stream_only_of_the_same_history_and_from_before_its_end() {
        let replica =
            |id: &str, offset| ServerInfo::parse(&format!("master_replid:{id}\r\nmaster_repl_offset:{offset}\r\n"));
        let primary = ServerInfo::parse("master_replid:new\r\nmaster_replid2:old\r\nsecond_repl_offset:100\r\n");
        assert_eq!([99, 100].map(|offset| may_take_up(&replica("old", offset), &primary)), [true, false]);
        assert!(!may_take_up(&replica("other", 99), &primary));
        let never_a_replica = ServerInfo::parse("master_replid:old\r\nmaster_replid2:000\r\nsecond_repl_offset:-1\r\n");
        assert!(!may_take_up(&replica("old", 99), &never_a_replica));
    }
}
