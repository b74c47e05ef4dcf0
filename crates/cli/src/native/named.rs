//! Nodes by what people type.

use crate::failure::{ExitStatus, Failure};
use std::collections::BTreeSet;
use topology::{ClusterView, NodeAddr, NodeId};

/// The fewest digits that stand for a whole id: as many as are shown.
const FEWEST: usize = 8;

/// The node that a word names: by the beginning of its id, or by its address.
pub(crate) fn node(view: &ClusterView, word: &str) -> Result<NodeId, Failure> {
    let address: Option<NodeAddr> = word.parse().ok();
    let known = address.and_then(|address| view.nodes.iter().find(|node| node.address.same_endpoint(&address)));
    match known.and_then(|node| node.id) {
        Some(id) => Ok(id),
        None => node_named(view, word),
    }
}

/// The node whose id begins with these digits.
///
/// # Errors
/// When no node or several are known by them.
fn node_named(view: &ClusterView, digits: &str) -> Result<NodeId, Failure> {
    if digits.len() < FEWEST || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(Failure::new(format!(
            "{digits:?} is not a node id: 40 hexadecimal digits, or the first 8 of them"
        ))
        .status(ExitStatus::WrongWords));
    }
    let told = view.answering().flat_map(|(_, said)| said.entries()).map(|entry| entry.id);
    let known: BTreeSet<NodeId> = told.chain(view.nodes.iter().filter_map(|node| node.id)).collect();
    let digits = digits.to_ascii_lowercase();
    let mut meant = known.into_iter().filter(|id| id.to_string().starts_with(&digits));
    match (meant.next(), meant.next()) {
        (Some(id), None) => Ok(id),
        (None, _) => Err(Failure::new(format!("no node of the cluster knows the id {digits}"))
            .advice("tribune status shows the nodes with their ids")),
        (Some(_), Some(_)) => {
            Err(Failure::new(format!("several nodes have an id that begins with {digits}")).advice("type more digits"))
        }
    }
}

/// The primary whose id begins with these digits, however few they are; or the one at this address.
///
/// # Errors
/// When there is none or there are several.
pub(crate) fn primary_beginning(view: &ClusterView, word: &str) -> Result<NodeId, Failure> {
    let digits = word.to_ascii_lowercase();
    if digits.is_empty() || digits.len() >= FEWEST || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return match word.parse::<NodeAddr>() {
            Err(_) if digits.len() < FEWEST => Err(no_primary(word)),
            _ => node(view, word),
        };
    }
    let primaries = view.shards().into_iter().map(|shard| shard.primary.account.id);
    let mut meant = primaries.filter(|id| id.to_string().starts_with(&digits));
    match (meant.next(), meant.next()) {
        (Some(id), None) => Ok(id),
        (None, _) => Err(no_primary(word)),
        (Some(_), Some(_)) => Err(Failure::new(format!("several primaries have an id that begins with {digits}"))
            .advice("type more digits")
            .status(ExitStatus::WrongWords)),
    }
}

fn no_primary(word: &str) -> Failure {
    Failure::new(format!("no primary has an id that begins with {word:?}"))
        .advice("tribune info shows the primaries with their ids")
        .status(ExitStatus::WrongWords)
}
