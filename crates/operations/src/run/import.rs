//! The step that imports keys.

use super::{RunError, Runner, steps::changed};
use crate::{
    importing::{self, Order},
    observe::look,
    port::NothingToLose,
};
use tokio_util::sync::CancellationToken;
use topology::{NodeAddr, plan::ImportShare};

impl Runner<'_> {
    /// Imports keys into the cluster as it is now: its slots may have moved since the plan was made.
    pub(super) async fn import_keys(
        &self,
        source: &NodeAddr,
        to: &[ImportShare],
        order: Order<'_>,
        stop: &CancellationToken,
    ) -> Result<(), RunError> {
        let unknown = |change: &str| RunError::Changed { address: source.clone(), change: change.to_owned() };
        let import = self.import.as_ref().ok_or_else(|| unknown("nobody has said how to reach it"))?;
        if !import.source.address().same_endpoint(source) {
            return Err(unknown("it is not the server that this run was given"));
        }
        let addresses: Vec<NodeAddr> = to.iter().map(|share| share.node.address.clone()).collect();
        let cluster = look(import.dialer.as_ref(), &addresses).await.map_err(|none| RunError::Node(none.first))?;
        if let Some(gone) = to.iter().find(|share| cluster.view.node(share.node.id).is_none()) {
            return Err(changed(&gone.node, "it is not in the cluster any more"));
        }
        // What is deleted on a source that is followed is deleted in the cluster.
        let is_empty = |server| NothingToLose::by(server);
        if order.follow
            && let Some((node, not_empty)) =
                cluster.view.answering().find_map(|(node, said)| Some((node, is_empty(&said.server).err()?)))
        {
            return Err(RunError::Changed { address: node.address.clone(), change: not_empty.to_string() });
        }
        importing::run(import, order, cluster, self.patience, self.progress, stop).await
    }
}
