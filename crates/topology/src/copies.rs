//! Whether a replica has a copy of its primary's data, where that does not answer.

use crate::{ClusterView, NodeId, NodeView};

/// Whether a replica has had a copy of its primary's data, by its own word and that of the others.
///
/// It has had its link in this run: servers forget that when they follow another primary. Or it holds keys from before, that is from its disk, and
/// they are not those of another shard, which it followed until now.
pub(crate) fn has_had_copy(view: &ClusterView, replica: &NodeView) -> bool {
    let info = &replica.server;
    let was_linked = info.primary_link_up == Some(true) || info.primary_link_down_seconds.is_some();
    (was_linked || info.keys() > 0) && !info.loading && !info.sync_in_progress && !is_of_another(view, replica)
}

/// Whether its replication stream is of the history that another shard goes on with.
fn is_of_another(view: &ClusterView, replica: &NodeView) -> bool {
    let shard = |node: &NodeView| -> NodeId { node.myself.primary.unwrap_or(node.myself.id) };
    let others = view.answering().map(|(_, said)| said).filter(|said| shard(said) != shard(replica));
    let mut histories = others.filter_map(|said| said.server.replication_id.as_ref());
    replica.server.replication_id.as_ref().is_some_and(|own| histories.any(|history| history == own))
}
